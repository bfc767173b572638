/* New flares, plans and definitions. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- flares ---- */

/* Queues a checked flare and journals it: both or neither. */
static enum covey_status accept(struct controller *controller, struct flare *flare,
                                const Covey__V1__FlareRequest *request, flare_message **shown,
                                struct covey_error *error)
{
    options_message *options =
        flare_resolve_options(flare->request, flare->definition, &controller->limits);
    if (!options)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a flare");
    struct placing placing;
    const struct placed of = {.id = flare->id,
                              .tenant = flare->tenant,
                              .options = options,
                              .workers = flare->view->workers_total,
                              .submit_ns = wall_of(controller),
                              .expected_ns = estimate_expected_ns(
                                  controller, flare->tenant, flare->request, flare->definition)};
    enum covey_status status = placing_make(controller, &of, &placing, error);
    if (!status) {
        status = sched_submit(controller->sched, &placing.request, error);
        placing_free(&placing);
    }
    if (status) {
        message_free(options);
        return status;
    }
    status = covey_map_set(&controller->flares, flare->id, flare);
    if (status)
        (void)covey_error_set(error, status, "no memory for a flare");
    else
        status = flare_accept(controller, flare, request, options, shown, error);
    message_free(options);
    if (!status) {
        flare_slim(flare);
        controller->place = true;
        return COVEY_OK;
    }
    (void)covey_map_remove(&controller->flares, flare->id);
    if (sched_cancel(controller->sched, flare->id) != COVEY_OK)
        log_error("the scheduler does not know a flare that was queued flare=%s", flare->id);
    return status;
}

/* NULL: no memory, and take_definition is gone. */
static struct flare *make_flare(struct controller *controller,
                                const struct controller_identity *caller,
                                const Covey__V1__FlareRequest *request,
                                definition_message *take_definition)
{
    char id[ULID_BYTES];
    Covey__V1__FlareRequest kept = *request;
    kept.workers = flare_worker_count(request);
    kept.n_parameters = 0;
    kept.parameters = NULL;
    kept.parameter = (ProtobufCBinaryData){0, NULL};
    kept.inline_definition = NULL; /* the flare's row has it */
    Covey__V1__FlareRequest *copy = message_copy(&kept.base);
    if (copy && ulid_make(&controller->ids, wall_of(controller), id))
        return flare_create(controller, id, caller->tenant, copy, take_definition);
    message_free(copy);
    message_free(take_definition);
    return NULL;
}

enum covey_status controller_submit(struct controller *controller,
                                    const struct controller_identity *caller,
                                    const Covey__V1__FlareRequest *request, flare_message **flare,
                                    bool *accepted, struct covey_error *error)
{
    *flare = NULL;
    *accepted = false;
    enum covey_status status = COVEY_OK;
    if (*request->idempotency_key) {
        status = views_by_key(controller, caller->tenant, request->idempotency_key, flare, error);
        *accepted = *flare != NULL;
        if (status || *flare)
            return status;
    }
    if (controller->draining)
        return covey_error_set(error, COVEY_EUNAVAILABLE,
                               "the controller is being stopped: try again");
    uint64_t bytes = covey__v1__flare_request__get_packed_size(request);
    status = allowance_check(controller, caller, bytes, error);
    if (status)
        return status;
    definition_message *definition;
    status = validate_request(controller, caller, request, &definition, error);
    if (status)
        return status;
    struct flare *made = make_flare(controller, caller, request, definition);
    if (!made || allowance_take(controller, made, bytes) != COVEY_OK) {
        flare_destroy(made);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a flare");
    }
    status = accept(controller, made, request, flare, error);
    if (status) {
        allowance_return(controller, made);
        flare_destroy(made);
    }
    return status;
}

/* It may have been placed, but no node knows of it. */
static void forget(struct controller *controller, struct flare *flare)
{
    enum covey_status status = flare->state == FLARE_QUEUED
                                   ? sched_cancel(controller->sched, flare->id)
                                   : sched_release(controller->sched, flare->id);
    if (status)
        log_error("the scheduler does not know a flare that was queued flare=%s", flare->id);
    allowance_return(controller, flare);
    (void)covey_map_remove(&controller->flares, flare->id);
    flare_destroy(flare);
    controller->place = true;
}

void submit_refuse(struct controller *controller)
{
    char id[ULID_BYTES];
    struct covey_error error;
    while (journal_next_refused(controller, id, &error)) {
        struct flare *flare = flare_find(controller, id);
        log_warn("a flare is not accepted: %s flare=%s", error.message, id);
        if (flare)
            forget(controller, flare);
        if (controller->on_accepted)
            controller->on_accepted(id, &error, controller->data);
    }
}

