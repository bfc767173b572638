/* The arena's bytes, and a process's view of them. Internal to transport/core. */
#ifndef TRANSPORT_CORE_LAYOUT_H
#define TRANSPORT_CORE_LAYOUT_H

#include "transport/core/arena.h"
#include "transport/core/descriptor.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#define LAYOUT_MAGIC        0x616e6572615f7643ull
#define LAYOUT_VERSION      3u

#define LAYOUT_WORKER_SLOTS 256u /* in an inbox; a power of two */
#define LAYOUT_HOST_SLOTS   1024u
#define LAYOUT_HOST_RESERVE 8u /* slabs at least */
#define LAYOUT_MAX_SLABS    (1u << 20)
#define LAYOUT_MAX_WORDS    ((ARENA_MAX_LOCAL + 1 + 63) / 64) /* of holders */

/* Blocks of a slab: powers of two from 1 KiB to half a slab; anything larger has slabs of its own.
 */
#define LAYOUT_LEAST_BLOCK   1024u
#define LAYOUT_SLAB_BLOCKS   (ARENA_SLAB_BYTES / LAYOUT_LEAST_BLOCK)
#define LAYOUT_CLASSES       10u
#define LAYOUT_RESERVE_CLASS 6u /* 64 KiB */

/* Slabs of the host's reserve: for every worker of the node a block of what was asked for and one
 * of what was not, and some to spare. */
static inline uint32_t layout_host_reserve(uint32_t local_count)
{
    uint32_t blocks = 2 * local_count;
    uint32_t slabs = blocks / (LAYOUT_SLAB_BLOCKS >> LAYOUT_RESERVE_CLASS) + 2;
    return slabs > LAYOUT_HOST_RESERVE ? slabs : LAYOUT_HOST_RESERVE;
}

/* What is written once, before anybody else maps it. */
struct layout_shape {
    uint64_t magic;
    uint32_t version;
    uint32_t worker_count;
    uint32_t node_count;
    uint32_t node;
    uint32_t pack_count;
    uint32_t local_count;
    uint32_t slab_count;
    uint32_t reserved;
    uint64_t total_bytes;
    char flare_id[ARENA_FLARE_BYTES];
};

struct layout_header {
    struct layout_shape shape;
    alignas(64) _Atomic uint32_t gate; /* 0 closed, 1 open, 2 shut for good; a futex */
    alignas(64) _Atomic uint32_t epoch;
    alignas(64) _Atomic uint32_t pressure; /* somebody found no slab: give back empty ones */
    _Atomic uint32_t reaps;                /* counts arena_reap */
};

struct layout_pack {
    uint32_t first_rank;
    uint32_t worker_count;
    uint32_t node;
    uint32_t reserved;
};

struct layout_rank {
    _Atomic uint32_t state;
    _Atomic uint32_t claimed; /* by whoever writes the reason */
    _Atomic uint32_t order;   /* of ends: how many ranks had ended when this one did */
    uint32_t unused;
    _Atomic uint64_t reason[ARENA_REASON_BYTES / 8];
};

#define LAYOUT_ARRIVALS 8u

struct layout_arrival {
    _Atomic uint64_t communicator;
    _Atomic uint64_t number;
};

/*
 * A doorbell, and what others must know of an endpoint. The lines are apart by who writes them how
 * often: others ring; all look at what seldom changes; its own notes are read after its death.
 */
struct layout_endpoint {
    alignas(64) _Atomic uint32_t bell; /* a futex */
    _Atomic uint32_t sleeping;
    alignas(64) _Atomic uint32_t memory_wanted; /* ring when a block of its slabs is released */
    _Atomic uint32_t reaped;
    /* What it is about to make which endpoint a holder of; intent_to is endpoint + 1, or 0. */
    alignas(64) _Atomic uint64_t intent_block; /* slab << 32 | block */
    _Atomic uint32_t intent_to;
    _Atomic uint32_t posting_to; /* endpoint + 1: the last inbox in which it claimed a slot */
    /*
     * The host's: messages for it that have come from other nodes have numbers, and those from
     * line_start to before line_end may still wait at the host.
     */
    alignas(64) _Atomic uint64_t line_start;
    _Atomic uint64_t line_end;
    /* How far it has come in collectives, by communicator; for the text of timeouts only. */
    alignas(64) struct layout_arrival arrivals[LAYOUT_ARRIVALS];
};

struct layout_slot {
    _Atomic uint64_t state; /* lap << 18 | enum inbox_slot_state << 16 | owner */
    struct descriptor descriptor;
};

_Static_assert(sizeof(struct layout_slot) == 128, "two cache lines");

struct layout_inbox {
    alignas(128) _Atomic uint64_t tail; /* a hint: no slot before it is free in its lap */
    _Atomic uint32_t space_wanted;      /* some sender found it full */
    alignas(128) struct layout_slot slots[];
};

/* Boxes in the ring of each pair of workers: as many as this memory has room for, if all pairs
 * talk; where it has room for less than the least, there are none. */
#define LAYOUT_MOST_BOXES  64u /* powers of two */
#define LAYOUT_LEAST_BOXES 4u
#define LAYOUT_BOXES_BYTES (64u << 20)
#define LAYOUT_BOX_WORDS   7u

