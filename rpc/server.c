#include "rpc/server.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/address.h"
#include "rpc/call.h"
#include "rpc/connection.h"
#include "rpc/health.h"
#include "rpc/listener.h"
#include "rpc/reflection.h"

#include <stdlib.h>
#include <string.h>

static void on_ready(struct rpc_connection *connection)
{
    (void)connection;
}

static struct rpc_call *on_request(struct rpc_connection *connection, int32_t stream_id)
{
    (void)stream_id;
    struct rpc_server *server = connection->owner;
    const struct rpc_limits *limits = &server->options.limits;
    struct rpc_call *call = rpc_call_create(&server->turn, server->strangers, limits, true);
    if (!call)
        return NULL;
    call->server = server;
    call->is_stranger = true;
    rpc_call_expect(call, limits->stranger_timeout_ns);
    return call;
}

static void on_goaway(struct rpc_connection *connection)
{
    (void)connection;
}

static void on_lost(struct rpc_connection *connection, const char *reason)
{
    struct rpc_server *server = connection->owner;
    log_debug("connection closed peer=\"%s\" reason=\"%s\"", connection->peer.address, reason);
    covey_list_remove(&connection->owner_link);
    covey_list_push_back(&server->parting, &connection->owner_link);
}

static void on_gone(struct rpc_connection *connection)
{
    struct rpc_server *server = connection->owner;
    covey_list_remove(&connection->owner_link);
    server->connection_count--;
}

static const struct rpc_connection_events connection_events = {on_ready, on_request, on_goaway,
                                                               on_lost, on_gone};

static enum covey_status identify_unix(struct rpc_connection *connection)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(rpc_transport_fd(connection->transport), SOL_SOCKET, SO_PEERCRED, &credentials,
                   &size) != 0)
        return COVEY_EIO;
    connection->peer.uid = credentials.uid;
    connection->peer.gid = credentials.gid;
    connection->peer.pid = credentials.pid;
    connection->peer.is_loopback = true;
    return COVEY_OK;
}

static enum covey_status identify(struct rpc_connection *connection,
                                  const struct rpc_listener *listener)
{
    connection->peer.is_tls = listener->tls != NULL;
    if (listener->is_unix) {
        connection->peer_address = covey_asprintf("unix:%s", listener->path);
        enum covey_status status = identify_unix(connection);
        if (status)
            return status;
    } else {
        struct sockaddr_storage name;
        int size = sizeof name;
        const uv_tcp_t *tcp = (const uv_tcp_t *)rpc_transport_stream(connection->transport);
        if (uv_tcp_getpeername(tcp, (struct sockaddr *)&name, &size) != 0)
            return COVEY_EIO;
        connection->peer_address = rpc_address_format((struct sockaddr *)&name);
        connection->peer.is_loopback = rpc_address_is_loopback((struct sockaddr *)&name);
    }
    if (!connection->peer_address)
        return COVEY_ENOMEM;
    connection->peer.address = connection->peer_address;
    return COVEY_OK;
}

void rpc_server_accept(struct rpc_listener *listener)
{
    struct rpc_server *server = listener->server;
    struct rpc_connection *connection = NULL;
    if (!server->stopping && rpc_server_has_room(server))
        connection = rpc_connection_create(&server->turn, true, listener->is_unix,
                                           &server->options.limits, &connection_events, server);
    if (!connection) {
        log_debug("connection refused open=%zu", server->connection_count);
        rpc_listener_refuse(listener);
        return;
    }
    connection->number = ++server->last_number;
    covey_list_push_back(&server->connections, &connection->owner_link);
    server->connection_count++;
    if (uv_accept(&listener->handle.stream, rpc_transport_stream(connection->transport)) != 0 ||
        identify(connection, listener) != COVEY_OK) {
        rpc_connection_lose(connection, "it was gone before it was accepted");
        return;
    }
    if (!rpc_server_make_room(server, connection)) {
        rpc_connection_drop(connection, "too many connections are in use");
        return;
    }
    struct rpc_tls_session *tls = NULL;
    if (listener->tls) {
        tls = rpc_tls_session_create(listener->tls, NULL);
        if (!tls) {
            rpc_connection_lose(connection, "out of memory");
            return;
        }
    }
    if (rpc_transport_start(connection->transport, tls) != COVEY_OK)
        rpc_connection_lose(connection, "the connection broke");
}

