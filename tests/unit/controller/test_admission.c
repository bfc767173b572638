/* What is queued and what is refused, and when it is said to start. */
#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <stdio.h>
#include <string.h>

#define S COVEY_NS_PER_S

static struct core core;
static struct core_link a;
static char id[ULID_BYTES];

static void attach(void)
{
    memset(&a, 0, sizeof a);
    TEST_REQUIRE(core_attach(&core, &a, "a", 4, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
}

static enum covey_status submit(uint32_t workers, bool wait_for_nodes)
{
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    options.wait_for_nodes = wait_for_nodes;
    enum covey_status status = core_submit_as(&core, workers, &options, id);
    controller_turn(core.controller);
    return status;
}

static void submit__agents_are_not_back_after_a_restart__queued(void)
{
    core_start(&core);
    attach();
    core_restart(&core);
    TEST_EQUAL(submit(4, false), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    TEST_EQUAL(submit(5, false), COVEY_EUNPLACEABLE);
    attach();
    core_stop(&core);
}

static void submit__node_drained_or_down__queued_until_it_is_forgotten(void)
{
    const struct controller_drain drain = {"new disk", COVEY_NEVER_NS};
    core_start(&core);
    attach();
    TEST_EQUAL(controller_drain_node(core.controller, "a", &drain, &core.error), COVEY_OK);
    TEST_EQUAL(submit(1, false), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL_STRING(flare->pending_reason,
                      "no node is up (left out: 1 draining node); waits for nodes");
    message_free(flare);
    controller_detach(core.controller, a.node, "killed");
    core_pass(&core, 11 * S); /* its grace */
    TEST_EQUAL(submit(1, false), COVEY_OK);
    core_pass(&core, core.options.limits.keep_nodes_ns + S);
    TEST_EQUAL(submit(1, false), COVEY_EUNPLACEABLE);
    TEST_EQUAL_STRING(core.error.message, "no node is known");
    core_stop(&core);
}

static void submit__more_than_is_known__waits_where_it_says_so(void)
{
    Covey__V1__ExplainFlareResponse *why;
    core_start(&core);
    TEST_EQUAL(submit(4, false), COVEY_EUNPLACEABLE);
    TEST_EQUAL(submit(4, true), COVEY_OK);
    attach();
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(submit(64, true), COVEY_OK);
    TEST_REQUIRE(core_explain(&core, &core.caller, id, &why) == COVEY_OK);
    TEST_TRUE(why->reasons[0]->never && why->reasons[0]->absent);
    TEST_EQUAL_STRING(why->reasons[0]->message,
                      "64 workers need 64 slots, the only known node has 4: at most 4 workers fit; "
                      "waits for nodes");
    TEST_EQUAL_STRING(why->no_estimate, "it waits for nodes");
    message_free(why);
    /* A restart keeps its wish. */
    core_restart(&core);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    core_stop(&core);
}

/* A flare of the whole node that starts now. */
static void begin(void)
{
    TEST_REQUIRE(submit(4, false) == COVEY_OK);
    TEST_REQUIRE(core_prepared(&core, &a, id, 0, 4) == COVEY_OK);
}

static void finish(void)
{
    for (uint32_t rank = 0; rank < 4; rank++)
        TEST_REQUIRE(core_worker_ended(&core, &a, id, rank, 0) == COVEY_OK);
    TEST_REQUIRE(core_gone(&core, &a, id) == COVEY_OK);
    controller_turn(core.controller);
    TEST_REQUIRE(core_state(&core, id) == FLARE_SUCCEEDED);
}

/* How long one more of them would wait; -1: nobody knows. */
static int64_t wait_ns(void)
{
    Covey__V1__PlanFlareResponse plan;
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = 4;
    TEST_REQUIRE(core_plan(&core, &request, &plan) == COVEY_OK);
    int64_t wait = -1;
    if (plan.estimated_wait)
        (void)message_duration_ns(plan.estimated_wait, 0, &wait);
    else
        TEST_TRUE(strstr(plan.no_estimate, "no time limit") != NULL);
    controller_plan_clear(&plan);
    return wait;
}

static void plan__no_limit_given__estimates_from_what_ran_before(void)
{
    core_start(&core);
    core.options.limits.heartbeats_missed = 1000000;
    core_restart(&core);
    attach();
    begin();
    TEST_EQUAL(wait_ns(), -1); /* not the controller's limit of a day */
    core_pass(&core, 40 * S);
    finish();
    for (int i = 0; i < 2; i++) {
        begin();
        core_pass(&core, 10 * S);
        finish();
    }
    begin();
    core_pass(&core, 4 * S);
    TEST_EQUAL(wait_ns(), 6 * S); /* 10, 10, 40: the one in the middle */
    core_pass(&core, 7 * S);
    TEST_EQUAL(wait_ns(), -1); /* it runs for longer than they mostly do */
    finish();
    core_restart(&core);
    attach();
    begin();
    core_pass(&core, 1 * S);
    TEST_EQUAL(wait_ns(), 10 * S); /* 10, 10, 11, 40: the journal tells it */
    core_stop(&core);
}

/* Code that comes with its flare is kept with it and nowhere else. */
static void submit__inline_definition__survives_a_restart_and_is_not_deployed(void)
{
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    definition_message own = COVEY__V1__DEFINITION__INIT;
    definition_message *hello;
    flare_message *flare;
    bool accepted;
    core_start(&core);
    attach();
    TEST_REQUIRE(controller_definition(core.controller, &core.caller, "hello", 0, &hello, NULL) ==
                 COVEY_OK);
    own.name = (char *)(uintptr_t) "own";
    own.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT;
    own.code_sha256 = hello->code_sha256;
    request.inline_definition = &own;
    request.workers = 64; /* it waits */
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    options.wait_for_nodes = true;
    request.options = &options;
    request.definition = (char *)(uintptr_t) "hello";
    TEST_EQUAL(
        controller_submit(core.controller, &core.caller, &request, &flare, &accepted, &core.error),
        COVEY_EINVAL);
    request.definition = (char *)(uintptr_t) "";
    TEST_REQUIRE(controller_submit(core.controller, &core.caller, &request, &flare, &accepted,
                                   &core.error) == COVEY_OK);
    (void)snprintf(id, sizeof id, "%s", flare->id);
    message_free(flare);
    core_restart(&core);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    flare = core_flare(&core, id);
    TEST_EQUAL_STRING(flare->definition, "own");
    message_free(flare);
    definition_message *none;
    TEST_EQUAL(controller_definition(core.controller, &core.caller, "own", 0, &none, NULL),
               COVEY_ENOTFOUND);
    own.code_sha256 =
        (char *)(uintptr_t) "0000000000000000000000000000000000000000000000000000000000000000";
    TEST_EQUAL(
        controller_submit(core.controller, &core.caller, &request, &flare, &accepted, &core.error),
        COVEY_EPRECONDITION);
    message_free(hello);
    core_stop(&core);
}

static enum covey_status tell_usage(uint32_t rank)
{
    Covey__V1__WorkerUsage worker = COVEY__V1__WORKER_USAGE__INIT;
    Covey__V1__WorkerUsage *workers[] = {&worker};
    Covey__V1__Measured measured = COVEY__V1__MEASURED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    worker.rank = rank;
    worker.cpu_ns = 3 * S;
    worker.memory_bytes = 4096;
    measured.flare_id = id;
    measured.workers = workers;
    measured.n_workers = 1;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_MEASURED;
    message.measured = &measured;
    return core_say(&core, &a, &message, false);
}

static void measured__of_its_own_ranks__is_shown(void)
{
    core_start(&core);
    attach();
    begin();
    flare_message *flare = core_flare(&core, id);
    TEST_TRUE(flare->workers[2]->cpu_time == NULL);
    message_free(flare);
    TEST_EQUAL(tell_usage(2), COVEY_OK);
    TEST_EQUAL(tell_usage(4), COVEY_OK); /* set aside, as every report that cannot be taken */
    TEST_EQUAL(tell_usage(UINT32_MAX), COVEY_OK);
    flare = core_flare(&core, id);
    TEST_TRUE(flare->workers[1]->cpu_time == NULL);
    TEST_REQUIRE(flare->workers[2]->cpu_time != NULL);
    TEST_EQUAL(flare->workers[2]->cpu_time->seconds, 3);
    TEST_EQUAL(flare->workers[2]->memory_bytes, 4096);
    message_free(flare);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 2, 0), COVEY_OK);
    flare = core_flare(&core, id);
    TEST_TRUE(flare->workers[2]->cpu_time == NULL && flare->workers[2]->memory_bytes == 0);
    message_free(flare);
    core_stop(&core);
}

static const struct test_case cases[] = {
    TEST_CASE(submit__agents_are_not_back_after_a_restart__queued),
    TEST_CASE(submit__node_drained_or_down__queued_until_it_is_forgotten),
    TEST_CASE(submit__more_than_is_known__waits_where_it_says_so),
    TEST_CASE(submit__inline_definition__survives_a_restart_and_is_not_deployed),
    TEST_CASE(plan__no_limit_given__estimates_from_what_ran_before),
    TEST_CASE(measured__of_its_own_ranks__is_shown),
    {0},
};

const struct test_suite test_suites[] = {{"controller_admission", cases, NULL, NULL}, {0}};
