#include "client/request.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <limits.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* protobuf-c does not know const; packing writes nothing. */
static char *text_of(const char *text)
{
    return (char *)(text ? text : protobuf_c_empty_string);
}

static ProtobufCBinaryData bytes_of(struct covey_bytes bytes)
{
    return (ProtobufCBinaryData){bytes.length_bytes, (uint8_t *)bytes.data};
}

Google__Protobuf__Duration *client_request_duration(struct client_arena *arena, int64_t duration_ns)
{
    if (duration_ns == 0)
        return NULL;
    Google__Protobuf__Duration *duration = client_arena_alloc(arena, 1, sizeof *duration);
    if (duration) {
        google__protobuf__duration__init(duration);
        duration->seconds = duration_ns / COVEY_NS_PER_S;
        duration->nanos = (int32_t)(duration_ns % COVEY_NS_PER_S);
    }
    return duration;
}

/* Entries of a map: protobuf-c gives each map a type of its own, alike in all but the descriptor.
 */
static void *entries_of(struct client_arena *arena, const struct covey_pair *pairs, size_t count,
                        const ProtobufCMessageDescriptor *descriptor)
{
    Covey__V1__FlareOptions__LabelsEntry **entries =
        client_arena_alloc(arena, count, sizeof(void *));
    for (size_t i = 0; entries && i < count; i++) {
        entries[i] = client_arena_alloc(arena, 1, sizeof **entries);
        if (!entries[i])
            return NULL;
        protobuf_c_message_init(descriptor, entries[i]);
        entries[i]->key = text_of(pairs[i].key);
        entries[i]->value = text_of(pairs[i].value);
    }
    return entries;
}

_Static_assert(sizeof(Covey__V1__FlareOptions__LabelsEntry) ==
                       sizeof(Covey__V1__Definition__EnvironmentEntry) &&
                   sizeof(Covey__V1__FlareOptions__LabelsEntry) ==
                       sizeof(Covey__V1__ListFlaresRequest__LabelsEntry),
               "entries_of makes all kinds of entries");

