/* Plans that the node's tests share. */
#ifndef TESTS_COMPONENT_NODE_PLANS_H
#define TESTS_COMPONENT_NODE_PLANS_H

#include "tests/component/node/fixture.h"

#define OBJECT  TEST_FILES "/covey_test_behave.so"
#define PROGRAM TEST_FILES "/covey_test_behave_program"
#define S       COVEY_NS_PER_S
#define MS      COVEY_NS_PER_MS
#define LONG    FIXTURE_LONG_NS

/* A moment, for what is promised from then on. */
struct moment {
    int64_t wall_ns;
    int64_t starved_ns;
};

static inline struct moment moment_now(void)
{
    return (struct moment){covey_wall_ns(), test_starved_ns()};
}

/* How long a machine at rest would have taken to what happened by now, at wall_ns. */
static inline int64_t rested_since(struct moment moment, int64_t wall_ns)
{
    return wall_ns - moment.wall_ns - (test_starved_ns() - moment.starved_ns);
}

/* One pack of the shared object, on node 0. */
static inline struct flare_plan plan_of(const char *id, const char *parameter, uint32_t workers)
{
    struct flare_plan plan = {.id = fixture_own_id(id),
                              .code = OBJECT,
                              .code_kind = COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT,
                              .worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_PROCESS,
                              .parameter = parameter,
                              .pack_count = 1};
    plan.packs[0].workers = workers;
    return plan;
}

/* Stops a flare and makes sure that nothing of it is left. */
static inline void end_flare(struct fixture *fixture, const struct flare_plan *plan)
{
    fixture_stop_flare(fixture, plan, 0);
    TEST_TRUE(fixture_gone(fixture, plan, 30 * S));
    TEST_TRUE(fixture_nothing_left(fixture, plan->id));
}

#endif
