/* Answers that take long are made in steps, none of which takes long, and are whole in the end. */
#include "service/controller/messages.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <stdio.h>
#include <string.h>

#define MANY 100

static struct core core;
static struct core_link node;

static void start(uint32_t slots)
{
    memset(&node, 0, sizeof node);
    core_start(&core);
    core.options.limits.max_message_bytes = 128 << 10;
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &node, "a", slots, NULL, 0) == COVEY_OK);
}

/* Ends a flare of so many workers, each with an event. */
static void run(uint32_t workers, char id[ULID_BYTES])
{
    TEST_REQUIRE(core_submit(&core, workers, 0, id) == COVEY_OK);
    core_pass(&core, 1);
    TEST_REQUIRE(core_prepared(&core, &node, id, 0, workers) == COVEY_OK);
    for (uint32_t i = 0; i < workers; i++)
        TEST_REQUIRE(core_worker_ended(&core, &node, id, i, 0) == COVEY_OK);
    TEST_REQUIRE(core_gone(&core, &node, id) == COVEY_OK);
    core_pass(&core, 1);
}

static void fill(size_t count, char ids[][ULID_BYTES])
{
    for (size_t i = 0; i < count; i++) {
        core_pass(&core, COVEY_NS_PER_MS);
        TEST_REQUIRE(core_submit(&core, 1, 0, ids[i]) == COVEY_OK);
    }
}

/* One page; returns in how many steps it was made, none of which showed more than 8 flares. */
static unsigned list(const Covey__V1__ListFlaresRequest *request,
                     struct controller_listing **listing)
{
    bool done = false;
    unsigned steps = 0;
    size_t before = 0;
    TEST_REQUIRE(controller_list(core.controller, &core.caller, request, listing, &core.error) ==
                 COVEY_OK);
    for (; !done; steps++) {
        TEST_REQUIRE(controller_listing_step(*listing, &done, &core.error) == COVEY_OK);
        size_t now = controller_listing_answer(*listing)->n_flares;
        TEST_TRUE(now <= before + 8);
        before = now;
    }
    return steps;
}

static void list__of_many__in_steps_newest_first(void)
{
    static char ids[MANY][ULID_BYTES];
    Covey__V1__ListFlaresRequest request = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    struct controller_listing *listing;
    start(1);
    fill(MANY, ids);
    request.page_size = 1000;
    TEST_TRUE(list(&request, &listing) >= MANY / 8);
    const Covey__V1__ListFlaresResponse *page = controller_listing_answer(listing);
    TEST_REQUIRE(page->n_flares == MANY);
    for (size_t i = 0; i < MANY; i++)
        TEST_EQUAL_STRING(page->flares[i]->id, ids[MANY - 1 - i]);
    TEST_EQUAL_STRING(page->next_page_token, "");
    TEST_EQUAL(page->flares[0]->queue_position, MANY - 2); /* one is being prepared */
    controller_listing_end(listing);
    core_stop(&core);
}

static void list__in_pages__is_whole(void)
{
    static char ids[MANY][ULID_BYTES];
    static char token[ULID_BYTES];
    Covey__V1__ListFlaresRequest request = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    struct controller_listing *listing;
    size_t seen = 0;
    start(1);
    fill(MANY, ids);
    request.page_size = 30;
    request.page_token = token;
    for (unsigned pages = 1; seen < MANY; pages++) {
        (void)list(&request, &listing);
        const Covey__V1__ListFlaresResponse *page = controller_listing_answer(listing);
        TEST_REQUIRE(page->n_flares == (pages < 4 ? 30 : 10));
        for (size_t i = 0; i < page->n_flares; i++)
            TEST_EQUAL_STRING(page->flares[i]->id, ids[MANY - 1 - seen++]);
        (void)snprintf(token, sizeof token, "%s", page->next_page_token);
        TEST_EQUAL(*token == '\0', seen == MANY);
        controller_listing_end(listing);
    }
    core_stop(&core);
}