static char **texts_of(struct client_arena *arena, const char *const *texts, size_t count)
{
    char **list = client_arena_alloc(arena, count, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        list[i] = text_of(texts[i]);
    return list;
}

static Covey__V1__Resources__NamedEntry **
amounts_of(struct client_arena *arena, const struct covey_amount *amounts, size_t count)
{
    Covey__V1__Resources__NamedEntry **entries = client_arena_alloc(arena, count, sizeof(void *));
    for (size_t i = 0; entries && i < count; i++) {
        entries[i] = client_arena_alloc(arena, 1, sizeof **entries);
        if (!entries[i])
            return NULL;
        covey__v1__resources__named_entry__init(entries[i]);
        entries[i]->key = text_of(amounts[i].name);
        entries[i]->value = amounts[i].amount;
    }
    return entries;
}

static Covey__V1__FlareOptions *options_of(struct client_arena *arena,
                                           const struct covey_flare_options *from)
{
    Covey__V1__FlareOptions *options = client_arena_alloc(arena, 1, sizeof *options);
    if (!options)
        return NULL;
    covey__v1__flare_options__init(options);
    options->packing = (Covey__V1__Packing)from->packing;
    options->granularity = from->granularity;
    options->placement = (Covey__V1__Placement)from->placement;
    if (from->slots || from->memory_bytes || from->milli_cpus || from->gpus ||
        from->resource_count) {
        Covey__V1__Resources *resources = client_arena_alloc(arena, 1, sizeof *resources);
        if (!resources)
            return NULL;
        covey__v1__resources__init(resources);
        resources->slots = from->slots;
        resources->memory_bytes = from->memory_bytes;
        resources->milli_cpus = from->milli_cpus;
        resources->gpus = from->gpus;
        resources->named = amounts_of(arena, from->resources, from->resource_count);
        resources->n_named = from->resource_count;
        options->worker_resources = resources;
    }
    options->time_limit = client_request_duration(arena, from->time_limit_ns);
    options->priority = from->priority;
    options->labels = entries_of(arena, from->labels, from->label_count,
                                 &covey__v1__flare_options__labels_entry__descriptor);
    options->n_labels = from->label_count;
    options->communication_timeout = client_request_duration(arena, from->communication_timeout_ns);
    options->failure_grace = client_request_duration(arena, from->failure_grace_ns);
    options->max_restarts = from->max_restarts;
    options->selector = texts_of(arena, from->selector, from->selector_count);
    options->n_selector = from->selector_count;
    options->tolerations = texts_of(arena, from->tolerations, from->toleration_count);
    options->n_tolerations = from->toleration_count;
    options->preemptible = from->preemptible;
    options->wait_for_nodes = from->wait_for_nodes;
    options->max_packs = from->max_packs;
    options->max_nodes = from->max_nodes;
    options->working_folder = text_of(from->working_folder);
    options->working_folder_must_exist = from->working_folder_must_exist;
    options->core_dumps = from->core_dumps;
    return options;
}

enum covey_status client_request_check(const struct covey_flare_request *request,
                                       struct covey_error *error)
{
    if (request->parameters && !request->parameter_count)
        return covey_error_set(error, COVEY_EINVAL,
                               "parameters are given without their number: set parameter_count");
    if (request->parameter_count && !request->parameters)
        return covey_error_set(error, COVEY_EINVAL,
                               "parameter_count is %zu, but parameters is NULL",
                               request->parameter_count);
    return COVEY_OK;
}

Covey__V1__FlareRequest *client_request_flare(struct client_arena *arena,
                                              const struct covey_flare_request *request)
{
    Covey__V1__FlareRequest *made = client_arena_alloc(arena, 1, sizeof *made);
    if (!made)
        return NULL;
    covey__v1__flare_request__init(made);
    made->definition = text_of(request->definition);
    made->definition_version = request->definition_version;
    made->parameters =
        client_arena_alloc(arena, request->parameter_count, sizeof *made->parameters);
    made->n_parameters = request->parameter_count;
    for (size_t i = 0; made->parameters && i < request->parameter_count; i++)
        made->parameters[i] = bytes_of(request->parameters[i]);
    made->workers = request->workers;
    made->parameter = bytes_of(request->parameter);
    made->options = options_of(arena, &request->options);
    made->idempotency_key = text_of(request->idempotency_key);
    made->stdin_sha256 = text_of(request->stdin_sha256);
    made->stdin_to = (Covey__V1__StandardInput)request->stdin_to;
    return made;
}

Covey__V1__ListFlaresRequest *client_request_list(struct client_arena *arena,
                                                  const struct covey_flare_filter *filter)
{
    Covey__V1__ListFlaresRequest *made = client_arena_alloc(arena, 1, sizeof *made);
    if (!made)
        return NULL;
    covey__v1__list_flares_request__init(made);
    if (!filter)
        return made;
    made->states = client_arena_alloc(arena, filter->state_count, sizeof *made->states);
    made->n_states = filter->state_count;
    for (size_t i = 0; made->states && i < filter->state_count; i++)
        made->states[i] = (Covey__V1__FlareState)filter->states[i];
    made->labels = entries_of(arena, filter->labels, filter->label_count,
                              &covey__v1__list_flares_request__labels_entry__descriptor);
    made->n_labels = filter->label_count;
    made->page_size = filter->page_size;
    made->page_token = text_of(filter->page_token);
    made->id_prefix = text_of(filter->id_prefix);
    return made;
}

/* The file's absolute path; "" where it has none that a message can carry. */
static char *path_of(struct client_arena *arena, const char *file)
{
    char here[PATH_MAX];
    char path[2 * PATH_MAX];
    while (strncmp(file, "./", 2) == 0)
        file += 2;
    bool known = *file == '/' || (getcwd(here, sizeof here) && *here == '/');
    int length = snprintf(path, sizeof path, "%s%s%s", *file == '/' ? "" : here,
                          *file == '/' ? "" : "/", file);
    if (!known || length >= PATH_MAX || !covey_text_valid(path, (size_t)length))
        return text_of(NULL);
    return (char *)client_arena_text(arena, path);
}

Covey__V1__Definition *client_request_definition(struct client_arena *arena,
                                                 const struct covey_deployment *deployment,
                                                 enum covey_code_kind kind, const char *sha256)
{
    Covey__V1__Definition *made = client_arena_alloc(arena, 1, sizeof *made);
    if (!made)
        return NULL;
    covey__v1__definition__init(made);
    made->name = (char *)client_arena_text(arena, deployment->name);
    made->code_kind = (Covey__V1__CodeKind)kind;
    made->code_sha256 = (char *)client_arena_text(arena, sha256);
    made->code_path = path_of(arena, deployment->file);
    made->worker_kind = (Covey__V1__WorkerKind)deployment->worker_kind;
    made->arguments =
        client_arena_alloc(arena, deployment->argument_count, sizeof *made->arguments);
    made->n_arguments = deployment->argument_count;
    for (size_t i = 0; made->arguments && i < deployment->argument_count; i++)
        made->arguments[i] = text_of(deployment->arguments[i]);
    made->environment = entries_of(arena, deployment->environment, deployment->environment_count,
                                   &covey__v1__definition__environment_entry__descriptor);
    made->n_environment = deployment->environment_count;
    made->defaults = options_of(arena, &deployment->defaults);
    return made;
}