static void free_server(struct rpc_server *server)
{
    size_t cursor = 0;
    void *route;
    while (covey_map_next(&server->routes, &cursor, NULL, &route))
        free(route);
    covey_map_clear(&server->routes);
    rpc_account_unref(server->strangers);
    covey_map_clear(&server->accounts);
    free(server->services);
    rpc_health_destroy(server->health);
    rpc_reflection_destroy(server->reflection);
    void (*done)(void *data) = server->done;
    void *data = server->done_data;
    free(server);
    if (done)
        done(data);
}

static void on_grace_closed(uv_handle_t *handle)
{
    free_server(covey_container_of((uv_timer_t *)handle, struct rpc_server, grace));
}

static void on_turn_closed(struct rpc_turn *turn)
{
    struct rpc_server *server = covey_container_of(turn, struct rpc_server, turn);
    uv_close((uv_handle_t *)&server->grace, on_grace_closed);
}

enum covey_status rpc_server_create(uv_loop_t *loop, const struct rpc_server_options *options,
                                    struct rpc_server **server, struct covey_error *error)
{
    struct rpc_server *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    made->options = *options;
    covey_list_init(&made->listeners);
    covey_list_init(&made->connections);
    covey_list_init(&made->parting);
    rpc_turn_init(&made->turn, loop, on_turn_closed);
    uv_timer_init(loop, &made->grace);
    made->strangers = rpc_account_create("strangers", SIZE_MAX);
    enum covey_status status =
        made->strangers ? rpc_health_create(made, &made->health) : COVEY_ENOMEM;
    if (status)
        covey_error_set(error, status, "out of memory");
    if (!status && options->reflection)
        status = rpc_reflection_create(made, &made->reflection, error);
    if (status) {
        rpc_turn_unref(&made->turn);
        return status;
    }
    *server = made;
    return COVEY_OK;
}

static enum covey_status add_route(struct rpc_server *server, const struct rpc_service *service,
                                   const struct rpc_method *method, void *data)
{
    char *path = covey_asprintf("/%s/%s", service->name, method->name);
    struct rpc_route *route = covey_calloc(1, sizeof *route);
    enum covey_status status = COVEY_ENOMEM;
    if (path && route) {
        route->method = method;
        route->service_data = data;
        status = covey_map_get(&server->routes, path) ? COVEY_EEXISTS
                                                      : covey_map_set(&server->routes, path, route);
    }
    if (status)
        free(route);
    free(path);
    return status;
}

enum covey_status rpc_server_add(struct rpc_server *server, const struct rpc_service *service,
                                 void *data)
{
    const struct rpc_service **services = covey_reallocarray(
        server->services, server->service_count + 1, sizeof(struct rpc_service *));
    if (!services)
        return COVEY_ENOMEM;
    server->services = services;
    for (size_t i = 0; i < service->method_count; i++) {
        enum covey_status status = add_route(server, service, &service->methods[i], data);
        if (status)
            return status;
    }
    server->services[server->service_count++] = service;
    return COVEY_OK;
}

void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving)
{
    rpc_health_set(server->health, service, serving);
}

static void drop_all(struct covey_list *connections)
{
    covey_list_for_each_safe (link, after, connections) {
        rpc_connection_drop(covey_container_of(link, struct rpc_connection, owner_link),
                            "the server is stopping");
    }
}

static void end_grace(struct rpc_server *server)
{
    drop_all(&server->connections);
    drop_all(&server->parting);
}

static void on_grace_over(uv_timer_t *timer)
{
    end_grace(covey_container_of(timer, struct rpc_server, grace));
}

static void shorten_grace(struct rpc_server *server, int64_t grace_ns)
{
    if (grace_ns <= 0) {
        end_grace(server);
        return;
    }
    uint64_t grace_ms = (uint64_t)((grace_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS);
    if (!uv_is_active((uv_handle_t *)&server->grace) ||
        uv_timer_get_due_in(&server->grace) > grace_ms)
        uv_timer_start(&server->grace, on_grace_over, grace_ms, 0);
}

void rpc_server_stop(struct rpc_server *server, int64_t grace_ns, void (*done)(void *data),
                     void *data)
{
    server->done = done;
    server->done_data = data;
    if (server->stopping) {
        shorten_grace(server, grace_ns);
        return;
    }
    server->stopping = true;
    covey_list_for_each_safe (link, after, &server->listeners) {
        rpc_listener_close(covey_container_of(link, struct rpc_listener, link));
    }
    rpc_health_shutdown(server->health);
    covey_list_for_each_safe (link, after, &server->connections) {
        rpc_connection_drain(covey_container_of(link, struct rpc_connection, owner_link));
    }
    shorten_grace(server, grace_ns);
    rpc_turn_unref(&server->turn);
}
