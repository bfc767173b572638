#include "bench/sim/trace.h"
#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

static enum covey_status read_text(const char *text, struct sim_trace *trace,
                                   struct covey_error *error)
{
    *trace = (struct sim_trace){0};
    return sim_swf_read("t.swf", text, strlen(text), trace, error);
}

static void read__jobs_and_header__taken(void)
{
    struct sim_trace trace;
    TEST_REQUIRE(read_text("; Version: 2.2\n"
                           ";MaxNodes: 64\n"
                           ";  MaxProcs:  1024 of them\n"
                           "\n"
                           "  1 10 5 100 8 99.5 -1 16 200 -1 1 7 1 1 1 1 -1 -1\r\n"
                           "2 4 -1 0 4 -1 -1 -1 -1 -1 1 -1 -1 -1 -1 -1 -1 -1",
                           &trace, NULL) == COVEY_OK);
    TEST_EQUAL(trace.nodes, 64);
    TEST_EQUAL(trace.slots, 1024);
    TEST_REQUIRE(trace.count == 2);
    /* By time of submission. */
    TEST_EQUAL(trace.jobs[0].submit_s, 4);
    TEST_EQUAL(trace.jobs[0].run_s, 1);
    TEST_EQUAL(trace.jobs[0].limit_s, 0);
    TEST_EQUAL(trace.jobs[0].workers, 4);
    TEST_EQUAL(trace.jobs[0].tenant, 0);
    TEST_EQUAL(trace.jobs[1].submit_s, 10);
    TEST_EQUAL(trace.jobs[1].run_s, 100);
    TEST_EQUAL(trace.jobs[1].limit_s, 200);
    TEST_EQUAL(trace.jobs[1].workers, 16);
    TEST_EQUAL(trace.jobs[1].tenant, 7);
    sim_trace_free(&trace);
}

static void read__jobs_that_never_ran__skipped(void)
{
    struct sim_trace trace;
    TEST_REQUIRE(read_text("1 1 -1 -1 8 -1 -1 8 9 -1 5 1 -1 -1 -1 -1 -1 -1\n"
                           "2 1 -1 10 0 -1 -1 -1 9 -1 0 1 -1 -1 -1 -1 -1 -1\n",
                           &trace, NULL) == COVEY_OK);
    TEST_EQUAL(trace.count, 0);
    TEST_EQUAL(trace.skipped, 2);
    sim_trace_free(&trace);
}

static void read__longer_than_its_limit__cut(void)
{
    struct sim_trace trace;
    TEST_REQUIRE(read_text("1 1 -1 30 1 -1 -1 1 20 -1 5 1 -1 -1 -1 -1 -1 -1\n", &trace, NULL) ==
                 COVEY_OK);
    TEST_REQUIRE(trace.count == 1);
    TEST_EQUAL(trace.jobs[0].run_s, 20);
    sim_trace_free(&trace);
}

/* The first note that says something like this; 0 where there is none. */
static uint32_t noted(const struct sim_trace *trace, const char *said)
{
    for (int i = 0; i < SIM_NOTES_MAX; i++)
        if (trace->notes[i].count && strstr(trace->notes[i].text, said))
            return trace->notes[i].count;
    return 0;
}

