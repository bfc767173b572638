#include "rpc/turn.h"

#include "rpc/call.h"
#include "rpc/connection.h"

static void take(struct covey_list *from, struct covey_list *to)
{
    covey_list_init(to);
    if (covey_list_empty(from))
        return;
    to->next = from->next;
    to->previous = from->previous;
    to->next->previous = to;
    to->previous->next = to;
    covey_list_init(from);
}

/* Only what was due at the start: a callback that makes more work must not starve the loop. */
static void run_calls(struct rpc_turn *turn)
{
    struct covey_list due;
    take(&turn->calls, &due);
    struct covey_list *link;
    while ((link = covey_list_pop_front(&due)))
        rpc_call_run(covey_container_of(link, struct rpc_call, due_link));
}

static void run_connections(struct rpc_turn *turn)
{
    struct covey_list due;
    take(&turn->connections, &due);
    struct covey_list *link;
    while ((link = covey_list_pop_front(&due)))
        rpc_connection_flush(covey_container_of(link, struct rpc_connection, due_link));
}

static void on_idle(uv_idle_t *idle)
{
    struct rpc_turn *turn = covey_container_of(idle, struct rpc_turn, idle);
    rpc_turn_ref(turn);
    run_calls(turn);
    run_connections(turn);
    /* Calls that ended by what was just written: no need for another pass through the poll. */
    run_calls(turn);
    if (covey_list_empty(&turn->calls) && covey_list_empty(&turn->connections))
        uv_idle_stop(&turn->idle);
    rpc_turn_unref(turn);
}

void rpc_turn_init(struct rpc_turn *turn, uv_loop_t *loop,
                   void (*on_idle_closed)(struct rpc_turn *turn))
{
    turn->loop = loop;
    turn->references = 1;
    turn->on_idle_closed = on_idle_closed;
    covey_list_init(&turn->calls);
    covey_list_init(&turn->connections);
    uv_idle_init(loop, &turn->idle);
}

void rpc_turn_ref(struct rpc_turn *turn)
{
    turn->references++;
}

static void on_closed(uv_handle_t *handle)
{
    struct rpc_turn *turn = covey_container_of((uv_idle_t *)handle, struct rpc_turn, idle);
    turn->on_idle_closed(turn);
}

void rpc_turn_unref(struct rpc_turn *turn)
{
    if (--turn->references == 0)
        uv_close((uv_handle_t *)&turn->idle, on_closed);
}

void rpc_turn_due(struct rpc_turn *turn, struct covey_list *list, struct covey_list *link)
{
    if (!covey_list_empty(link))
        return;
    covey_list_push_back(list, link);
    uv_idle_start(&turn->idle, on_idle);
}
