#include "rpc/channel.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "rpc/call.h"
#include "rpc/connection.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static void attempt(struct rpc_channel *channel);
static void try_next(struct rpc_channel *channel);

void rpc_channel_options_init(struct rpc_channel_options *options)
{
    *options = (struct rpc_channel_options){
        .reconnect_min_ns = 20 * COVEY_NS_PER_MS,
        .reconnect_max_ns = 2 * COVEY_NS_PER_S,
    };
    rpc_limits_init(&options->limits);
}

static void fail_waiting(struct rpc_channel *channel, enum rpc_code code, const char *message)
{
    struct covey_list *link;
    while ((link = covey_list_pop_front(&channel->waiting)))
        rpc_call_conclude(covey_container_of(link, struct rpc_call, connection_link), code, message,
                          false);
}

/* Half of the wait is fixed, half random: clients of one server come back one by one. */
static int64_t with_jitter(int64_t wait_ns)
{
    uint32_t random = 0;
    (void)RAND_bytes((unsigned char *)&random, sizeof random);
    return wait_ns / 2 + (int64_t)((double)wait_ns / 2 * random / UINT32_MAX);
}

static void set_backoff(struct rpc_channel *channel)
{
    channel->not_before_ns = covey_deadline_ns(covey_now_ns(), with_jitter(channel->backoff_ns));
    channel->backoff_ns *= 2;
    if (channel->backoff_ns > channel->options.reconnect_max_ns)
        channel->backoff_ns = channel->options.reconnect_max_ns;
}

/* The attempt has failed, on every address. */
static void give_up(struct rpc_channel *channel)
{
    char text[1024];
    if (channel->found)
        uv_freeaddrinfo(channel->found);
    channel->found = NULL;
    channel->next = NULL;
    channel->state = RPC_CHANNEL_IDLE;
    channel->current = NULL;
    if (channel->destroyed)
        return;
    set_backoff(channel);
    if (channel->address.is_unix)
        (void)covey_text_print(text, sizeof text, "cannot connect to unix:%s: %s",
                               channel->address.local.sun_path, channel->failure);
    else
        (void)covey_text_print(text, sizeof text, "cannot connect to %s: %s", channel->authority,
                               channel->failure);
    log_debug("connection attempt failed reason=\"%s\"", channel->failure);
    fail_waiting(channel, RPC_UNAVAILABLE, text);
}

static void on_ready(struct rpc_connection *connection)
{
    struct rpc_channel *channel = connection->owner;
    if (connection != channel->current)
        return;
    channel->state = RPC_CHANNEL_READY;
    channel->backoff_ns = channel->options.reconnect_min_ns;
    channel->not_before_ns = 0;
    if (channel->found)
        uv_freeaddrinfo(channel->found);
    channel->found = NULL;
    struct covey_list *link;
    while ((link = covey_list_pop_front(&channel->waiting))) {
        struct rpc_call *call = covey_container_of(link, struct rpc_call, connection_link);
        if (rpc_client_call_submit(call, connection) != COVEY_OK)
            rpc_call_conclude(call, RPC_UNAVAILABLE, "the request could not be sent", false);
    }
}

static struct rpc_call *on_request(struct rpc_connection *connection, int32_t stream_id)
{
    (void)connection;
    (void)stream_id;
    return NULL;
}

static void on_goaway(struct rpc_connection *connection)
{
    struct rpc_channel *channel = connection->owner;
    if (connection != channel->current || channel->state != RPC_CHANNEL_READY)
        return;
    channel->current = NULL;
    channel->state = RPC_CHANNEL_IDLE;
    if (!covey_list_empty(&channel->waiting))
        rpc_channel_need(channel);
}

static void on_lost(struct rpc_connection *connection, const char *reason)
{
    struct rpc_channel *channel = connection->owner;
    covey_list_remove(&connection->owner_link);
    if (connection != channel->current)
        return;
    channel->current = NULL;
    if (channel->state == RPC_CHANNEL_READY) {
        channel->state = RPC_CHANNEL_IDLE;
        return;
    }
    (void)covey_text_print(channel->failure, sizeof channel->failure, "%s", reason);
    try_next(channel);
}

