/* A flare's share of this node: what it is. */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/common/memfd.h"
#include "service/node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMUNICATION_TIMEOUT_NS (60 * COVEY_NS_PER_S)
#define FAILURE_GRACE_NS         (2 * COVEY_NS_PER_S)

struct node_flare *flare_new(struct node *agent)
{
    struct node_flare *flare = covey_calloc(1, sizeof(*flare));
    if (!flare)
        return NULL;
    flare->agent = agent;
    flare->text_fd = flare->code_fd = flare->stdin_fd = flare->arena_fd = flare->event_fd = -1;
    flare->failure_rank = -1;
    covey_list_init(&flare->packs);
    (void)uv_timer_init(&agent->loop, &flare->timer);
    (void)uv_timer_init(&agent->loop, &flare->start_timer);
    flare->timer.data = flare->start_timer.data = flare;
    flare->handles = 2;
    return flare;
}

static void on_closed(uv_handle_t *handle)
{
    struct node_flare *flare = handle->data;
    if (--flare->handles > 0)
        return;
    local_flare_free(flare->text);
    covey_close(&flare->text_fd);
    covey_close(&flare->code_fd);
    covey_close(&flare->stdin_fd);
    covey_close(&flare->arena_fd);
    covey_close(&flare->event_fd);
    free(flare->workers);
    free(flare);
}

void flare_forget(struct node_flare *flare)
{
    struct node *agent = flare->agent;
    if (flare->text && covey_map_get(&agent->flares, flare->text->flare_id) == flare)
        (void)covey_map_remove(&agent->flares, flare->text->flare_id);
    fetch_forget(flare);
    uv_close((uv_handle_t *)&flare->timer, on_closed);
    uv_close((uv_handle_t *)&flare->start_timer, on_closed);
    node_check_stopped(agent);
}

/* The index of a node's name; a new one is added. */
static uint32_t node_index(Covey__V1__LocalFlare *text, char *name)
{
    for (size_t i = 0; i < text->n_nodes; i++) {
        if (strcmp(text->nodes[i], name) == 0)
            return (uint32_t)i;
    }
    text->nodes[text->n_nodes] = name;
    return (uint32_t)text->n_nodes++;
}

static enum covey_status check_environment(const Covey__V1__Definition *definition,
                                           struct covey_error *error)
{
    for (size_t i = 0; i < definition->n_environment; i++) {
        const char *key = definition->environment[i]->key;
        if (!*key || strchr(key, '='))
            return covey_error_set(error, COVEY_EINVAL,
                                   "definition %s: '%s' is no name of an environment variable",
                                   definition->name, key);
        if (strncmp(key, "COVEY_", 6) == 0)
            return covey_error_set(error, COVEY_EINVAL,
                                   "definition %s: the environment variable %s is Covey's own",
                                   definition->name, key);
    }
    return COVEY_OK;
}

static void describe_options(Covey__V1__LocalFlare *text, const Covey__V1__Prepare *prepare)
{
    const Covey__V1__FlareOptions *options = prepare->options;
    if (options) {
        text->working_folder = options->working_folder;
        text->working_folder_must_exist = options->working_folder_must_exist;
        text->core_dumps = options->core_dumps;
    }
    text->communication_timeout_ns =
        node_duration_ns(options ? options->communication_timeout : NULL, COMMUNICATION_TIMEOUT_NS);
    text->grace_ns = node_duration_ns(options ? options->failure_grace : NULL, FAILURE_GRACE_NS);
    text->max_result_bytes = prepare->max_result_bytes;
    text->shared_parameter = prepare->shared_parameter;
    text->stdin_to = prepare->stdin_to;
    text->workers_total = prepare->workers_total;
    text->flare_id = prepare->flare_id;
    text->definition = prepare->definition->name;
    text->code_path = prepare->definition->code_path;
    text->code_kind = prepare->definition->code_kind;
    text->worker_kind = prepare->definition->worker_kind;
    if (text->worker_kind == COVEY__V1__WORKER_KIND__WORKER_KIND_UNSPECIFIED)
        text->worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_PROCESS;
    text->arguments = prepare->definition->arguments;
    text->n_arguments = prepare->definition->n_arguments;
}

