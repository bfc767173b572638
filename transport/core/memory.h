/*
 * The arena's payload memory: slabs, and the blocks in them.
 *
 * A slab belongs to one endpoint at a time, and only that endpoint allocates in it. A block has a
 * bit for each endpoint that holds it; it is free when no bit is set. Bits are state, not counts:
 * arena_reap clears those of a dead endpoint, as often as it likes. A grant gives another endpoint
 * a hold, once: while the bit is set, no second message can refer to the block for that endpoint.
 *
 * Slabs 0 .. are the endpoints' reserves, which carry what somebody has already asked for, so that
 * a transfer that was agreed on goes on whatever else fills the memory.
 *
 * Internal to transport/core.
 */
#ifndef TRANSPORT_CORE_MEMORY_H
#define TRANSPORT_CORE_MEMORY_H

#include "transport/core/layout.h"

/* An endpoint's side; private to its process. */
struct memory {
    struct arena *arena;
    uint32_t endpoint;
    uint32_t pressure_seen;
    uint32_t reaps_seen;
    uint32_t common_slabs;              /* of small blocks, owned beside the reserve */
    uint32_t first[LAYOUT_CLASSES + 1]; /* lists of owned slabs by class; the last: the reserve */
    uint32_t *next;                     /* by slab */
};

enum covey_status memory_open(struct arena *arena, uint32_t endpoint,
                              struct memory *memory) COVEY_MUST_USE;

/* Gives back what is empty and forgets the rest: it goes when its holders let go of it. */
void memory_close(struct memory *memory);

enum memory_use {
    MEMORY_UNASKED, /* nobody has asked for it: bounded to a share of the memory */
    MEMORY_OWNED,   /* a buffer of the user's: as long as there is memory */
    MEMORY_AGREED,  /* somebody waits for it: the reserve, too. At most MEMORY_RESERVE_BYTES */
};

#define MEMORY_RESERVE_BYTES (LAYOUT_LEAST_BLOCK << LAYOUT_RESERVE_CLASS)

/* A block of at least length_bytes, held by this endpoint; block->length is length_bytes. False
 * when the memory is full. */
bool memory_allocate(struct memory *memory, uint64_t length_bytes, enum memory_use use,
                     struct descriptor_block *block);

/* Gives back slabs that are empty, when others want them. Cheap when they do not. */
void memory_trim(struct memory *memory);

/* From now on a release of one of this endpoint's blocks rings it, or not. */
void memory_want(struct memory *memory, bool wanted);

/*
 * The payload of a reference that came from elsewhere: NULL where it is not inside a block that
 * `endpoint` holds. *block must be private to the caller.
 */
void *memory_bytes(const struct arena *arena, uint32_t endpoint,
                   const struct descriptor_block *block);

enum memory_grant { MEMORY_GRANTED, MEMORY_HELD_ALREADY, MEMORY_HOLDER_DEAD };

/* Makes `to` a holder, on behalf of `from`, which is one; between the two calls the message goes
 * out. */
enum memory_grant memory_grant(const struct arena *arena, uint32_t from, uint32_t to,
                               const struct descriptor_block *block);
void memory_granted(const struct arena *arena, uint32_t from);

/* Ends the endpoint's hold. Idempotent. */
void memory_release(const struct arena *arena, uint32_t endpoint,
                    const struct descriptor_block *block);

/* True when nobody but `endpoint` holds the block. */
bool memory_alone(const struct arena *arena, uint32_t endpoint,
                  const struct descriptor_block *block);

/*
 * What a dead endpoint was about to grant to `endpoint`: true, with *block, for each such grant
 * that may have been made without its message. *cursor starts at 0. The caller drains its inbox
 * after memory_dead_grants has returned all, and releases what it then does not know of.
 */
bool memory_dead_grants(const struct arena *arena, uint32_t endpoint, uint32_t *cursor,
                        struct descriptor_block *block);

/* Bytes of a block of this class and kind. */
uint64_t memory_block_bytes(const struct arena *arena, const struct descriptor_block *block);

#endif
