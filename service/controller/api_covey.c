/* The service covey.v1.Covey. */
#include "service/controller/api_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "service/controller/messages.h"

#include <stdlib.h>

static void cancel_flare(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct api *api = data;
    const Covey__V1__CancelFlareRequest *request = (const Covey__V1__CancelFlareRequest *)message;
    struct controller_identity caller;
    struct covey_error error = {0};
    Covey__V1__CancelFlareResponse response = COVEY__V1__CANCEL_FLARE_RESPONSE__INIT;
    if (!api_caller(api, call, &caller))
        return;
    enum covey_status status = controller_cancel(api->controller, &caller, request->id,
                                                 request->reason, &response.flare, &error);
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &response.base);
    message_free(response.flare);
    api_touch(api);
}

/* ---- definitions ---- */

static void deploy(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct api *api = data;
    const Covey__V1__DeployRequest *request = (const Covey__V1__DeployRequest *)message;
    struct controller_identity caller;
    struct covey_error error = {0};
    Covey__V1__DeployResponse response = COVEY__V1__DEPLOY_RESPONSE__INIT;
    if (!api_caller(api, call, &caller))
        return;
    if (!request->definition) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "no definition is given to deploy");
        return;
    }
    enum covey_status status = controller_deploy(api->controller, &caller, request->definition,
                                                 &response.definition, &error);
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &response.base);
    message_free(response.definition);
}

static void get_definition(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct api *api = data;
    const Covey__V1__GetDefinitionRequest *request =
        (const Covey__V1__GetDefinitionRequest *)message;
    struct controller_identity caller;
    struct covey_error error = {0};
    Covey__V1__GetDefinitionResponse response = COVEY__V1__GET_DEFINITION_RESPONSE__INIT;
    if (!api_caller(api, call, &caller))
        return;
    enum covey_status status = controller_definition(
        api->controller, &caller, request->name, request->version, &response.definition, &error);
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &response.base);
    message_free(response.definition);
}

static void delete_definition(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct api *api = data;
    struct controller_identity caller;
    struct covey_error error = {0};
    Covey__V1__DeleteDefinitionResponse response = COVEY__V1__DELETE_DEFINITION_RESPONSE__INIT;
    if (!api_caller(api, call, &caller))
        return;
    enum covey_status status = store_definition_remove(
        api->store, caller.tenant, ((const Covey__V1__DeleteDefinitionRequest *)message)->name,
        &error);
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &response.base);
}

struct definition_list {
    Covey__V1__ListDefinitionsResponse response;
    uint64_t left_bytes; /* of a message */
    bool failed;
    bool too_long;
};

static bool add_definition(const struct store_definition *row, void *data)
{
    struct definition_list *list = data;
    Covey__V1__ListDefinitionsResponse *response = &list->response;
    list->too_long = row->body.length_bytes > list->left_bytes;
    if (list->too_long)
        return false;
    list->left_bytes -= row->body.length_bytes;
    definition_message **grown = realloc(response->definitions, (response->n_definitions + 1) *
                                                                    sizeof(definition_message *));
    definition_message *definition = message_unpack(&covey__v1__definition__descriptor, row->body);
    if (grown)
        response->definitions = grown;
    list->failed = !grown || !definition;
    if (list->failed)
        message_free(definition);
    else
        response->definitions[response->n_definitions++] = definition;
    return !list->failed;
}

static void list_definitions(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    (void)message;
    struct api *api = data;
    struct controller_identity caller;
    struct covey_error error = {0};
    struct definition_list list = {.response = COVEY__V1__LIST_DEFINITIONS_RESPONSE__INIT,
                                   .left_bytes =
                                       controller_limits(api->controller)->max_message_bytes};
    if (!api_caller(api, call, &caller))
        return;
    enum covey_status status =
        store_definitions(api->store, caller.tenant, add_definition, &list, &error);
    if (!status && list.failed)
        status = covey_error_set(&error, COVEY_ENOMEM, "no memory for a list");
    if (!status && list.too_long)
        status = covey_error_set(&error, COVEY_ELIMIT,
                                 "there are more definitions than fit into a message: delete some "
                                 "that are not used");
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &list.response.base);
    for (size_t i = 0; i < list.response.n_definitions; i++)
        message_free(list.response.definitions[i]);
    free(list.response.definitions);
}

/* ---- nodes ---- */

/* Other tenants' flares are not their business. */
static void hide_flares(Covey__V1__NodeInfo *info)
{
    for (size_t i = 0; i < info->n_flare_ids; i++)
        free(info->flare_ids[i]);
    info->n_flare_ids = 0;
}

