/* The tables of states: every pair, and docs/states.md shows the same. */
#include "base/buffer.h"
#include "base/io.h"
#include "service/controller/node_states.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

static enum covey_status out;

#define ADD(buffer, ...) out = covey_buffer_printf(buffer, __VA_ARGS__)

static void add_cell(struct covey_buffer *text, struct state_rule rule, const char *next)
{
    static const char *const words[] = {[STATE_BUG] = "bug",
                                        [STATE_IGNORE] = "ignored",
                                        [STATE_STAY] = "stays",
                                        [STATE_OUTCOME] = "→ outcome"};
    if (rule.kind == STATE_MOVE)
        ADD(text, " → %s |", next);
    else
        ADD(text, " %s |", words[rule.kind]);
}

static void render_flare(struct covey_buffer *text)
{
    ADD(text, "| event | what happened |");
    for (int s = FLARE_NONE; s <= FLARE_ENDING; s++)
        ADD(text, " %s |", flare_state_name((enum flare_state)s));
    ADD(text, " final |\n|---|---|---|---|---|---|---|---|\n");
    for (int e = 0; e < FLARE_EVENTS; e++) {
        enum flare_event event = (enum flare_event)e;
        ADD(text, "| `%s` | %s |", flare_event_name(event), flare_event_meaning(event));
        for (int s = FLARE_NONE; s <= FLARE_SUCCEEDED; s++) {
            struct state_rule rule = flare_rule((enum flare_state)s, event);
            add_cell(text, rule, flare_state_name((enum flare_state)rule.next));
        }
        ADD(text, "\n");
    }
}

static void render_node(struct covey_buffer *text)
{
    ADD(text, "| event | what happened |");
    for (int s = NODE_NONE; s < NODE_STATES; s++)
        ADD(text, " %s |", node_state_name((enum node_state)s));
    ADD(text, "\n|---|---|---|---|---|---|---|\n");
    for (int e = 0; e < NODE_EVENTS; e++) {
        enum node_event event = (enum node_event)e;
        ADD(text, "| `%s` | %s |", node_event_name(event), node_event_meaning(event));
        for (int s = NODE_NONE; s < NODE_STATES; s++) {
            struct state_rule rule = node_rule((enum node_state)s, event);
            add_cell(text, rule, node_state_name((enum node_state)rule.next));
        }
        ADD(text, "\n");
    }
}

static void check_document(void (*render)(struct covey_buffer *text))
{
    struct covey_buffer document = {0};
    struct covey_buffer table = {0};
    TEST_REQUIRE(covey_file_read(SOURCE_DIR "/docs/states.md", 1 << 20, &document, NULL) ==
                 COVEY_OK);
    TEST_REQUIRE(covey_buffer_append(&document, "", 1) == COVEY_OK);
    render(&table);
    TEST_REQUIRE(out == COVEY_OK);
    bool same = strstr((char *)document.data, (char *)table.data) != NULL;
    if (!same)
        fprintf(stderr, "docs/states.md should say:\n%s\n", (char *)table.data);
    TEST_TRUE(same);
    covey_buffer_free(&document);
    covey_buffer_free(&table);
}

static void flare_table__document__is_the_same(void)
{
    check_document(render_flare);
}

static void node_table__document__is_the_same(void)
{
    check_document(render_node);
}

static void flare_rule__every_pair__keeps_the_invariants(void)
{
    for (int e = 0; e < FLARE_EVENTS; e++) {
        enum flare_event event = (enum flare_event)e;
        for (int s = FLARE_SUCCEEDED; s < FLARE_STATES; s++) {
            /* Nothing changes what has ended. */
            enum state_rule_kind kind = flare_rule((enum flare_state)s, event).kind;
            TEST_TRUE(kind == STATE_IGNORE || kind == STATE_BUG);
        }
        for (int s = FLARE_NONE; s <= FLARE_ENDING; s++) {
            struct state_rule rule = flare_rule((enum flare_state)s, event);
            /* An end comes only after ENDING, by one event. */
            TEST_EQUAL(rule.kind == STATE_OUTCOME, s == FLARE_ENDING && event == FLARE_EVENT_ENDED);
            TEST_TRUE(rule.kind != STATE_MOVE || rule.next <= FLARE_ENDING);
            /* The outcome is decided once. */
            if (flare_outcome_of(event) != FLARE_NONE && s == FLARE_ENDING)
                TEST_EQUAL(rule.kind, STATE_IGNORE);
            if (rule.kind == STATE_MOVE && rule.next == FLARE_ENDING)
                TEST_TRUE(flare_outcome_of(event) != FLARE_NONE);
        }
        /* Only ACCEPTED makes a flare. */
        TEST_EQUAL(flare_rule(FLARE_NONE, event).kind == STATE_BUG, event != FLARE_EVENT_ACCEPTED);
    }
}

static void flare_rule__cancel__possible_until_the_outcome(void)
{
    for (int s = FLARE_QUEUED; s <= FLARE_RUNNING; s++) {
        struct state_rule rule = flare_rule((enum flare_state)s, FLARE_EVENT_CANCELLING);
        TEST_TRUE(rule.kind == STATE_MOVE && rule.next == FLARE_ENDING);
    }
}

static void flare_event_parse__every_name__round_trips(void)
{
    enum flare_event event;
    for (int e = 0; e < FLARE_EVENTS; e++) {
        TEST_TRUE(flare_event_parse(flare_event_name((enum flare_event)e), &event));
        TEST_EQUAL(event, (enum flare_event)e);
    }
    TEST_TRUE(!flare_event_parse("exploded", &event));
}

static void node_rule__every_pair__keeps_the_invariants(void)
{
    for (int s = NODE_UP; s < NODE_STATES; s++) {
        /* A connected node is lost before it is down. */
        struct state_rule rule = node_rule((enum node_state)s, NODE_EVENT_EXPIRED);
        TEST_EQUAL(rule.kind == STATE_MOVE, s == NODE_LOST);
        rule = node_rule((enum node_state)s, NODE_EVENT_LOST);
        TEST_EQUAL(rule.kind == STATE_MOVE, s == NODE_UP || s == NODE_DRAINING);
        /* A drained node comes back drained. */
        rule = node_rule((enum node_state)s, NODE_EVENT_REGISTERED_DRAINED);
        TEST_TRUE(rule.kind != STATE_MOVE || rule.next == NODE_DRAINING);
    }
}

static const struct test_case states[] = {TEST_CASE(flare_table__document__is_the_same),
                                          TEST_CASE(node_table__document__is_the_same),
                                          TEST_CASE(flare_rule__every_pair__keeps_the_invariants),
                                          TEST_CASE(flare_rule__cancel__possible_until_the_outcome),
                                          TEST_CASE(flare_event_parse__every_name__round_trips),
                                          TEST_CASE(node_rule__every_pair__keeps_the_invariants),
                                          {0}};

const struct test_suite test_suites[] = {{"states", states, NULL, NULL}, {0}};
