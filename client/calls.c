/* The calls that are one question and one answer, event-driven and blocking. */
#include "base/error.h"
#include "client/internal.h"
#include "client/request.h"
#include "covey/v1/blobs.pb-c.h"

#include <stddef.h>

struct unary {
    struct operation_stage stage;
    struct operation_kind kind;
    client_converter *convert;
};

static void on_message(struct covey_operation *operation, const ProtobufCMessage *message)
{
    if (operation->convert)
        operation_keep(operation, operation->convert, message);
}

static void on_end(struct covey_operation *operation, const struct covey_error *error)
{
    struct covey_error empty = {0};
    if (!error->status && operation->convert && !operation->result) {
        covey_error_set(&empty, COVEY_EPROTO, "the controller's answer is empty");
        error = &empty;
    }
    operation_finish(operation, error);
}

#define UNARY(service, method, response_, precondition_, member, convert_)                         \
    {                                                                                              \
        .stage = {.path = "/covey.v1." service "/" method,                                         \
                  .response = &covey__v1__##response_##_response__descriptor,                      \
                  .precondition = precondition_,                                                   \
                  .on_message = on_message,                                                        \
                  .on_end = on_end},                                                               \
        .kind = {.size_bytes = sizeof(struct covey_operation), .reply_offset = member},            \
        .convert = convert_                                                                        \
    }
#define MEMBER(name) offsetof(struct covey_reply, name)

static const struct unary list_definitions =
    UNARY("Covey", "ListDefinitions", list_definitions, COVEY_OK, MEMBER(definitions),
          client_convert_definition_list);
static const struct unary get_definition = UNARY("Covey", "GetDefinition", get_definition, COVEY_OK,
                                                 MEMBER(definition), client_convert_definition_get);
static const struct unary delete_definition =
    UNARY("Covey", "DeleteDefinition", delete_definition, COVEY_OK, 0, NULL);
static const struct unary stat_blobs =
    UNARY("Blobs", "Stat", stat, COVEY_OK, MEMBER(blobs), client_convert_blob_list);
static const struct unary flare =
    UNARY("Covey", "Flare", flare, COVEY_EUNPLACEABLE, MEMBER(flare), client_convert_flared);
static const struct unary get_flare =
    UNARY("Covey", "GetFlare", get_flare, COVEY_OK, MEMBER(flare), client_convert_flare_get);
static const struct unary list_flares =
    UNARY("Covey", "ListFlares", list_flares, COVEY_OK, MEMBER(flares), client_convert_flare_list);
static const struct unary cancel_flare =
    UNARY("Covey", "CancelFlare", cancel_flare, COVEY_OK, MEMBER(flare), client_convert_cancelled);
static const struct unary plan_flare =
    UNARY("Covey", "PlanFlare", plan_flare, COVEY_OK, MEMBER(plan), client_convert_plan);
static const struct unary explain_flare = UNARY("Covey", "ExplainFlare", explain_flare, COVEY_OK,
                                                MEMBER(explanation), client_convert_explanation);
static const struct unary list_nodes =
    UNARY("Covey", "ListNodes", list_nodes, COVEY_OK, MEMBER(nodes), client_convert_node_list);
static const struct unary drain_node =
    UNARY("Covey", "DrainNode", drain_node, COVEY_OK, MEMBER(node), client_convert_drained);
static const struct unary server_info = UNARY("Covey", "GetServerInfo", get_server_info, COVEY_OK,
                                              MEMBER(server_info), client_convert_server_info);

static enum covey_status begin(struct covey_client *client, const struct unary *unary,
                               const ProtobufCMessage *request, const struct covey_start *start,
                               struct covey_error *error)
{
    struct covey_operation *operation;
    enum covey_status status = operation_create(client, &unary->kind, start, &operation, error);
    if (status)
        return status;
    operation->convert = unary->convert;
    status = operation_call(operation, &unary->stage, request, error);
    if (status)
        operation_discard(operation);
    return status;
}

/* As begin, with a request built in an arena, which may have failed; the arena is freed. */
static enum covey_status begin_built(struct covey_client *client, const struct unary *unary,
                                     const ProtobufCMessage *request, struct client_arena *arena,
                                     const struct covey_start *start, struct covey_error *error)
{
    enum covey_status status = arena->failed ? covey_error_set(error, COVEY_ENOMEM, "out of memory")
                                             : begin(client, unary, request, start, error);
    client_arena_free(arena);
    return status;
}

static char *text_of(const char *text)
{
    return (char *)(text ? text : protobuf_c_empty_string);
}

/* What every blocking call ends with: waits, and hands over the struct in the result. */
static enum covey_status finish_blocking(enum covey_status started, struct blocking *blocking,
                                         void *body, struct covey_error *error)
{
    struct client_result *result = NULL;
    enum covey_status status = started ? started : blocking_wait(blocking, &result, error);
    if (body)
        *(void **)body = status ? NULL : (void *)&result->as;
    else
        client_result_free(result);
    return status;
}

