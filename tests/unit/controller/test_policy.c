/* Who goes first, who has to make room, and what tenants may hold. */
#include "base/io.h"
#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <stdio.h>
#include <string.h>

#define S COVEY_NS_PER_S

static struct core core;
static struct core_link a;
static char low[ULID_BYTES];
static char high[ULID_BYTES];

/* One node of four slots; the controller preempts. */
static void start(void)
{
    core_start(&core);
    core.options.limits.preemption = 1;
    core.options.limits.preempt_grace_ns = 7 * S;
    core_restart(&core);
    memset(&a, 0, sizeof a);
    TEST_REQUIRE(core_attach(&core, &a, "a", 4, NULL, 0) == COVEY_OK);
}

static void submit(char id[ULID_BYTES], uint32_t workers, int32_t priority, bool preemptible,
                   uint32_t max_restarts)
{
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    Google__Protobuf__Duration limit = message_duration(100 * S);
    options.time_limit = &limit;
    options.priority = priority;
    options.preemptible = preemptible;
    options.max_restarts = max_restarts;
    TEST_REQUIRE(core_submit_as(&core, workers, &options, id) == COVEY_OK);
    controller_turn(core.controller);
}

static void preempt__higher_priority_waits__lower_one_makes_room(void)
{
    start();
    submit(low, 4, 0, true, 0);
    TEST_EQUAL(core_prepared(&core, &a, low, 0, 4), COVEY_OK);
    submit(high, 2, 5, false, 0);
    TEST_EQUAL(core_state(&core, low), FLARE_ENDING);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(a.stop_grace_ns, 7 * S);
    TEST_EQUAL(core_gone(&core, &a, low), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, high), FLARE_PREPARING);
    TEST_EQUAL(core_state(&core, low), FLARE_CANCELLED);
    flare_message *flare = core_flare(&core, low);
    TEST_TRUE(strstr(flare->error->message, "preempted for a flare of higher priority") != NULL);
    message_free(flare);
    core_stop(&core);
}

static void preempt__with_restarts_left__queued_again_behind(void)
{
    start();
    submit(low, 4, 0, true, 1);
    TEST_EQUAL(core_prepared(&core, &a, low, 0, 4), COVEY_OK);
    submit(high, 2, 5, false, 0);
    TEST_EQUAL(core_state(&core, low), FLARE_PREPARING);
    TEST_EQUAL(core_gone(&core, &a, low), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, high), FLARE_PREPARING);
    TEST_EQUAL(core_state(&core, low), FLARE_QUEUED);
    TEST_EQUAL(core_slots_used(&core, "a"), 2);
    core_stop(&core);
}

static void preempt__not_preemptible_or_switched_off__waits(void)
{
    start();
    submit(low, 4, 0, false, 0);
    TEST_EQUAL(core_prepared(&core, &a, low, 0, 4), COVEY_OK);
    submit(high, 2, 5, false, 0);
    TEST_EQUAL(core_state(&core, low), FLARE_RUNNING);
    core_stop(&core);
    start();
    core.options.limits.preemption = 0;
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 4, NULL, 0) == COVEY_OK);
    submit(low, 4, 0, true, 0);
    TEST_EQUAL(core_prepared(&core, &a, low, 0, 4), COVEY_OK);
    submit(high, 2, 5, false, 0);
    TEST_EQUAL(core_state(&core, low), FLARE_RUNNING);
    TEST_EQUAL(core_state(&core, high), FLARE_QUEUED);
    core_stop(&core);
}

static enum covey_status read_tenants(const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/tenants", core.folder);
    TEST_REQUIRE(covey_file_write(path, text, strlen(text), 0600, NULL) == COVEY_OK);
    return controller_read_tenants(core.controller, path, &core.error);
}

static void tenants__quota_reached__waits_with_that_reason(void)
{
    Covey__V1__ExplainFlareResponse *why;
    start();
    TEST_EQUAL(read_tenants("# tenant\n\nuid:1 weight=2 slots=3 memory=1GiB # not much\n"),
               COVEY_OK);
    submit(low, 2, 0, false, 0);
    submit(high, 2, 0, false, 0);
    TEST_EQUAL(core_state(&core, low), FLARE_PREPARING);
    TEST_EQUAL(core_state(&core, high), FLARE_QUEUED);
    TEST_REQUIRE(core_explain(&core, &core.caller, high, &why) == COVEY_OK);
    TEST_EQUAL(why->reasons[0]->kind, COVEY__V1__REASON_KIND__REASON_KIND_QUOTA);
    TEST_EQUAL_STRING(why->reasons[0]->dimension, "slots");
    message_free(why);
    core_stop(&core);
}

