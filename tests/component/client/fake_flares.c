#include "tests/component/client/fake_flares.h"

#include "base/buffer.h"
#include "covey/v1/blobs.pb-c.h"
#include "covey/v1/covey.pb-c.h"
#include "tests/component/client/fake_pictures.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FLARES      64
#define MAX_DEFINITIONS 64
#define PIECE_BYTES     ((size_t)1024 * 1024)

struct definition {
    char name[64];
    char sha256[65];
    Covey__V1__CodeKind kind;
    uint32_t version;
};

static struct definition definitions[MAX_DEFINITIONS];
static size_t definition_count;
static struct flare flares[MAX_FLARES];
static size_t flare_count;
static char blobs[MAX_DEFINITIONS][65];
static uint64_t blob_sizes[MAX_DEFINITIONS];
static size_t blob_count;

static struct flare *find_flare(struct rpc_call *call, const char *id)
{
    char text[128];
    for (size_t i = 0; i < flare_count; i++)
        if (strcmp(flares[i].id, id) == 0)
            return &flares[i];
    snprintf(text, sizeof text, "there is no flare %.40s; covey ps --all lists them", id);
    rpc_call_finish(call, RPC_NOT_FOUND, text);
    return NULL;
}

static struct definition *find_definition(struct rpc_call *call, const char *name)
{
    char text[128];
    for (size_t i = 0; i < definition_count; i++)
        if (strcmp(definitions[i].name, name) == 0)
            return &definitions[i];
    snprintf(text, sizeof text, "there is no definition \"%.40s\"; deploy it first", name);
    rpc_call_finish(call, RPC_NOT_FOUND, text);
    return NULL;
}

static void draw_definition(const struct definition *from, Covey__V1__Definition *to)
{
    covey__v1__definition__init(to);
    to->name = (char *)from->name;
    to->version = from->version;
    to->code_kind = from->kind;
    to->code_sha256 = (char *)from->sha256;
    to->code_bytes = 4096;
}

/* ---- unary calls ---- */

/* NULL, and the call is failed, where the code was not put. */
static struct definition *take_definition(struct rpc_call *call, const Covey__V1__Definition *given)
{
    struct definition *definition = NULL;
    bool there = false;
    for (size_t i = 0; i < blob_count; i++)
        there |= strcmp(blobs[i], given->code_sha256) == 0;
    if (!there) {
        rpc_call_finish(call, RPC_FAILED_PRECONDITION, "the code was not put");
        return NULL;
    }
    for (size_t i = 0; i < definition_count; i++)
        if (strcmp(definitions[i].name, given->name) == 0)
            definition = &definitions[i];
    if (!definition)
        definition = &definitions[definition_count++ % MAX_DEFINITIONS];
    snprintf(definition->name, sizeof definition->name, "%s", given->name);
    if (strcmp(definition->sha256, given->code_sha256) != 0)
        definition->version++;
    snprintf(definition->sha256, sizeof definition->sha256, "%s", given->code_sha256);
    definition->kind = given->code_kind;
    return definition;
}

static void on_deploy(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__DeployResponse response = COVEY__V1__DEPLOY_RESPONSE__INIT;
    Covey__V1__Definition answer;
    (void)data;
    const struct definition *definition =
        take_definition(call, ((const Covey__V1__DeployRequest *)message)->definition);
    if (!definition)
        return;
    draw_definition(definition, &answer);
    response.definition = &answer;
    rpc_call_reply(call, &response.base);
}

static void on_list_definitions(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    static Covey__V1__Definition answers[MAX_DEFINITIONS];
    static Covey__V1__Definition *list[MAX_DEFINITIONS];
    Covey__V1__ListDefinitionsResponse response = COVEY__V1__LIST_DEFINITIONS_RESPONSE__INIT;
    (void)message;
    (void)data;
    for (size_t i = 0; i < definition_count; i++) {
        draw_definition(&definitions[i], &answers[i]);
        list[i] = &answers[i];
    }
    response.definitions = list;
    response.n_definitions = definition_count;
    rpc_call_reply(call, &response.base);
}

