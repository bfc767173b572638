#include "base/clock.h"
#include "bench/sim/engine.h"
#include "bench/sim/report.h"
#include "tests/harness/harness.h"

#include <math.h>
#include <string.h>

static const struct sim_shape four_by_four = {.nodes = 4, .cores = 4, .racks = 2, .zones = 1};

/* Runs jobs (ended by one of no workers) under a policy; the run is the caller's to destroy. */
static struct sim_run simulate(const struct sim_policy *policy, const struct sim_shape *shape,
                               struct sim_trace *trace, const struct sim_job *jobs)
{
    *trace = (struct sim_trace){0};
    for (; jobs->workers; jobs++)
        TEST_REQUIRE(sim_trace_add(trace, jobs) == COVEY_OK);
    struct sim_run run = {.hold_ns = 300 * COVEY_NS_PER_S, .seed = 1};
    struct covey_error error = {0};
    enum covey_status status = sim_run_trace(&run, policy, trace, shape, &error);
    if (status)
        CU_FAIL_FATAL(error.message);
    return run;
}

static struct sim_report report_of(const struct sim_run *run)
{
    struct sim_report report;
    TEST_REQUIRE(sim_report_fill(run, "x", &report) == COVEY_OK);
    return report;
}

static void finish(struct sim_run *run, struct sim_trace *trace)
{
    sim_run_destroy(run);
    sim_trace_free(trace);
}

static bool near(double value, double expected)
{
    return fabs(value - expected) < 1e-9;
}

static void machine__pairs__counted_by_level(void)
{
    struct sim_machine machine;
    TEST_REQUIRE(sim_machine_create(&four_by_four, &machine, NULL) == COVEY_OK);
    const struct sim_chunk chunks[] = {{0, 2}, {1, 1}, {2, 1}, {0, 1}};
    double inside[SIM_LEVELS];
    for (int i = 0; i < 2; i++) { /* and the scratch is clean again */
        sim_machine_pairs(&machine, chunks, 4, inside);
        TEST_TRUE(near(inside[SIM_NODE], 6));
        TEST_TRUE(near(inside[SIM_RACK], 12));
        TEST_TRUE(near(inside[SIM_ZONE], 20));
    }
    sim_machine_destroy(&machine);
}

static void machine__open__free_slots_of_used_nodes(void)
{
    struct sim_machine machine;
    TEST_REQUIRE(sim_machine_create(&four_by_four, &machine, NULL) == COVEY_OK);
    TEST_EQUAL(machine.open, 0);
    sim_machine_take(&machine, (struct sim_chunk){1, 1});
    TEST_EQUAL(machine.open, 3);
    sim_machine_take(&machine, (struct sim_chunk){1, 3});
    TEST_EQUAL(machine.open, 0);
    sim_machine_give(&machine, (struct sim_chunk){1, 2});
    TEST_EQUAL(machine.open, 2);
    TEST_EQUAL(machine.occupied, 2);
    sim_machine_destroy(&machine);
}

static void run__gangs__start_in_order_when_they_fit(void)
{
    static const struct sim_job jobs[] = {
        {.submit_s = 0, .run_s = 10, .workers = 16},
        {.submit_s = 2, .run_s = 5, .workers = 8},
        {.submit_s = 2, .run_s = 5, .workers = 99},
        {.submit_s = 3, .run_s = 5, .workers = 8},
        {0},
    };
    const struct sim_policy *const policies[] = {&sim_policy_fifo, &sim_policy_first_fit};
    for (int i = 0; i < 2; i++) {
        struct sim_trace trace;
        struct sim_run run = simulate(policies[i], &four_by_four, &trace, jobs);
        TEST_EQUAL(run.outcomes[0].start_ns, 0);
        TEST_EQUAL(run.outcomes[1].start_ns, 10 * COVEY_NS_PER_S);
        TEST_EQUAL(run.outcomes[2].state, SIM_REFUSED);
        TEST_EQUAL(run.outcomes[3].start_ns, 10 * COVEY_NS_PER_S);
        struct sim_report report = report_of(&run);
        TEST_EQUAL(report.done, 3);
        TEST_EQUAL(report.refused, 1);
        TEST_TRUE(near(report.makespan_s, 15));
        TEST_TRUE(near(report.utilisation, 1));
        TEST_TRUE(near(report.utilisation_loaded, 1));
        TEST_TRUE(near(report.held_idle, 0));
        TEST_TRUE(near(report.wait_s.p50, 7));
        TEST_TRUE(near(report.wait_s.max, 8));
        TEST_TRUE(near(report.slowdown.max, 1.3)); /* 8 + 5 over the 10 that 5 count as */
        finish(&run, &trace);
    }
}

