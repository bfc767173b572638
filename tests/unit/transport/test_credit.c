#include "transport/core/credit.h"

#include "base/map.h"
#include "tests/harness/harness.h"

#include <stdlib.h>

static void window__of_any_flare__is_even_and_bounded(void)
{
    for (uint32_t workers = 0; workers < 100000; workers = workers * 2 + 1) {
        struct credit_window window = credit_window_of(workers);
        TEST_EQUAL(window.messages % 2, 0);
        TEST_TRUE(window.messages >= 8 && window.messages <= 1024);
        TEST_TRUE(workers < 1024 ? window.messages * workers <= 8192 : window.messages == 8);
        TEST_TRUE(window.bytes > 0);
    }
}

static void allow__more_than_a_receiver_may_grant__is_not_believed(void)
{
    const struct credit_window window = {.messages = 4, .bytes = 100};
    struct credit_out out;
    credit_out_init(&out, &window);
    TEST_TRUE(credit_send(&out) && credit_send(&out) && credit_send_bytes(&out, 30));
    const struct credit_grant most = {.messages = 6, .bytes = 130};
    const struct credit_grant messages = {.messages = 7, .bytes = 130};
    const struct credit_grant bytes = {.messages = 6, .bytes = 131};
    TEST_TRUE(!credit_allow(&out, &window, &messages));
    TEST_TRUE(!credit_allow(&out, &window, &bytes));
    TEST_EQUAL(out.limit.messages, 4);
    TEST_EQUAL(out.limit.bytes, 100);
    TEST_TRUE(credit_allow(&out, &window, &most));
    TEST_EQUAL(out.limit.messages, 6);
    TEST_EQUAL(out.limit.bytes, 130);
    const struct credit_grant older = {.messages = 5, .bytes = 110};
    TEST_TRUE(credit_allow(&out, &window, &older));
    TEST_EQUAL(out.limit.messages, 6);
}

static void arrive__more_than_was_granted__is_told(void)
{
    const struct credit_window window = {.messages = 2, .bytes = 100};
    struct credit_in in;
    credit_in_init(&in, &window);
    TEST_TRUE(credit_arrive(&in) && credit_arrive(&in));
    TEST_TRUE(credit_is_dry(&in));
    TEST_TRUE(!credit_arrive(&in));
    TEST_EQUAL(in.arrived, 2);
}

static void bytes__taken_and_settled__come_back_in_quarters(void)
{
    const struct credit_window window = {.messages = 8, .bytes = 100};
    struct credit_out out;
    struct credit_in in;
    struct credit_grant grant;
    credit_out_init(&out, &window);
    credit_in_init(&in, &window);
    TEST_TRUE(credit_send_bytes(&out, 60) && !credit_send_bytes(&out, 41));
    TEST_TRUE(credit_send_bytes(&out, 40));
    credit_unsend_bytes(&out, 40);
    TEST_TRUE(credit_send_bytes(&out, 40));
    credit_settle_bytes(&in, 24);
    TEST_TRUE(!credit_due(&in, &window, true, &grant));
    credit_settle_bytes(&in, 1);
    TEST_TRUE(credit_due(&in, &window, false, &grant));
    TEST_EQUAL(grant.bytes, 125);
    TEST_TRUE(credit_allow(&out, &window, &grant));
    TEST_TRUE(credit_send_bytes(&out, 25) && !credit_send_bytes(&out, 1));
}

/*
 * A model that is searched in full: one sender has MESSAGES to send, in order; the network may
 * deliver what is on its way in any order, grants too; the receiver receives the messages in an
 * order of its own, one after another, and may stop for as long as it likes before each. Wherever
 * nothing can happen any more, all must have been received.
 */
#define MESSAGES 6

struct model {
    struct credit_out out;
    struct credit_in in;
    unsigned moving;  /* messages on their way, as bits */
    unsigned here;    /* unmatched at the receiver */
    unsigned matched; /* how many of its receives */
    unsigned grants;  /* on their way: bit by limit */
    bool posted;
};

