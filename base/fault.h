/*
 * Fault points: places where a test can make a process fail on purpose, so that a script sweeps a
 * whole flow.
 *
 * The environment fires them: COVEY_FAULT="name[:nth[:action]][,...]", where nth (default 1) counts
 * passes in this process and action is fail (default: the step fails as it would), kill (SIGKILL to
 * itself) or stop (SIGSTOP). The first process of a pid namespace is immune to its own signals:
 * there kill is a trap, and stop waits for ever. Unset, a point costs one predicted
 * branch.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "covey/status.h"

#include <stdbool.h>

/* Every fault point of the project: its name, and where it stands. */
#define COVEY_FAULT_MAP(X)                                                                         \
    X(JOURNAL_APPEND, "journal_append")         /* before an event is written */                   \
    X(CONTROLLER_PREPARE, "controller_prepare") /* placed, PREPARE not yet sent */                 \
    X(CONTROLLER_START, "controller_start")     /* all ready, START not yet sent */                \
    X(CONTROLLER_ENDING, "controller_ending")   /* outcome known, not yet journalled */            \
    X(NODE_PREPARE, "node_prepare")             /* PREPARE received */                             \
    X(NODE_READY, "node_ready")                 /* host and packs ready, not yet said */           \
    X(NODE_START, "node_start")                 /* START received */                               \
    X(NODE_EXIT, "node_exit")                   /* a worker's exit not yet passed on */            \
    X(HOST_ARENA, "host_arena")                 /* before the arena is made */                     \
    X(HOST_NETWORK, "host_network")             /* before the network is opened */                 \
    X(HOST_CONNECT, "host_connect")             /* before a connection to another host */          \
    X(HOST_FORWARD, "host_forward")             /* before a message is forwarded */                \
    X(PACK_LOAD, "pack_load")                   /* before the code is loaded */                    \
    X(PACK_FORK, "pack_fork")                   /* before each fork */                             \
    X(PACK_KEEP, "pack_keep")                   /* output was read, and is not yet said */         \
    X(PACK_REAP, "pack_reap")                   /* a worker is reaped, its death not marked */     \
    X(WORKER_CLAIM, "worker_claim")             /* a queue slot is owned, not yet published */     \
    X(WORKER_PUBLISH, "worker_publish")         /* published, the wake-up not yet sent */          \
    X(WORKER_ALLOCATE, "worker_allocate")       /* a slab is claimed, not yet used */              \
    X(WORKER_COLLECTIVE, "worker_collective")   /* inside a collective */

enum covey_fault_point {
#define COVEY_FAULT_ENUM(id, name) COVEY_FAULT_##id,
    COVEY_FAULT_MAP(COVEY_FAULT_ENUM)
#undef COVEY_FAULT_ENUM
        COVEY_FAULT_POINTS
};

extern bool covey_fault_armed;

/*
 * Reads COVEY_FAULT; a process that has fault points calls it once at start, before threads.
 * EINVAL, with error filled in, on a name, count or action that does not exist.
 */
enum covey_status covey_fault_init(struct covey_error *error) COVEY_MUST_USE;

/* Counts a pass. True where the step must fail; does not return where the action is kill.
 * Thread-safe. */
bool covey_fault_pass(enum covey_fault_point point);

/* The check to write at a fault point. */
static inline bool covey_fault(enum covey_fault_point point)
{
    return __builtin_expect(covey_fault_armed, 0) && covey_fault_pass(point);
}

#endif
