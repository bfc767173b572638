/*
 * Deadlines of many calls under one timer: a binary heap of links that the owners embed. Adding one
 * later than the first costs no system call and no timer; removing one leaves the timer to find
 * out.
 */
#ifndef RPC_DEADLINES_H
#define RPC_DEADLINES_H

#include "covey/status.h"

#include <stddef.h>
#include <stdint.h>

struct rpc_deadline {
    int64_t at_ns;
    size_t index; /* in the heap, from 1; 0: in none */
};

struct rpc_deadlines {
    struct rpc_deadline **heap; /* heap[0] is not used */
    size_t count;
    size_t capacity;
};

/* ENOMEM leaves it out. deadline must be in no heap. */
enum covey_status rpc_deadlines_add(struct rpc_deadlines *deadlines,
                                    struct rpc_deadline *deadline) COVEY_MUST_USE;

/* Harmless on one that is in none. */
void rpc_deadlines_remove(struct rpc_deadlines *deadlines, struct rpc_deadline *deadline);

/* The earliest, or NULL. */
struct rpc_deadline *rpc_deadlines_first(const struct rpc_deadlines *deadlines);

/* Frees the heap, which must be empty. */
void rpc_deadlines_free(struct rpc_deadlines *deadlines);

#endif
