/* From the wire's messages to the public structs. */
#include "base/clock.h"
#include "client/json.h"
#include "client/result.h"
#include "covey/v1/blobs.pb-c.h"
#include "covey/v1/covey.pb-c.h"

/* The public enums are the wire's, number by number. */
_Static_assert((int)COVEY_FLARE_TIMED_OUT == (int)COVEY__V1__FLARE_STATE__FLARE_STATE_TIMED_OUT &&
                   (int)COVEY_WORKER_STATE_STOPPED ==
                       (int)COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED &&
                   (int)COVEY_NODE_DOWN == (int)COVEY__V1__NODE_STATE__NODE_STATE_DOWN &&
                   (int)COVEY_CODE_EXECUTABLE == (int)COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE &&
                   (int)COVEY_WORKER_THREAD == (int)COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD &&
                   (int)COVEY_REASON_ENDED == (int)COVEY__V1__REASON_KIND__REASON_KIND_ENDED &&
                   (int)COVEY_PACKING_MIXED == (int)COVEY__V1__PACKING__PACKING_MIXED &&
                   (int)COVEY_PLACEMENT_STRICT_SPREAD ==
                       (int)COVEY__V1__PLACEMENT__PLACEMENT_STRICT_SPREAD,
               "covey/client_types.h and types.proto disagree");

static const char *json_of(struct client_arena *arena, const ProtobufCMessage *message, bool wanted)
{
    struct covey_buffer text = {0};
    if (!wanted)
        return NULL;
    const char *json = NULL;
    if (client_json_message(&text, message) || covey_buffer_append(&text, "", 1))
        arena->failed = true;
    else
        json = client_arena_bytes(arena, text.data, text.length_bytes);
    covey_buffer_free(&text);
    return json;
}

/* Times that do not fit 64 bits of nanoseconds are the end of them. */
static int64_t nanoseconds(int64_t seconds, int32_t nanos)
{
    int64_t whole;
    if (__builtin_mul_overflow(seconds, COVEY_NS_PER_S, &whole) ||
        __builtin_add_overflow(whole, (int64_t)nanos, &whole))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return whole;
}

static int64_t time_of(const Google__Protobuf__Timestamp *at)
{
    return at ? nanoseconds(at->seconds, at->nanos) : 0;
}

static int64_t duration_of(const Google__Protobuf__Duration *duration)
{
    return duration ? nanoseconds(duration->seconds, duration->nanos) : 0;
}

static struct covey_bytes bytes_of(struct client_arena *arena, const ProtobufCBinaryData *bytes)
{
    return (struct covey_bytes){client_arena_bytes(arena, bytes->data, bytes->len), bytes->len};
}

static const char *const *texts_of(struct client_arena *arena, char **texts, size_t count)
{
    const char **copies = client_arena_alloc(arena, count, sizeof *copies);
    for (size_t i = 0; copies && i < count; i++)
        copies[i] = client_arena_text(arena, texts[i]);
    return copies;
}

typedef const char *copy_text(struct client_arena *arena, const char *text);

/* Entries of any map from string to string: protobuf-c gives each map a type of its own. */
static const struct covey_pair *pairs_of(struct client_arena *arena, void *entries, size_t count,
                                         copy_text *copy)
{
    Covey__V1__FlareOptions__LabelsEntry **entry = entries;
    struct covey_pair *pairs = client_arena_alloc(arena, count, sizeof *pairs);
    for (size_t i = 0; pairs && i < count; i++) {
        pairs[i].key = copy(arena, entry[i]->key);
        pairs[i].value = copy(arena, entry[i]->value);
    }
    return pairs;
}

_Static_assert(sizeof(Covey__V1__FlareOptions__LabelsEntry) ==
                       sizeof(Covey__V1__Definition__EnvironmentEntry) &&
                   offsetof(Covey__V1__FlareOptions__LabelsEntry, value) ==
                       offsetof(Covey__V1__Definition__EnvironmentEntry, value),
               "pairs_of takes both kinds of entries");