struct search {
    struct credit_window window;
    unsigned order[MESSAGES]; /* which message the n-th receive matches */
    struct covey_map seen;
    uint64_t states;
    uint64_t stuck;
    unsigned worst_unasked; /* unmatched messages while nothing was wanted since they were sent */
    bool receives;
};

static uint64_t key_of(const struct model *model)
{
    return 1 | model->out.sent << 1 | model->out.limit.messages << 5 |
           model->in.granted.messages << 10 | (uint64_t)model->moving << 15 |
           (uint64_t)model->here << 21 | (uint64_t)model->matched << 27 |
           (uint64_t)model->grants << 31 | (uint64_t)model->posted << 55;
}

static void consider_grant(struct search *search, struct model *model)
{
    struct credit_grant grant;
    if (!credit_due(&model->in, &search->window, model->posted, &grant))
        return;
    TEST_TRUE(grant.messages > model->in.granted.messages);
    credit_granted(&model->in, &grant);
    model->grants |= 1u << grant.messages;
}

static void match(struct search *search, struct model *model)
{
    unsigned wanted = 1u << search->order[model->matched];
    if (model->posted && model->here & wanted) {
        model->here &= ~wanted;
        model->matched++;
        model->posted = false;
        credit_settle(&model->in);
    }
    consider_grant(search, model);
}

static void check(const struct search *search, const struct model *model)
{
    TEST_TRUE(model->out.sent <= model->out.limit.messages);
    TEST_TRUE(model->out.limit.messages <= model->in.granted.messages);
    TEST_TRUE(model->in.granted.messages <= model->in.arrived + search->window.messages);
    TEST_TRUE((unsigned)__builtin_popcount(model->moving) <= search->window.messages);
    if (!model->moving && !model->grants)
        TEST_TRUE(model->out.limit.messages > model->out.sent ||
                  (unsigned)__builtin_popcount(model->here) > search->window.messages / 2);
}

static bool visit(struct search *search, struct model model);

/* Each of these is one thing that can happen; true where it could. */
static bool try_send(struct search *search, struct model model)
{
    if (model.out.sent == MESSAGES)
        return false;
    unsigned message = 1u << model.out.sent;
    if (!credit_send(&model.out))
        return false;
    model.moving |= message;
    return visit(search, model);
}

static bool try_deliver(struct search *search, struct model model, unsigned i)
{
    if (!(model.moving & 1u << i))
        return false;
    model.moving &= ~(1u << i);
    model.here |= 1u << i;
    TEST_TRUE(credit_arrive(&model.in));
    match(search, &model);
    return visit(search, model);
}

static bool try_grant(struct search *search, struct model model, unsigned limit)
{
    if (!(model.grants & 1u << limit))
        return false;
    const struct credit_grant grant = {.messages = limit, .bytes = model.out.limit.bytes};
    model.grants &= ~(1u << limit);
    TEST_TRUE(credit_allow(&model.out, &search->window, &grant));
    return visit(search, model);
}

static bool try_post(struct search *search, struct model model)
{
    if (!search->receives || model.posted || model.matched == MESSAGES)
        return false;
    model.posted = true;
    match(search, &model);
    return visit(search, model);
}

static bool visit(struct search *search, struct model model)
{
    uint64_t key = key_of(&model);
    if (covey_map_get_u64(&search->seen, key))
        return true;
    TEST_REQUIRE(covey_map_set_u64(&search->seen, key, search) == COVEY_OK);
    search->states++;
    check(search, &model);
    bool any = try_send(search, model);
    for (unsigned i = 0; i < MESSAGES; i++)
        any |= try_deliver(search, model, i);
    for (unsigned limit = 0; limit < 24; limit++)
        any |= try_grant(search, model, limit);
    any |= try_post(search, model);
    unsigned unmatched = (unsigned)__builtin_popcount(model.here);
    if (!search->receives && unmatched > search->worst_unasked)
        search->worst_unasked = unmatched;
    if (!any && search->receives && model.matched < MESSAGES)
        search->stuck++;
    return true;
}

