/* What tenants may have waiting, and what is held in memory for them. */
#include "service/controller/messages.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct core core;

static void be(const char *tenant, bool is_operator)
{
    (void)snprintf(core.caller.tenant, sizeof core.caller.tenant, "%s", tenant);
    core.caller.is_operator = is_operator;
}

/* Deploys hello for a tenant: its own has it from the start. */
static void deploy_for(const char *tenant)
{
    struct store_upload *upload;
    uint64_t size_bytes;
    definition_message *hello;
    definition_message *stored;
    struct controller_identity own = core.caller;
    TEST_REQUIRE(controller_definition(core.controller, &own, "hello", 0, &hello, &core.error) ==
                 COVEY_OK);
    be(tenant, false);
    TEST_REQUIRE(store_upload_begin(core.store, 1024, &upload, &core.error) == COVEY_OK);
    TEST_REQUIRE(store_upload_write(upload, "abc", 3, &core.error) == COVEY_OK);
    TEST_REQUIRE(store_upload_finish(upload, hello->code_sha256, tenant, core.wall_ns, &size_bytes,
                                     &core.error) == COVEY_OK);
    TEST_REQUIRE(controller_deploy(core.controller, &core.caller, hello, &stored, &core.error) ==
                 COVEY_OK);
    message_free(stored);
    message_free(hello);
    core.caller = own;
}

static enum covey_status submit(size_t parameter_bytes, char id[ULID_BYTES])
{
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    flare_message *flare;
    bool accepted;
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = 1;
    request.parameter.len = parameter_bytes;
    request.parameter.data = calloc(1, parameter_bytes + 1);
    enum covey_status status =
        controller_submit(core.controller, &core.caller, &request, &flare, &accepted, &core.error);
    free(request.parameter.data);
    if (id)
        (void)snprintf(id, ULID_BYTES, "%s", status ? "" : flare->id);
    message_free(flare);
    return status;
}

static void start(uint64_t flares, uint64_t bytes, struct core_link *node)
{
    core_start(&core);
    core.options.limits.max_queued = flares;
    core.options.limits.max_queued_bytes = bytes;
    core_restart(&core);
    deploy_for("bob");
    deploy_for("carol");
    TEST_REQUIRE(core_attach(&core, node, "a", 1, NULL, 0) == COVEY_OK);
}

static unsigned fill(const char *tenant, bool is_operator, size_t parameter_bytes)
{
    unsigned count = 0;
    be(tenant, is_operator);
    while (count < 1000 && submit(parameter_bytes, NULL) == COVEY_OK)
        count++;
    TEST_EQUAL(core.error.status, COVEY_ELIMIT);
    TEST_TRUE(strstr(core.error.message, "room is left for") != NULL);
    return count;
}

static void submit__of_one_tenant__leaves_room_for_others(void)
{
    struct core_link node = {0};
    start(90, 1 << 30, &node);
    TEST_EQUAL(fill("uid:1", false, 0), 45);
    TEST_EQUAL(fill("bob", false, 0), 23);
    TEST_EQUAL(fill("carol", false, 0), 11);
    TEST_EQUAL(fill("uid:1", true, 0), 11); /* an operator may take it all */
    core_stop(&core);
}

static void submit__as_others_end__may_have_more_again(void)
{
    struct core_link node = {0};
    char id[ULID_BYTES];
    flare_message *flare;
    start(8, 1 << 30, &node);
    be("uid:1", false);
    TEST_EQUAL(submit(0, id), COVEY_OK);
    TEST_EQUAL(fill("uid:1", false, 0), 3);
    TEST_EQUAL(controller_cancel(core.controller, &core.caller, id, "", &flare, &core.error),
               COVEY_OK);
    message_free(flare);
    TEST_EQUAL(submit(0, NULL), COVEY_OK);
    TEST_EQUAL(submit(0, NULL), COVEY_ELIMIT);
    /* A restart counts the same. */
    core_restart(&core);
    TEST_EQUAL(submit(0, NULL), COVEY_ELIMIT);
    TEST_EQUAL(fill("bob", false, 0), 2);
    core_stop(&core);
}

static void submit__with_parameters__counts_their_bytes(void)
{
    struct core_link node = {0};
    start(1000, 1 << 20, &node);
    TEST_EQUAL(fill("uid:1", false, 100000), 5);
    core_restart(&core);
    TEST_EQUAL(submit(100000, NULL), COVEY_ELIMIT);
    TEST_EQUAL(fill("bob", false, 100000), 3);
    be("carol", false);
    TEST_EQUAL(submit(100000, NULL), COVEY_OK);
    core_stop(&core);
}

static void submit__too_long_without_parameters__is_refused(void)
{
    struct core_link node = {0};
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    uint8_t unknown[70000] = {0};
    ProtobufCMessageUnknownField field = {.tag = 9999,
                                          .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                          .len = sizeof unknown,
                                          .data = unknown};
    flare_message *flare;
    bool accepted;
    start(10, 1 << 30, &node);
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = 1;
    request.base.n_unknown_fields = 1;
    request.base.unknown_fields = &field;
    TEST_EQUAL(
        controller_submit(core.controller, &core.caller, &request, &flare, &accepted, &core.error),
        COVEY_EINVAL);
    TEST_TRUE(strstr(core.error.message, "without parameters the request is") != NULL);
    core_stop(&core);
}

static const struct test_case cases[] = {TEST_CASE(submit__of_one_tenant__leaves_room_for_others),
                                         TEST_CASE(submit__as_others_end__may_have_more_again),
                                         TEST_CASE(submit__with_parameters__counts_their_bytes),
                                         TEST_CASE(submit__too_long_without_parameters__is_refused),
                                         {0}};

const struct test_suite test_suites[] = {{"allowances", cases, NULL, NULL}, {0}};
