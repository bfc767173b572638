/* The method Flare: its answer waits until the flare is in the journal. */
#include "base/error.h"
#include "base/memory.h"
#include "service/controller/api_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct flare_call {
    struct api *api;
    struct rpc_call *call;
    char id[ULID_BYTES]; /* its key in api.accepting; "": it is not there */
    Covey__V1__Flare *flare;
};

static void answer(struct flare_call *made, enum covey_status status,
                   const struct covey_error *error)
{
    Covey__V1__FlareResponse response = COVEY__V1__FLARE_RESPONSE__INIT;
    response.flare = made->flare;
    if (status)
        rpc_call_fail(made->call, status, error);
    else
        rpc_call_reply(made->call, &response.base);
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct flare_call *made = data;
    struct api *api = made->api;
    struct controller_identity caller;
    struct covey_error error = {0};
    bool accepted;
    if (!api_caller(api, call, &caller))
        return;
    enum covey_status status =
        controller_submit(api->controller, &caller, (const Covey__V1__FlareRequest *)message,
                          &made->flare, &accepted, &error);
    api_touch(api);
    if (status || accepted) {
        answer(made, status, &error);
        return;
    }
    status = covey_map_set(&api->accepting, made->flare->id, made);
    if (status)
        answer(made, status, NULL); /* it runs, and its caller may ask with the same key */
    else
        (void)snprintf(made->id, sizeof made->id, "%s", made->flare->id);
}

void api_on_accepted(const char *flare, const struct covey_error *error, void *data)
{
    struct api *api = data;
    struct flare_call *made = covey_map_remove(&api->accepting, flare);
    if (!made)
        return; /* its caller has gone */
    made->id[0] = '\0';
    answer(made, error ? error->status : COVEY_OK, error);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct flare_call *made = data;
    (void)call;
    (void)code;
    (void)message;
    if (*made->id)
        (void)covey_map_remove(&made->api->accepting, made->id);
    message_free(made->flare);
    free(made);
}

const struct rpc_call_events *api_flare_call(struct rpc_call *call, void *service, void **data)
{
    static const struct rpc_call_events events = {.on_message = on_message, .on_end = on_end};
    struct flare_call *made = covey_calloc(1, sizeof *made);
    if (!made) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    made->api = service;
    made->call = call;
    *data = made;
    return &events;
}
