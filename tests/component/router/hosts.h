/*
 * Hosts for tests of the router: each is a process of its own with an arena, a router over UCX on
 * the loopback, and worker processes that it reaps as a pack would. No control plane: what hosts
 * learn of each other they learn from each other.
 */
#ifndef TESTS_COMPONENT_ROUTER_HOSTS_H
#define TESTS_COMPONENT_ROUTER_HOSTS_H

#include "base/clock.h"
#include "covey/worker.h"
#include "transport/net/router.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HOSTS_MAX   3
#define WORKERS_MAX 16

/* What all processes of a test share. */
struct shared {
    char addresses[HOSTS_MAX][NET_ADDRESS_BYTES];
    _Atomic uint32_t ready;         /* hosts that have told their address */
    _Atomic uint32_t ended_workers; /* reaped, by any host */
    _Atomic uint32_t marks[16];     /* as the test likes */
    _Atomic int64_t times_ns[4];
    _Atomic int host_pids[HOSTS_MAX];
    _Atomic int worker_pids[WORKERS_MAX];
    struct net_traffic traffic[HOSTS_MAX][HOSTS_MAX]; /* by host, of each other one, at the end */
    struct router_counters counters[HOSTS_MAX];
};

struct hosts {
    unsigned hosts, workers; /* workers go around the hosts */
    uint64_t arena_bytes;    /* 0: the default */
    int64_t timeout_ns;      /* of the workers' calls; 0: 20 s */
    int killed_host;         /* expected to die by SIGKILL, or -1 */
    int killed_worker;       /* the same */
    void (*work)(struct covey_ctx *ctx, struct shared *shared);
};

/* Fails the process of a worker, and with it the test. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Success of a call of a worker, whose context is ctx. */
#define EXPECT_OK(call)                                                                            \
    do {                                                                                           \
        enum covey_status status_ = (call);                                                        \
        if (status_ != COVEY_OK) {                                                                 \
            fprintf(stderr, "rank %d: %s:%d: %s: %s: %s\n", covey_rank(ctx), __FILE__, __LINE__,   \
                    #call, covey_status_name(status_), covey_error_text(ctx));                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Runs them all; true where every process ended as it should. *seen (may be NULL) gets a copy of
 * what they shared. */
bool hosts_run(const struct hosts *hosts, struct shared *seen);

/* In a worker: waits until a mark has a value; fails the test after 20 s. */
void hosts_wait_mark(struct shared *shared, unsigned mark, uint32_t value);

#endif