enum covey_status covey_client_list_definitions_start(struct covey_client *client,
                                                      const struct covey_start *start,
                                                      struct covey_error *error)
{
    Covey__V1__ListDefinitionsRequest request = COVEY__V1__LIST_DEFINITIONS_REQUEST__INIT;
    return begin(client, &list_definitions, &request.base, start, error);
}

enum covey_status covey_client_list_definitions(struct covey_client *client, int64_t timeout_ns,
                                                struct covey_definition_list **definitions,
                                                struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_list_definitions_start(client, &blocking.start, error);
    return finish_blocking(status, &blocking, definitions, error);
}

enum covey_status covey_client_get_definition_start(struct covey_client *client, const char *name,
                                                    uint32_t version,
                                                    const struct covey_start *start,
                                                    struct covey_error *error)
{
    Covey__V1__GetDefinitionRequest request = COVEY__V1__GET_DEFINITION_REQUEST__INIT;
    request.name = text_of(name);
    request.version = version;
    return begin(client, &get_definition, &request.base, start, error);
}

enum covey_status covey_client_get_definition(struct covey_client *client, const char *name,
                                              uint32_t version, int64_t timeout_ns,
                                              struct covey_definition **definition,
                                              struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_get_definition_start(client, name, version, &blocking.start, error);
    return finish_blocking(status, &blocking, definition, error);
}

enum covey_status covey_client_delete_definition_start(struct covey_client *client,
                                                       const char *name,
                                                       const struct covey_start *start,
                                                       struct covey_error *error)
{
    Covey__V1__DeleteDefinitionRequest request = COVEY__V1__DELETE_DEFINITION_REQUEST__INIT;
    request.name = text_of(name);
    return begin(client, &delete_definition, &request.base, start, error);
}

enum covey_status covey_client_delete_definition(struct covey_client *client, const char *name,
                                                 int64_t timeout_ns, struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_delete_definition_start(client, name, &blocking.start, error);
    return finish_blocking(status, &blocking, NULL, error);
}

enum covey_status covey_client_stat_blobs_start(struct covey_client *client,
                                                const char *const *sha256, size_t count,
                                                const struct covey_start *start,
                                                struct covey_error *error)
{
    Covey__V1__StatRequest request = COVEY__V1__STAT_REQUEST__INIT;
    request.sha256 = (char **)sha256;
    request.n_sha256 = count;
    return begin(client, &stat_blobs, &request.base, start, error);
}

enum covey_status covey_client_stat_blobs(struct covey_client *client, const char *const *sha256,
                                          size_t count, int64_t timeout_ns,
                                          struct covey_blob_list **blobs, struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_stat_blobs_start(client, sha256, count, &blocking.start, error);
    return finish_blocking(status, &blocking, blobs, error);
}

enum covey_status covey_client_flare_start(struct covey_client *client,
                                           const struct covey_flare_request *request,
                                           const struct covey_start *start,
                                           struct covey_error *error)
{
    if (client_request_check(request, error))
        return COVEY_EINVAL;
    struct client_arena arena = {0};
    Covey__V1__FlareRequest *message = client_request_flare(&arena, request);
    return begin_built(client, &flare, (ProtobufCMessage *)message, &arena, start, error);
}

enum covey_status covey_client_flare(struct covey_client *client,
                                     const struct covey_flare_request *request, int64_t timeout_ns,
                                     struct covey_flare **made, struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_flare_start(client, request, &blocking.start, error);
    return finish_blocking(status, &blocking, made, error);
}

enum covey_status covey_client_get_flare_start(struct covey_client *client, const char *id,
                                               const struct covey_start *start,
                                               struct covey_error *error)
{
    Covey__V1__GetFlareRequest request = COVEY__V1__GET_FLARE_REQUEST__INIT;
    request.id = text_of(id);
    return begin(client, &get_flare, &request.base, start, error);
}

enum covey_status covey_client_get_flare(struct covey_client *client, const char *id,
                                         int64_t timeout_ns, struct covey_flare **found,
                                         struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_get_flare_start(client, id, &blocking.start, error);
    return finish_blocking(status, &blocking, found, error);
}

enum covey_status covey_client_measure_flare_start(struct covey_client *client, const char *id,
                                                   const struct covey_start *start,
                                                   struct covey_error *error)
{
    Covey__V1__GetFlareRequest request = COVEY__V1__GET_FLARE_REQUEST__INIT;
    request.id = text_of(id);
    request.usage = true;
    return begin(client, &get_flare, &request.base, start, error);
}

enum covey_status covey_client_measure_flare(struct covey_client *client, const char *id,
                                             int64_t timeout_ns, struct covey_flare **found,
                                             struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_measure_flare_start(client, id, &blocking.start, error);
    return finish_blocking(status, &blocking, found, error);
}

