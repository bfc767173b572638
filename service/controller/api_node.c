/* The service covey.v1.Node: one stream an agent. */
#include "service/controller/api_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

struct agent {
    struct controller_link link;
    struct api *api;
    struct rpc_call *call;
    struct controller_node *node; /* once registered */
    bool closed;
    int64_t blocked_ns; /* since then it reads more slowly than it is told; 0: it does not */
};

/* A stream is of nobody until its agent has registered. */
#define REGISTER_MAX_NS (5 * COVEY_NS_PER_S)

/* An agent that does not read is as good as gone: its messages must not pile up here. */
#define BLOCKED_MAX_NS (5 * COVEY_NS_PER_S)

static enum covey_status link_send(struct controller_link *link,
                                   const Covey__V1__AttachResponse *out)
{
    struct agent *agent = covey_container_of(link, struct agent, link);
    if (rpc_call_writable(agent->call))
        agent->blocked_ns = 0;
    else if (agent->blocked_ns == 0)
        agent->blocked_ns = covey_now_ns();
    else if (covey_now_ns() - agent->blocked_ns > BLOCKED_MAX_NS)
        return COVEY_ETIMEOUT;
    return rpc_call_send(agent->call, &out->base);
}

static void link_close(struct controller_link *link, enum covey_status status, const char *message)
{
    struct agent *agent = covey_container_of(link, struct agent, link);
    struct covey_error error;
    agent->node = NULL;
    agent->closed = true;
    rpc_call_fail(agent->call, covey_error_set(&error, status, "%s", message), &error);
}

static void part(struct agent *agent, const char *why)
{
    struct controller_node *node = agent->node;
    agent->node = NULL;
    if (node)
        controller_detach(agent->api->controller, node, why);
    api_touch(agent->api);
}

static enum covey_status enter(struct agent *agent, const Covey__V1__AttachRequest *request,
                               struct covey_error *error)
{
    if (request->body_case != COVEY__V1__ATTACH_REQUEST__BODY_REGISTER)
        return covey_error_set(error, COVEY_EPRECONDITION, "Register must come first");
    return controller_attach(agent->api->controller, &agent->link, request->register_, &agent->node,
                             error);
}

/* The stream cannot go on. */
static void refuse(struct agent *agent, enum covey_status status, const struct covey_error *error)
{
    log_warn("an agent is refused: %s peer=%s", error->message,
             rpc_call_peer(agent->call)->address);
    agent->closed = true;
    part(agent, error->message);
    rpc_call_fail(agent->call, status, error);
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    (void)call;
    struct agent *agent = data;
    const Covey__V1__AttachRequest *request = (const Covey__V1__AttachRequest *)message;
    struct covey_error error = {0};
    if (agent->closed)
        return;
    enum covey_status status =
        agent->node ? controller_receive(agent->api->controller, agent->node, request, &error)
                    : enter(agent, request, &error);
    api_touch(agent->api);
    if (status)
        refuse(agent, status, &error);
}

/* Without a registration there is nobody to blame, and nothing to go on with. */
static bool on_bad_message(struct rpc_call *call, enum covey_status why, const uint8_t *bytes,
                           size_t length_bytes, void *data)
{
    (void)call;
    struct agent *agent = data;
    struct covey_error error = {0};
    if (!agent->node)
        return agent->closed;
    enum covey_status status = controller_receive_bad(agent->api->controller, agent->node, bytes,
                                                      length_bytes, why, &error);
    api_touch(agent->api);
    if (status)
        refuse(agent, status, &error);
    return true;
}

static void on_half_close(struct rpc_call *call, void *data)
{
    struct agent *agent = data;
    if (agent->closed)
        return;
    agent->closed = true;
    part(agent, "its agent left");
    rpc_call_finish(call, RPC_OK, NULL);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    struct agent *agent = data;
    if (agent->node)
        log_debug("an agent's stream ended code=%s message=\"%s\"", rpc_code_name(code), message);
    part(agent, "its stream closed");
    free(agent);
}

static const struct rpc_call_events attach_events = {.on_message = on_message,
                                                     .on_bad_message = on_bad_message,
                                                     .on_half_close = on_half_close,
                                                     .on_end = on_end};

static const struct rpc_call_events *attach_call(struct rpc_call *call, void *service, void **data)
{
    struct agent *agent = covey_calloc(1, sizeof *agent);
    if (!agent) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    agent->api = service;
    agent->call = call;
    agent->link.send = link_send;
    agent->link.close = link_close;
    rpc_call_mend_text(call);
    rpc_call_expect(call, REGISTER_MAX_NS);
    *data = agent;
    return &attach_events;
}

static const struct rpc_method methods[] = {
    {"Attach", &covey__v1__attach_request__descriptor, &covey__v1__attach_response__descriptor,
     true, true, attach_call},
};

const struct rpc_service api_node_service = {"covey.v1.Node", methods,
                                             sizeof methods / sizeof *methods};