/* Entries of any map from string to uint64. */
static const struct covey_amount *amounts_of(struct client_arena *arena, void *entries,
                                             size_t count)
{
    Covey__V1__Resources__NamedEntry **entry = entries;
    struct covey_amount *amounts = client_arena_alloc(arena, count, sizeof *amounts);
    for (size_t i = 0; amounts && i < count; i++)
        amounts[i] =
            (struct covey_amount){client_arena_line(arena, entry[i]->key), entry[i]->value};
    return amounts;
}

_Static_assert(
    sizeof(Covey__V1__FlareOptions__LabelsEntry) == sizeof(Covey__V1__Capacity__LabelsEntry) &&
        sizeof(Covey__V1__FlareOptions__LabelsEntry) == sizeof(Covey__V1__Capacity__TaintsEntry) &&
        sizeof(Covey__V1__Resources__NamedEntry) == sizeof(Covey__V1__Capacity__ResourcesEntry) &&
        sizeof(Covey__V1__Resources__NamedEntry) == sizeof(Covey__V1__NodeInfo__ResourcesUsedEntry),
    "pairs_of and amounts_of take all kinds of entries");

static void fill_cost(struct client_arena *arena, struct covey_cost *to,
                      const Covey__V1__PlacementCost *from)
{
    if (!from)
        return;
    struct covey_level_cost *levels = client_arena_alloc(arena, from->n_levels, sizeof *levels);
    for (size_t i = 0; levels && i < from->n_levels; i++)
        levels[i] = (struct covey_level_cost){client_arena_line(arena, from->levels[i]->level),
                                              from->levels[i]->crossing_pairs};
    *to = (struct covey_cost){levels, from->n_levels, from->nodes};
}

static void fill_options(struct client_arena *arena, struct covey_flare_options *to,
                         const Covey__V1__FlareOptions *from)
{
    if (!from)
        return;
    to->packing = (enum covey_packing)from->packing;
    to->granularity = from->granularity;
    to->placement = (enum covey_placement)from->placement;
    if (from->worker_resources) {
        to->slots = from->worker_resources->slots;
        to->milli_cpus = from->worker_resources->milli_cpus;
        to->memory_bytes = from->worker_resources->memory_bytes;
        to->gpus = from->worker_resources->gpus;
        to->resources =
            amounts_of(arena, from->worker_resources->named, from->worker_resources->n_named);
        to->resource_count = from->worker_resources->n_named;
    }
    to->selector = texts_of(arena, from->selector, from->n_selector);
    to->selector_count = from->n_selector;
    to->tolerations = texts_of(arena, from->tolerations, from->n_tolerations);
    to->toleration_count = from->n_tolerations;
    to->preemptible = from->preemptible;
    to->wait_for_nodes = from->wait_for_nodes;
    to->max_packs = from->max_packs;
    to->max_nodes = from->max_nodes;
    to->working_folder = client_arena_line(arena, from->working_folder);
    to->working_folder_must_exist = from->working_folder_must_exist;
    to->core_dumps = from->core_dumps;
    to->time_limit_ns = duration_of(from->time_limit);
    to->priority = from->priority;
    to->labels = pairs_of(arena, from->labels, from->n_labels, client_arena_line);
    to->label_count = from->n_labels;
    to->communication_timeout_ns = duration_of(from->communication_timeout);
    to->failure_grace_ns = duration_of(from->failure_grace);
    to->max_restarts = from->max_restarts;
}

static void fill_definition(struct client_arena *arena, struct covey_definition *to,
                            const Covey__V1__Definition *from, bool json)
{
    if (!from) {
        arena->failed = true;
        return;
    }
    to->name = client_arena_line(arena, from->name);
    to->version = from->version;
    to->code_kind = (enum covey_code_kind)from->code_kind;
    to->worker_kind = (enum covey_worker_kind)from->worker_kind;
    to->code_sha256 = client_arena_line(arena, from->code_sha256);
    to->code_bytes = from->code_bytes;
    to->arguments = texts_of(arena, from->arguments, from->n_arguments);
    to->argument_count = from->n_arguments;
    to->environment = pairs_of(arena, from->environment, from->n_environment, client_arena_text);
    to->environment_count = from->n_environment;
    fill_options(arena, &to->defaults, from->defaults);
    to->created_at_ns = time_of(from->created_at);
    to->json = json_of(arena, &from->base, json);
}