enum covey_status controller_cancel(struct controller *controller,
                                    const struct controller_identity *caller, const char *id,
                                    const char *reason, flare_message **flare,
                                    struct covey_error *error)
{
    bool ended;
    *flare = NULL;
    enum covey_status status = controller_find(controller, caller, id, &ended, error);
    if (status)
        return status;
    struct flare *live = flare_find(controller, id);
    if (live) {
        struct covey_error text;
        (void)covey_error_set(&text, COVEY_ECANCELLED, "cancelled by %s%s%s", caller->tenant,
                              *reason ? ": " : "", reason);
        failure_message failure = COVEY__V1__FAILURE__INIT;
        failure.status = (char *)(uintptr_t) "ECANCELLED";
        failure.message = text.message;
        failure.rank = -1;
        ending_begin(controller, live, FLARE_EVENT_CANCELLING, &failure, NULL);
    }
    return controller_get(controller, caller, id, true, flare, error);
}

/* ---- plans ---- */

static bool show_alternative(struct controller *controller,
                             const struct sched_alternative *alternative,
                             Covey__V1__PlanAlternative *shown)
{
    static const Covey__V1__Packing packings[] = {
        [SCHED_PACKING_MIXED] = COVEY__V1__PACKING__PACKING_MIXED,
        [SCHED_PACKING_HETEROGENEOUS] = COVEY__V1__PACKING__PACKING_HETEROGENEOUS,
        [SCHED_PACKING_HOMOGENEOUS] = COVEY__V1__PACKING__PACKING_HOMOGENEOUS};
    static const Covey__V1__Placement placements[] = {
        [SCHED_PLACING_PACK] = COVEY__V1__PLACEMENT__PLACEMENT_PACK,
        [SCHED_PLACING_SPREAD] = COVEY__V1__PLACEMENT__PLACEMENT_SPREAD,
        [SCHED_PLACING_STRICT_PACK] = COVEY__V1__PLACEMENT__PLACEMENT_STRICT_PACK,
        [SCHED_PLACING_STRICT_SPREAD] = COVEY__V1__PLACEMENT__PLACEMENT_STRICT_SPREAD};
    shown->packing = packings[alternative->packing];
    shown->placement = placements[alternative->placing];
    shown->granularity = alternative->granularity;
    shown->packs = alternative->packs;
    shown->cost = placing_show_cost(controller, &alternative->cost);
    return shown->cost != NULL;
}

static enum covey_status show_alternatives(struct controller *controller,
                                           const struct sched_plan *plan,
                                           Covey__V1__PlanFlareResponse *response)
{
    response->alternatives =
        covey_calloc(plan->alternative_count + 1, sizeof(Covey__V1__PlanAlternative *));
    for (uint32_t i = 0; response->alternatives && i < plan->alternative_count; i++) {
        Covey__V1__PlanAlternative *shown = message_new(&covey__v1__plan_alternative__descriptor);
        if (!shown)
            return COVEY_ENOMEM;
        response->alternatives[response->n_alternatives++] = shown;
        if (!show_alternative(controller, &plan->alternatives[i], shown))
            return COVEY_ENOMEM;
    }
    return response->alternatives ? COVEY_OK : COVEY_ENOMEM;
}

static enum covey_status show_plan(struct controller *controller, const struct sched_plan *plan,
                                   Covey__V1__PlanFlareResponse *response)
{
    char text[SCHED_TEXT_BYTES];
    response->placeable = plan->placement && plan->reason.kind == SCHED_REASON_NONE;
    response->queue_position = plan->reason.ahead;
    if (!message_set_string(&response->reason, sched_reason_text(&plan->reason, text)))
        return COVEY_ENOMEM;
    if (show_alternatives(controller, plan, response) != COVEY_OK)
        return COVEY_ENOMEM;
    if (!plan->placement)
        return COVEY_OK;
    response->cost = placing_show_cost(controller, &plan->placement->cost);
    return response->cost ? placing_show_packs(controller, plan->placement, &response->packs,
                                               &response->n_packs)
                          : COVEY_ENOMEM;
}

static enum covey_status plan(struct controller *controller, const struct sched_request *request,
                              Covey__V1__PlanFlareResponse *response,
                              struct controller_estimate **estimate, struct covey_error *error)
{
    struct sched_plan found;
    enum covey_status status =
        sched_plan(controller->sched, request, sched_now_of(controller), &found, error);
    if (status)
        return status;
    status = show_plan(controller, &found, response);
    sched_plan_clear(&found);
    if (!status && !response->placeable)
        status = estimate_begin(controller, request, NULL, estimate, error);
    return status;
}

