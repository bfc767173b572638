/* Requests that contradict themselves, and what each is told. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct bad_case {
    struct sched_request request;
    const char *message;
};

static const struct bad_case bad_cases[] = {
    {{.flare = NULL, .workers = 1}, "a flare's id has 1 to 64 bytes"},
    {{.flare = "", .workers = 1}, "a flare's id has 1 to 64 bytes"},
    {{.flare = ID64 "x", .workers = 1}, "a flare's id has 1 to 64 bytes"},
    {{.flare = "f", .workers = 0}, "a flare has at least one worker"},
    {{.flare = "f", .workers = SCHED_WORKERS_MAX + 1},
     "1048577 workers are too many: a flare has at most 1048576"},
    {{.flare = "f", .workers = 1, .packing = (enum sched_packing)9}, "no such packing: 9"},
    {{.flare = "f", .workers = 1, .placing = (enum sched_placing)4}, "no such placement: 4"},
    {{.flare = "f", .workers = 4, .packing = SCHED_PACKING_HETEROGENEOUS, .granularity = 2},
     "heterogeneous packing takes no granularity, 2 was given: leave it out, or use mixed packing"},
    {{.flare = "f", .workers = 4, .packing = SCHED_PACKING_HOMOGENEOUS},
     "homogeneous packing needs a granularity: the workers of each pack"},
    {{.flare = "f", .workers = 10, .packing = SCHED_PACKING_HOMOGENEOUS, .granularity = 4},
     "10 workers cannot be divided into packs of exactly 4: use 8 or 12 workers, or a granularity "
     "of 2 or 5"},
    {{.flare = "f", .workers = 7, .packing = SCHED_PACKING_HOMOGENEOUS, .granularity = 3},
     "7 workers cannot be divided into packs of exactly 3: use 6 or 9 workers, or a granularity of "
     "1 or 7"},
    {{.flare = "f", .workers = 4, .packing = SCHED_PACKING_HOMOGENEOUS, .granularity = 8},
     "4 workers cannot be divided into packs of exactly 8: use 8 workers, or a granularity of 4"},
    {{.flare = "f", .workers = 1, .packing = SCHED_PACKING_HOMOGENEOUS, .granularity = 8},
     "1 worker cannot be divided into packs of exactly 8: use 8 workers, or a granularity of 1"},
    {{.flare = "f",
      .workers = SCHED_WORKERS_MAX,
      .packing = SCHED_PACKING_HOMOGENEOUS,
      .granularity = 3},
     "1048576 workers cannot be divided into packs of exactly 3: use 1048575 workers, or a "
     "granularity of 2 or 4"},
    {{.flare = "f",
      .workers = 12,
      .packing = SCHED_PACKING_HOMOGENEOUS,
      .granularity = 3,
      .max_packs = 3},
     "12 workers in packs of 3 are 4 packs, at most 3 are allowed: raise the granularity or the "
     "limit"},
};

static void submit__contradictory_request__refused_with_the_remedy(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(*bad_cases); i++) {
        struct covey_error error = {0};
        TEST_EQUAL(sched_submit(sched, &bad_cases[i].request, &error), COVEY_EINVAL);
        TEST_EQUAL(error.status, COVEY_EINVAL);
        TEST_EQUAL_STRING(error.message, bad_cases[i].message);
        struct sched_plan plan;
        TEST_EQUAL(sched_plan(sched, &bad_cases[i].request, 0, &plan, &error), COVEY_EINVAL);
        TEST_EQUAL_STRING(error.message, bad_cases[i].message);
        TEST_TRUE(plan.placement == NULL);
    }
    TEST_EQUAL(sched_queue_length(sched), 0);
    sched_destroy(sched);
}

static void submit__longest_id__kept_whole(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_request request = cluster_request(ID64, 1);
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(sched, 0, &placement), COVEY_OK);
    TEST_REQUIRE(placement != NULL);
    TEST_EQUAL_STRING(placement->flare, ID64);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(submit__contradictory_request__refused_with_the_remedy),
    TEST_CASE(submit__longest_id__kept_whole),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_request", cases, NULL, NULL}, {0}};