static const struct covey_pack *packs_of(struct client_arena *arena, Covey__V1__Pack **from,
                                         size_t count)
{
    struct covey_pack *packs = client_arena_alloc(arena, count, sizeof *packs);
    for (size_t i = 0; packs && i < count; i++)
        packs[i] = (struct covey_pack){
            from[i]->id,
            client_arena_line(arena, from[i]->node),
            from[i]->first_rank,
            from[i]->workers,
            client_arena_bytes(arena, from[i]->cpus, from[i]->n_cpus * sizeof(uint32_t)),
            from[i]->n_cpus};
    return packs;
}

static const struct covey_worker *workers_of(struct client_arena *arena, Covey__V1__Worker **from,
                                             size_t count)
{
    struct covey_worker *workers = client_arena_alloc(arena, count, sizeof *workers);
    for (size_t i = 0; workers && i < count; i++)
        workers[i] = (struct covey_worker){
            .rank = from[i]->rank,
            .pack = from[i]->pack,
            .node = client_arena_line(arena, from[i]->node),
            .pid = from[i]->pid,
            .state = (enum covey_worker_state)from[i]->state,
            .exit_status = from[i]->exit_status,
            .signal = from[i]->signal,
            .started_at_ns = time_of(from[i]->started_at),
            .ended_at_ns = time_of(from[i]->ended_at),
            .result_bytes = from[i]->result_bytes,
            .cpu_time_ns = from[i]->cpu_time ? duration_of(from[i]->cpu_time) : -1,
            .memory_bytes = from[i]->memory_bytes,
        };
    return workers;
}

static void fill_timeline(struct client_arena *arena, struct covey_timeline *to,
                          const Covey__V1__Timeline *from)
{
    to->transport = client_arena_line(arena, from ? from->transport : NULL);
    if (!from)
        return;
    to->accepted_at_ns = time_of(from->accepted_at);
    to->placed_at_ns = time_of(from->placed_at);
    to->ready_at_ns = time_of(from->ready_at);
    to->started_at_ns = time_of(from->started_at);
    to->first_worker_at_ns = time_of(from->first_worker_at);
    to->last_worker_at_ns = time_of(from->last_worker_at);
    to->outcome_at_ns = time_of(from->outcome_at);
    to->ended_at_ns = time_of(from->ended_at);
}

static const struct covey_failure *failure_of(struct client_arena *arena,
                                              const Covey__V1__Failure *from)
{
    struct covey_failure *failure = from ? client_arena_alloc(arena, 1, sizeof *failure) : NULL;
    if (failure)
        *failure = (struct covey_failure){
            .status = client_arena_line(arena, from->status),
            .message = client_arena_line(arena, from->message),
            .rank = from->rank,
            .node = client_arena_line(arena, from->node),
            .signal = from->signal,
            .exit_status = from->exit_status,
            .out_of_memory = from->out_of_memory,
        };
    return failure;
}

static void fill_flare(struct client_arena *arena, struct covey_flare *to,
                       const Covey__V1__Flare *from, bool json)
{
    if (!from) {
        arena->failed = true;
        return;
    }
    to->id = client_arena_line(arena, from->id);
    to->definition = client_arena_line(arena, from->definition);
    to->definition_version = from->definition_version;
    to->workers_total = from->workers_total;
    to->state = (enum covey_flare_state)from->state;
    fill_options(arena, &to->options, from->options);
    to->packs = packs_of(arena, from->packs, from->n_packs);
    to->pack_count = from->n_packs;
    to->workers = workers_of(arena, from->workers, from->n_workers);
    to->worker_count = from->n_workers;
    fill_timeline(arena, &to->timeline, from->timeline);
    to->error = failure_of(arena, from->error);
    to->tenant = client_arena_line(arena, from->tenant);
    to->queue_position = from->queue_position;
    to->pending_reason = client_arena_line(arena, from->pending_reason);
    fill_cost(arena, &to->cost, from->cost);
    to->attempt = from->attempt;
    to->restarts = from->restarts;
    to->json = json_of(arena, &from->base, json);
}

