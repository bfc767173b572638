/*
 * What waits for the end of a loop turn: calls with something to tell their owner, connections with
 * something to write. One turn belongs to one server or channel and lives as long as anything that
 * hangs on it (references). User callbacks come from here only, so that none runs inside the call
 * that caused it, nor inside nghttp2; and what one turn wrote leaves in one system call.
 *
 * Calls are run round their accounts, one of each, for a slice of time; then what was answered is
 * written and the loop polls, and the rest has its turn after what came meanwhile.
 */
#ifndef RPC_TURN_H
#define RPC_TURN_H

#include "base/list.h"
#include "rpc/account.h"
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
    struct rpc_deadlines deadlines; /* of calls, by their watch */
    struct covey_list busy;         /* struct rpc_account with calls that are due, by busy_link */
    int64_t slice_ends_ns;          /* of the round that runs */
    struct covey_list connections;  /* struct rpc_connection, by due_link */
    size_t references;
    uint8_t read_bytes[RPC_TRANSPORT_READ_BYTES]; /* for all transports */
    void (*on_closed)(struct rpc_turn *turn);     /* last: the owner frees itself */
};

/* Starts with one reference, the owner's. */
void rpc_turn_init(struct rpc_turn *turn, uv_loop_t *loop,
                   void (*on_closed)(struct rpc_turn *turn));

void rpc_turn_ref(struct rpc_turn *turn);

/* The last one closes the turn; on_closed follows from the loop. */
void rpc_turn_unref(struct rpc_turn *turn);

/* A connection has something to write. */
void rpc_turn_due_connection(struct rpc_turn *turn, struct covey_list *link);

/* A call of an account has something to tell. */
void rpc_turn_due_call(struct rpc_turn *turn, struct rpc_account *account, struct covey_list *link);

/* The slice of the round that runs is over: a callback that could go on leaves the rest to the next
 * one. */
bool rpc_turn_is_over(const struct rpc_turn *turn);

/* rpc_call_on_deadline follows when it has passed, unless it is removed before. ENOMEM. */
enum covey_status rpc_turn_add_deadline(struct rpc_turn *turn, struct rpc_deadline *deadline,
                                        int64_t now_ns) COVEY_MUST_USE;

#endif
