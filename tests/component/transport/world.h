/*
 * A flare without a cluster: arenas for a few "nodes", a worker process for each rank, and in the
 * test's own process what packs and hosts do: reaping, and carrying messages between the nodes.
 */
#ifndef WORLD_H
#define WORLD_H

#include "covey/worker.h"
#include "transport/core/arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORLD_MAX_NODES 4

struct world {
    int workers;
    int nodes;            /* 0: one */
    int pack_size;        /* packs go around the nodes; 0: so that every node has one or two */
    uint64_t arena_bytes; /* 0: the default */
    int64_t timeout_ns;   /* of communication; 0: 60 s */
    const char *fault;    /* COVEY_FAULT of rank fault_rank; NULL: none */
    int fault_rank;
    int killed;       /* the rank that is expected to die by SIGKILL, minus 1 for none; see
                         world_default */
    bool as_threads;  /* workers are threads of this process; under ThreadSanitizer always */
    bool untraced;    /* nothing of it happens under ThreadSanitizer */
    bool busy_memory; /* blocks may be left held at the end */
};

/* Workers on one node, nothing unusual. */
struct world world_default(int workers, int nodes);

typedef void (*world_body)(struct covey_ctx *ctx, void *data);

/*
 * Runs body in every worker, and asserts that each ended well (or, the killed one, by SIGKILL)
 * within the deadline, and that the arenas are empty again. Where a process would have to be killed
 * it does nothing under ThreadSanitizer.
 */
void world_run(const struct world *world, world_body body, void *data);

/*
 * For a body in which something times out while the rest is in time. data is its patience, an
 * int64_t of nanoseconds: 300 ms, and where a worker finds that the rest was late (world_too_slow)
 * four times as much in another run, which is then what counts; 20 s are the most.
 */
void world_run_patiently(const struct world *world, world_body body);
void world_too_slow(void);

/* In a body: notes a failure and goes on. */
#define WORLD_CHECK(condition) world_check((condition), #condition, __FILE__, __LINE__)
#define WORLD_OK(status)       world_ok(ctx, (status), #status, __FILE__, __LINE__)
bool world_check(bool condition, const char *text, const char *file, int line);
bool world_ok(struct covey_ctx *ctx, enum covey_status status, const char *text, const char *file,
              int line);

/* In a body: the arena as seen from outside, for counting. */
struct arena *world_arena(int node);

/* A process that the parent and the workers share some memory with, for results; zero at
 * world_run's start. */
_Atomic int64_t *world_shared(void);
#define WORLD_SHARED_WORDS 4096

/* Bytes that depend on seed and place. */
void world_fill(void *bytes, size_t length_bytes, uint64_t seed);
bool world_filled(const void *bytes, size_t length_bytes, uint64_t seed);

#endif