static void fill_node(struct client_arena *arena, struct covey_node *to,
                      const Covey__V1__NodeInfo *from, bool json)
{
    if (!from) {
        arena->failed = true;
        return;
    }
    to->name = client_arena_line(arena, from->name);
    to->state = (enum covey_node_state)from->state;
    if (from->capacity) {
        to->slots = from->capacity->slots;
        to->memory_bytes = from->capacity->memory_bytes;
        to->cores = from->capacity->cores;
        to->processing_units = from->capacity->processing_units;
        to->numa_nodes = from->capacity->numa_nodes;
        to->gpus = from->capacity->gpus;
        to->labels =
            pairs_of(arena, from->capacity->labels, from->capacity->n_labels, client_arena_line);
        to->label_count = from->capacity->n_labels;
        to->taints =
            pairs_of(arena, from->capacity->taints, from->capacity->n_taints, client_arena_line);
        to->taint_count = from->capacity->n_taints;
        to->resources = amounts_of(arena, from->capacity->resources, from->capacity->n_resources);
        to->resource_count = from->capacity->n_resources;
    }
    if (from->n_resources_used == to->resource_count)
        to->resources_used = amounts_of(arena, from->resources_used, from->n_resources_used);
    else
        to->resource_count = 0;
    to->gpus_used = from->gpus_used;
    to->milli_cpus_used = from->milli_cpus_used;
    to->less = client_arena_line(arena, from->capacity ? from->capacity->less : "");
    to->machine = client_arena_line(arena, from->capacity ? from->capacity->machine : "");
    to->machine_nodes = from->machine_nodes;
    to->machine_memory_bytes = from->machine_memory_bytes;
    to->machine_memory_used_bytes = from->machine_memory_used_bytes;
    to->machine_milli_cpus = from->machine_milli_cpus;
    to->machine_milli_cpus_used = from->machine_milli_cpus_used;
    to->slots_used = from->slots_used;
    to->memory_used_bytes = from->memory_used_bytes;
    to->epoch = from->epoch;
    to->data_address = client_arena_line(arena, from->data_address);
    to->last_seen_at_ns = time_of(from->last_seen_at);
    to->drain_reason = client_arena_line(arena, from->drain_reason);
    to->drain_until_ns = time_of(from->drain_until);
    to->version = client_arena_line(arena, from->version);
    to->flare_ids = texts_of(arena, from->flare_ids, from->n_flare_ids);
    to->flare_count = from->n_flare_ids;
    to->json = json_of(arena, &from->base, json);
}

void client_convert_definition(struct client_result *result, const ProtobufCMessage *message,
                               bool json)
{
    fill_definition(&result->arena, &result->as.definition, (const Covey__V1__Definition *)message,
                    json);
}

void client_convert_deployed(struct client_result *result, const ProtobufCMessage *message,
                             bool json)
{
    fill_definition(&result->arena, &result->as.definition,
                    ((const Covey__V1__DeployResponse *)message)->definition, json);
}

void client_convert_definition_get(struct client_result *result, const ProtobufCMessage *message,
                                   bool json)
{
    fill_definition(&result->arena, &result->as.definition,
                    ((const Covey__V1__GetDefinitionResponse *)message)->definition, json);
}

void client_convert_definition_list(struct client_result *result, const ProtobufCMessage *message,
                                    bool json)
{
    const Covey__V1__ListDefinitionsResponse *from =
        (const Covey__V1__ListDefinitionsResponse *)message;
    struct covey_definition *list =
        client_arena_alloc(&result->arena, from->n_definitions, sizeof *list);
    for (size_t i = 0; list && i < from->n_definitions; i++)
        fill_definition(&result->arena, &list[i], from->definitions[i], json);
    result->as.definitions = (struct covey_definition_list){list, from->n_definitions};
}

void client_convert_flare(struct client_result *result, const ProtobufCMessage *message, bool json)
{
    fill_flare(&result->arena, &result->as.flare, (const Covey__V1__Flare *)message, json);
}

void client_convert_flared(struct client_result *result, const ProtobufCMessage *message, bool json)
{
    fill_flare(&result->arena, &result->as.flare,
               ((const Covey__V1__FlareResponse *)message)->flare, json);
}