static void on_get_definition(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__GetDefinitionResponse response = COVEY__V1__GET_DEFINITION_RESPONSE__INIT;
    Covey__V1__Definition answer;
    (void)data;
    struct definition *definition =
        find_definition(call, ((const Covey__V1__GetDefinitionRequest *)message)->name);
    if (!definition)
        return;
    draw_definition(definition, &answer);
    response.definition = &answer;
    rpc_call_reply(call, &response.base);
}

static void on_delete_definition(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__DeleteDefinitionResponse response = COVEY__V1__DELETE_DEFINITION_RESPONSE__INIT;
    (void)data;
    struct definition *definition =
        find_definition(call, ((const Covey__V1__DeleteDefinitionRequest *)message)->name);
    if (!definition)
        return;
    *definition = definitions[--definition_count];
    rpc_call_reply(call, &response.base);
}

static void keep_parameters(struct flare *flare, const Covey__V1__FlareRequest *request)
{
    flare->workers = request->n_parameters ? (uint32_t)request->n_parameters : request->workers;
    for (uint32_t i = 0; i < flare->workers; i++) {
        const ProtobufCBinaryData *bytes =
            request->n_parameters ? &request->parameters[i] : &request->parameter;
        flare->lengths[i] = bytes->len;
        flare->parameters[i] = bytes->len ? malloc(bytes->len) : NULL;
        if (flare->parameters[i])
            memcpy(flare->parameters[i], bytes->data, bytes->len);
    }
}

static void on_flare(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__FlareRequest *request = (const Covey__V1__FlareRequest *)message;
    Covey__V1__FlareResponse response = COVEY__V1__FLARE_RESPONSE__INIT;
    (void)data;
    const struct definition *definition = request->inline_definition
                                              ? take_definition(call, request->inline_definition)
                                              : find_definition(call, request->definition);
    if (!definition)
        return;
    if (called(definition->name, "huge")) {
        rpc_call_finish(call, RPC_FAILED_PRECONDITION,
                        "64 workers never fit: the cluster has 16 slots; 16 workers would");
        return;
    }
    for (size_t i = 0; *request->idempotency_key && i < flare_count; i++) {
        if (strcmp(flares[i].key, request->idempotency_key) == 0) {
            response.flare = draw(&flares[i], end_of(&flares[i]));
            rpc_call_reply(call, &response.base);
            return;
        }
    }
    if (flare_count == MAX_FLARES || request->workers > MAX_WORKERS) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "a flare has at most 1000 workers");
        return;
    }
    struct flare *flare = &flares[flare_count++];
    snprintf(flare->id, sizeof flare->id, "01FLARE%019zu", flare_count);
    snprintf(flare->name, sizeof flare->name, "%s", definition->name);
    snprintf(flare->key, sizeof flare->key, "%s", request->idempotency_key);
    flare->version = definition->version;
    keep_parameters(flare, request);
    response.flare = draw(flare, COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED);
    rpc_call_reply(call, &response.base);
}

static void on_get_flare(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__GetFlareResponse response = COVEY__V1__GET_FLARE_RESPONSE__INIT;
    (void)data;
    const struct flare *flare = find_flare(call, ((const Covey__V1__GetFlareRequest *)message)->id);
    if (!flare)
        return;
    if (called(flare->name, "parting") && has_ended(flare)) {
        rpc_call_finish(call, RPC_UNAVAILABLE, "the controller is being stopped");
        return;
    }
    response.flare = draw(flare, end_of(flare));
    rpc_call_reply(call, &response.base);
}

/* Pages of one flare, whatever is asked, so that a client that does not turn them is seen. */
static void on_list_flares(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__ListFlaresRequest *request = (const Covey__V1__ListFlaresRequest *)message;
    Covey__V1__ListFlaresResponse response = COVEY__V1__LIST_FLARES_RESPONSE__INIT;
    Covey__V1__Flare *list[1];
    char token[32];
    size_t from = *request->page_token ? strtoul(request->page_token, NULL, 10) : flare_count;
    (void)data;
    while (from > 0 &&
           strncmp(flares[from - 1].id, request->id_prefix, strlen(request->id_prefix)) != 0)
        from--;
    while (from > 0 && request->n_states && has_ended(&flares[from - 1]) &&
           request->states[0] < COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED)
        from--;
    if (from > 0) {
        list[0] = draw(&flares[from - 1], end_of(&flares[from - 1]));
        response.flares = list;
        response.n_flares = 1;
        snprintf(token, sizeof token, "%zu", from - 1);
        if (from > 1)
            response.next_page_token = token;
    }
    rpc_call_reply(call, &response.base);
}

