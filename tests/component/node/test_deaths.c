/* kill -9 of what a flare is made of: who learns it, when, and what is left. */
#include "tests/component/node/plans.h"
#include "tests/component/node/processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fixture *fixture;

static void node__starts(void)
{
    fixture = fixture_create();
    fixture_start_node(fixture, 0, NULL, NULL);
}

static void node__terminated__leaves_nothing(void)
{
    fixture_destroy(fixture);
}

/* What a worker that waited for rank 0 has said: the status, and how long after the kill. */
static void check_news(const struct flare_plan *plan, uint32_t rank, struct moment killed,
                       const char *says)
{
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan->id, rank, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_EQUAL(ended->worker->exit_status, 0);
    struct covey_buffer result = fixture_result(fixture, plan->id, rank);
    TEST_REQUIRE(strncmp((char *)result.data, "EPEER at ", 9) == 0);
    int64_t after_ns = rested_since(killed, strtoll((char *)result.data + 9, NULL, 10));
    if (after_ns > 100 * MS || !strstr((char *)result.data, says))
        fprintf(stderr, "rank %u after %lld us: %s\n", rank, (long long)after_ns / 1000,
                (char *)result.data);
    TEST_TRUE(after_ns < 100 * MS);
    TEST_TRUE(strstr((char *)result.data, says) != NULL);
    covey_buffer_free(&result);
}

static void start_waiting(struct flare_plan *plan)
{
    TEST_REQUIRE(fixture_run(fixture, plan));
    TEST_TRUE(fixture_wait_started(fixture, plan->id, plan_workers(plan), LONG));
}

static void kill_worker__peers_learn_it_within_100_ms(void)
{
    struct flare_plan plan = plan_of("KILLWORKER", "peer", 4);
    plan.pack_count = 2;
    plan.packs[1].workers = 2;
    start_waiting(&plan);
    struct moment killed = moment_now();
    TEST_EQUAL(kill(fixture_pid(fixture, plan.id, 0), SIGKILL), 0);
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, 0, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_EQUAL(ended->worker->signal, SIGKILL);
    TEST_EQUAL(ended->worker->state, COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED);
    TEST_EQUAL_STRING(ended->message, "");
    for (uint32_t rank = 1; rank < 6; rank++)
        check_news(&plan, rank, killed, "killed by signal 9");
    end_flare(fixture, &plan);
}

static void kill_pack__its_workers_go_and_the_others_learn_it(void)
{
    struct flare_plan plan = plan_of("KILLPACK", "peer", 2);
    plan.pack_count = 2;
    plan.packs[1].workers = 3;
    start_waiting(&plan);
    pid_t pack = processes_find(plan.id, "covey-pack", 0);
    /* The one with rank 0. */
    pid_t packs[2] = {pack, processes_find(plan.id, "covey-pack", 1)};
    pid_t worker = fixture_pid(fixture, plan.id, 0);
    pack = processes_parent(worker);
    TEST_REQUIRE(pack > 1 && (pack == packs[0] || pack == packs[1]));
    struct moment killed = moment_now();
    TEST_EQUAL(kill(pack, SIGKILL), 0);
    for (uint32_t rank = 0; rank < 2; rank++) {
        const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, rank, LONG);
        TEST_REQUIRE(ended != NULL);
        TEST_EQUAL(ended->worker->signal, SIGKILL);
        TEST_TRUE(strstr(ended->message, "its pack was killed by signal 9") != NULL);
    }
    for (uint32_t rank = 2; rank < 5; rank++)
        check_news(&plan, rank, killed, "its pack was killed");
    TEST_TRUE(kill(worker, 0) < 0);
    end_flare(fixture, &plan);
}

static void kill_host__told_and_everything_goes(void)
{
    struct flare_plan plan = plan_of("KILLHOST", "wait", 2);
    start_waiting(&plan);
    pid_t host = processes_find(plan.id, "covey-host", 0);
    TEST_REQUIRE(host > 1);
    TEST_EQUAL(kill(host, SIGKILL), 0);
    const struct said *said =
        fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED, plan.id, 0, LONG);
    TEST_REQUIRE(said != NULL);
    const Covey__V1__Failure *failure = said->message->host_ended->failure;
    TEST_EQUAL_STRING(failure->message,
                      "the flare's host on node n0 was killed by signal 9 (Killed)");
    TEST_EQUAL_STRING(failure->node, "n0");
    TEST_EQUAL_STRING(failure->status, "EPEER");
    end_flare(fixture, &plan);
}

static void abort_host__flare_says_where_the_reason_is(void)
{
    struct flare_plan plan = plan_of("ABORTHOST", "peer", 2);
    start_waiting(&plan);
    pid_t host = processes_find(plan.id, "covey-host", 0);
    TEST_REQUIRE(host > 1);
    TEST_EQUAL(kill(host, SIGABRT), 0);
    const struct said *said =
        fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED, plan.id, 0, LONG);
    TEST_REQUIRE(said != NULL);
    TEST_EQUAL_STRING(said->message->host_ended->failure->message,
                      "the flare's host on node n0 was killed by signal 6 (Aborted): it gave up by "
                      "abort(), for a reason of the network library or its own that is in the "
                      "node's log");
    end_flare(fixture, &plan);
}