void client_convert_flare_get(struct client_result *result, const ProtobufCMessage *message,
                              bool json)
{
    fill_flare(&result->arena, &result->as.flare,
               ((const Covey__V1__GetFlareResponse *)message)->flare, json);
}

void client_convert_cancelled(struct client_result *result, const ProtobufCMessage *message,
                              bool json)
{
    fill_flare(&result->arena, &result->as.flare,
               ((const Covey__V1__CancelFlareResponse *)message)->flare, json);
}

void client_convert_flare_list(struct client_result *result, const ProtobufCMessage *message,
                               bool json)
{
    const Covey__V1__ListFlaresResponse *from = (const Covey__V1__ListFlaresResponse *)message;
    struct covey_flare *list = client_arena_alloc(&result->arena, from->n_flares, sizeof *list);
    for (size_t i = 0; list && i < from->n_flares; i++)
        fill_flare(&result->arena, &list[i], from->flares[i], json);
    result->as.flares = (struct covey_flare_list){
        list, from->n_flares, client_arena_line(&result->arena, from->next_page_token)};
}

void client_convert_plan(struct client_result *result, const ProtobufCMessage *message, bool json)
{
    const Covey__V1__PlanFlareResponse *from = (const Covey__V1__PlanFlareResponse *)message;
    result->as.plan = (struct covey_plan){
        .placeable = from->placeable,
        .packs = packs_of(&result->arena, from->packs, from->n_packs),
        .pack_count = from->n_packs,
        .reason = client_arena_line(&result->arena, from->reason),
        .impossible = from->impossible,
        .queue_position = from->queue_position,
        .json = json_of(&result->arena, message, json),
    };
    struct covey_alternative *others =
        client_arena_alloc(&result->arena, from->n_alternatives, sizeof *others);
    for (size_t i = 0; others && i < from->n_alternatives; i++) {
        others[i].packing = (enum covey_packing)from->alternatives[i]->packing;
        others[i].granularity = from->alternatives[i]->granularity;
        others[i].placement = (enum covey_placement)from->alternatives[i]->placement;
        others[i].packs = from->alternatives[i]->packs;
        fill_cost(&result->arena, &others[i].cost, from->alternatives[i]->cost);
    }
    result->as.plan.alternatives = others;
    result->as.plan.alternative_count = from->n_alternatives;
    result->as.plan.estimated_wait_ns =
        from->estimated_wait ? duration_of(from->estimated_wait) : -1;
    result->as.plan.no_estimate = client_arena_line(&result->arena, from->no_estimate);
    fill_cost(&result->arena, &result->as.plan.cost, from->cost);
}

static const struct covey_reason *reasons_of(struct client_arena *arena, Covey__V1__Reason **from,
                                             size_t count)
{
    struct covey_reason *reasons = client_arena_alloc(arena, count, sizeof *reasons);
    for (size_t i = 0; reasons && i < count; i++)
        reasons[i] = (struct covey_reason){
            .kind = (enum covey_reason_kind)from[i]->kind,
            .message = client_arena_line(arena, from[i]->message),
            .never = from[i]->never,
            .absent = from[i]->absent,
            .dimension = client_arena_line(arena, from[i]->dimension),
            .asked = from[i]->asked,
            .available = from[i]->available,
            .nodes = from[i]->nodes,
            .flare_id = client_arena_line(arena, from[i]->flare_id),
        };
    return reasons;
}

void client_convert_explanation(struct client_result *result, const ProtobufCMessage *message,
                                bool json)
{
    const Covey__V1__ExplainFlareResponse *from = (const Covey__V1__ExplainFlareResponse *)message;
    struct covey_explanation *to = &result->as.explanation;
    fill_flare(&result->arena, &to->flare, from->flare, false);
    to->reasons = reasons_of(&result->arena, from->reasons, from->n_reasons);
    to->reason_count = from->n_reasons;
    if (from->nodes) {
        to->nodes_up = from->nodes->up;
        to->nodes_draining = from->nodes->draining;
        to->nodes_down = from->nodes->down;
        to->nodes_unmatched = from->nodes->unmatched;
        to->nodes_too_small = from->nodes->too_small;
    }
    to->ahead = from->ahead;
    to->unit = from->unit;
    to->fitting = from->fitting;
    to->promised_wait_ns = from->promised_wait ? duration_of(from->promised_wait) : -1;
    to->estimated_wait_ns = from->estimated_wait ? duration_of(from->estimated_wait) : -1;
    to->no_estimate = client_arena_line(&result->arena, from->no_estimate);
    to->json = json_of(&result->arena, message, json);
}

