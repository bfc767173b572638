#include "rpc/health.h"

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "grpc/health/v1/health.pb-c.h"
#include "rpc/server.h"

#include <stdlib.h>

typedef Grpc__Health__V1__HealthCheckRequest health_request;
typedef Grpc__Health__V1__HealthCheckResponse health_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct rpc_health {
    struct covey_map statuses; /* service -> one of the two marks */
    struct covey_list watches;
};

struct watch {
    struct covey_list link;
    struct rpc_health *health;
    struct rpc_call *call;
    char *service;
    serving_status told;
    bool started;
};

static char serving_mark;
static char not_serving_mark;

static serving_status status_of(const struct rpc_health *health, const char *service)
{
    const void *mark = covey_map_get(&health->statuses, service);
    if (!mark)
        return STATUS(SERVICE_UNKNOWN);
    return mark == &serving_mark ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static void on_check(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const struct rpc_health *health = data;
    const health_request *request = (const health_request *)message;
    health_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status_of(health, request->service);
    if (response.status == STATUS(SERVICE_UNKNOWN))
        rpc_call_finish(call, RPC_NOT_FOUND, "no such service");
    else
        rpc_call_reply(call, &response.base);
}

static void on_check_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    (void)data;
}

static const struct rpc_call_events *on_check_call(struct rpc_call *call, void *service_data,
                                                   void **data)
{
    static const struct rpc_call_events events = {.on_message = on_check, .on_end = on_check_end};
    (void)call;
    *data = service_data;
    return &events;
}

static void tell(struct watch *watch)
{
    health_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status_of(watch->health, watch->service);
    if (watch->started && response.status == watch->told)
        return;
    /* A watcher that does not read is told the state of the moment when it does. */
    if (!rpc_call_writable(watch->call))
        return;
    watch->started = true;
    watch->told = response.status;
    enum covey_status status = rpc_call_send(watch->call, &response.base);
    if (status)
        rpc_call_fail(watch->call, status, NULL);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct watch *watch = data;
    watch->service = covey_strdup(((const health_request *)message)->service);
    if (!watch->service) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return;
    }
    covey_list_push_back(&watch->health->watches, &watch->link);
    tell(watch);
}

static void on_watch_writable(struct rpc_call *call, void *data)
{
    (void)call;
    tell(data);
}

static void on_watch_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct watch *watch = data;
    (void)call;
    (void)code;
    (void)message;
    covey_list_remove(&watch->link);
    free(watch->service);
    free(watch);
}

static const struct rpc_call_events *on_watch_call(struct rpc_call *call, void *service_data,
                                                   void **data)
{
    static const struct rpc_call_events events = {
        .on_message = on_watch, .on_writable = on_watch_writable, .on_end = on_watch_end};
    struct watch *watch = covey_calloc(1, sizeof *watch);
    if (!watch) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    watch->health = service_data;
    watch->call = call;
    covey_list_init(&watch->link);
    *data = watch;
    return &events;
}

enum covey_status rpc_health_create(struct rpc_server *server, struct rpc_health **health)
{
    static const struct rpc_method methods[] = {
        {.name = "Check",
         .request = &grpc__health__v1__health_check_request__descriptor,
         .response = &grpc__health__v1__health_check_response__descriptor,
         .on_call = on_check_call},
        {.name = "Watch",
         .request = &grpc__health__v1__health_check_request__descriptor,
         .response = &grpc__health__v1__health_check_response__descriptor,
         .server_streaming = true,
         .on_call = on_watch_call},
    };
    static const struct rpc_service service = {"grpc.health.v1.Health", methods,
                                               sizeof methods / sizeof *methods};
    struct rpc_health *made = covey_calloc(1, sizeof *made);
    if (!made)
        return COVEY_ENOMEM;
    covey_list_init(&made->watches);
    enum covey_status status = covey_map_set(&made->statuses, "", &serving_mark);
    if (!status)
        status = rpc_server_add(server, &service, made);
    if (status) {
        rpc_health_destroy(made);
        return status;
    }
    *health = made;
    return COVEY_OK;
}

void rpc_health_destroy(struct rpc_health *health)
{
    if (!health)
        return;
    covey_map_clear(&health->statuses);
    free(health);
}

void rpc_health_set(struct rpc_health *health, const char *service, bool serving)
{
    if (covey_map_set(&health->statuses, service, serving ? &serving_mark : &not_serving_mark)) {
        log_error("cannot note the health of a service: out of memory service=%s", service);
        return;
    }
    covey_list_for_each_safe (link, after, &health->watches) {
        tell(covey_container_of(link, struct watch, link));
    }
}

void rpc_health_shutdown(struct rpc_health *health)
{
    covey_list_for_each_safe (link, after, &health->watches) {
        struct watch *watch = covey_container_of(link, struct watch, link);
        rpc_call_finish(watch->call, RPC_UNAVAILABLE, "the server is stopping");
    }
}
