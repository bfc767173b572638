/* What time, faults and wrong reports do to flares and nodes. */
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/common/local.h"
#include "service/controller/flare_states.h"
#include "service/controller/logs.h"
#include "service/controller/node_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S  COVEY_NS_PER_S
#define MS COVEY_NS_PER_MS

static void prepare__node_silent__undone_and_placed_again(void)
{
    pair_start();
    pair_submit(0);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    pair_live(5 * S - 1 * MS);
    TEST_EQUAL(a.stops, 0);
    pair_live(1 * MS);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(b.stops, 1);
    TEST_EQUAL(a.starts + b.starts, 0);
    TEST_TRUE(strstr(a.last_reason, "node b was not ready within 5000 ms") != NULL);
    /* The gang is held whole until nothing is left anywhere. */
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_slots_used(&core, "a"), 2);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_slots_used(&core, "a"), 0);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    controller_turn(core.controller);
    TEST_EQUAL(a.prepares, 2);
    /* A late answer to the first attempt starts nothing. */
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    core_stop(&core);
}

static void say_failed(struct core_link *link)
{
    Covey__V1__PrepareFailed failed = COVEY__V1__PREPARE_FAILED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    failed.flare_id = id;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED;
    message.prepare_failed = &failed;
    TEST_EQUAL(core_say(&core, link, &message, true), COVEY_OK);
}

/* An agent that was away says what became of the first attempt when the second could be under way.
 */
static void answers__of_an_earlier_attempt__end_no_later_one(void)
{
    pair_start();
    pair_submit(0);
    controller_detach(core.controller, a.node, "test");
    controller_write(core.controller);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    a.sequence = 0;
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(a.prepares, 0);
    say_failed(&a); /* it gave up when it lost the controller */
    controller_turn(core.controller);
    TEST_EQUAL(a.prepares, 0);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(a.prepares, 1);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK); /* another answer to a Stop */
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    core_stop(&core);
}

static void node__silent__lost_then_down_and_freed_once(void)
{
    char other[ULID_BYTES];
    pair_start();
    pair_run(0);
    struct core_link c = {.epoch = 0};
    TEST_REQUIRE(core_attach(&core, &c, "c", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_submit(&core, 2, 0, other) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(c.prepares, 1);
    for (int i = 0; i < 6; i++) {
        pair_beat(&a);
        pair_beat(&c);
        core_pass(&core, 250 * MS);
        TEST_TRUE(!b.closed);
    }
    core_pass(&core, 20 * MS);
    TEST_TRUE(b.closed);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    TEST_EQUAL(core_slots_used(&core, "b"), 2); /* its claims are kept meanwhile */
    for (int i = 0; i < 40; i++) {
        TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
        pair_beat(&a);
        pair_beat(&c);
        core_pass(&core, 250 * MS);
        if (i == 10) /* within its own time for preparing */
            TEST_EQUAL(core_prepared(&core, &c, other, 0, 2), COVEY_OK);
    }
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    TEST_EQUAL(core_slots_used(&core, "b"), 0);
    TEST_EQUAL(core_slots_used(&core, "a"), 2);
    TEST_EQUAL(core_slots_used(&core, "c"), 2);
    TEST_EQUAL(a.peers, 2);
    for (int i = 0; i < 8; i++) {
        pair_beat(&a);
        pair_beat(&c);
        core_pass(&core, 250 * MS);
    }
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_FAILED);
    TEST_EQUAL(core_slots_used(&core, "a"), 0);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL_STRING(flare->error->node, "b");
    TEST_EQUAL_STRING(flare->error->status, "ENODE");
    TEST_EQUAL(flare->workers[2]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED);
    TEST_EQUAL(flare->workers[0]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED);
    message_free(flare);
    /* It may come back, with nothing. */
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
    TEST_EQUAL(core_state(&core, other), FLARE_RUNNING);
    core_stop(&core);
}

static void worker__fails__others_stopped_after_the_grace(void)
{
    pair_start();
    pair_run(0);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 3, 11), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(a.peers, 1); /* at once */
    TEST_EQUAL(a.stops, 0);
    /* What fails afterwards is not the reason. */
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 6), COVEY_OK);
    pair_live(2 * S - 1 * MS);
    TEST_EQUAL(a.stops, 0);
    pair_live(1 * MS);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(b.stops, 1);
    TEST_EQUAL(a.stop_grace_ns, 1 * S);
    TEST_TRUE(strstr(a.last_reason, "rank 3") != NULL);
    /* A node that says nothing is told again, with no more grace. */
    pair_live(3 * S);
    TEST_EQUAL(a.stops, 2);
    TEST_EQUAL(a.stop_grace_ns, 0);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_FAILED);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL(flare->error->rank, 3);
    TEST_EQUAL(flare->error->signal, 11);
    message_free(flare);
    core_stop(&core);
}

