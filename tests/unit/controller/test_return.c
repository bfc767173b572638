/* What becomes of flares whose agents come back without them, and of nodes that come back while the
 * journal has no room. */
#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/pair.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define S COVEY_NS_PER_S

/* The flare runs, and what its agents say next is lost with the controller: they repeat it. */
static void restart_before(uint64_t repeats_a, uint64_t repeats_b)
{
    pair_start();
    pair_run(0);
    core_restart(&core);
    a.repeats = repeats_a;
    b.repeats = repeats_b;
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
}

static void check_error(const char *status, const char *part)
{
    flare_message *flare = core_flare(&core, id);
    TEST_REQUIRE(flare->error != NULL);
    TEST_EQUAL_STRING(flare->error->status, status);
    TEST_TRUE(strstr(flare->error->message, part) != NULL);
    message_free(flare);
}

static void flare__over_and_not_acknowledged__ends_as_its_agents_repeat(void)
{
    restart_before(3, 3);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 1, 0), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 2, 0), COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &b, id, 3, 0), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, id), FLARE_SUCCEEDED);
    TEST_EQUAL(core_slots_used(&core, "a") + core_slots_used(&core, "b"), 0);
    core_stop(&core);
}

static void flare__not_over_when_all_is_repeated__fails(void)
{
    restart_before(1, 0);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    check_error("ENODE", "node a came back without it");
    core_stop(&core);
}

static void flare__nothing_to_repeat__fails_at_once(void)
{
    pair_start();
    pair_run(0);
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    check_error("ENODE", "node a came back without it");
    core_stop(&core);
}

/* A last report that is refused is the last all the same. */
static void flare__last_report_is_refused__fails(void)
{
    Covey__V1__ResultChunk chunk = COVEY__V1__RESULT_CHUNK__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    restart_before(1, 0);
    chunk.flare_id = id;
    chunk.rank = 3; /* which is not on a */
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK;
    message.result_chunk = &chunk;
    TEST_EQUAL(core_say(&core, &a, &message, true), COVEY_OK);
    TEST_EQUAL(a.refused, 1);
    check_error("ENODE", "node a came back without it");
    core_stop(&core);
}

static void set_room(rlim_t bytes)
{
    struct rlimit limit;
    TEST_REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    TEST_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* Refused for want of room, it is there nevertheless: what runs on it is not given up. */
static void node__comes_back_without_room__is_waited_for(void)
{
    char *running[] = {id};
    struct rlimit before;
    TEST_REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    TEST_REQUIRE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    pair_start();
    pair_run(0);
    core_restart(&core);
    set_room(1);
    for (unsigned i = 0; i < 10; i++) {
        TEST_EQUAL(core_attach(&core, &a, "a", 2, running, 1), COVEY_ENOSPACE);
        TEST_EQUAL(core_attach(&core, &b, "b", 2, running, 1), COVEY_ENOSPACE);
        core_pass(&core, 2 * S);
    }
    set_room(before.rlim_cur);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, running, 1) == COVEY_OK);
    pair_live(20 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    core_stop(&core);
}

static const struct test_case cases[] = {
    TEST_CASE(flare__over_and_not_acknowledged__ends_as_its_agents_repeat),
    TEST_CASE(flare__not_over_when_all_is_repeated__fails),
    TEST_CASE(flare__nothing_to_repeat__fails_at_once),
    TEST_CASE(flare__last_report_is_refused__fails),
    TEST_CASE(node__comes_back_without_room__is_waited_for),
    {0}};

const struct test_suite test_suites[] = {{"return", cases, NULL, NULL}, {0}};
