/* Agent and controller go and come back: running flares do not notice. */
#include "tests/component/node/plans.h"
#include "tests/component/node/processes.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void kill_agent(void)
{
    TEST_EQUAL(kill(fixture->nodes[0].pid, SIGKILL), 0);
    int status = fixture_reap(fixture, 0, LONG);
    TEST_TRUE(WIFSIGNALED(status));
}

static const Covey__V1__Register *newest_registration(void)
{
    const Covey__V1__Register *found = NULL;
    for (size_t i = 0; i < fixture->said_count; i++) {
        if (fixture->said[i].message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_REGISTER)
            found = fixture->said[i].message->register_;
    }
    return found;
}

static void restart__running_flare__goes_on_with_the_same_pids(void)
{
    struct flare_plan plan = plan_of("GOESON", "peer", 3);
    pid_t pids[5];
    plan.pack_count = 2;
    plan.packs[1].workers = 2;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 5, LONG));
    for (uint32_t rank = 0; rank < 5; rank++)
        pids[rank] = fixture_pid(fixture, plan.id, rank);
    kill_agent();
    fixture_start_node(fixture, 0, NULL, NULL);
    const Covey__V1__Register *registration = newest_registration();
    TEST_REQUIRE(registration->n_flares == 1);
    const Covey__V1__RunningFlare *running = registration->flares[0];
    TEST_EQUAL_STRING(running->flare_id, plan.id);
    TEST_TRUE(running->started);
    TEST_EQUAL(running->n_packs, 2);
    TEST_REQUIRE(running->n_workers == 5);
    for (uint32_t rank = 0; rank < 5; rank++) {
        TEST_EQUAL((pid_t)running->workers[rank]->pid, pids[rank]);
        TEST_EQUAL(running->workers[rank]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_RUNNING);
        TEST_EQUAL(kill(pids[rank], 0), 0);
    }
    /* The new agent serves it to its end. */
    TEST_EQUAL(kill(pids[0], SIGKILL), 0);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 5, LONG));
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 0, LONG)->worker->signal, SIGKILL);
    struct covey_buffer result = fixture_result(fixture, plan.id, 4);
    TEST_TRUE(strncmp((char *)result.data, "EPEER at ", 9) == 0);
    covey_buffer_free(&result);
    end_flare(fixture, &plan);
}

static void restart__ends_while_the_agent_is_away__told_by_the_next(void)
{
    struct flare_plan plan = plan_of("AWAY", "peer", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    pid_t first = fixture_pid(fixture, plan.id, 0);
    kill_agent();
    TEST_EQUAL(kill(first, SIGKILL), 0);
    fixture_start_node(fixture, 0, NULL, NULL);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 0, LONG)->worker->signal, SIGKILL);
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 1, LONG)->worker->state,
               COVEY__V1__WORKER_STATE__WORKER_STATE_DONE);
    struct covey_buffer result = fixture_result(fixture, plan.id, 1);
    TEST_TRUE(strncmp((char *)result.data, "EPEER at ", 9) == 0);
    covey_buffer_free(&result);
    end_flare(fixture, &plan);
}

static void restart__unacknowledged_end__is_told_again(void)
{
    struct flare_plan plan = plan_of("UNACKED", "hello", 2);
    fixture->withhold_acknowledgements = true;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    kill_agent();
    fixture->withhold_acknowledgements = false;
    fixture->looked_from = fixture->said_count;
    fixture_start_node(fixture, 0, NULL, NULL);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    struct covey_buffer result = fixture_result(fixture, plan.id, 1);
    TEST_EQUAL_STRING((char *)result.data, "result of 1 of 2");
    covey_buffer_free(&result);
    end_flare(fixture, &plan);
}

