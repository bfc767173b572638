/* All flares of a node are told to stop, however many there are. */
#include "base/memory.h"
#include "service/node/node.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 3000 };

static struct node agent;

static int open_agent(void)
{
    agent = (struct node){.lock_fd = -1, .runtime_fd = -1};
    covey_list_init(&agent.children);
    covey_list_init(&agent.fetches);
    outbox_open(&agent.outbox);
    return uv_loop_init(&agent.loop);
}

static int close_agent(void)
{
    (void)uv_run(&agent.loop, UV_RUN_DEFAULT);
    outbox_close(&agent.outbox);
    covey_map_clear(&agent.flares);
    return uv_loop_close(&agent.loop);
}

/* As it is while its code is fetched: without a process. */
static struct node_flare *add_flare(int number)
{
    struct node_flare *flare = flare_new(&agent);
    TEST_REQUIRE(flare != NULL);
    flare->text = calloc(1, sizeof(*flare->text));
    TEST_REQUIRE(flare->text != NULL);
    covey__v1__local_flare__init(flare->text);
    flare->text->flare_id = covey_asprintf("F%d", number);
    TEST_REQUIRE(covey_map_set(&agent.flares, flare->text->flare_id, flare) == COVEY_OK);
    return flare;
}

static void stop_all__thousands_without_a_process__all_are_gone_and_told(void)
{
    for (int i = 0; i < MANY; i++)
        (void)add_flare(i);
    flare_stop_all(&agent, 0, "the test is over");
    TEST_EQUAL(agent.flares.count, 0);
    TEST_EQUAL(agent.outbox.sequence, MANY);
}

static void stop_all__thousands_that_run__each_is_told_once_a_round(void)
{
    static struct node_flare *flares[MANY];
    for (int i = 0; i < MANY; i++) {
        flares[i] = add_flare(i);
        flares[i]->state = FLARE_RUNNING;
        flares[i]->children = 1; /* something of it is left, until: */
    }
    flare_stop_all(&agent, COVEY_NS_PER_S, "the test is over");
    TEST_EQUAL(agent.flares.count, MANY);
    size_t told = 0;
    for (int i = 0; i < MANY; i++)
        told += flares[i]->state == FLARE_STOPPING && flares[i]->stop_asked;
    TEST_EQUAL(told, MANY);
    for (int i = 0; i < MANY; i++)
        flares[i]->children = 0;
    flare_stop_all(&agent, 0, "the test is over");
    TEST_EQUAL(agent.flares.count, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(stop_all__thousands_without_a_process__all_are_gone_and_told),
    TEST_CASE(stop_all__thousands_that_run__each_is_told_once_a_round),
    {0},
};

const struct test_suite test_suites[] = {{"shutdown", cases, open_agent, close_agent}, {0}};
