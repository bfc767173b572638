/* Gangs that lose a node are started again as often as their user allows. */
#include "base/log.h"
#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <stdio.h>
#include <string.h>

#define S  COVEY_NS_PER_S
#define MS COVEY_NS_PER_MS

static struct core core;
static struct core_link a;
static struct core_link b;
static struct core_link c;
static char id[ULID_BYTES];

static void beat(struct core_link *link)
{
    Covey__V1__Heartbeat heartbeat = COVEY__V1__HEARTBEAT__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    if (link->node)
        TEST_EQUAL(core_say(&core, link, &message, false), COVEY_OK);
}

static void live(int64_t duration_ns)
{
    for (; duration_ns > 0; duration_ns -= 250 * MS) {
        beat(&a);
        beat(&b);
        beat(&c);
        core_pass(&core, duration_ns < 250 * MS ? duration_ns : 250 * MS);
    }
}

/* A flare of four runs on a and b, two slots each. */
static void run(uint32_t max_restarts)
{
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    options.max_restarts = max_restarts;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    core_start(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_submit_as(&core, 4, &options, id) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_REQUIRE(core_state(&core, id) == FLARE_RUNNING);
}

static void lose(struct core_link *link)
{
    struct controller_node *node = link->node;
    link->node = NULL;
    controller_detach(core.controller, node, "test");
}

static void check_attempt(uint32_t attempt, uint32_t restarts)
{
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL(flare->attempt, attempt);
    TEST_EQUAL(flare->restarts, restarts);
    message_free(flare);
}

static size_t result_bytes(uint32_t rank)
{
    char bytes[16];
    size_t length_bytes;
    TEST_EQUAL(store_result_read(core.store, id, rank, 0, bytes, sizeof bytes, &length_bytes),
               COVEY_OK);
    return length_bytes;
}

/* Runs on b and c until its end. */
static void succeed_on_c(void)
{
    TEST_REQUIRE(core_state(&core, id) == FLARE_PREPARING);
    TEST_EQUAL(core_prepared(&core, &b, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &c, id, 2, 2), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    for (uint32_t rank = 0; rank < 4; rank++)
        TEST_EQUAL(core_worker_ended(&core, rank < 2 ? &b : &c, id, rank, 0), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &c, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_SUCCEEDED);
    TEST_EQUAL(core_slots_used(&core, "b"), 0);
    TEST_EQUAL(core_slots_used(&core, "c"), 0);
}

static void node__lost_past_its_grace__whole_gang_runs_again_elsewhere(void)
{
    struct iovec before = {(char *)(uintptr_t) "before", 6};
    run(1);
    TEST_EQUAL(store_log_write(core.store, id, 0, &before, 1, NULL), COVEY_OK);
    TEST_EQUAL(store_result_write(core.store, id, 0, 0, "old", 3, 100, NULL), COVEY_OK);
    lose(&a);
    live(10 * S - 1 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    TEST_EQUAL(b.stops, 0);
    live(1 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(b.stops, 1);
    TEST_EQUAL(b.stop_grace_ns, 1 * S);
    TEST_TRUE(strstr(b.last_reason, "node a is gone") && strstr(b.last_reason, "restart 1 of 1"));
    /* What is lost is free at once, the rest when it is gone; each once. */
    TEST_EQUAL(core_slots_used(&core, "a"), 0);
    TEST_EQUAL(core_slots_used(&core, "b"), 2);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 2, 15), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_slots_used(&core, "b"), 0);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    check_attempt(1, 1);
    TEST_EQUAL(result_bytes(0), 0);
    TEST_EQUAL(store_log_size(core.store, id), 6);
    TEST_REQUIRE(core_attach(&core, &c, "c", 2, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
    succeed_on_c();
    check_attempt(2, 1);
    core_stop(&core);
}

static void node__lost_again_after_the_last_restart__fails_with_the_cause(void)
{
    run(1);
    lose(&a);
    live(10 * S);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &c, "c", 2, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_prepared(&core, &b, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &c, id, 2, 2), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    lose(&c);
    live(10 * S);
    live(2 * S); /* the failure grace */
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_FAILED);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL_STRING(flare->error->node, "c");
    TEST_TRUE(strstr(flare->error->message, "started again 1 time already") != NULL);
    message_free(flare);
    core_stop(&core);
}

static void worker__fails_by_itself__no_restart(void)
{
    run(3);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 11), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    lose(&b); /* later, and not behind it: a signal is the worker's own */
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    check_attempt(1, 0);
    core_stop(&core);
}

static void worker__fails_when_a_node_is_lost__restart_without_waiting(void)
{
    run(1);
    lose(&a);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 2, 6), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_TRUE(strstr(b.last_reason, "node a was lost, and then rank 2 was killed") != NULL);
    /* The gang is held whole while the node may still have its share. */
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(core_slots_used(&core, "a"), 2);
    live(10 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    TEST_EQUAL(core_slots_used(&core, "a"), 0);
    core_stop(&core);
}

/* The news of the workers came before that of the node. */
static void node__lost_after_workers_exited__restart_from_ending(void)
{
    run(1);
    Covey__V1__Worker worker = COVEY__V1__WORKER__INIT;
    Covey__V1__WorkerEnded ended = COVEY__V1__WORKER_ENDED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    worker.rank = 3;
    worker.exit_status = 1;
    worker.state = COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED;
    ended.flare_id = id;
    ended.worker = &worker;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED;
    message.worker_ended = &ended;
    TEST_EQUAL(core_say(&core, &b, &message, true), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    lose(&a);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    check_attempt(1, 1);
    controller_write(core.controller);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    live(10 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    flare_message *flare = core_flare(&core, id);
    TEST_TRUE(flare->error == NULL && flare->timeline->outcome_at == NULL);
    message_free(flare);
    core_stop(&core);
}

static void restart__user_cancels_meanwhile__cancelled(void)
{
    flare_message *flare;
    run(1);
    lose(&a);
    live(10 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(controller_cancel(core.controller, &core.caller, id, "", &flare, NULL), COVEY_OK);
    message_free(flare);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_CANCELLED);
    TEST_EQUAL(core_slots_used(&core, "b"), 0);
    core_stop(&core);
}

/* Replaying the journal gives the same, at every step of a restart. */
static void restart__controller_restarts_meanwhile__goes_on(void)
{
    run(1);
    lose(&a);
    live(10 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    core_restart(&core);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    check_attempt(1, 1);
    char *running[] = {id};
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, running, 1) == COVEY_OK);
    TEST_EQUAL(b.stops, 1);
    b.sequence = 0;
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    live(10 * S); /* a, which the controller knows as lost again */
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    core_restart(&core);
    check_attempt(1, 1);
    b.sequence = 0;
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &c, "c", 2, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
    succeed_on_c();
    check_attempt(2, 1);
    core_stop(&core);
}

static void host__gone__restart_on_the_same_nodes(void)
{
    run(1);
    Covey__V1__HostEnded ended = COVEY__V1__HOST_ENDED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    ended.flare_id = id;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED;
    message.host_ended = &ended;
    TEST_EQUAL(core_say(&core, &a, &message, true), COVEY_OK);
    TEST_EQUAL(a.stops + b.stops, 2);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(a.prepares, 2);
    TEST_EQUAL(b.prepares, 2);
    core_stop(&core);
}

static void drain(int64_t deadline_ns)
{
    const struct controller_drain how = {"new disk", deadline_ns};
    TEST_REQUIRE(controller_drain_node(core.controller, "a", &how, &core.error) == COVEY_OK);
}

static void drain__deadline_passes__flare_is_cancelled_with_the_reason(void)
{
    run(0);
    drain(5 * S);
    live(5 * S - 1 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    live(1 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(b.stops, 1);
    TEST_EQUAL(a.stop_grace_ns, 1 * S);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_CANCELLED);
    flare_message *flare = core_flare(&core, id);
    TEST_TRUE(strstr(flare->error->message, "node a is drained (new disk)") != NULL);
    TEST_EQUAL_STRING(flare->error->node, "a");
    message_free(flare);
    core_stop(&core);
}

static void drain__deadline_over_a_controllers_restart__restarts_the_flare_elsewhere(void)
{
    char *running[] = {id};
    run(1);
    drain(5 * S);
    live(3 * S);
    core_restart(&core);
    Covey__V1__NodeInfo *info = controller_node_info(core.controller, "a");
    TEST_EQUAL(message_time_ns(info->drain_until), core.wall_ns + 2 * S);
    message_free(info);
    a.sequence = b.sequence = 0;
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, running, 1) == COVEY_OK);
    live(2 * S - 1 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    live(1 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED); /* a takes nothing */
    TEST_REQUIRE(core_attach(&core, &c, "c", 2, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
    succeed_on_c();
    core_stop(&core);
}

static void drain__undrained_before_the_deadline__goes_on(void)
{
    run(0);
    drain(5 * S);
    live(4 * S);
    TEST_EQUAL(controller_drain_node(core.controller, "a", NULL, &core.error), COVEY_OK);
    live(4 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    drain(COVEY_NEVER_NS);
    live(60 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    core_stop(&core);
}

static void drain__unknown_node__names_those_there_are(void)
{
    const struct controller_drain how = {"new disk", COVEY_NEVER_NS};
    run(0);
    TEST_EQUAL(controller_drain_node(core.controller, "z", &how, &core.error), COVEY_ENOTFOUND);
    TEST_EQUAL_STRING(core.error.message, "no node is named 'z': there are a, b");
    core_stop(&core);
}

static const struct test_case restarts[] = {
    TEST_CASE(node__lost_past_its_grace__whole_gang_runs_again_elsewhere),
    TEST_CASE(node__lost_again_after_the_last_restart__fails_with_the_cause),
    TEST_CASE(worker__fails_by_itself__no_restart),
    TEST_CASE(worker__fails_when_a_node_is_lost__restart_without_waiting),
    TEST_CASE(node__lost_after_workers_exited__restart_from_ending),
    TEST_CASE(restart__user_cancels_meanwhile__cancelled),
    TEST_CASE(restart__controller_restarts_meanwhile__goes_on),
    TEST_CASE(host__gone__restart_on_the_same_nodes),
    TEST_CASE(drain__deadline_passes__flare_is_cancelled_with_the_reason),
    TEST_CASE(drain__deadline_over_a_controllers_restart__restarts_the_flare_elsewhere),
    TEST_CASE(drain__undrained_before_the_deadline__goes_on),
    TEST_CASE(drain__unknown_node__names_those_there_are),
    {0}};

const struct test_suite test_suites[] = {{"restarts", restarts, NULL, NULL}, {0}};