enum covey_status covey_client_list_flares_start(struct covey_client *client,
                                                 const struct covey_flare_filter *filter,
                                                 const struct covey_start *start,
                                                 struct covey_error *error)
{
    struct client_arena arena = {0};
    Covey__V1__ListFlaresRequest *message = client_request_list(&arena, filter);
    return begin_built(client, &list_flares, (ProtobufCMessage *)message, &arena, start, error);
}

enum covey_status covey_client_list_flares(struct covey_client *client,
                                           const struct covey_flare_filter *filter,
                                           int64_t timeout_ns, struct covey_flare_list **flares,
                                           struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_list_flares_start(client, filter, &blocking.start, error);
    return finish_blocking(status, &blocking, flares, error);
}

enum covey_status covey_client_cancel_flare_start(struct covey_client *client, const char *id,
                                                  const char *reason,
                                                  const struct covey_start *start,
                                                  struct covey_error *error)
{
    Covey__V1__CancelFlareRequest request = COVEY__V1__CANCEL_FLARE_REQUEST__INIT;
    request.id = text_of(id);
    request.reason = text_of(reason);
    return begin(client, &cancel_flare, &request.base, start, error);
}

enum covey_status covey_client_cancel_flare(struct covey_client *client, const char *id,
                                            const char *reason, int64_t timeout_ns,
                                            struct covey_flare **cancelled,
                                            struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_cancel_flare_start(client, id, reason, &blocking.start, error);
    return finish_blocking(status, &blocking, cancelled, error);
}

enum covey_status covey_client_plan_flare_start(struct covey_client *client,
                                                const struct covey_flare_request *request,
                                                const struct covey_start *start,
                                                struct covey_error *error)
{
    if (client_request_check(request, error))
        return COVEY_EINVAL;
    struct client_arena arena = {0};
    Covey__V1__PlanFlareRequest message = COVEY__V1__PLAN_FLARE_REQUEST__INIT;
    message.request = client_request_flare(&arena, request);
    return begin_built(client, &plan_flare, &message.base, &arena, start, error);
}

enum covey_status covey_client_plan_flare(struct covey_client *client,
                                          const struct covey_flare_request *request,
                                          int64_t timeout_ns, struct covey_plan **plan,
                                          struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_plan_flare_start(client, request, &blocking.start, error);
    return finish_blocking(status, &blocking, plan, error);
}

enum covey_status covey_client_explain_flare_start(struct covey_client *client, const char *id,
                                                   const struct covey_start *start,
                                                   struct covey_error *error)
{
    Covey__V1__ExplainFlareRequest request = COVEY__V1__EXPLAIN_FLARE_REQUEST__INIT;
    request.id = text_of(id);
    return begin(client, &explain_flare, &request.base, start, error);
}

enum covey_status covey_client_explain_flare(struct covey_client *client, const char *id,
                                             int64_t timeout_ns,
                                             struct covey_explanation **explanation,
                                             struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_explain_flare_start(client, id, &blocking.start, error);
    return finish_blocking(status, &blocking, explanation, error);
}

enum covey_status covey_client_list_nodes_start(struct covey_client *client,
                                                const struct covey_start *start,
                                                struct covey_error *error)
{
    Covey__V1__ListNodesRequest request = COVEY__V1__LIST_NODES_REQUEST__INIT;
    return begin(client, &list_nodes, &request.base, start, error);
}

enum covey_status covey_client_list_nodes(struct covey_client *client, int64_t timeout_ns,
                                          struct covey_node_list **nodes, struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_list_nodes_start(client, &blocking.start, error);
    return finish_blocking(status, &blocking, nodes, error);
}

enum covey_status covey_client_drain_node_start(struct covey_client *client, const char *name,
                                                const struct covey_drain *drain,
                                                const struct covey_start *start,
                                                struct covey_error *error)
{
    struct client_arena arena = {0};
    Covey__V1__DrainNodeRequest request = COVEY__V1__DRAIN_NODE_REQUEST__INIT;
    request.name = text_of(name);
    request.drain = drain != NULL;
    if (drain) {
        request.reason = text_of(drain->reason);
        request.deadline = client_request_duration(&arena, drain->deadline_ns);
    }
    return begin_built(client, &drain_node, &request.base, &arena, start, error);
}

enum covey_status covey_client_drain_node(struct covey_client *client, const char *name,
                                          const struct covey_drain *drain, int64_t timeout_ns,
                                          struct covey_node **node, struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_drain_node_start(client, name, drain, &blocking.start, error);
    return finish_blocking(status, &blocking, node, error);
}

enum covey_status covey_client_server_info_start(struct covey_client *client,
                                                 const struct covey_start *start,
                                                 struct covey_error *error)
{
    Covey__V1__GetServerInfoRequest request = COVEY__V1__GET_SERVER_INFO_REQUEST__INIT;
    return begin(client, &server_info, &request.base, start, error);
}

enum covey_status covey_client_server_info(struct covey_client *client, int64_t timeout_ns,
                                           struct covey_server_info **info,
                                           struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_server_info_start(client, &blocking.start, error);
    return finish_blocking(status, &blocking, info, error);
}
