#include "tests/unit/controller/pair.h"

#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"

#include <string.h>

#define STEP_NS (250 * COVEY_NS_PER_MS)

struct core core;
struct core_link a;
struct core_link b;
char id[ULID_BYTES];

void pair_start(void)
{
    core_start(&core);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
}

void pair_beat(struct core_link *link)
{
    Covey__V1__Heartbeat heartbeat = COVEY__V1__HEARTBEAT__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    if (link->node)
        TEST_EQUAL(core_say(&core, link, &message, false), COVEY_OK);
}

void pair_live(int64_t duration_ns)
{
    for (int64_t left_ns = duration_ns; left_ns > 0; left_ns -= STEP_NS) {
        pair_beat(&a);
        pair_beat(&b);
        core_pass(&core, left_ns < STEP_NS ? left_ns : STEP_NS);
    }
}

void pair_submit(int64_t limit_ns)
{
    TEST_REQUIRE(core_submit(&core, 4, limit_ns, id) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
}

void pair_run(int64_t limit_ns)
{
    pair_submit(limit_ns);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(a.starts, 0);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_EQUAL(a.starts, 1);
    TEST_EQUAL(b.starts, 1);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
}