static void tenants__read_again__wrong_changes_nothing_and_who_is_left_out_is_free(void)
{
    start();
    TEST_EQUAL(read_tenants("uid:1 slots=3\n"), COVEY_OK);
    submit(low, 2, 0, false, 0);
    submit(high, 2, 0, false, 0);
    TEST_EQUAL(core_state(&core, high), FLARE_QUEUED);
    TEST_EQUAL(read_tenants("other slots=1\nuid:1 slots=none\n"), COVEY_EINVAL);
    core_pass(&core, 0);
    TEST_EQUAL(core_state(&core, high), FLARE_QUEUED);
    TEST_EQUAL(read_tenants("other slots=1\n"), COVEY_OK);
    core_pass(&core, 0);
    TEST_EQUAL(core_state(&core, high), FLARE_PREPARING);
    core_stop(&core);
}

static void tenants__malformed__names_the_line(void)
{
    static const char *const bad[] = {"a weight=0",  "a weight=1001", "a slots=-1", "a slots",
                                      "a memory=1X", "a =1",          "a cpus=",    "a flares=x"};
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "b slots=1\n%s\n", bad[i]);
        TEST_EQUAL(read_tenants(text), COVEY_EINVAL);
        TEST_TRUE(strstr(core.error.message, "tenants:2: '") != NULL);
    }
    TEST_EQUAL(read_tenants("a x1=1 x2=1 x3=1 x4=1\n"), COVEY_OK);
    TEST_EQUAL(read_tenants("a x5=1\n"), COVEY_EINVAL);
    core_stop(&core);
}

static void plan__has_to_wait__says_until_when_and_what_would_go_now(void)
{
    Covey__V1__ExplainFlareResponse *why;
    Covey__V1__PlanFlareResponse plan;
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    start();
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = 2;
    request.options = &options;
    TEST_REQUIRE(core_plan(&core, &request, &plan) == COVEY_OK);
    TEST_TRUE(plan.placeable && plan.cost && plan.estimated_wait == NULL);
    for (size_t i = 0; i < plan.n_alternatives; i++)
        TEST_TRUE(plan.alternatives[i]->cost != NULL && plan.alternatives[i]->packs > 0);
    controller_plan_clear(&plan);
    submit(low, 4, 0, false, 0);
    TEST_EQUAL(core_prepared(&core, &a, low, 0, 4), COVEY_OK);
    TEST_REQUIRE(core_plan(&core, &request, &plan) == COVEY_OK);
    TEST_TRUE(!plan.placeable && !plan.impossible);
    TEST_TRUE(plan.estimated_wait && plan.estimated_wait->seconds == 100);
    controller_plan_clear(&plan);
    submit(high, 2, 0, false, 0);
    TEST_REQUIRE(core_explain(&core, &core.caller, high, &why) == COVEY_OK);
    TEST_TRUE(why->estimated_wait && why->estimated_wait->seconds == 100);
    message_free(why);
    core_stop(&core);
}

static void age__waited_long_enough__goes_before_a_higher_priority(void)
{
    char running[ULID_BYTES];
    start();
    core.options.limits.preemption = 0;
    core.options.limits.age_limit_ns = 60 * S;
    core.options.limits.heartbeats_missed = 1000;
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 4, NULL, 0) == COVEY_OK);
    submit(running, 4, 0, false, 0);
    TEST_EQUAL(core_prepared(&core, &a, running, 0, 4), COVEY_OK);
    submit(low, 4, 0, false, 0);
    core_pass(&core, 61 * S);
    submit(high, 4, 9, false, 0);
    flare_message *flare;
    TEST_EQUAL(controller_cancel(core.controller, &core.caller, running, "", &flare, NULL),
               COVEY_OK);
    message_free(flare);
    controller_write(core.controller);
    TEST_EQUAL(core_gone(&core, &a, running), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, low), FLARE_PREPARING);
    TEST_EQUAL(core_state(&core, high), FLARE_QUEUED);
    core_stop(&core);
}

static const struct test_case policy[] = {
    TEST_CASE(preempt__higher_priority_waits__lower_one_makes_room),
    TEST_CASE(preempt__with_restarts_left__queued_again_behind),
    TEST_CASE(preempt__not_preemptible_or_switched_off__waits),
    TEST_CASE(tenants__quota_reached__waits_with_that_reason),
    TEST_CASE(tenants__read_again__wrong_changes_nothing_and_who_is_left_out_is_free),
    TEST_CASE(tenants__malformed__names_the_line),
    TEST_CASE(plan__has_to_wait__says_until_when_and_what_would_go_now),
    TEST_CASE(age__waited_long_enough__goes_before_a_higher_priority),
    {0}};

const struct test_suite test_suites[] = {{"policy", policy, NULL, NULL}, {0}};