static void run__first_fit_beside_ours__splits_what_fits_one_node(void)
{
    static const struct sim_job jobs[] = {{.submit_s = 0, .run_s = 10, .workers = 2},
                                          {.submit_s = 1, .run_s = 10, .workers = 4},
                                          {0}};
    struct sim_trace trace;
    struct sim_run run = simulate(&sim_policy_first_fit, &four_by_four, &trace, jobs);
    TEST_TRUE(near(run.outcomes[1].inside[SIM_NODE], 4));
    finish(&run, &trace);
    run = simulate(&sim_policy_covey, &four_by_four, &trace, jobs);
    TEST_TRUE(near(run.outcomes[1].inside[SIM_NODE], 12));
    finish(&run, &trace);
}

/* Two gangs of as many workers as there are nodes, at once: what others report as a deadlock. */
static const struct sim_shape hundred = {.nodes = 100, .cores = 1, .racks = 10, .zones = 1};
static const struct sim_job two_gangs[] = {
    {.run_s = 10, .workers = 100}, {.run_s = 10, .workers = 100}, {0}};

static void run__two_gangs_one_by_one__deadlock_until_they_time_out(void)
{
    struct sim_trace trace;
    struct sim_run run = simulate(&sim_policy_faas, &hundred, &trace, two_gangs);
    TEST_EQUAL(run.deadlocks, 1);
    TEST_TRUE(run.partial_holds >= 2);
    TEST_TRUE(run.timeouts >= 2);
    struct sim_report report = report_of(&run);
    TEST_EQUAL(report.done, 2);
    TEST_TRUE(report.held_idle > 0.1);
    TEST_TRUE(report.wait_s.p50 >= 300);
    finish(&run, &trace);
}

static void run__two_gangs_whole__one_after_the_other(void)
{
    struct sim_trace trace;
    struct sim_run run = simulate(&sim_policy_covey, &hundred, &trace, two_gangs);
    struct sim_report report = report_of(&run);
    TEST_TRUE(near(report.makespan_s, 20));
    TEST_TRUE(near(report.utilisation, 1));
    TEST_EQUAL(run.deadlocks, 0);
    finish(&run, &trace);
}

static void run__one_by_one__idle_until_the_last_is_there(void)
{
    static const struct sim_job jobs[] = {{.submit_s = 0, .run_s = 10, .workers = 12},
                                          {.submit_s = 5, .run_s = 10, .workers = 8},
                                          {0}};
    struct sim_trace trace;
    struct sim_run run = simulate(&sim_policy_faas, &four_by_four, &trace, jobs);
    TEST_EQUAL(run.outcomes[1].start_ns, 10 * COVEY_NS_PER_S);
    TEST_EQUAL(run.partial_holds, 1);
    TEST_EQUAL(run.timeouts, 0);
    TEST_TRUE(near(run.until_now.idle, 4 * 5));
    TEST_TRUE(near(run.until_now.running, 12 * 10 + 8 * 10));
    finish(&run, &trace);
}

static void run__hopeless_one_by_one__given_up_in_the_end(void)
{
    /* The long one leaves no room for the other in all of its attempts. */
    static const struct sim_job jobs[] = {{.submit_s = 0, .run_s = 10000000, .workers = 1},
                                          {.submit_s = 1, .run_s = 1, .workers = 16},
                                          {0}};
    struct sim_trace trace;
    struct sim_run run = simulate(&sim_policy_faas, &four_by_four, &trace, jobs);
    TEST_EQUAL(run.outcomes[1].state, SIM_GIVEN_UP);
    TEST_EQUAL(run.timeouts, 10);
    TEST_EQUAL(report_of(&run).given_up, 1);
    finish(&run, &trace);
}

static void run__random_traces__every_policy_ends_them_all(void)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        const struct sim_workload workload = {.seed = seed,
                                              .jobs = 200,
                                              .load = 1.2,
                                              .slots = 64,
                                              .max_workers = 64,
                                              .tenants = 4,
                                              .bursty = true};
        const struct sim_shape shape = {.nodes = 16, .cores = 4, .racks = 4, .zones = 2};
        struct sim_trace trace = {0};
        TEST_REQUIRE(sim_trace_generate(&workload, &trace, NULL) == COVEY_OK);
        for (const struct sim_policy *const *policy = sim_policies; *policy; policy++) {
            struct sim_run run = {.hold_ns = 60 * COVEY_NS_PER_S, .seed = seed};
            struct covey_error error = {0};
            if (sim_run_trace(&run, *policy, &trace, &shape, &error))
                CU_FAIL_FATAL(error.message);
            struct sim_report report = report_of(&run);
            TEST_EQUAL(report.done + report.given_up, 200);
            TEST_TRUE(report.utilisation > 0 && report.utilisation + report.held_idle <= 1);
            sim_run_destroy(&run);
        }
        sim_trace_free(&trace);
    }
}

