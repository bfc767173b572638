/*
 * Flares of many shapes, each with something killed at some moment: whatever it was, every worker's
 * end is told, the flare goes when it is stopped, and nothing of it is left. COVEY_TEST_SEED
 * repeats a run; COVEY_TEST_ROUNDS makes it longer.
 */
#include "tests/component/node/plans.h"
#include "tests/component/node/processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fixture *fixture;
static unsigned seed;

static unsigned dice(unsigned sides)
{
    seed = seed * 1103515245U + 12345U;
    return (seed >> 16) % sides;
}

static bool time_is_over(struct fixture *unused, void *data)
{
    (void)unused;
    return covey_now_ns() > *(int64_t *)data;
}

static void run_for(int64_t duration_ns)
{
    int64_t until_ns = covey_now_ns() + duration_ns;
    (void)fixture_until(fixture, time_is_over, &until_ns, duration_ns + S);
}

static struct flare_plan random_plan(const char *id)
{
    static const char *const parameters[] = {"hello", "wait",       "stubborn", "descendants",
                                             "ring",  "flood 2000", "peer"};
    struct flare_plan plan = plan_of(id, parameters[dice(7)], 1 + dice(4));
    plan.pack_count = 1 + dice(4);
    bool second = dice(2) == 0;
    for (size_t i = 1; i < plan.pack_count; i++) {
        plan.packs[i].workers = 1 + dice(4);
        plan.packs[i].node = second && i >= plan.pack_count / 2 ? 1 : 0;
    }
    if (dice(4) == 0)
        plan.worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    if (dice(4) == 0 && plan.worker_kind == COVEY__V1__WORKER_KIND__WORKER_KIND_PROCESS) {
        plan.code = PROGRAM;
        plan.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE;
        plan.argument = "x";
    }
    return plan;
}

static void kill_something(const struct flare_plan *plan)
{
    pid_t pids[64];
    size_t count = processes_marked(plan->id, pids, 64);
    if (count == 0)
        return;
    /* It may be gone by now. */
    (void)kill(pids[dice((unsigned)(count < 64 ? count : 64))], SIGKILL);
}

static void restart_agent(int i)
{
    TEST_EQUAL(kill(fixture->nodes[i].pid, SIGKILL), 0);
    TEST_TRUE(WIFSIGNALED(fixture_reap(fixture, i, LONG)));
    fixture->nodes[i].call = NULL;
    fixture_start_node(fixture, i, NULL, NULL);
}

/* Gone from every node that has it: after a restart a node may not even know it any more, and says
 * so. */
static void end_in_any_case(const struct flare_plan *plan)
{
    fixture_stop_flare(fixture, plan, dice(2) ? 0 : 100 * MS);
    bool gone = fixture_gone(fixture, plan, LONG);
    bool left = !fixture_nothing_left(fixture, plan->id);
    if (!gone || left)
        fprintf(stderr, "flare %s parameter \"%s\" gone=%d left=%d\n", plan->id, plan->parameter,
                gone, left);
    TEST_TRUE(gone && !left);
}

static void chaos__something_is_killed__everything_ends(void)
{
    const char *rounds_text = getenv("COVEY_TEST_ROUNDS");
    const char *seed_text = getenv("COVEY_TEST_SEED");
    int rounds = rounds_text ? (int)strtol(rounds_text, NULL, 10) : 60;
    seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 10) : (unsigned)covey_now_ns();
    fprintf(stderr, "seed %u\n", seed);
    fixture = fixture_create();
    fixture_start_node(fixture, 0, NULL, NULL);
    fixture_start_node(fixture, 1, NULL, NULL);
    for (int i = 0; i < rounds && CU_get_number_of_failures() == 0; i++) {
        char id[16];
        snprintf(id, sizeof(id), "CHAOS%d", i);
        struct flare_plan plan = random_plan(id);
        fixture->looked_from = fixture->said_count;
        fixture_prepare(fixture, &plan);
        unsigned moment = dice(5);
        run_for((int64_t)dice(20000) * COVEY_NS_PER_US);
        if (moment == 0)
            kill_something(&plan);
        bool running = moment != 1 && fixture_start_flare(fixture, &plan);
        run_for((int64_t)dice(20000) * COVEY_NS_PER_US);
        if (running && moment >= 2)
            kill_something(&plan);
        bool restarted = running && dice(8) == 0;
        if (restarted)
            restart_agent((int)dice(2));
        run_for((int64_t)dice(20000) * COVEY_NS_PER_US);
        end_in_any_case(&plan);
        /* What ended while no agent was there may have gone with the flare. */
        if (running && !restarted &&
            !fixture_wait_all_ended(fixture, plan.id, plan_workers(&plan), 0)) {
            fprintf(stderr, "flare %s: an end was not told\n", plan.id);
            TEST_TRUE(false);
        }
    }
    fixture_destroy(fixture);
}

static const struct test_case chaos[] = {
    TEST_CASE(chaos__something_is_killed__everything_ends),
    {0},
};

const struct test_suite test_suites[] = {
    {"chaos", chaos, NULL, NULL},
    {0},
};