static void on_gone(struct rpc_connection *connection)
{
    (void)connection;
}

static const struct rpc_connection_events connection_events = {on_ready, on_request, on_goaway,
                                                               on_lost, on_gone};

static enum covey_status connect_to(struct rpc_channel *channel, const struct sockaddr *address)
{
    struct rpc_connection *connection =
        rpc_connection_create(&channel->turn, false, channel->address.is_unix,
                              &channel->options.limits, &connection_events, channel);
    if (!connection)
        return COVEY_ENOMEM;
    channel->current = connection;
    channel->state = RPC_CHANNEL_CONNECTING;
    covey_list_push_back(&channel->connections, &connection->owner_link);
    connection->peer.is_tls = channel->tls != NULL;
    struct rpc_tls_session *tls = NULL;
    if (channel->tls) {
        tls = rpc_tls_session_create(channel->tls, channel->server_name);
        if (!tls) {
            rpc_connection_lose(connection, "out of memory");
            return COVEY_OK;
        }
    }
    enum covey_status status = rpc_transport_connect(connection->transport, address, tls);
    if (status)
        rpc_connection_lose(connection, covey_status_text(status));
    return COVEY_OK;
}

/* The next address of this attempt, or the end of it. */
static void try_next(struct rpc_channel *channel)
{
    while (channel->next && !channel->destroyed) {
        const struct sockaddr *address = channel->next->ai_addr;
        channel->next = channel->next->ai_next;
        if (!channel->tls && !channel->options.allow_plaintext &&
            !rpc_address_is_loopback(address)) {
            snprintf(channel->failure, sizeof channel->failure,
                     "plaintext is allowed to loopback addresses only; use TLS");
            continue;
        }
        if (connect_to(channel, address) == COVEY_OK)
            return;
        snprintf(channel->failure, sizeof channel->failure, "out of memory");
    }
    give_up(channel);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct rpc_channel *channel = covey_container_of(request, struct rpc_channel, resolve);
    if (status == 0) {
        channel->found = found;
        channel->next = found;
    } else {
        snprintf(channel->failure, sizeof channel->failure, "%s", uv_strerror(status));
    }
    try_next(channel);
    rpc_turn_unref(&channel->turn);
}