static void list_nodes(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    (void)message;
    struct api *api = data;
    struct controller_identity caller;
    Covey__V1__ListNodesResponse response = COVEY__V1__LIST_NODES_RESPONSE__INIT;
    if (!api_caller(api, call, &caller))
        return;
    enum covey_status status =
        controller_nodes(api->controller, &response.nodes, &response.n_nodes);
    for (size_t i = 0; i < response.n_nodes && !caller.is_operator; i++)
        hide_flares(response.nodes[i]);
    if (status)
        rpc_call_fail(call, status, NULL);
    else
        rpc_call_reply(call, &response.base);
    for (size_t i = 0; i < response.n_nodes; i++)
        message_free(response.nodes[i]);
    free(response.nodes);
}

static void drain_node(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct api *api = data;
    const Covey__V1__DrainNodeRequest *request = (const Covey__V1__DrainNodeRequest *)message;
    struct controller_identity caller;
    struct covey_error error = {0};
    Covey__V1__DrainNodeResponse response = COVEY__V1__DRAIN_NODE_RESPONSE__INIT;
    if (!api_caller(api, call, &caller))
        return;
    if (!caller.is_operator) {
        rpc_call_finish(call, RPC_PERMISSION_DENIED, "only an operator may drain a node");
        return;
    }
    struct controller_drain drain = {.reason = request->reason};
    if (!message_duration_ns(request->deadline, COVEY_NEVER_NS, &drain.deadline_ns)) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "deadline must be a duration above 0");
        return;
    }
    enum covey_status status = controller_drain_node(api->controller, request->name,
                                                     request->drain ? &drain : NULL, &error);
    if (!status) {
        response.node = controller_node_info(api->controller, request->name);
        status = response.node ? COVEY_OK : COVEY_ENOMEM;
    }
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &response.base);
    message_free(response.node);
    api_touch(api);
}

static void get_server_info(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    (void)message;
    struct api *api = data;
    const struct controller_limits *limits = controller_limits(api->controller);
    Covey__V1__GetServerInfoResponse response = COVEY__V1__GET_SERVER_INFO_RESPONSE__INIT;
    response.version = (char *)(uintptr_t)COVEY_VERSION;
    response.max_message_bytes = limits->max_message_bytes;
    response.max_workers = (uint32_t)limits->max_workers;
    response.max_parameter_bytes = limits->max_parameter_bytes;
    response.max_result_bytes = limits->max_result_bytes;
    response.max_blob_bytes = limits->max_blob_bytes;
    rpc_call_reply(call, &response.base);
}

API_UNARY(cancel_flare)
API_UNARY(deploy)
API_UNARY(get_definition)
API_UNARY(delete_definition)
API_UNARY(list_definitions)
API_UNARY(list_nodes)
API_UNARY(drain_node)
API_UNARY(get_server_info)

#define STREAM(kind)                                                                               \
    static const struct rpc_call_events kind##_events = {.on_message = streams_##kind,             \
                                                         .on_writable = streams_on_writable,       \
                                                         .on_turn = streams_on_writable,           \
                                                         .on_end = streams_on_end};                \
    static const struct rpc_call_events *kind##_call(struct rpc_call *call, void *service,         \
                                                     void **data)                                  \
    {                                                                                              \
        return streams_begin(call, service, data) ? &kind##_events : NULL;                         \
    }

STREAM(watch)
STREAM(logs)
STREAM(results)

#define METHOD(name, request, call)                                                                \
    {                                                                                              \
        name, &covey__v1__##request##_request__descriptor,                                         \
            &covey__v1__##request##_response__descriptor, false, false, call##_call                \
    }
/* One whose call is made by another file. */
#define QUESTION(name, request)                                                                    \
    {                                                                                              \
        name, &covey__v1__##request##_request__descriptor,                                         \
            &covey__v1__##request##_response__descriptor, false, false, api_##request              \
    }
#define STREAMING(name, request, call)                                                             \
    {                                                                                              \
        name, &covey__v1__##request##_request__descriptor,                                         \
            &covey__v1__##request##_response__descriptor, false, true, call##_call                 \
    }

static const struct rpc_method methods[] = {
    METHOD("Deploy", deploy, deploy),
    METHOD("ListDefinitions", list_definitions, list_definitions),
    METHOD("GetDefinition", get_definition, get_definition),
    METHOD("DeleteDefinition", delete_definition, delete_definition),
    METHOD("Flare", flare, api_flare),
    QUESTION("GetFlare", get_flare),
    QUESTION("ListFlares", list_flares),
    METHOD("CancelFlare", cancel_flare, cancel_flare),
    QUESTION("PlanFlare", plan_flare),
    QUESTION("ExplainFlare", explain_flare),
    METHOD("ListNodes", list_nodes, list_nodes),
    METHOD("DrainNode", drain_node, drain_node),
    METHOD("GetServerInfo", get_server_info, get_server_info),
    STREAMING("WatchFlare", watch_flare, watch),
    STREAMING("StreamLogs", stream_logs, logs),
    STREAMING("StreamResults", stream_results, results),
};

const struct rpc_service api_covey_service = {"covey.v1.Covey", methods,
                                              sizeof methods / sizeof *methods};
