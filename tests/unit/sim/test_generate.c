#include "bench/sim/random.h"
#include "bench/sim/trace.h"
#include "tests/harness/harness.h"

#include <math.h>
#include <string.h>

enum { draws = 100000 };

static const struct sim_workload usual = {
    .seed = 5, .jobs = 2000, .load = 0.7, .slots = 1024, .max_workers = 256, .tenants = 10};

/* Within so many per cent. */
static bool near(double value, double expected, double percent)
{
    return fabs(value - expected) <= expected * percent / 100;
}

static struct sim_trace generate(const struct sim_workload *workload)
{
    struct sim_trace trace = {0};
    TEST_REQUIRE(sim_trace_generate(workload, &trace, NULL) == COVEY_OK);
    TEST_REQUIRE(trace.count == workload->jobs);
    return trace;
}

static void random_unit__many__uniform(void)
{
    struct sim_random random = sim_random_create(1, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < draws; i++) {
        double value = sim_random_unit(&random);
        TEST_REQUIRE(value > 0 && value < 1);
        sum += value;
        squares += value * value;
    }
    TEST_TRUE(near(sum / draws, 0.5, 1));
    TEST_TRUE(near(squares / draws, 1.0 / 3, 1));
}

static void random_bits__seeds_and_streams__differ_and_repeat(void)
{
    struct sim_random random = sim_random_create(1, 0), same = sim_random_create(1, 0);
    struct sim_random other = sim_random_create(2, 0), stream = sim_random_create(1, 1);
    for (int i = 0; i < 100; i++) {
        uint64_t bits = sim_random_bits(&random);
        TEST_EQUAL(bits, sim_random_bits(&same));
        TEST_TRUE(bits != sim_random_bits(&other));
        TEST_TRUE(bits != sim_random_bits(&stream));
    }
}

static void random_exponential__many__mean_and_spread(void)
{
    struct sim_random random = sim_random_create(1, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < draws; i++) {
        double value = sim_random_exponential(&random, 7);
        sum += value;
        squares += value * value;
    }
    TEST_TRUE(near(sum / draws, 7, 2));
    TEST_TRUE(near(squares / draws, 2 * 49, 4));
}

static void draw_workers__many__log_uniform_with_powers_of_two(void)
{
    struct sim_random random = sim_random_create(3, 0);
    int powers = 0, small = 0, large = 0;
    for (int i = 0; i < draws; i++) {
        uint32_t workers = sim_draw_workers(&random, 1000);
        TEST_REQUIRE(workers >= 1 && workers <= 1000);
        powers += (workers & (workers - 1)) == 0;
        small += workers < 32;
        large += workers > 512;
    }
    TEST_TRUE(powers > draws * 0.75 && powers < draws * 0.9);
    /* Half of the exponents are below 5; what is rounded up to 32 is the tenth of them. */
    TEST_TRUE(small > draws * 0.43 && small < draws * 0.53);
    TEST_TRUE(large > 0 && large < draws * 0.05);
}

static void draw_workers__one_at_most__one(void)
{
    struct sim_random random = sim_random_create(3, 0);
    for (int i = 0; i < 100; i++)
        TEST_EQUAL(sim_draw_workers(&random, 1), 1);
}

static void draw_run__many__mean_of_the_mixture(void)
{
    struct sim_random random = sim_random_create(4, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < draws; i++) {
        double run_s = (double)sim_draw_run_s(&random);
        TEST_REQUIRE(run_s >= 1);
        sum += run_s;
        squares += run_s * run_s;
    }
    double mean = sum / draws;
    /* 0.8 * 30 + 0.2 * 600, and half a second of rounding up. */
    TEST_TRUE(near(mean, 144.5, 3));
    /* More spread than one exponential has. */
    TEST_TRUE(squares / draws / mean / mean > 5);
}

static void draw_limit__many__never_too_short_and_mostly_too_long(void)
{
    struct sim_random random = sim_random_create(4, 0);
    int exact = 0;
    for (int i = 0; i < draws; i++) {
        int64_t limit_s = sim_draw_limit_s(&random, 100);
        TEST_REQUIRE(limit_s >= 100 && limit_s <= 100 * 20 + 60);
        TEST_TRUE(limit_s == 100 || limit_s % 60 == 0);
        exact += limit_s == 100;
    }
    TEST_TRUE(near(exact, draws * 0.1, 5));
}