static void workers__all_end_after_a_failure__no_grace_is_waited(void)
{
    pair_start();
    pair_run(0);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 9), COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 1, 0), COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 2, 0), COVEY_OK);
    TEST_EQUAL(a.stops, 0);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 3, 0), COVEY_OK);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(b.stops, 1);
    core_stop(&core);
}

static void time_limit__over_a_restart__counts_from_start(void)
{
    pair_start();
    pair_run(10 * S);
    pair_live(6 * S);
    core_restart(&core);
    char *running[] = {id};
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, running, 1) == COVEY_OK);
    TEST_EQUAL(a.unknown + b.unknown, 0);
    TEST_EQUAL(core_slots_used(&core, "a"), 2);
    pair_live(4 * S - 250 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    pair_live(250 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    TEST_EQUAL(a.stops, 1);
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_TIMED_OUT);
    core_stop(&core);
}

/* ---- faults ---- */

static void arm(const char *fault)
{
    if (fault)
        (void)setenv("COVEY_FAULT", fault, 1);
    else
        (void)unsetenv("COVEY_FAULT");
    TEST_REQUIRE(covey_fault_init(NULL) == COVEY_OK);
}

static void prepare_or_start__fails_in_the_controller__tried_again(void)
{
    pair_start();
    arm("controller_prepare:1:fail,controller_start:1:fail");
    TEST_REQUIRE(core_submit(&core, 4, 0, id) == COVEY_OK);
    controller_turn(core.controller); /* the first attempt ends before PREPARE */
    controller_turn(core.controller);
    TEST_EQUAL(a.prepares, 1);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_EQUAL(a.starts, 0);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_EQUAL(a.starts, 1);
    arm(NULL);
    core_stop(&core);
}

static void journal__full_at_the_outcome__ends_and_is_written_later(void)
{
    char next[ULID_BYTES];
    pair_start();
    pair_run(0);
    arm("controller_ending:1:fail");
    for (uint32_t rank = 0; rank < 4; rank++)
        TEST_EQUAL(core_worker_ended(&core, rank < 2 ? &a : &b, id, rank, 0), COVEY_OK);
    TEST_EQUAL(a.stops, 1);
    controller_turn(core.controller);
    TEST_TRUE(a.acknowledged < a.sequence); /* not in the journal, so not acknowledged */
    TEST_EQUAL(core_submit(&core, 1, 0, next), COVEY_ENOSPACE);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    bool ended;
    TEST_EQUAL(controller_find(core.controller, &core.caller, id, &ended, NULL), COVEY_OK);
    TEST_TRUE(!ended);
    pair_live(1 * S);
    TEST_EQUAL(a.acknowledged, a.sequence);
    TEST_EQUAL(controller_find(core.controller, &core.caller, id, &ended, NULL), COVEY_OK);
    TEST_TRUE(ended);
    TEST_EQUAL(core_state(&core, id), FLARE_SUCCEEDED);
    TEST_EQUAL(core_submit(&core, 1, 0, next), COVEY_OK);
    arm(NULL);
    core_stop(&core);
}

