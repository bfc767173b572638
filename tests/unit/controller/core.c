#include "tests/unit/controller/core.h"

#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char code_digest[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* of "abc" */

static int64_t now(void *data)
{
    return ((struct core *)data)->now_ns;
}

static int64_t wall(void *data)
{
    return ((struct core *)data)->wall_ns;
}

static void deploy(struct core *core)
{
    struct store_upload *upload;
    uint64_t size_bytes;
    TEST_REQUIRE(store_upload_begin(core->store, 100, &upload, NULL) == COVEY_OK);
    TEST_REQUIRE(store_upload_write(upload, "abc", 3, NULL) == COVEY_OK);
    TEST_REQUIRE(store_upload_finish(upload, code_digest, core->caller.tenant, core->wall_ns,
                                     &size_bytes, NULL) == COVEY_OK);
    definition_message definition = COVEY__V1__DEFINITION__INIT;
    definition_message *stored;
    definition.name = (char *)(uintptr_t) "hello";
    definition.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT;
    definition.code_sha256 = (char *)(uintptr_t)code_digest;
    TEST_REQUIRE(controller_deploy(core->controller, &core->caller, &definition, &stored,
                                   &core->error) == COVEY_OK);
    message_free(stored);
}

void core_start(struct core *core)
{
    static unsigned number;
    memset(core, 0, sizeof *core);
    (void)snprintf(core->folder, sizeof core->folder, "%s/core%u", test_folder(), ++number);
    (void)snprintf(core->caller.tenant, sizeof core->caller.tenant, "uid:1");
    core->now_ns = 1000 * COVEY_NS_PER_S;
    core->wall_ns = 1700000000 * COVEY_NS_PER_S;
    controller_limits_init(&core->options.limits);
    core->options.clock = (struct controller_clock){now, wall, core};
    TEST_REQUIRE(store_open(core->folder, &core->store, &core->error) == COVEY_OK);
    TEST_REQUIRE(controller_create(core->store, &core->options, &core->controller, &core->error) ==
                 COVEY_OK);
    deploy(core);
}

void core_restart(struct core *core)
{
    controller_destroy(core->controller);
    store_close(core->store);
    TEST_REQUIRE(store_open(core->folder, &core->store, &core->error) == COVEY_OK);
    enum covey_status status =
        controller_create(core->store, &core->options, &core->controller, &core->error);
    if (status)
        fprintf(stderr, "%s\n", core->error.message);
    TEST_REQUIRE(status == COVEY_OK);
}

void core_stop(struct core *core)
{
    controller_destroy(core->controller);
    store_close(core->store);
}

void core_pass(struct core *core, int64_t duration_ns)
{
    core->now_ns += duration_ns;
    core->wall_ns += duration_ns;
    controller_turn(core->controller);
}

static enum covey_status on_send(struct controller_link *base, const Covey__V1__AttachResponse *out)
{
    struct core_link *link = (struct core_link *)base;
    if (link->fail_send)
        return link->fail_send;
    switch (out->body_case) {
    case COVEY__V1__ATTACH_RESPONSE__BODY_REGISTERED:
        link->epoch = out->registered->epoch;
        link->unknown = out->registered->n_unknown_flare_ids;
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_ACKNOWLEDGE:
        link->acknowledged = out->acknowledge->sequence;
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE:
        link->prepares++;
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_START:
        link->starts++;
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_STOP:
        link->stops++;
        (void)message_duration_ns(out->stop->grace, 0, &link->stop_grace_ns);
        (void)snprintf(link->last_reason, sizeof link->last_reason, "%s", out->stop->reason);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_LOG_TAKEN:
        link->log_taken = out->log_taken->offset;
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_REFUSED:
        link->refused++;
        link->refused_sequence = out->refused->sequence;
        (void)snprintf(link->last_reason, sizeof link->last_reason, "%s", out->refused->reason);
        break;
    default:
        link->peers += (unsigned)out->peers_ended->n_peers;
        break;
    }
    return COVEY_OK;
}

static void on_close(struct controller_link *base, enum covey_status status, const char *message)
{
    struct core_link *link = (struct core_link *)base;
    (void)status;
    (void)message;
    link->closed = true;
    link->node = NULL;
}

enum covey_status core_attach(struct core *core, struct core_link *link, const char *name,
                              uint32_t slots, char **running, size_t running_count)
{
    Covey__V1__Capacity capacity = COVEY__V1__CAPACITY__INIT;
    capacity.slots = slots;
    return core_attach_as(core, link, name, &capacity, running, running_count);
}

enum covey_status core_attach_as(struct core *core, struct core_link *link, const char *name,
                                 Covey__V1__Capacity *capacity, char **running,
                                 size_t running_count)
{
    Covey__V1__Register registration = COVEY__V1__REGISTER__INIT;
    Covey__V1__RunningFlare flares[8];
    Covey__V1__RunningFlare *list[8];
    char identity[64];
    (void)snprintf(identity, sizeof identity, "machine of %s", name);
    uint64_t sequence = link->sequence;
    registration.last_report = link->repeats ? sequence + link->repeats : 0;
    *link = (struct core_link){.link = {on_send, on_close}, .sequence = sequence};
    registration.name = (char *)(uintptr_t)name;
    registration.identity = identity;
    registration.version = (char *)(uintptr_t)COVEY_VERSION;
    registration.capacity = capacity;
    for (size_t i = 0; i < running_count; i++) {
        flares[i] = (Covey__V1__RunningFlare)COVEY__V1__RUNNING_FLARE__INIT;
        flares[i].flare_id = running[i];
        flares[i].started = true;
        list[i] = &flares[i];
    }
    registration.n_flares = running_count;
    registration.flares = list;
    enum covey_status status =
        controller_attach(core->controller, &link->link, &registration, &link->node, &core->error);
    controller_write(core->controller);
    return status;
}