static void list__longer_than_a_message__is_cut(void)
{
    static char ids[MANY][ULID_BYTES];
    char text[1500];
    Covey__V1__FlareOptions__LabelsEntry label = COVEY__V1__FLARE_OPTIONS__LABELS_ENTRY__INIT;
    Covey__V1__FlareOptions__LabelsEntry *labels[8];
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    Covey__V1__ListFlaresRequest request = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    struct controller_listing *listing;
    start(1);
    memset(text, 'x', sizeof text);
    text[200] = '\0';
    label.key = (char *)(uintptr_t) "key";
    label.value = text;
    for (size_t i = 0; i < 8; i++)
        labels[i] = &label;
    options.n_labels = 8;
    options.labels = labels;
    for (size_t i = 0; i < MANY; i++)
        TEST_REQUIRE(core_submit_as(&core, 1, &options, ids[i]) == COVEY_OK);
    request.page_size = 1000;
    (void)list(&request, &listing);
    const Covey__V1__ListFlaresResponse *page = controller_listing_answer(listing);
    TEST_TRUE(page->n_flares > 10 && page->n_flares < MANY);
    TEST_TRUE(covey__v1__list_flares_response__get_packed_size(page) <
              core.options.limits.max_message_bytes);
    TEST_EQUAL_STRING(page->next_page_token, page->flares[page->n_flares - 1]->id);
    controller_listing_end(listing);
    core_stop(&core);
}

static void list__while_flares_end__goes_on(void)
{
    static char ids[MANY][ULID_BYTES];
    Covey__V1__ListFlaresRequest request = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    struct controller_listing *listing;
    flare_message *flare;
    bool done = false;
    start(1);
    fill(MANY, ids);
    request.page_size = 1000;
    TEST_REQUIRE(controller_list(core.controller, &core.caller, &request, &listing, &core.error) ==
                 COVEY_OK);
    TEST_REQUIRE(controller_listing_step(listing, &done, &core.error) == COVEY_OK);
    for (size_t i = 0; i < MANY; i += 2) {
        TEST_REQUIRE(controller_cancel(core.controller, &core.caller, ids[i], "", &flare,
                                       &core.error) == COVEY_OK);
        message_free(flare);
    }
    core_pass(&core, 1);
    while (!done)
        TEST_REQUIRE(controller_listing_step(listing, &done, &core.error) == COVEY_OK);
    TEST_EQUAL(controller_listing_answer(listing)->n_flares, MANY);
    controller_listing_end(listing);
    /* One that is given up in the middle. */
    TEST_REQUIRE(controller_list(core.controller, &core.caller, &request, &listing, &core.error) ==
                 COVEY_OK);
    TEST_REQUIRE(controller_listing_step(listing, &done, &core.error) == COVEY_OK);
    TEST_TRUE(!done);
    controller_listing_end(listing);
    core_stop(&core);
}

static void view__of_many_events__in_steps(void)
{
    enum { WORKERS = 600 };
    char id[ULID_BYTES];
    struct controller_viewing *viewing;
    bool done = false;
    unsigned steps = 0;
    start(WORKERS);
    run(WORKERS, id);
    TEST_REQUIRE(controller_view(core.controller, &core.caller, id, &viewing, &core.error) ==
                 COVEY_OK);
    for (; !done; steps++)
        TEST_REQUIRE(controller_viewing_step(viewing, &done, &core.error) == COVEY_OK);
    TEST_TRUE(steps >= 3);
    const flare_message *flare = controller_viewing_answer(viewing);
    TEST_EQUAL(flare->state, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED);
    TEST_EQUAL(flare->n_workers, WORKERS);
    controller_viewing_end(viewing);
    TEST_EQUAL(controller_view(core.controller, &core.caller, "nothing", &viewing, &core.error),
               COVEY_ENOTFOUND);
    /* A list shows it without its workers, and makes it in steps, too. */
    Covey__V1__ListFlaresRequest request = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    struct controller_listing *listing;
    TEST_TRUE(list(&request, &listing) >= 4);
    TEST_EQUAL(controller_listing_answer(listing)->n_flares, 1);
    TEST_EQUAL(controller_listing_answer(listing)->flares[0]->n_workers, 0);
    controller_listing_end(listing);
    core_stop(&core);
}

static const struct test_case cases[] = {
    TEST_CASE(list__of_many__in_steps_newest_first), TEST_CASE(list__in_pages__is_whole),
    TEST_CASE(list__longer_than_a_message__is_cut),  TEST_CASE(list__while_flares_end__goes_on),
    TEST_CASE(view__of_many_events__in_steps),       {0}};

const struct test_suite test_suites[] = {{"listings", cases, NULL, NULL}, {0}};