static void submit__without_memory__refused_and_nothing_kept(void)
{
    pair_start();
    unsigned refusals = 0;
    for (int64_t allowed = 0;; allowed++) {
        covey_memory_fail_after(allowed);
        enum covey_status status = core_submit(&core, 3, 0, id);
        covey_memory_fail_after(-1);
        controller_turn(core.controller);
        if (!status)
            break;
        TEST_EQUAL(status, COVEY_ENOMEM);
        refusals++;
        TEST_EQUAL(a.prepares + b.prepares, 0);
        TEST_TRUE(refusals < 1000);
    }
    TEST_TRUE(refusals > 3);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    core_stop(&core);
}

static void send__stream_broken__node_is_lost(void)
{
    pair_start();
    a.fail_send = COVEY_EPRECONDITION;
    TEST_REQUIRE(core_submit(&core, 4, 0, id) == COVEY_OK);
    controller_turn(core.controller);
    controller_turn(core.controller);
    TEST_TRUE(a.closed);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    TEST_EQUAL(core_slots_used(&core, "b"), 0);
    core_stop(&core);
}

/* ---- reports that are not as they should be ---- */

static void attach__same_node_again__older_stream_is_closed(void)
{
    pair_start();
    pair_run(0);
    char *running[] = {id};
    struct core_link again = {.epoch = 0};
    uint64_t epoch = a.epoch;
    TEST_REQUIRE(core_attach(&core, &again, "a", 2, running, 1) == COVEY_OK);
    TEST_TRUE(a.closed);
    TEST_TRUE(again.epoch > epoch);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    core_stop(&core);
}

static void drain__program_ends__agents_sent_away_and_nothing_accepted(void)
{
    char next[ULID_BYTES];
    pair_start();
    pair_run(0);
    controller_drain(core.controller);
    TEST_TRUE(a.closed && b.closed);
    TEST_EQUAL(core_submit(&core, 1, 0, next), COVEY_EUNAVAILABLE);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING); /* on its nodes */
    core_stop(&core);
}

/* ---- tenants and retention ---- */

static void flare__of_another_tenant__is_not_seen(void)
{
    pair_start();
    pair_run(0);
    struct controller_identity other = {"uid:2", false};
    flare_message *flare;
    TEST_EQUAL(controller_get(core.controller, &other, id, true, &flare, &core.error),
               COVEY_ENOTFOUND);
    TEST_EQUAL(controller_cancel(core.controller, &other, id, "", &flare, &core.error),
               COVEY_ENOTFOUND);
    Covey__V1__ListFlaresRequest request = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    struct controller_listing *listing;
    bool done = false;
    TEST_EQUAL(controller_list(core.controller, &other, &request, &listing, NULL), COVEY_OK);
    while (!done)
        TEST_EQUAL(controller_listing_step(listing, &done, NULL), COVEY_OK);
    TEST_EQUAL(controller_listing_answer(listing)->n_flares, 0);
    controller_listing_end(listing);
    definition_message *definition;
    TEST_EQUAL(controller_definition(core.controller, &other, "hello", 0, &definition, &core.error),
               COVEY_ENOTFOUND);
    other.is_operator = true;
    TEST_EQUAL(controller_get(core.controller, &other, id, true, &flare, &core.error), COVEY_OK);
    message_free(flare);
    core_stop(&core);
}

/* Its log is of 40 bytes and more. */
static void succeed(void)
{
    char forty[40] = "";
    struct iovec part = {forty, sizeof forty};
    pair_run(0);
    TEST_EQUAL(store_log_write(core.store, id, 0, &part, 1, NULL), COVEY_OK);
    for (uint32_t rank = 0; rank < 4; rank++)
        TEST_EQUAL(core_worker_ended(&core, rank < 2 ? &a : &b, id, rank, 0), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_SUCCEEDED);
    pair_live(10 * MS);
    a.starts = b.starts = 0;
}