enum covey_status core_say(struct core *core, struct core_link *link,
                           Covey__V1__AttachRequest *message, bool report)
{
    message->epoch = link->epoch;
    message->sequence = report ? ++link->sequence : 0;
    enum covey_status status =
        controller_receive(core->controller, link->node, message, &core->error);
    controller_write(core->controller);
    return status;
}

enum covey_status core_submit(struct core *core, uint32_t workers, int64_t limit_ns,
                              char id[ULID_BYTES])
{
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    Google__Protobuf__Duration limit = message_duration(limit_ns);
    options.time_limit = limit_ns ? &limit : NULL;
    return core_submit_as(core, workers, &options, id);
}

enum covey_status core_submit_as(struct core *core, uint32_t workers,
                                 Covey__V1__FlareOptions *options, char id[ULID_BYTES])
{
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    flare_message *flare;
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = workers;
    request.options = options;
    bool accepted;
    enum covey_status status = controller_submit(core->controller, &core->caller, &request, &flare,
                                                 &accepted, &core->error);
    id[0] = '\0';
    if (!status)
        (void)snprintf(id, ULID_BYTES, "%s", flare->id);
    message_free(flare);
    return status;
}

flare_message *core_flare(struct core *core, const char *id)
{
    flare_message *flare;
    TEST_REQUIRE(controller_get(core->controller, &core->caller, id, true, &flare, &core->error) ==
                 COVEY_OK);
    return flare;
}

int core_state(struct core *core, const char *id)
{
    flare_message *flare = core_flare(core, id);
    int state = (int)flare->state;
    message_free(flare);
    return state;
}

uint32_t core_slots_used(struct core *core, const char *node)
{
    Covey__V1__NodeInfo *info = controller_node_info(core->controller, node);
    TEST_REQUIRE(info != NULL);
    uint32_t used = info->slots_used;
    message_free(info);
    return used;
}

enum covey_status core_prepared(struct core *core, struct core_link *link, const char *id,
                                uint32_t first_rank, uint32_t workers)
{
    TEST_REQUIRE(workers <= 1024);
    static Covey__V1__Worker rows[1024];
    static Covey__V1__Worker *list[1024];
    Covey__V1__Prepared prepared = COVEY__V1__PREPARED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    for (uint32_t i = 0; i < workers; i++) {
        rows[i] = (Covey__V1__Worker)COVEY__V1__WORKER__INIT;
        rows[i].rank = first_rank + i;
        rows[i].pid = 100 + i;
        list[i] = &rows[i];
    }
    prepared.flare_id = (char *)(uintptr_t)id;
    prepared.host_address = (char *)(uintptr_t) "127.0.0.1:1";
    prepared.n_workers = workers;
    prepared.workers = list;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_PREPARED;
    message.prepared = &prepared;
    return core_say(core, link, &message, false);
}

enum covey_status core_worker_ended(struct core *core, struct core_link *link, const char *id,
                                    uint32_t rank, uint32_t signal)
{
    Covey__V1__Worker worker = COVEY__V1__WORKER__INIT;
    Covey__V1__WorkerEnded ended = COVEY__V1__WORKER_ENDED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    worker.rank = rank;
    worker.signal = signal;
    worker.state = signal ? COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED
                          : COVEY__V1__WORKER_STATE__WORKER_STATE_DONE;
    ended.flare_id = (char *)(uintptr_t)id;
    ended.worker = &worker;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED;
    message.worker_ended = &ended;
    return core_say(core, link, &message, true);
}

enum covey_status core_gone(struct core *core, struct core_link *link, const char *id)
{
    Covey__V1__FlareGone gone = COVEY__V1__FLARE_GONE__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    gone.flare_id = (char *)(uintptr_t)id;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE;
    message.flare_gone = &gone;
    return core_say(core, link, &message, true);
}

static enum covey_status finish_estimate(struct core *core, struct controller_estimate *estimate,
                                         Google__Protobuf__Duration **wait, char **none)
{
    bool done = false;
    if (!estimate)
        return COVEY_OK;
    while (!done)
        TEST_REQUIRE(controller_estimate_step(estimate, &done, &core->error) == COVEY_OK);
    enum covey_status status = controller_estimate_take(estimate, wait, none);
    controller_estimate_end(estimate);
    return status;
}

enum covey_status core_explain(struct core *core, const struct controller_identity *caller,
                               const char *id, Covey__V1__ExplainFlareResponse **why)
{
    struct controller_estimate *estimate;
    enum covey_status status =
        controller_explain(core->controller, caller, id, why, &estimate, &core->error);
    return status ? status
                  : finish_estimate(core, estimate, &(*why)->estimated_wait, &(*why)->no_estimate);
}

enum covey_status core_plan(struct core *core, const Covey__V1__FlareRequest *request,
                            Covey__V1__PlanFlareResponse *plan)
{
    struct controller_estimate *estimate;
    enum covey_status status =
        controller_plan(core->controller, &core->caller, request, plan, &estimate, &core->error);
    return status ? status
                  : finish_estimate(core, estimate, &plan->estimated_wait, &plan->no_estimate);
}