struct layout_box {
    alignas(64) _Atomic uint64_t stamp; /* of boxes.c */
    uint64_t words[LAYOUT_BOX_WORDS];
};

_Static_assert(sizeof(struct layout_box) == 64, "one cache line");

struct layout_ring {
    alignas(64) _Atomic uint32_t taken; /* how far the consumer has come, or less */
    _Atomic uint32_t space_wanted;      /* the producer found it full */
};

/* enum values of the low half of layout_slab.owner; the high half counts the claims */
#define LAYOUT_SLAB_FREE    0u
#define LAYOUT_SLAB_OWNED   1u       /* + endpoint */
#define LAYOUT_SLAB_FREEING 0x10000u /* + endpoint, or who reaps */
#define LAYOUT_SLAB_ORPHAN  0x20000u
/* + the first endpoint of a pack: whoever reaps that pack's workers */
#define LAYOUT_REAPER 0x8000u

/* layout_slab.kind: 0 undecided, 1 + class, or: */
#define LAYOUT_KIND_FIRST 64u /* of the slabs of one large block; extent is how many */
#define LAYOUT_KIND_REST  65u /* extent is the first */

struct layout_slab {
    _Atomic uint64_t owner;
    _Atomic uint32_t kind;
    _Atomic uint32_t extent; /* of small blocks: how many, from the first, were ever in use */
};

/* Offsets from the arena's start: always computed from the counts, never read. */
struct layout {
    uint64_t packs;
    uint64_t ranks;
    uint64_t endpoints;
    uint64_t inboxes;
    uint64_t talking;
    uint64_t rings;
    uint64_t box_lines;
    uint64_t slab_table;
    uint64_t touched;
    uint64_t holders;
    uint64_t slabs;
    uint64_t total_bytes;
    uint64_t inbox_bytes;   /* of one worker's */
    uint32_t boxes;         /* of a ring; 0: there are no rings */
    uint32_t talking_bytes; /* of one endpoint's */
    uint32_t holder_words;
    uint32_t touched_words; /* of one endpoint's */
};

/* A process's view. All but base's contents is private to the process. */
struct arena {
    int fd;
    int host_event_fd;
    uint8_t *base;
    struct layout_shape shape; /* as checked */
    struct layout layout;
    struct arena_pack *packs;
    uint32_t *rank_pack;  /* by rank */
    uint32_t *rank_local; /* by rank; UINT32_MAX elsewhere */
    uint32_t *local_rank; /* by endpoint */
};

void layout_compute(const struct layout_shape *shape, struct layout *layout);

static inline struct layout_header *layout_header(const struct arena *arena)
{
    return (struct layout_header *)arena->base;
}

static inline struct layout_rank *layout_rank(const struct arena *arena, uint32_t rank)
{
    return (struct layout_rank *)(arena->base + arena->layout.ranks) + rank;
}

static inline struct layout_endpoint *layout_endpoint(const struct arena *arena, uint32_t endpoint)
{
    return (struct layout_endpoint *)(arena->base + arena->layout.endpoints) + endpoint;
}

static inline struct layout_inbox *layout_inbox(const struct arena *arena, uint32_t endpoint)
{
    return (struct layout_inbox *)(arena->base + arena->layout.inboxes +
                                   endpoint * arena->layout.inbox_bytes);
}

/* A bit for each worker whose ring to this one is looked into. */
static inline _Atomic uint64_t *layout_talking(const struct arena *arena, uint32_t to)
{
    return (_Atomic uint64_t *)(arena->base + arena->layout.talking +
                                (uint64_t)to * arena->layout.talking_bytes);
}

static inline struct layout_ring *layout_ring(const struct arena *arena, uint32_t to, uint32_t from)
{
    return (struct layout_ring *)(arena->base + arena->layout.rings) +
           ((uint64_t)to * arena->shape.local_count + from);
}

static inline struct layout_box *layout_box(const struct arena *arena, uint32_t to, uint32_t from,
                                            uint32_t position)
{
    return (struct layout_box *)(arena->base + arena->layout.box_lines) +
           ((uint64_t)to * arena->shape.local_count + from) * arena->layout.boxes +
           position % arena->layout.boxes;
}

static inline struct layout_slab *layout_slab(const struct arena *arena, uint32_t slab)
{
    return (struct layout_slab *)(arena->base + arena->layout.slab_table) + slab;
}

/* A bit for each slab of others in which the endpoint was ever made a holder: where arena_reap has
 * to look. */
static inline _Atomic uint64_t *layout_touched(const struct arena *arena, uint32_t endpoint)
{
    return (_Atomic uint64_t *)(arena->base + arena->layout.touched) +
           (uint64_t)endpoint * arena->layout.touched_words;
}

/* The holder bits of a block. */
static inline _Atomic uint64_t *layout_holders(const struct arena *arena, uint32_t slab,
                                               uint32_t block)
{
    return (_Atomic uint64_t *)(arena->base + arena->layout.holders) +
           ((uint64_t)slab * LAYOUT_SLAB_BLOCKS + block) * arena->layout.holder_words;
}

static inline uint8_t *layout_slab_bytes(const struct arena *arena, uint32_t slab)
{
    return arena->base + arena->layout.slabs + (uint64_t)slab * ARENA_SLAB_BYTES;
}

#endif