void client_convert_drained(struct client_result *result, const ProtobufCMessage *message,
                            bool json)
{
    fill_node(&result->arena, &result->as.node,
              ((const Covey__V1__DrainNodeResponse *)message)->node, json);
}

void client_convert_node_list(struct client_result *result, const ProtobufCMessage *message,
                              bool json)
{
    const Covey__V1__ListNodesResponse *from = (const Covey__V1__ListNodesResponse *)message;
    struct covey_node *list = client_arena_alloc(&result->arena, from->n_nodes, sizeof *list);
    for (size_t i = 0; list && i < from->n_nodes; i++)
        fill_node(&result->arena, &list[i], from->nodes[i], json);
    result->as.nodes = (struct covey_node_list){list, from->n_nodes};
}

void client_convert_blob_list(struct client_result *result, const ProtobufCMessage *message,
                              bool json)
{
    const Covey__V1__StatResponse *from = (const Covey__V1__StatResponse *)message;
    struct covey_blob *list = client_arena_alloc(&result->arena, from->n_blobs, sizeof *list);
    for (size_t i = 0; list && i < from->n_blobs; i++)
        list[i] = (struct covey_blob){client_arena_line(&result->arena, from->blobs[i]->sha256),
                                      from->blobs[i]->size_bytes,
                                      json_of(&result->arena, &from->blobs[i]->base, json)};
    result->as.blobs = (struct covey_blob_list){list, from->n_blobs};
}

void client_convert_server_info(struct client_result *result, const ProtobufCMessage *message,
                                bool json)
{
    const Covey__V1__GetServerInfoResponse *from =
        (const Covey__V1__GetServerInfoResponse *)message;
    result->as.server_info = (struct covey_server_info){
        .version = client_arena_line(&result->arena, from->version),
        .max_message_bytes = from->max_message_bytes,
        .max_workers = from->max_workers,
        .max_parameter_bytes = from->max_parameter_bytes,
        .max_result_bytes = from->max_result_bytes,
        .max_blob_bytes = from->max_blob_bytes,
        .json = json_of(&result->arena, message, json),
    };
}

void client_convert_event(struct client_result *result, const ProtobufCMessage *message, bool json)
{
    const Covey__V1__Event *from = (const Covey__V1__Event *)message;
    result->as.event = (struct covey_event){
        .sequence = from->sequence,
        .at_ns = time_of(from->at),
        .state = (enum covey_flare_state)from->state,
        .type = client_arena_line(&result->arena, from->type),
        .message = client_arena_line(&result->arena, from->message),
        .workers_started = from->workers_started,
        .workers_ended = from->workers_ended,
        .json = json_of(&result->arena, message, json),
    };
}

void client_convert_log_line(struct client_result *result, const ProtobufCMessage *message,
                             bool json)
{
    const Covey__V1__LogLine *from = (const Covey__V1__LogLine *)message;
    result->as.line = (struct covey_log_line){
        .rank = from->rank,
        .stream = from->stream,
        .at_ns = time_of(from->at),
        .text = bytes_of(&result->arena, &from->text),
        .partial = from->partial,
        .json = json_of(&result->arena, message, json),
    };
}

void client_convert_result_piece(struct client_result *result, const ProtobufCMessage *message,
                                 bool json)
{
    const Covey__V1__StreamResultsResponse *from =
        (const Covey__V1__StreamResultsResponse *)message;
    result->as.piece = (struct covey_result_piece){
        .rank = from->rank,
        .offset = from->offset,
        .data = bytes_of(&result->arena, &from->data),
        .last = from->last,
        .json = json_of(&result->arena, message, json),
    };
}