static void on_plan(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__FlareRequest *request =
        ((const Covey__V1__PlanFlareRequest *)message)->request;
    Covey__V1__PlanFlareResponse response = COVEY__V1__PLAN_FLARE_RESPONSE__INIT;
    (void)data;
    const struct definition *definition = find_definition(call, request->definition);
    if (!definition)
        return;
    struct flare flare = {.workers = request->workers ? request->workers : 1};
    Covey__V1__Flare *drawn = draw(&flare, COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED);
    response.placeable = !called(definition->name, "huge");
    response.impossible = !response.placeable;
    if (response.placeable) {
        response.packs = drawn->packs;
        response.n_packs = drawn->n_packs;
    } else {
        response.reason = (char *)"the cluster has 16 slots";
    }
    rpc_call_reply(call, &response.base);
}

static void on_explain(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__ExplainFlareResponse response = COVEY__V1__EXPLAIN_FLARE_RESPONSE__INIT;
    Covey__V1__Flare flare = COVEY__V1__FLARE__INIT;
    Covey__V1__Reason reason = COVEY__V1__REASON__INIT;
    Covey__V1__Reason *reasons[] = {&reason};
    Covey__V1__NodeCounts nodes = COVEY__V1__NODE_COUNTS__INIT;
    (void)data;
    flare.id = ((const Covey__V1__ExplainFlareRequest *)message)->id;
    flare.state = COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED;
    flare.workers_total = 9;
    reason.kind = COVEY__V1__REASON_KIND__REASON_KIND_CAPACITY;
    reason.message = (char *)"it waits for slots";
    reason.dimension = (char *)"slots";
    reason.asked = 9;
    reason.available = 4;
    nodes.up = 2;
    response.flare = &flare;
    response.reasons = reasons;
    response.n_reasons = 1;
    response.nodes = &nodes;
    response.fitting = 4;
    rpc_call_reply(call, &response.base);
}

static void on_list_nodes(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__ListNodesResponse response = COVEY__V1__LIST_NODES_RESPONSE__INIT;
    static Covey__V1__NodeInfo nodes[2];
    static Covey__V1__Capacity capacity;
    static Covey__V1__NodeInfo *list[2];
    (void)message;
    (void)data;
    covey__v1__capacity__init(&capacity);
    capacity.slots = 8;
    capacity.memory_bytes = 1ULL << 33;
    for (int i = 0; i < 2; i++) {
        covey__v1__node_info__init(&nodes[i]);
        nodes[i].name = (char *)(i ? "node-2" : "node-1");
        nodes[i].state = COVEY__V1__NODE_STATE__NODE_STATE_UP;
        nodes[i].capacity = &capacity;
        nodes[i].version = (char *)COVEY_VERSION;
        list[i] = &nodes[i];
    }
    response.nodes = list;
    response.n_nodes = 2;
    rpc_call_reply(call, &response.base);
}

static void on_drain(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__DrainNodeRequest *request = (const Covey__V1__DrainNodeRequest *)message;
    Covey__V1__DrainNodeResponse response = COVEY__V1__DRAIN_NODE_RESPONSE__INIT;
    Covey__V1__NodeInfo node = COVEY__V1__NODE_INFO__INIT;
    (void)data;
    node.name = request->name;
    node.state = request->drain ? COVEY__V1__NODE_STATE__NODE_STATE_DRAINING
                                : COVEY__V1__NODE_STATE__NODE_STATE_UP;
    node.drain_reason = request->reason;
    Google__Protobuf__Timestamp until = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    until.seconds = request->deadline ? request->deadline->seconds : 0;
    node.drain_until = request->deadline ? &until : NULL;
    response.node = &node;
    rpc_call_reply(call, &response.base);
}