static bool is_known(const char *flare)
{
    bool ended;
    return controller_find(core.controller, &core.caller, flare, &ended, &core.error) == COVEY_OK;
}

static void restart_with_nodes(void)
{
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
}

static void retention__by_age_and_size__oldest_go_first(void)
{
    char first[ULID_BYTES];
    char second[ULID_BYTES];
    core_start(&core);
    core.options.limits.keep_flares_ns = 3600 * S;
    restart_with_nodes();
    succeed();
    memcpy(first, id, sizeof first);
    const struct store_kept one = store_kept(core.store);
    TEST_EQUAL(one.flares, 1);
    TEST_TRUE(one.bytes > 40 + 500); /* its log, and what it is and was */
    core.options.limits.keep_bytes = 2 * one.bytes + one.bytes / 2;
    restart_with_nodes();
    TEST_EQUAL(store_kept(core.store).bytes, one.bytes);
    succeed();
    memcpy(second, id, sizeof second);
    pair_live(1 * S);
    TEST_TRUE(is_known(first) && is_known(second));
    succeed();
    pair_live(1 * S);
    TEST_TRUE(!is_known(first) && is_known(second) && is_known(id));
    TEST_EQUAL(store_log_size(core.store, first), 0);
    TEST_EQUAL(store_log_size(core.store, second), 40);
    core_pass(&core, 3700 * S);
    TEST_TRUE(!is_known(second) && !is_known(id));
    TEST_EQUAL(store_kept(core.store).bytes, 0);
    core_stop(&core);
}

/* More than one step of the clean-up has to go. */
static void retention__by_count__keeps_pace(void)
{
    char first[ULID_BYTES];
    core_start(&core);
    restart_with_nodes();
    for (unsigned i = 0; i < 150; i++) {
        succeed();
        if (i == 0)
            memcpy(first, id, sizeof first);
    }
    TEST_TRUE(is_known(first));
    TEST_EQUAL(store_kept(core.store).flares, 150);
    core.options.limits.keep_count = 10;
    restart_with_nodes();
    for (unsigned turn = 0; turn < 3; turn++)
        pair_live(20 * MS);
    TEST_EQUAL(store_kept(core.store).flares, 10);
    TEST_TRUE(!is_known(first) && is_known(id));
    core_stop(&core);
}

static const struct test_case times[] = {
    TEST_CASE(prepare__node_silent__undone_and_placed_again),
    TEST_CASE(answers__of_an_earlier_attempt__end_no_later_one),
    TEST_CASE(node__silent__lost_then_down_and_freed_once),
    TEST_CASE(worker__fails__others_stopped_after_the_grace),
    TEST_CASE(workers__all_end_after_a_failure__no_grace_is_waited),
    TEST_CASE(time_limit__over_a_restart__counts_from_start),
    TEST_CASE(retention__by_age_and_size__oldest_go_first),
    TEST_CASE(retention__by_count__keeps_pace),
    {0}};

static const struct test_case faults[] = {
    TEST_CASE(prepare_or_start__fails_in_the_controller__tried_again),
    TEST_CASE(journal__full_at_the_outcome__ends_and_is_written_later),
    TEST_CASE(submit__without_memory__refused_and_nothing_kept),
    TEST_CASE(send__stream_broken__node_is_lost),
    {0}};

static const struct test_case reports[] = {
    TEST_CASE(attach__same_node_again__older_stream_is_closed),
    TEST_CASE(drain__program_ends__agents_sent_away_and_nothing_accepted),
    TEST_CASE(flare__of_another_tenant__is_not_seen),
    {0}};

const struct test_suite test_suites[] = {{"times", times, NULL, NULL},
                                         {"faults", faults, NULL, NULL},
                                         {"reports", reports, NULL, NULL},
                                         {0}};