static void draw_tenant__many__zipf(void)
{
    struct sim_random random = sim_random_create(4, 0);
    double cumulative[4];
    int counts[5] = {0};
    sim_zipf_fill(cumulative, 4);
    for (int i = 0; i < draws; i++) {
        uint32_t tenant = sim_draw_tenant(&random, cumulative, 4);
        TEST_REQUIRE(tenant >= 1 && tenant <= 4);
        counts[tenant]++;
    }
    const double all = 1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4;
    for (int tenant = 1; tenant <= 4; tenant++)
        TEST_TRUE(near(counts[tenant], draws / all / tenant, 3));
}

static void generate__load__is_what_was_asked_for(void)
{
    struct sim_trace trace = generate(&usual);
    double work = 0;
    for (uint32_t i = 0; i < trace.count; i++) {
        TEST_TRUE(i == 0 || trace.jobs[i].submit_s >= trace.jobs[i - 1].submit_s);
        work += (double)trace.jobs[i].run_s * trace.jobs[i].workers;
    }
    double span_s = (double)trace.jobs[trace.count - 1].submit_s;
    TEST_TRUE(near(work / span_s / usual.slots, usual.load, 1));
    sim_trace_free(&trace);
}

static void generate__seeds__repeat_and_differ(void)
{
    struct sim_workload other = usual;
    other.seed++;
    struct sim_trace first = generate(&usual), same = generate(&usual), third = generate(&other);
    size_t bytes = first.count * sizeof(*first.jobs);
    TEST_TRUE(memcmp(first.jobs, same.jobs, bytes) == 0);
    TEST_TRUE(memcmp(first.jobs, third.jobs, bytes) != 0);
    sim_trace_free(&first);
    sim_trace_free(&same);
    sim_trace_free(&third);
}

/* Jobs that come at the time of the one before. */
static uint32_t together(const struct sim_workload *workload)
{
    struct sim_trace trace = generate(workload);
    uint32_t count = 0;
    for (uint32_t i = 1; i < trace.count; i++)
        count += trace.jobs[i].submit_s == trace.jobs[i - 1].submit_s &&
                 trace.jobs[i].tenant == trace.jobs[i - 1].tenant;
    sim_trace_free(&trace);
    return count;
}

static void generate__bursty__seven_of_eight_come_with_another(void)
{
    struct sim_workload bursty = usual;
    bursty.bursty = true;
    TEST_TRUE(near(together(&bursty), usual.jobs * 7.0 / 8, 5));
    TEST_TRUE(together(&usual) < usual.jobs / 20);
}

static void generate__hardly_any_load__refused(void)
{
    struct sim_workload idle = usual;
    idle.load = 1e-9;
    struct sim_trace trace = {0};
    struct covey_error error;
    TEST_EQUAL(sim_trace_generate(&idle, &trace, &error), COVEY_ELIMIT);
    TEST_TRUE(strstr(error.message, "load") != NULL);
    sim_trace_free(&trace);
}

static const struct test_case cases[] = {
    TEST_CASE(random_unit__many__uniform),
    TEST_CASE(random_bits__seeds_and_streams__differ_and_repeat),
    TEST_CASE(random_exponential__many__mean_and_spread),
    TEST_CASE(draw_workers__many__log_uniform_with_powers_of_two),
    TEST_CASE(draw_workers__one_at_most__one),
    TEST_CASE(draw_run__many__mean_of_the_mixture),
    TEST_CASE(draw_limit__many__never_too_short_and_mostly_too_long),
    TEST_CASE(draw_tenant__many__zipf),
    TEST_CASE(generate__load__is_what_was_asked_for),
    TEST_CASE(generate__seeds__repeat_and_differ),
    TEST_CASE(generate__bursty__seven_of_eight_come_with_another),
    TEST_CASE(generate__hardly_any_load__refused),
    {0},
};

const struct test_suite test_suites[] = {{"generate", cases, NULL, NULL}, {0}};