enum covey_status controller_plan(struct controller *controller,
                                  const struct controller_identity *caller,
                                  const Covey__V1__FlareRequest *request,
                                  Covey__V1__PlanFlareResponse *response,
                                  struct controller_estimate **estimate, struct covey_error *error)
{
    *estimate = NULL;
    *response = (Covey__V1__PlanFlareResponse)COVEY__V1__PLAN_FLARE_RESPONSE__INIT;
    definition_message *definition;
    enum covey_status status = validate_request(controller, caller, request, &definition, error);
    if (status)
        return status;
    options_message *options = flare_resolve_options(request, definition, &controller->limits);
    int64_t expected_ns = estimate_expected_ns(controller, caller->tenant, request, definition);
    message_free(definition);
    if (!options)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a plan");
    struct placing placing;
    const struct placed of = {.id = "plan",
                              .tenant = caller->tenant,
                              .options = options,
                              .workers = flare_worker_count(request),
                              .submit_ns = wall_of(controller),
                              .expected_ns = expected_ns};
    struct covey_error why = {0};
    status = placing_make(controller, &of, &placing, &why);
    if (!status) {
        status = plan(controller, &placing.request, response, estimate, &why);
        placing_free(&placing);
    }
    message_free(options);
    if (status == COVEY_EUNPLACEABLE) {
        response->impossible = true;
        status = message_set_string(&response->reason, why.message) ? COVEY_OK : COVEY_ENOMEM;
    } else if (status && error) {
        *error = why;
    }
    if (status)
        controller_plan_clear(response);
    return status;
}

void controller_plan_clear(Covey__V1__PlanFlareResponse *response)
{
    for (size_t i = 0; i < response->n_packs; i++)
        message_free(response->packs[i]);
    free(response->packs);
    for (size_t i = 0; i < response->n_alternatives; i++)
        message_free(response->alternatives[i]);
    free(response->alternatives);
    message_free(response->estimated_wait);
    if (response->no_estimate != protobuf_c_empty_string)
        free(response->no_estimate);
    message_free(response->cost);
    if (response->reason != protobuf_c_empty_string)
        free(response->reason);
    *response = (Covey__V1__PlanFlareResponse)COVEY__V1__PLAN_FLARE_RESPONSE__INIT;
}

/* ---- definitions ---- */

static bool take_newest(const struct store_definition *row, void *data)
{
    *(definition_message **)data = message_unpack(&covey__v1__definition__descriptor, row->body);
    return false;
}

/* Whether what a user says is the same; maps keep the order in which they were sent. */
static bool is_same(const definition_message *a, const definition_message *b)
{
    definition_message left = *a;
    definition_message right = *b;
    left.version = right.version = 0;
    left.code_bytes = right.code_bytes = 0;
    left.created_at = right.created_at = NULL;
    struct store_bytes x = message_pack(&left.base);
    struct store_bytes y = message_pack(&right.base);
    bool same = x.data && y.data && x.length_bytes == y.length_bytes &&
                memcmp(x.data, y.data, x.length_bytes) == 0;
    free((void *)(uintptr_t)x.data);
    free((void *)(uintptr_t)y.data);
    return same;
}

static enum covey_status add_version(struct controller *controller, const char *tenant,
                                     definition_message *definition, struct covey_error *error)
{
    uint32_t last;
    enum covey_status status =
        store_definition_last(controller->store, tenant, definition->name, &last, error);
    if (status)
        return status;
    definition->version = last + 1;
    if (!message_set_time(&definition->created_at, wall_of(controller)))
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a definition");
    struct store_definition row = {.tenant = tenant,
                                   .name = definition->name,
                                   .version = definition->version,
                                   .sha256 = definition->code_sha256,
                                   .body = message_pack(&definition->base)};
    status = row.body.data ? store_definition_add(controller->store, &row, error)
                           : covey_error_set(error, COVEY_ENOMEM, "no memory for a definition");
    free((void *)(uintptr_t)row.body.data);
    if (!status)
        log_info("definition deployed name=%s version=%u tenant=%s", definition->name,
                 definition->version, tenant);
    return status;
}

enum covey_status controller_deploy(struct controller *controller,
                                    const struct controller_identity *caller,
                                    const definition_message *definition,
                                    definition_message **stored, struct covey_error *error)
{
    *stored = NULL;
    enum covey_status status = validate_definition(controller, definition, error);
    if (status)
        return status;
    definition_message *copy = message_copy(&definition->base);
    if (!copy)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a definition");
    definition_message *newest = NULL;
    status = validate_complete(controller, caller, copy, error);
    if (!status)
        status = store_definition_get(controller->store, caller->tenant, copy->name, 0, take_newest,
                                      &newest, error);
    if (!status && newest && is_same(newest, copy)) {
        message_free(copy);
        *stored = newest;
        return COVEY_OK;
    }
    message_free(newest);
    if (!status)
        status = add_version(controller, caller->tenant, copy, error);
    if (status)
        message_free(copy);
    else
        *stored = copy;
    return status;
}