/* What a text in the making borrows from, freed with free_parts. */
struct parts {
    Covey__V1__LocalPack *packs;
    Covey__V1__LocalPack **pack_pointers;
    char **nodes;
    char **environment;
    size_t environment_count;
};

static void free_parts(struct parts *parts)
{
    for (size_t i = 0; parts->environment && i < parts->environment_count; i++)
        free(parts->environment[i]);
    free(parts->environment);
    free(parts->packs);
    free(parts->pack_pointers);
    free(parts->nodes);
}

static bool make_parts(struct parts *parts, const Covey__V1__Prepare *prepare)
{
    const Covey__V1__Definition *definition = prepare->definition;
    parts->packs = covey_calloc(prepare->n_packs + 1, sizeof(*parts->packs));
    parts->pack_pointers = covey_calloc(prepare->n_packs + 1, sizeof(Covey__V1__LocalPack *));
    parts->nodes = covey_calloc(prepare->n_packs + 1, sizeof(char *));
    parts->environment = covey_calloc(definition->n_environment + 1, sizeof(char *));
    if (!parts->packs || !parts->pack_pointers || !parts->nodes || !parts->environment)
        return false;
    for (size_t i = 0; i < definition->n_environment; i++) {
        parts->environment[i] = covey_asprintf("%s=%s", definition->environment[i]->key,
                                               definition->environment[i]->value);
        if (!parts->environment[i])
            return false;
        parts->environment_count++;
    }
    return true;
}

/* Writes the text to its memfd and reads it back, checked: as host and packs will. */
static enum covey_status keep_text(struct node_flare *flare, const Covey__V1__LocalFlare *text,
                                   struct covey_error *error)
{
    size_t length_bytes = covey__v1__local_flare__get_packed_size(text);
    uint8_t *bytes = covey_malloc(length_bytes);
    if (!bytes)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the flare's description");
    covey__v1__local_flare__pack(text, bytes);
    struct iovec part = {bytes, length_bytes};
    enum covey_status status = memfd_create_sealed("covey-flare", &part, 1, &flare->text_fd);
    free(bytes);
    if (status)
        return covey_error_set(error, status, "no memory for the flare's description");
    return local_flare_read(flare->text_fd, &flare->text, error);
}

static enum covey_status describe(struct node_flare *flare, const Covey__V1__Prepare *prepare,
                                  struct parts *parts, struct covey_error *error)
{
    Covey__V1__LocalFlare text = COVEY__V1__LOCAL_FLARE__INIT;
    char *own_name = flare->agent->options.name;
    char own_folder[FOLDER_BYTES];
    folder_path(flare->agent, prepare->flare_id, own_folder);
    describe_options(&text, prepare);
    text.packs = parts->pack_pointers;
    text.nodes = parts->nodes;
    text.environment = parts->environment;
    text.n_environment = parts->environment_count;
    text.node_index = UINT32_MAX;
    text.own_folder = own_folder;
    for (size_t i = 0; i < prepare->n_packs; i++) {
        Covey__V1__LocalPack *pack = &parts->packs[i];
        covey__v1__local_pack__init(pack);
        pack->id = prepare->packs[i]->id;
        pack->first_rank = prepare->packs[i]->first_rank;
        pack->workers = prepare->packs[i]->workers;
        pack->cpus = prepare->packs[i]->cpus;
        pack->n_cpus = prepare->packs[i]->n_cpus;
        pack->node_index = node_index(&text, prepare->packs[i]->node);
        if (strcmp(prepare->packs[i]->node, own_name) == 0)
            text.node_index = pack->node_index;
        parts->pack_pointers[i] = pack;
    }
    text.n_packs = prepare->n_packs;
    return keep_text(flare, &text, error);
}