static void on_server_info(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__GetServerInfoResponse response = COVEY__V1__GET_SERVER_INFO_RESPONSE__INIT;
    const char *version = getenv("FAKE_VERSION");
    (void)message;
    (void)data;
    response.version = (char *)(version ? version : COVEY_VERSION);
    response.max_message_bytes = 4 << 20;
    response.max_workers = MAX_WORKERS;
    response.max_parameter_bytes = 1 << 20;
    response.max_result_bytes = 1 << 26;
    rpc_call_reply(call, &response.base);
}

/* ---- streams ---- */

static void send_event(struct rpc_call *call, const struct flare *flare, uint64_t sequence,
                       const char *type, Covey__V1__FlareState state, uint32_t started)
{
    Covey__V1__WatchFlareResponse response = COVEY__V1__WATCH_FLARE_RESPONSE__INIT;
    Covey__V1__Event event = COVEY__V1__EVENT__INIT;
    event.sequence = sequence;
    event.type = (char *)type;
    event.state = state;
    event.workers_started = started;
    response.event = &event;
    response.flare = draw(flare, state);
    (void)!rpc_call_send(call, &response.base);
}

static const struct {
    const char *type;
    Covey__V1__FlareState state;
} story[] = {
    {"accepted", COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED},
    {"placed", COVEY__V1__FLARE_STATE__FLARE_STATE_PREPARING},
    {"started", COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING},
};

static void on_watch(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__WatchFlareRequest *request = (const Covey__V1__WatchFlareRequest *)message;
    (void)data;
    struct flare *flare = find_flare(call, request->id);
    if (!flare)
        return;
    bool lose = called(flare->name, "flaky") && !flare->lost_watch;
    for (uint64_t i = 1; i <= 3; i++) {
        if (i >= request->from_sequence)
            send_event(call, flare, i, story[i - 1].type, story[i - 1].state,
                       i == 3 ? flare->workers : 0);
        if (lose && i == 2) {
            flare->lost_watch = true;
            rpc_call_finish(call, RPC_UNAVAILABLE, "the connection is lost: a trial");
            return;
        }
    }
    if (!has_ended(flare)) {
        flare->watcher = call;
        return;
    }
    send_event(call, flare, 4, "ended", end_of(flare), flare->workers);
    rpc_call_finish(call, RPC_OK, NULL);
}

/* Positions count the texts. */
static void send_text(struct rpc_call *call, const Covey__V1__StreamLogsRequest *request,
                      uint64_t position, uint32_t stream, const char *text)
{
    Covey__V1__StreamLogsResponse response = COVEY__V1__STREAM_LOGS_RESPONSE__INIT;
    Covey__V1__LogLines lines = COVEY__V1__LOG_LINES__INIT;
    Covey__V1__LogLines *list[] = {&lines};
    if (position < request->position)
        return;
    lines.rank = (uint32_t)position / 3;
    lines.stream = stream;
    lines.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    response.lines = list;
    response.n_lines = 1;
    response.position = position + 1;
    (void)!rpc_call_send(call, &response.base);
}

static void on_logs(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__StreamLogsRequest *request = (const Covey__V1__StreamLogsRequest *)message;
    (void)data;
    struct flare *flare = find_flare(call, request->id);
    if (!flare)
        return;
    for (uint32_t rank = 0; rank < flare->workers; rank++) {
        bool wanted = request->n_ranks == 0;
        for (size_t i = 0; i < request->n_ranks; i++)
            wanted |= request->ranks[i] == rank;
        if (!wanted)
            continue;
        send_text(call, request, (uint64_t)3 * rank, 1, "hello ");
        if (called(flare->name, "flaky") && !flare->lost_logs && rank == 1) {
            flare->lost_logs = true;
            rpc_call_finish(call, RPC_UNAVAILABLE, "the connection is lost: a trial");
            return;
        }
        send_text(call, request, 3 * rank + 1, 1, "from a worker\n");
        send_text(call, request, 3 * rank + 2, 2, "a warning\n");
    }
    if (request->follow && (!has_ended(flare) || called(flare->name, "endless"))) {
        flare->log_reader = call;
        return;
    }
    rpc_call_finish(call, RPC_OK, NULL);
}

