/*
 * The arena: the shared memory of one flare on one node. One sealed memfd holds the table of the
 * flare's ranks, a start gate, an inbox and a doorbell for every local worker and for the host, and
 * the slabs in which all payload lies. It is offsets throughout: every process maps it where it
 * likes.
 *
 * Endpoints: the workers of this node in rank order are endpoints 0 .. L-1, the host is endpoint L.
 *
 * The arena is shared with user code and counts as a peer: what is read from it is copied, then
 * checked. A process may be killed between any two instructions of this library; arena_reap() puts
 * right what it left.
 *
 * Threads: the functions of this header may be called by any thread of any process that has mapped
 * the arena, arena_destroy excepted.
 */
#ifndef TRANSPORT_CORE_ARENA_H
#define TRANSPORT_CORE_ARENA_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_MAX_WORKERS  65536u /* of a flare */
#define ARENA_MAX_LOCAL    1023u  /* of a flare on one node */
#define ARENA_SLAB_BYTES   (1u << 20)
#define ARENA_REASON_BYTES 160
#define ARENA_FLARE_BYTES  64

/* A pack: its number is its place in arena_config.packs. */
struct arena_pack {
    uint32_t first_rank;
    uint32_t worker_count;
    uint32_t node;
};

struct arena_config {
    const char *flare_id; /* shorter than ARENA_FLARE_BYTES */
    uint32_t worker_count;
    uint32_t node_count;
    uint32_t node; /* this one */
    uint32_t pack_count;
    const struct arena_pack *packs; /* in rank order, covering 0 .. worker_count-1 */
    uint64_t size_bytes;            /* of payload memory; 0: a default. Sparse until it is used */
};

/* What became of a rank. It only moves forward: STARTING, RUNNING, then DONE or DIED for good. */
enum arena_rank_state { ARENA_STARTING, ARENA_RUNNING, ARENA_DONE, ARENA_DIED };

struct arena;

/* The least size_bytes for this many workers on this node. */
uint64_t arena_least_bytes(uint32_t local_count);

/*
 * Makes the memfd, seals it, fills it in and maps it. EINVAL where the packs do not cover the ranks
 * or the size is below arena_least_bytes; ENOMEM; ELIMIT beyond the limits above.
 */
enum covey_status arena_create(const struct arena_config *config, struct arena **arena,
                               struct covey_error *error) COVEY_MUST_USE;

/*
 * Maps an arena that another process made, and checks every offset and count in its header against
 * its real size and seals. The descriptor stays the caller's. EPROTO where it is no sound arena,
 * EVERSION, ENOMEM.
 */
enum covey_status arena_map(int fd, struct arena **arena, struct covey_error *error) COVEY_MUST_USE;

/* Unmaps; the memory goes when nobody has it mapped or its descriptor open. NULL is harmless. */
void arena_destroy(struct arena *arena);

/* The memfd, to be handed to packs. Owned by the arena (a duplicate in one that was mapped). */
int arena_fd(const struct arena *arena);

/*
 * The eventfd that wakes the host, duplicated. Without it a process cannot wake a host that sleeps:
 * packs and workers set it right after arena_map. ENOMEM, EIO.
 */
enum covey_status arena_set_host_event(struct arena *arena, int event_fd) COVEY_MUST_USE;

/* ---- shape ---- */

const char *arena_flare_id(const struct arena *arena);
uint32_t arena_worker_count(const struct arena *arena);
uint32_t arena_node_count(const struct arena *arena);
uint32_t arena_node(const struct arena *arena); /* this one */
uint32_t arena_pack_count(const struct arena *arena);
uint32_t arena_local_count(const struct arena *arena); /* workers on this node; also the host's
                                                          endpoint */
/* rank must be below arena_worker_count, pack below arena_pack_count, local below
 * arena_local_count. */