enum covey_status flare_describe(struct node_flare *flare, const Covey__V1__Prepare *prepare,
                                 struct covey_error *error)
{
    struct parts parts = {0};
    if (!prepare->definition)
        return covey_error_set(error, COVEY_EINVAL, "the flare has no definition");
    if (!cache_digest_valid(prepare->definition->code_sha256))
        return covey_error_set(error, COVEY_EINVAL, "definition %s: the code's digest is not valid",
                               prepare->definition->name);
    enum covey_status status = check_environment(prepare->definition, error);
    if (status)
        return status;
    (void)snprintf(flare->code_sha256, sizeof(flare->code_sha256), "%s",
                   prepare->definition->code_sha256);
    if (prepare->stdin_to && !cache_digest_valid(prepare->stdin_sha256))
        return covey_error_set(error, COVEY_EINVAL, "the digest of standard input is not valid");
    if (prepare->stdin_to)
        (void)snprintf(flare->stdin_sha256, sizeof(flare->stdin_sha256), "%s",
                       prepare->stdin_sha256);
    if (make_parts(&parts, prepare))
        status = describe(flare, prepare, &parts, error);
    else
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for the flare");
    free_parts(&parts);
    if (status)
        return status;
    if (flare->text->n_nodes > 1 && prepare->secret.len != sizeof(flare->secret))
        return covey_error_set(error, COVEY_EINVAL, "the flare's secret has %zu bytes, not %zu",
                               prepare->secret.len, sizeof(flare->secret));
    flare->secret_bytes =
        prepare->secret.len < sizeof(flare->secret) ? prepare->secret.len : sizeof(flare->secret);
    if (flare->secret_bytes > 0)
        memcpy(flare->secret, prepare->secret.data, flare->secret_bytes);
    return COVEY_OK;
}

enum covey_status flare_make_workers(struct node_flare *flare)
{
    const Covey__V1__LocalFlare *text = flare->text;
    uint32_t count = 0;
    for (size_t i = 0; i < text->n_packs; i++) {
        if (text->packs[i]->node_index == text->node_index)
            count += text->packs[i]->workers;
    }
    flare->workers = covey_calloc(count, sizeof(*flare->workers));
    if (!flare->workers)
        return COVEY_ENOMEM;
    for (size_t i = 0; i < text->n_packs; i++) {
        const Covey__V1__LocalPack *pack = text->packs[i];
        if (pack->node_index != text->node_index)
            continue;
        flare->pack_count++;
        for (uint32_t k = 0; k < pack->workers; k++) {
            struct node_worker *worker = &flare->workers[flare->worker_count++];
            worker->rank = pack->first_rank + k;
            worker->pack_id = pack->id;
            worker->state = COVEY__V1__WORKER_STATE__WORKER_STATE_STARTING;
        }
    }
    return COVEY_OK;
}

struct node_worker *flare_worker(struct node_flare *flare, uint32_t rank)
{
    uint32_t low = 0;
    uint32_t high = flare->worker_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (flare->workers[middle].rank == rank)
            return &flare->workers[middle];
        if (flare->workers[middle].rank < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void flare_fill_worker(const struct node_flare *flare, const struct node_worker *worker,
                       Covey__V1__Worker *message, Google__Protobuf__Timestamp *started,
                       Google__Protobuf__Timestamp *ended)
{
    covey__v1__worker__init(message);
    message->rank = worker->rank;
    message->pack = worker->pack_id;
    message->node = flare->text->nodes[flare->text->node_index];
    message->pid = worker->pid;
    message->state = worker->state;
    message->exit_status = worker->exit_status;
    message->signal = worker->signal;
    message->result_bytes = worker->result_bytes;
    message->started_at = node_timestamp(worker->started_ns, started) ? started : NULL;
    message->ended_at = node_timestamp(worker->ended_ns, ended) ? ended : NULL;
}