static void read__lines_that_are_no_jobs__left_out_and_named(void)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"; ok\n1 2 3\n", "t.swf:2: 3 fields, a job has 18; left out"},
        {"1 1 1 abc 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "t.swf:1: field 4 (run time) is \"abc\""},
        {"1 1 1 nan 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "field 4 (run time)"},
        {"1 1 1 1e999 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "field 4 (run time)"},
        {"1 1 1 1 -2 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "field 5 (processors) is -2"},
        {"1 1e18 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "field 2 (submit time)"},
        {"1 -1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "t.swf:1: the job has no submit time"},
        {"1 1 1 11111111111111111111111111111111111111111111111111111 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
         "field 4"},
        {"1 1 1 \x1b[2J\xff 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "is \"\\x1b[2J\\xff\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_trace trace;
        TEST_EQUAL(read_text(rows[i].text, &trace, NULL), COVEY_OK);
        TEST_EQUAL(trace.count, 0);
        if (noted(&trace, rows[i].said) != 1)
            CU_FAIL(rows[i].said);
        sim_trace_free(&trace);
    }
}

static void read__one_bad_line__the_others_are_played(void)
{
    struct sim_trace trace;
    TEST_REQUIRE(read_text("1 1 1 7 2 1 1 1 1 1 1 1 1 1 1 1 1 1\n"
                           "bad\n"
                           "worse\n"
                           "3 2 1 9 2 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
                           &trace, NULL) == COVEY_OK);
    TEST_EQUAL(trace.count, 2);
    TEST_EQUAL(noted(&trace, "t.swf:2: field 1 (job number) is \"bad\""), 2);
    sim_trace_free(&trace);
}

static void read__other_columns__played(void)
{
    struct sim_trace trace;
    TEST_REQUIRE(read_text("1 1.5 1 7.9 2 1 x 3 50 1 1 4 1 1 1 1 1 1 {1,2} q_1d 1:ppn=64\n"
                           "2 2 1 9 2\n",
                           &trace, NULL) == COVEY_OK);
    TEST_REQUIRE(trace.count == 2);
    TEST_EQUAL(trace.jobs[0].submit_s, 1);
    TEST_EQUAL(trace.jobs[0].run_s, 7);
    TEST_EQUAL(trace.jobs[0].workers, 3);
    TEST_EQUAL(trace.jobs[0].limit_s, 50);
    TEST_EQUAL(trace.jobs[0].tenant, 4);
    TEST_EQUAL(trace.jobs[1].workers, 2);
    TEST_EQUAL(trace.jobs[1].limit_s, 0);
    TEST_EQUAL(noted(&trace, "t.swf:1: 21 fields"), 1);
    TEST_EQUAL(noted(&trace, "t.swf:2: 5 fields"), 1);
    sim_trace_free(&trace);
}

static void read__headers_as_archives_have_them__taken_or_named(void)
{
    static const struct {
        const char *text;
        uint32_t nodes, slots;
        const char *said;
    } rows[] = {
        {"; MaxNodes: UNKNOWN\n; MaxProcs: 64\n", 0, 64, "t.swf:1: MaxNodes: says \"UNKNOWN\""},
        {"; MaxProcs: 163,840\n", 0, 163840, NULL},
        {"; MaxNodes: 256\n", 256, 256, NULL},
        {"; MaxNodes:\n", 0, 0, "t.swf:1: MaxNodes: says \"\""},
        {"; MaxNodes: -1\n", 0, 0, NULL},
        {"; MaxNodes: 00000000000000000000000000000000000000000000000\n; MaxNodes: 1\n", 1, 1,
         "t.swf:1: MaxNodes: says \"000"},
        {"\xef\xbb\xbf; MaxNodes: 4\n", 4, 4, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_trace trace;
        TEST_EQUAL(read_text(rows[i].text, &trace, NULL), COVEY_OK);
        TEST_EQUAL(trace.nodes, rows[i].nodes);
        TEST_EQUAL(trace.slots, rows[i].slots);
        TEST_EQUAL(noted(&trace, rows[i].said ? rows[i].said : ""), rows[i].said ? 1 : 0);
        sim_trace_free(&trace);
    }
}

static void read__unix_times__counted_from_the_first(void)
{
    struct sim_trace trace;
    TEST_REQUIRE(read_text("1 1356996695 1 7 2\n"
                           "2 1356996147 1 7 2\n"
                           "3 9007199254740992 1 7 2\n",
                           &trace, NULL) == COVEY_OK);
    TEST_REQUIRE(trace.count == 2);
    TEST_EQUAL(trace.jobs[0].submit_s, 0);
    TEST_EQUAL(trace.jobs[1].submit_s, 548);
    TEST_EQUAL(noted(&trace, "the first job comes at 1356996147 s"), 1);
    TEST_EQUAL(noted(&trace, "left out"), 1);
    sim_trace_free(&trace);
}

static void read__nul_in_a_line__no_number(void)
{
    static const char text[] = "1 1 1 1\0001 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n";
    struct sim_trace trace = {0};
    TEST_EQUAL(sim_swf_read("t", text, sizeof(text) - 1, &trace, NULL), COVEY_OK);
    TEST_EQUAL(noted(&trace, "field 4 (run time) is \"1\\x001\""), 1);
    sim_trace_free(&trace);
}

static void write__read_back__the_same(void)
{
    const struct sim_workload workload = {.seed = 9,
                                          .jobs = 500,
                                          .load = 1,
                                          .slots = 512,
                                          .max_workers = 64,
                                          .tenants = 5,
                                          .bursty = true};
    struct sim_trace trace = {0}, again = {0};
    TEST_REQUIRE(sim_trace_generate(&workload, &trace, NULL) == COVEY_OK);
    trace.jobs[3].limit_s = 0;
    trace.jobs[4].tenant = 0;
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    TEST_REQUIRE(out != NULL);
    sim_swf_write(out, &trace, 32, 16);
    TEST_REQUIRE(fclose(out) == 0);
    TEST_REQUIRE(sim_swf_read("t", text, length, &again, NULL) == COVEY_OK);
    free(text);
    TEST_EQUAL(again.nodes, 32);
    TEST_EQUAL(again.slots, 512);
    TEST_REQUIRE(again.count == trace.count);
    for (uint32_t i = 0; i < trace.count; i++) {
        TEST_EQUAL(trace.jobs[i].submit_s, again.jobs[i].submit_s);
        TEST_EQUAL(trace.jobs[i].run_s, again.jobs[i].run_s);
        TEST_EQUAL(trace.jobs[i].limit_s, again.jobs[i].limit_s);
        TEST_EQUAL(trace.jobs[i].workers, again.jobs[i].workers);
        TEST_EQUAL(trace.jobs[i].tenant, again.jobs[i].tenant);
    }
    sim_trace_free(&trace);
    sim_trace_free(&again);
}

static void sort__equal_times__keep_their_order(void)
{
    static const int64_t times[] = {5, 3, 5, 1, 3, 5, 1};
    static const uint32_t expected[] = {3, 6, 1, 4, 0, 2, 5};
    struct sim_trace trace = {0};
    for (uint32_t i = 0; i < 7; i++) {
        struct sim_job job = {.submit_s = times[i], .workers = i};
        TEST_REQUIRE(sim_trace_add(&trace, &job) == COVEY_OK);
    }
    TEST_REQUIRE(sim_trace_sort(&trace) == COVEY_OK);
    for (uint32_t i = 0; i < 7; i++)
        TEST_EQUAL(trace.jobs[i].workers, expected[i]);
    sim_trace_free(&trace);
}

static const struct test_case cases[] = {
    TEST_CASE(read__jobs_and_header__taken),
    TEST_CASE(read__jobs_that_never_ran__skipped),
    TEST_CASE(read__longer_than_its_limit__cut),
    TEST_CASE(read__lines_that_are_no_jobs__left_out_and_named),
    TEST_CASE(read__one_bad_line__the_others_are_played),
    TEST_CASE(read__other_columns__played),
    TEST_CASE(read__headers_as_archives_have_them__taken_or_named),
    TEST_CASE(read__unix_times__counted_from_the_first),
    TEST_CASE(read__nul_in_a_line__no_number),
    TEST_CASE(write__read_back__the_same),
    TEST_CASE(sort__equal_times__keep_their_order),
    {0},
};

const struct test_suite test_suites[] = {{"swf", cases, NULL, NULL}, {0}};