static void attempt(struct rpc_channel *channel)
{
    if (channel->address.is_unix) {
        if (connect_to(channel, (const struct sockaddr *)&channel->address.local) != COVEY_OK) {
            snprintf(channel->failure, sizeof channel->failure, "out of memory");
            give_up(channel);
        }
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int failed = uv_getaddrinfo(channel->turn.loop, &channel->resolve, on_resolved,
                                channel->address.host, channel->address.port, &hints);
    if (failed) {
        snprintf(channel->failure, sizeof channel->failure, "%s", uv_strerror(failed));
        give_up(channel);
        return;
    }
    rpc_turn_ref(&channel->turn);
    channel->state = RPC_CHANNEL_RESOLVING;
}

static void on_backoff(uv_timer_t *timer)
{
    struct rpc_channel *channel = covey_container_of(timer, struct rpc_channel, backoff);
    if (channel->state != RPC_CHANNEL_WAITING)
        return;
    channel->state = RPC_CHANNEL_IDLE;
    if (!channel->destroyed && !covey_list_empty(&channel->waiting))
        attempt(channel);
}

void rpc_channel_need(struct rpc_channel *channel)
{
    if (channel->state != RPC_CHANNEL_IDLE)
        return;
    int64_t wait_ns = channel->not_before_ns - covey_now_ns();
    if (wait_ns <= 0) {
        attempt(channel);
        return;
    }
    channel->state = RPC_CHANNEL_WAITING;
    uv_timer_start(&channel->backoff, on_backoff,
                   (uint64_t)(wait_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS, 0);
}

static void free_channel(struct rpc_channel *channel)
{
    void (*done)(void *data) = channel->done;
    void *data = channel->done_data;
    if (channel->found)
        uv_freeaddrinfo(channel->found);
    rpc_tls_context_destroy(channel->tls);
    free(channel->authority);
    free(channel->authorization);
    free(channel->server_name);
    rpc_account_unref(channel->account);
    free(channel);
    if (done)
        done(data);
}

static void on_backoff_closed(uv_handle_t *handle)
{
    free_channel(covey_container_of((uv_timer_t *)handle, struct rpc_channel, backoff));
}

static void on_turn_closed(struct rpc_turn *turn)
{
    struct rpc_channel *channel = covey_container_of(turn, struct rpc_channel, turn);
    uv_close((uv_handle_t *)&channel->backoff, on_backoff_closed);
}

static enum covey_status copy_options(struct rpc_channel *channel, const char *target,
                                      struct covey_error *error)
{
    const struct rpc_tls *tls = channel->options.tls;
    const char *token = channel->options.token;
    channel->authority = covey_strdup(channel->address.is_unix ? "localhost" : target);
    if (!channel->authority)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (!nghttp2_check_authority((const uint8_t *)channel->authority, strlen(channel->authority)))
        return covey_error_set(error, COVEY_EINVAL,
                               "\"%s\" is no address: a host's name has no such characters",
                               target);
    if (token) {
        channel->authorization = covey_asprintf("Bearer %s", token);
        if (!channel->authorization)
            return covey_error_set(error, COVEY_ENOMEM, "out of memory");
        const uint8_t *value = (const uint8_t *)channel->authorization;
        if (!nghttp2_check_header_value_rfc9113(value, strlen(channel->authorization)))
            return covey_error_set(error, COVEY_EINVAL,
                                   "the token is empty, ends with white space or holds characters "
                                   "that no header may");
    }
    if (!tls)
        return COVEY_OK;
    channel->server_name =
        covey_strdup(tls->server_name ? tls->server_name : channel->address.host);
    if (!channel->server_name)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    return rpc_tls_context_create(tls, false, &channel->tls, error);
}

enum covey_status rpc_channel_create(uv_loop_t *loop, const char *target,
                                     const struct rpc_channel_options *options,
                                     struct rpc_channel **channel, struct covey_error *error)
{
    struct rpc_channel *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    made->options = *options;
    covey_list_init(&made->connections);
    covey_list_init(&made->waiting);
    made->backoff_ns = options->reconnect_min_ns;
    made->account = rpc_account_create("", options->limits.held_bytes);
    enum covey_status status = made->account
                                   ? rpc_address_parse(target, &made->address, error)
                                   : covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (!status)
        status = copy_options(made, target, error);
    if (status) {
        free_channel(made);
        return status;
    }
    made->options.tls = NULL;
    made->options.token = NULL;
    rpc_turn_init(&made->turn, loop, on_turn_closed);
    uv_timer_init(loop, &made->backoff);
    *channel = made;
    return COVEY_OK;
}

void rpc_channel_destroy(struct rpc_channel *channel, void (*done)(void *data), void *data)
{
    channel->destroyed = true;
    channel->done = done;
    channel->done_data = data;
    fail_waiting(channel, RPC_CANCELLED, "the channel was closed");
    if (channel->state == RPC_CHANNEL_RESOLVING)
        (void)uv_cancel((uv_req_t *)&channel->resolve);
    uv_timer_stop(&channel->backoff);
    channel->state = RPC_CHANNEL_IDLE;
    covey_list_for_each_safe (link, after, &channel->connections) {
        struct rpc_connection *connection =
            covey_container_of(link, struct rpc_connection, owner_link);
        covey_list_for_each_safe (call_link, call_after, &connection->calls) {
            struct rpc_call *call = covey_container_of(call_link, struct rpc_call, connection_link);
            rpc_call_cancel(call);
        }
        rpc_connection_lose(connection, "the channel was closed");
    }
    rpc_turn_unref(&channel->turn);
}
