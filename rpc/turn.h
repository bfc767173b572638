/*
 * What waits for the end of a loop turn: calls with something to tell their owner, connections with
 * something to write. One turn belongs to one server or channel and lives as long as anything that
 * hangs on it (references). User callbacks come from here only, so that none runs inside the call
 * that caused it, nor inside nghttp2; and what one turn wrote leaves in one system call.
 */
#ifndef RPC_TURN_H
#define RPC_TURN_H

#include "base/list.h"
#include "rpc/deadlines.h"
#include "rpc/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct rpc_turn {
    uv_loop_t *loop;
    uv_idle_t idle;
    uv_timer_t timer;               /* for the first of deadlines */
    int64_t timer_ns;               /* when it fires; COVEY_NEVER_NS: it is not started */
    struct rpc_deadlines deadlines; /* of calls, by their deadline member */
    struct covey_list calls;        /* struct rpc_call, by due_link */
    struct covey_list connections;  /* struct rpc_connection, by due_link */
    size_t references;
    uint8_t read_bytes[RPC_TRANSPORT_READ_BYTES]; /* for all transports */
    size_t buffered_bytes;                        /* in the calls' buffers of what was received */
    void (*on_closed)(struct rpc_turn *turn);     /* last: the owner frees itself */
};

/* Starts with one reference, the owner's. */
void rpc_turn_init(struct rpc_turn *turn, uv_loop_t *loop,
                   void (*on_closed)(struct rpc_turn *turn));

void rpc_turn_ref(struct rpc_turn *turn);

/* The last one closes the turn; on_closed follows from the loop. */
void rpc_turn_unref(struct rpc_turn *turn);

/* Puts a link on a list of the turn, once, and wakes the loop. */
void rpc_turn_due(struct rpc_turn *turn, struct covey_list *list, struct covey_list *link);

/* rpc_call_on_deadline follows when it has passed, unless it is removed before. ENOMEM. */
enum covey_status rpc_turn_add_deadline(struct rpc_turn *turn, struct rpc_deadline *deadline,
                                        int64_t now_ns) COVEY_MUST_USE;

#endif