static void restart__pack_lost_meanwhile__its_workers_are_told(void)
{
    struct flare_plan plan = plan_of("LOSTPACK", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    pid_t pack = processes_find(plan.id, "covey-pack", 0);
    plan.pack_count = 1;
    kill_agent();
    TEST_EQUAL(kill(pack, SIGKILL), 0);
    fixture_start_node(fixture, 0, NULL, NULL);
    /* With its only pack the host is gone too: nothing of the flare is left to go on with. */
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
}

static void restart__flare_is_unknown_to_the_controller__ends(void)
{
    struct flare_plan plan = plan_of("UNKNOWN", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    fixture->unknown_flare = plan.id;
    kill_agent();
    fixture_start_node(fixture, 0, NULL, NULL);
    TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    fixture->unknown_flare = NULL;
}

static bool is_attached(struct fixture *unused, void *data)
{
    (void)unused;
    (void)data;
    return fixture->nodes[0].call != NULL;
}

static bool refused_twice(struct fixture *unused, void *data)
{
    (void)unused;
    (void)data;
    return fixture->refusals >= 2;
}

static void reconnect__same_agent__flare_goes_on_and_reports_are_repeated(void)
{
    struct flare_plan plan = plan_of("RECONNECT", "peer", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    fixture->withhold_acknowledgements = true;
    TEST_EQUAL(kill(fixture_pid(fixture, plan.id, 0), SIGKILL), 0);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    uint64_t epoch = fixture->nodes[0].epoch;
    struct rpc_call *call = fixture->nodes[0].call;
    fixture->nodes[0].call = NULL;
    rpc_call_finish(call, RPC_UNAVAILABLE, "the controller goes away");
    fixture->withhold_acknowledgements = false;
    fixture->looked_from = fixture->said_count;
    TEST_TRUE(fixture_until(fixture, is_attached, NULL, LONG));
    TEST_EQUAL(fixture->nodes[0].epoch, epoch + 1);
    TEST_EQUAL(newest_registration()->n_flares, 1);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    TEST_TRUE(fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK, plan.id, 0) !=
              NULL);
    end_flare(fixture, &plan);
}

static void restart__second_agent_on_the_same_folder__refused(void)
{
    pid_t first = fixture->nodes[0].pid;
    int lifeline = fixture->nodes[0].lifeline;
    fixture->nodes[0].lifeline = -1;
    fixture_spawn(fixture, 0, NULL, NULL);
    int status = fixture_reap(fixture, 0, LONG);
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    fixture->nodes[0].pid = first;
    fixture->nodes[0].lifeline = lifeline;
}

/* The lifeline closes while a new agent is finding out what runs. */
static void restart__lifeline_closes_meanwhile__everything_goes(void)
{
    struct flare_plan plan = plan_of("MEANWHILE", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    kill_agent();
    fixture_spawn(fixture, 0, NULL, NULL);
    covey_close(&fixture->nodes[0].lifeline);
    TEST_EQUAL(fixture_reap(fixture, 0, LONG), 0);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    fixture_start_node(fixture, 0, NULL, NULL);
}

static void register__refused_for_good__agent_ends_with_the_reason(void)
{
    TEST_EQUAL(kill(fixture->nodes[0].pid, SIGTERM), 0);
    TEST_EQUAL(fixture_reap(fixture, 0, LONG), 0);
    fixture->refuse = true;
    fixture_spawn(fixture, 0, NULL, NULL);
    int status = fixture_reap(fixture, 0, LONG);
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    TEST_TRUE(access(fixture->nodes[0].runtime_dir, F_OK) < 0);
    fixture->refuse = false;
    fixture_start_node(fixture, 0, NULL, NULL);
}

/* A returning agent that the controller does not want (yet) keeps its flares and tries again. */
static void register__refused_while_a_flare_runs__tried_again(void)
{
    struct flare_plan plan = plan_of("REFUSED", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    kill_agent();
    fixture->refuse = true;
    fixture_spawn(fixture, 0, NULL, NULL);
    TEST_TRUE(fixture_until(fixture, refused_twice, NULL, LONG));
    fixture->refuse = false;
    TEST_TRUE(fixture_until(fixture, is_attached, NULL, LONG));
    TEST_EQUAL(newest_registration()->n_flares, 1);
    end_flare(fixture, &plan);
}

static void no_return__hosts_and_packs_end_by_themselves(void)
{
    struct flare_plan plan = plan_of("NORETURN", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    kill_agent();
    int64_t from_ns = covey_now_ns();
    TEST_TRUE(fixture_nothing_left_at_last(fixture, plan.id));
    TEST_TRUE(covey_now_ns() - from_ns > 9 * S);
    fixture_start_node(fixture, 0, NULL, NULL);
}

static const struct test_case restarts[] = {
    TEST_CASE(node__starts),
    TEST_CASE(restart__running_flare__goes_on_with_the_same_pids),
    TEST_CASE(restart__ends_while_the_agent_is_away__told_by_the_next),
    TEST_CASE(restart__unacknowledged_end__is_told_again),
    TEST_CASE(restart__pack_lost_meanwhile__its_workers_are_told),
    TEST_CASE(restart__flare_is_unknown_to_the_controller__ends),
    TEST_CASE(reconnect__same_agent__flare_goes_on_and_reports_are_repeated),
    TEST_CASE(restart__second_agent_on_the_same_folder__refused),
    TEST_CASE(restart__lifeline_closes_meanwhile__everything_goes),
    TEST_CASE(register__refused_for_good__agent_ends_with_the_reason),
    TEST_CASE(register__refused_while_a_flare_runs__tried_again),
    TEST_CASE(no_return__hosts_and_packs_end_by_themselves),
    TEST_CASE(node__terminated__leaves_nothing),
    {0},
};

const struct test_suite test_suites[] = {
    {"restarts", restarts, NULL, NULL},
    {0},
};