/* Workers that fail for want of their host do not hide the cause. */
static void kill_host__told_before_the_workers_that_fail_of_it(void)
{
    struct flare_plan plan = plan_of("CAUSE", "fail with peer", 3);
    fixture_start_node(fixture, 1, NULL, NULL);
    plan.pack_count = 2;
    plan.packs[1].node = 1;
    plan.packs[1].workers = 4;
    start_waiting(&plan);
    pid_t host = processes_find(plan.id, "covey-host", 0);
    if (processes_parent(host) != fixture->nodes[1].pid)
        host = processes_find(plan.id, "covey-host", 1);
    TEST_REQUIRE(processes_parent(host) == fixture->nodes[1].pid);
    TEST_EQUAL(kill(host, SIGKILL), 0);
    TEST_TRUE(fixture_wait_ended(fixture, plan.id, 6, LONG) != NULL);
    for (size_t i = fixture->looked_from; i < fixture->said_count; i++) {
        const Covey__V1__AttachRequest *message = fixture->said[i].message;
        if (fixture->said[i].node != 1 ||
            message->body_case != COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED)
            continue;
        const struct said *cause =
            fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED, plan.id, 0);
        TEST_REQUIRE(cause != NULL);
        TEST_TRUE(cause < &fixture->said[i]);
        TEST_EQUAL(message->worker_ended->worker->exit_status, 5);
    }
    end_flare(fixture, &plan);
}

static void kill_thread_pack__all_ranks_are_told(void)
{
    struct flare_plan plan = plan_of("KILLTHREADS", "crash", 3);
    plan.worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, 1, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_TRUE(strstr(ended->message, "signal 6") != NULL);
    end_flare(fixture, &plan);
}

static void kill_agent_and_host__packs_end_at_once(void)
{
    struct flare_plan plan = plan_of("KILLNODE", "wait", 3);
    start_waiting(&plan);
    pid_t host = processes_find(plan.id, "covey-host", 0);
    TEST_REQUIRE(host > 1);
    TEST_EQUAL(kill(fixture->nodes[0].pid, SIGKILL), 0);
    TEST_EQUAL(kill(host, SIGKILL), 0);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    TEST_TRUE(WIFSIGNALED(fixture_reap(fixture, 0, LONG)));
    fixture_start_node(fixture, 0, NULL, NULL);
    const struct said *last = NULL;
    for (size_t i = 0; i < fixture->said_count; i++) {
        if (fixture->said[i].message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_REGISTER)
            last = &fixture->said[i];
    }
    TEST_REQUIRE(last != NULL);
    TEST_EQUAL(last->message->register_->n_flares, 0);
}

static void close_lifeline__everything_goes_at_once(void)
{
    struct flare_plan plan = plan_of("LIFELINE", "stubborn", 3);
    start_waiting(&plan);
    int64_t from_ns = test_rested_ns();
    covey_close(&fixture->nodes[0].lifeline);
    int status = fixture_reap(fixture, 0, LONG);
    TEST_EQUAL(status, 0);
    TEST_TRUE(test_rested_ns() - from_ns < 500 * MS);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    fixture_start_node(fixture, 0, NULL, NULL);
}

static void terminate_agent__its_flares_end_and_are_told(void)
{
    struct flare_plan plan = plan_of("TERMINATE", "wait", 3);
    start_waiting(&plan);
    TEST_EQUAL(kill(fixture->nodes[0].pid, SIGTERM), 0);
    TEST_EQUAL(fixture_reap(fixture, 0, LONG), 0);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    fixture_start_node(fixture, 0, NULL, NULL);
}

static const struct test_case deaths[] = {
    TEST_CASE(node__starts),
    TEST_CASE(kill_worker__peers_learn_it_within_100_ms),
    TEST_CASE(kill_pack__its_workers_go_and_the_others_learn_it),
    TEST_CASE(kill_host__told_and_everything_goes),
    TEST_CASE(abort_host__flare_says_where_the_reason_is),
    TEST_CASE(kill_host__told_before_the_workers_that_fail_of_it),
    TEST_CASE(kill_thread_pack__all_ranks_are_told),
    TEST_CASE(kill_agent_and_host__packs_end_at_once),
    TEST_CASE(close_lifeline__everything_goes_at_once),
    TEST_CASE(terminate_agent__its_flares_end_and_are_told),
    TEST_CASE(node__terminated__leaves_nothing),
    {0},
};

const struct test_suite test_suites[] = {
    {"deaths", deaths, NULL, NULL},
    {0},
};