static enum covey_status never_start(struct sim_run *run, struct covey_error *error)
{
    (void)run;
    (void)error;
    return COVEY_OK;
}

static void run__policy_that_forgets_a_job__found(void)
{
    struct sim_policy forgetful = sim_policy_covey;
    forgetful.pass = never_start;
    struct sim_trace trace = {0};
    const struct sim_job job = {.run_s = 1, .workers = 1};
    TEST_REQUIRE(sim_trace_add(&trace, &job) == COVEY_OK);
    struct sim_run run = {0};
    struct covey_error error = {0};
    TEST_EQUAL(sim_run_trace(&run, &forgetful, &trace, &four_by_four, &error), COVEY_EINTERNAL);
    TEST_TRUE(strstr(error.message, "job 0 has not ended") != NULL);
    finish(&run, &trace);
}

static enum covey_status take_unasked(struct sim_run *run, struct covey_error *error)
{
    sim_machine_take(&run->machine, (struct sim_chunk){2, 1});
    return sim_run_compare(run, 2, error);
}

static void run__policy_that_claims_nothing__found(void)
{
    struct sim_policy thief = sim_policy_covey;
    thief.pass = take_unasked;
    struct sim_trace trace = {0};
    const struct sim_job job = {.run_s = 1, .workers = 1};
    TEST_REQUIRE(sim_trace_add(&trace, &job) == COVEY_OK);
    struct sim_run run = {0};
    struct covey_error error = {0};
    TEST_EQUAL(sim_run_trace(&run, &thief, &trace, &four_by_four, &error), COVEY_EINTERNAL);
    TEST_TRUE(strstr(error.message, "node 2 has 0 slots claimed") != NULL);
    finish(&run, &trace);
}

static void percentile__few__by_nearest_rank(void)
{
    static const double values[] = {1, 2, 3, 4};
    TEST_TRUE(near(sim_percentile(values, 4, 0.5), 2));
    TEST_TRUE(near(sim_percentile(values, 4, 0.51), 3));
    TEST_TRUE(near(sim_percentile(values, 4, 0), 1));
    TEST_TRUE(near(sim_percentile(values, 4, 1), 4));
    TEST_TRUE(near(sim_percentile(values, 0, 1), 0));
}

static void jain__extremes__one_and_a_share(void)
{
    TEST_TRUE(near(sim_jain((const double[]){3, 3, 3}, 3), 1));
    TEST_TRUE(near(sim_jain((const double[]){3, 0, 0}, 3), 1.0 / 3));
    TEST_TRUE(near(sim_jain((const double[]){1, 3}, 2), 0.8));
    TEST_TRUE(near(sim_jain(NULL, 0), 1));
}

static void report__tenants__by_their_means(void)
{
    /* Tenant 1 waits 10 and 30 seconds, tenant 2 none: means of 3 and 1. */
    static const struct sim_job jobs[] = {{.run_s = 10, .workers = 16, .tenant = 2},
                                          {.run_s = 20, .workers = 16, .tenant = 1},
                                          {.run_s = 10, .workers = 16, .tenant = 1},
                                          {0}};
    struct sim_trace trace;
    struct sim_run run = simulate(&sim_policy_fifo, &four_by_four, &trace, jobs);
    double means[] = {(1.5 + 4) / 2, 1};
    TEST_TRUE(near(report_of(&run).fairness, sim_jain(means, 2)));
    finish(&run, &trace);
}

static const struct test_case cases[] = {
    TEST_CASE(machine__pairs__counted_by_level),
    TEST_CASE(machine__open__free_slots_of_used_nodes),
    TEST_CASE(run__gangs__start_in_order_when_they_fit),
    TEST_CASE(run__first_fit_beside_ours__splits_what_fits_one_node),
    TEST_CASE(run__two_gangs_one_by_one__deadlock_until_they_time_out),
    TEST_CASE(run__two_gangs_whole__one_after_the_other),
    TEST_CASE(run__one_by_one__idle_until_the_last_is_there),
    TEST_CASE(run__hopeless_one_by_one__given_up_in_the_end),
    TEST_CASE(run__random_traces__every_policy_ends_them_all),
    TEST_CASE(run__policy_that_forgets_a_job__found),
    TEST_CASE(run__policy_that_claims_nothing__found),
    TEST_CASE(percentile__few__by_nearest_rank),
    TEST_CASE(jain__extremes__one_and_a_share),
    TEST_CASE(report__tenants__by_their_means),
    {0},
};

const struct test_suite test_suites[] = {{"engine", cases, NULL, NULL}, {0}};