uint32_t arena_node_of(const struct arena *arena, uint32_t rank);
uint32_t arena_pack_of(const struct arena *arena, uint32_t rank);
struct arena_pack arena_pack(const struct arena *arena, uint32_t pack);
uint32_t arena_rank_of(const struct arena *arena, uint32_t local);
/* The endpoint of a rank of this node; false for a rank elsewhere. */
bool arena_local_of(const struct arena *arena, uint32_t rank, uint32_t *local);

/* The payload memory, page-aligned: slab_count slabs of ARENA_SLAB_BYTES, one after another. */
void *arena_slabs(const struct arena *arena, uint32_t *slab_count);

/* ---- start gate ---- */

/* Lets the workers into user code. Idempotent. */
void arena_open_gate(struct arena *arena);

/* Keeps the workers out for good: their wait ends with ECANCELLED. No effect on an open gate. */
void arena_shut_gate(struct arena *arena);

/* Waits until the gate is open. ETIMEOUT, ECANCELLED. deadline_ns as covey_now_ns() counts. */
enum covey_status arena_wait_gate(struct arena *arena, int64_t deadline_ns) COVEY_MUST_USE;

/* ---- life and death ---- */

/* A worker is about to enter user code. */
void arena_mark_running(struct arena *arena, uint32_t rank);

/*
 * The worker of a rank, here or elsewhere, has ended: state is ARENA_DONE or ARENA_DIED, reason one
 * phrase for its peers ("killed by signal 9"), cut to ARENA_REASON_BYTES. The first such call for a
 * rank counts, later ones do nothing. Wakes every local waiter, and the host.
 *
 * Who waits for a rank that has ended gives up as soon as its inbox holds nothing more of it. So a
 * rank of another node is marked here only after what it had sent has been delivered: its host
 * says so in order behind its last message. For one whose node is lost nothing more will come.
 */
void arena_mark_ended(struct arena *arena, uint32_t rank, enum arena_rank_state state,
                      const char *reason);

/* As arena_mark_ended(ARENA_DIED) for every rank of a node that has not ended yet. */
void arena_mark_node_died(struct arena *arena, uint32_t node, const char *reason);

enum arena_rank_state arena_rank_state(const struct arena *arena, uint32_t rank);

/* How many ranks had ended when this one did: of two that have ended, which was first. */
uint32_t arena_rank_order(const struct arena *arena, uint32_t rank);

/* Why a rank ended, copied; empty while it has not. */
void arena_rank_reason(const struct arena *arena, uint32_t rank, char reason[ARENA_REASON_BYTES]);

/* Changes with every arena_mark_*ended and arena_mark_node_died that had an effect. */
uint32_t arena_epoch(const struct arena *arena);

/* One end among several. */
struct arena_end {
    uint32_t rank;
    enum arena_rank_state state;
    const char *reason;
};

/* As arena_mark_ended for each of them, with one call to wake for all. */
void arena_mark_all_ended(struct arena *arena, const struct arena_end *ends, size_t count);

/*
 * Takes back what the workers of local ranks held: queue slots, blocks, slabs. Only when their
 * processes are gone (waited for) or, for worker threads, when they make no more calls; after
 * arena_mark_ended. Idempotent, and safe beside anything that others do, a reap of another pack's
 * workers included. The ranks are of one pack, and one process at a time reaps for a pack: the pack
 * as soon as it has waited for them, the host once the pack is gone.
 *
 * Costs a look at each slab's owner and at what these workers had to do with, once for all of them:
 * give it as many as there are.
 */
void arena_reap(struct arena *arena, const uint32_t *ranks, size_t count);

/* Wakes every local worker that sleeps, and the host. */
void arena_wake_all(struct arena *arena);

/* ---- for tests and metrics ---- */

struct arena_usage {
    uint32_t slabs_free;
    uint32_t slabs_owned;    /* by endpoints, their reserves included */
    uint32_t slabs_orphaned; /* of dead endpoints, with blocks that others still hold */
    uint64_t blocks_held;
};

/* Counts; a snapshot only when nobody else is active. */
void arena_count_usage(const struct arena *arena, struct arena_usage *usage);

#endif
