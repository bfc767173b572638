/*
 * Who may come in, and have another call. Room that is short is taken from connections that are
 * over and wait for their peer's end; from those by which nobody known has called, the oldest
 * first; then from idle ones of whoever has most of them. What is trusted (by the credentials of a
 * unix socket) has places of its own, and does not give way.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/call.h"
#include "rpc/connection.h"
#include "rpc/server.h"

#include <stdio.h>
#include <stdlib.h>

#define NEEDED "its place was needed for another"

/* The oldest of those that are over; account NULL: anybody's. NULL: there is none. */
static struct rpc_connection *find_parting(const struct rpc_server *server,
                                           const struct rpc_account *account)
{
    covey_list_for_each (link, &server->parting) {
        struct rpc_connection *connection =
            covey_container_of(link, struct rpc_connection, owner_link);
        if (!account || connection->account == account)
            return connection;
    }
    return NULL;
}

static bool drop_parting(const struct rpc_server *server, const struct rpc_account *account)
{
    struct rpc_connection *parting = find_parting(server, account);
    if (parting)
        rpc_connection_drop(parting, NEEDED);
    return parting != NULL;
}

bool rpc_server_has_room(const struct rpc_server *server)
{
    const struct rpc_limits *limits = &server->options.limits;
    return server->connection_count < (size_t)limits->connections + limits->connections_reserved ||
           drop_parting(server, NULL);
}

static bool gives_way_before(const struct rpc_connection *a, const struct rpc_connection *b)
{
    if (a->account->connections != b->account->connections)
        return a->account->connections > b->account->connections;
    return a->idle_since_ns < b->idle_since_ns;
}

/* NULL: nobody gives way. */
static struct rpc_connection *find_victim(const struct rpc_server *server,
                                          const struct rpc_connection *newcomer)
{
    struct rpc_connection *idle = NULL;
    covey_list_for_each (link, &server->connections) {
        struct rpc_connection *connection =
            covey_container_of(link, struct rpc_connection, owner_link);
        if (connection == newcomer || connection->is_trusted)
            continue;
        if (!connection->account)
            return connection;
        if (!connection->account->is_urgent && covey_list_empty(&connection->calls) &&
            (!idle || gives_way_before(connection, idle)))
            idle = connection;
    }
    return idle;
}

bool rpc_server_make_room(struct rpc_server *server, struct rpc_connection *connection)
{
    const struct rpc_server_options *options = &server->options;
    connection->is_trusted =
        options->is_trusted && options->is_trusted(&connection->peer, options->data);
    if (server->connection_count <= options->limits.connections || connection->is_trusted ||
        drop_parting(server, NULL))
        return true;
    struct rpc_connection *victim = find_victim(server, connection);
    if (victim)
        rpc_connection_drop(victim, NEEDED);
    return victim != NULL;
}

static bool refuse(struct rpc_call *call, const struct rpc_account *account, const char *what,
                   size_t most)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s has %zu %s open, as many as it may: close some first",
                   *account->name ? account->name : "this caller", most, what);
    rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, text);
    return false;
}

/* A connection is counted for whom it was first used by. */
static bool own_connection(struct rpc_call *call, struct rpc_account *account)
{
    struct rpc_connection *connection = call->connection;
    size_t most = call->limits->connections_each;
    if (connection->account)
        return true;
    if (account->connections >= most && !connection->is_trusted &&
        !drop_parting(call->server, account))
        return refuse(call, account, "connections", most);
    connection->account = rpc_account_ref(account);
    account->connections++;
    return true;
}

static struct rpc_account *account_of(struct rpc_call *call, const struct rpc_identity *identity)
{
    size_t most_bytes = call->limits->held_bytes;
    struct rpc_server *server = call->server;
    if (!identity->is_alone)
        return rpc_account_of(&server->accounts, identity->name, most_bytes);
    char *name =
        covey_asprintf("%s #%llu", identity->name, (unsigned long long)call->connection->number);
    struct rpc_account *account = name ? rpc_account_of(&server->accounts, name, most_bytes) : NULL;
    free(name);
    return account;
}

/* Who goes on asking when refused, and does not read the refusals, is not listened to. */
static bool admit_stranger(struct rpc_call *call)
{
    struct rpc_connection *connection = call->connection;
    const struct rpc_purse *purse = &connection->strangers;
    if (rpc_call_charge(call))
        return true;
    if (purse->held_bytes > 4 * purse->most_bytes)
        rpc_connection_check(connection, nghttp2_session_terminate_session(
                                             connection->session, NGHTTP2_ENHANCE_YOUR_CALM));
    else
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED,
                        "more than a caller may send that has not said who it is");
    return false;
}

bool rpc_server_admit(struct rpc_call *call, const struct rpc_identity *identity)
{
    if (identity->is_stranger)
        return admit_stranger(call);
    struct rpc_account *account = account_of(call, identity);
    if (!account) {
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    account->is_urgent |= identity->is_urgent;
    bool admitted = account->calls < call->limits->calls_each ||
                    refuse(call, account, "calls", call->limits->calls_each);
    if (admitted)
        admitted = own_connection(call, account);
    if (admitted) {
        rpc_call_move(call, account);
        rpc_call_expect(call, call->limits->request_timeout_ns);
    }
    rpc_account_unref(account);
    return admitted;
}