static void send_result(struct rpc_call *call, uint32_t rank, const uint8_t *bytes, size_t length)
{
    size_t offset = 0;
    do {
        Covey__V1__StreamResultsResponse piece = COVEY__V1__STREAM_RESULTS_RESPONSE__INIT;
        size_t part = length - offset < PIECE_BYTES ? length - offset : PIECE_BYTES;
        piece.rank = rank;
        piece.offset = offset;
        piece.data = (ProtobufCBinaryData){part, (uint8_t *)bytes + offset};
        offset += part;
        piece.last = offset == length;
        (void)!rpc_call_send(call, &piece.base);
    } while (offset < length);
}

static void on_results(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    static uint8_t big[BIG_BYTES];
    const Covey__V1__StreamResultsRequest *request =
        (const Covey__V1__StreamResultsRequest *)message;
    (void)data;
    const struct flare *flare = find_flare(call, request->id);
    if (!flare)
        return;
    if (!has_ended(flare)) {
        rpc_call_finish(call, RPC_FAILED_PRECONDITION, "the flare has not ended; wait for it");
        return;
    }
    for (uint32_t rank = 0; rank < flare->workers; rank++) {
        memset(big, (int)rank, sizeof big);
        if (called(flare->name, "big"))
            send_result(call, rank, big, sizeof big);
        else if (flare->lengths[rank])
            send_result(call, rank, (const uint8_t *)flare->parameters[rank], flare->lengths[rank]);
    }
    rpc_call_finish(call, RPC_OK, NULL);
}

static void on_cancel(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    Covey__V1__CancelFlareResponse response = COVEY__V1__CANCEL_FLARE_RESPONSE__INIT;
    (void)data;
    struct flare *flare = find_flare(call, ((const Covey__V1__CancelFlareRequest *)message)->id);
    if (!flare)
        return;
    flare->cancelled = !has_ended(flare) && !called(flare->name, "hanging-on");
    if (flare->cancelled && flare->watcher) {
        send_event(flare->watcher, flare, 4, "cancelled", end_of(flare), flare->workers);
        rpc_call_finish(flare->watcher, RPC_OK, NULL);
    }
    if (flare->cancelled && flare->log_reader)
        rpc_call_finish(flare->log_reader, RPC_OK, NULL);
    response.flare = draw(flare, end_of(flare));
    rpc_call_reply(call, &response.base);
}

/* ---- blobs ---- */

struct upload {
    EVP_MD_CTX *digest;
    char sha256[65];
    uint64_t length;
};

static void on_put_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__PutRequest *request = (const Covey__V1__PutRequest *)message;
    struct upload *upload = data;
    (void)call;
    if (*request->sha256)
        snprintf(upload->sha256, sizeof upload->sha256, "%s", request->sha256);
    EVP_DigestUpdate(upload->digest, request->data.data, request->data.len);
    upload->length += request->data.len;
}

static void on_put_half_close(struct rpc_call *call, void *data)
{
    struct upload *upload = data;
    Covey__V1__PutResponse response = COVEY__V1__PUT_RESPONSE__INIT;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1];
    EVP_DigestFinal_ex(upload->digest, digest, &digest_bytes);
    for (unsigned i = 0; i < digest_bytes; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
    if (strcmp(text, upload->sha256) != 0) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "the digest is not that of the data");
        return;
    }
    snprintf(blobs[blob_count % MAX_DEFINITIONS], 65, "%s", upload->sha256);
    blob_sizes[blob_count++ % MAX_DEFINITIONS] = upload->length;
    response.sha256 = upload->sha256;
    response.size_bytes = upload->length;
    rpc_call_reply(call, &response.base);
}

static void on_put_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct upload *upload = data;
    (void)call;
    (void)code;
    (void)message;
    EVP_MD_CTX_free(upload->digest);
    free(upload);
}

static const struct rpc_call_events *on_put_call(struct rpc_call *call, void *service, void **data)
{
    static const struct rpc_call_events events = {
        .on_message = on_put_message, .on_half_close = on_put_half_close, .on_end = on_put_end};
    struct upload *upload = calloc(1, sizeof *upload);
    (void)call;
    (void)service;
    if (!upload)
        abort();
    upload->digest = EVP_MD_CTX_new();
    EVP_DigestInit_ex(upload->digest, EVP_sha256(), NULL);
    *data = upload;
    return &events;
}