static void run(struct search *search)
{
    struct model model = {0};
    credit_out_init(&model.out, &search->window);
    credit_in_init(&model.in, &search->window);
    (void)visit(search, model);
    covey_map_clear(&search->seen);
    TEST_TRUE(search->states > 10);
    TEST_EQUAL(search->stuck, 0);
}

static void permute(struct search *search, unsigned from)
{
    if (from == MESSAGES) {
        search->states = 0;
        run(search);
        return;
    }
    for (unsigned i = from; i < MESSAGES; i++) {
        unsigned kept = search->order[from];
        search->order[from] = search->order[i];
        search->order[i] = kept;
        permute(search, from + 1);
        search->order[i] = search->order[from];
        search->order[from] = kept;
    }
}

static void pair__every_order_of_receiving_and_of_the_network__completes(void)
{
    struct search search = {.window = {.messages = 2, .bytes = 100}, .receives = true};
    for (unsigned i = 0; i < MESSAGES; i++)
        search.order[i] = i;
    permute(&search, 0);
    search.window.messages = 4;
    for (unsigned i = 0; i < MESSAGES; i++)
        search.order[i] = MESSAGES - 1 - i;
    search.states = 0;
    run(&search);
}

static void flood__nobody_receives__stops_at_the_window(void)
{
    struct search search = {.window = {.messages = 4, .bytes = 100}};
    run(&search);
    TEST_EQUAL(search.worst_unasked, 4);
}

/* Long runs of chance with windows of real sizes: everything comes, and never too much is under
 * way. */
static void run_randomly(uint64_t seed, const struct credit_window *window)
{
    enum { COUNT = 3000 };
    struct credit_out out;
    struct credit_in in;
    struct credit_grant grant, told = {0};
    uint64_t matched = 0, skipped = 0;
    credit_out_init(&out, window);
    credit_in_init(&in, window);
    uint64_t steps = 0;
    while (matched < COUNT) {
        TEST_REQUIRE(++steps < 10000000);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned dice = (unsigned)(seed >> 33) % 5;
        uint64_t wanted = matched + (matched / 100 % 2 ? window->messages * 3 : 0);
        if (dice == 0 && out.sent < COUNT) {
            (void)!credit_send(&out);
        } else if (dice == 1 && in.arrived < out.sent) {
            TEST_TRUE(credit_arrive(&in));
        } else if (dice == 2 && told.messages > 0) {
            TEST_TRUE(credit_allow(&out, window, &told));
        } else if (dice == 3 && (in.arrived > wanted || in.arrived == COUNT)) {
            /* What it wants lies behind as many others, or is the next. */
            matched++;
            credit_settle(&in);
        } else if (dice == 4) {
            skipped++;
        }
        bool wants = dice != 4 && in.arrived <= wanted;
        if (credit_due(&in, window, wants, &grant)) {
            credit_granted(&in, &grant);
            told = grant;
        }
        TEST_REQUIRE(out.sent - in.arrived <= window->messages);
    }
    TEST_TRUE(skipped > 0);
}

static void pair__chance__all_comes_and_the_way_is_never_too_full(void)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct credit_window window = credit_window_of(1u << seed % 12);
        run_randomly(seed, &window);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(window__of_any_flare__is_even_and_bounded),
    TEST_CASE(allow__more_than_a_receiver_may_grant__is_not_believed),
    TEST_CASE(arrive__more_than_was_granted__is_told),
    TEST_CASE(bytes__taken_and_settled__come_back_in_quarters),
    TEST_CASE(pair__every_order_of_receiving_and_of_the_network__completes),
    TEST_CASE(flood__nobody_receives__stops_at_the_window),
    TEST_CASE(pair__chance__all_comes_and_the_way_is_never_too_full),
    {0},
};

const struct test_suite test_suites[] = {{"credit", cases, NULL, NULL}, {0}};