static void on_stat(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__StatRequest *request = (const Covey__V1__StatRequest *)message;
    Covey__V1__StatResponse response = COVEY__V1__STAT_RESPONSE__INIT;
    Covey__V1__BlobInfo infos[MAX_DEFINITIONS];
    Covey__V1__BlobInfo *list[MAX_DEFINITIONS];
    (void)data;
    for (size_t i = 0; i < request->n_sha256; i++) {
        for (size_t k = 0; k < blob_count; k++) {
            if (strcmp(blobs[k], request->sha256[i]) != 0)
                continue;
            Covey__V1__BlobInfo *info = &infos[response.n_blobs];
            covey__v1__blob_info__init(info);
            info->sha256 = blobs[k];
            info->size_bytes = blob_sizes[k];
            list[response.n_blobs++] = info;
        }
    }
    response.blobs = list;
    rpc_call_reply(call, &response.base);
}

/* ---- the services ---- */

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)code;
    (void)message;
    (void)data;
    for (size_t i = 0; i < flare_count; i++) {
        if (flares[i].watcher == call)
            flares[i].watcher = NULL;
        if (flares[i].log_reader == call)
            flares[i].log_reader = NULL;
    }
}

#define METHOD(name_, lower, handler, streams)                                                     \
    static const struct rpc_call_events *call_##lower(struct rpc_call *call, void *service,        \
                                                      void **data)                                 \
    {                                                                                              \
        static const struct rpc_call_events events = {.on_message = handler, .on_end = on_end};    \
        (void)call;                                                                                \
        (void)service;                                                                             \
        (void)data;                                                                                \
        return &events;                                                                            \
    }
#define METHODS(X)                                                                                 \
    X("Deploy", deploy, on_deploy, false)                                                          \
    X("ListDefinitions", list_definitions, on_list_definitions, false)                             \
    X("GetDefinition", get_definition, on_get_definition, false)                                   \
    X("DeleteDefinition", delete_definition, on_delete_definition, false)                          \
    X("Flare", flare, on_flare, false)                                                             \
    X("GetFlare", get_flare, on_get_flare, false)                                                  \
    X("ListFlares", list_flares, on_list_flares, false)                                            \
    X("WatchFlare", watch_flare, on_watch, true)                                                   \
    X("StreamLogs", stream_logs, on_logs, true)                                                    \
    X("StreamResults", stream_results, on_results, true)                                           \
    X("CancelFlare", cancel_flare, on_cancel, false)                                               \
    X("PlanFlare", plan_flare, on_plan, false)                                                     \
    X("ExplainFlare", explain_flare, on_explain, false)                                            \
    X("ListNodes", list_nodes, on_list_nodes, false)                                               \
    X("DrainNode", drain_node, on_drain, false)                                                    \
    X("GetServerInfo", get_server_info, on_server_info, false)

METHODS(METHOD)
METHOD("Stat", stat, on_stat, false)

#define ROW(name_, lower, handler, streams)                                                        \
    {.name = name_,                                                                                \
     .request = &covey__v1__##lower##_request__descriptor,                                         \
     .response = &covey__v1__##lower##_response__descriptor,                                       \
     .server_streaming = streams,                                                                  \
     .on_call = call_##lower},

static const struct rpc_method covey_methods[] = {METHODS(ROW)};
static const struct rpc_method blob_methods[] = {{.name = "Put",
                                                  .request = &covey__v1__put_request__descriptor,
                                                  .response = &covey__v1__put_response__descriptor,
                                                  .client_streaming = true,
                                                  .on_call = on_put_call},
                                                 ROW("Stat", stat, on_stat, false)};

const struct rpc_service fake_services[] = {
    {"covey.v1.Covey", covey_methods, sizeof covey_methods / sizeof *covey_methods},
    {"covey.v1.Blobs", blob_methods, sizeof blob_methods / sizeof *blob_methods},
    {0},
};

void fake_flares_free(void)
{
    for (size_t i = 0; i < flare_count; i++)
        for (uint32_t rank = 0; rank < flares[i].workers; rank++)
            free(flares[i].parameters[rank]);
}
