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
    uint64_t *known;                    /* a bit for each block that this process knows it holds */
    struct descriptor_block *suspects;  /* between memory_audit and memory_audit_end */
    uint32_t suspect_room;
    uint32_t suspect_count;
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

/* The same out of the endpoint's reserve alone, at most MEMORY_RESERVE_BYTES. */
bool memory_allocate_reserve(struct memory *memory, uint64_t length_bytes,
                             struct descriptor_block *block);
/* More than that can never be allocated at once, however empty the memory is. */
uint64_t memory_most_bytes(const struct memory *memory);

/* Gives back slabs that are empty, when others want them. Cheap when they do not. */
void memory_trim(struct memory *memory);

/* From now on a release of one of this endpoint's blocks rings it, or not. */
void memory_want(struct memory *memory, bool wanted);

/*
 * The payload of a reference that came in a message, which makes it known: NULL where it is not
 * inside a block that this endpoint holds. *block must be private to the caller.
 */
void *memory_accept(struct memory *memory, const struct descriptor_block *block);

/* The payload of a block that is known to be held. */
void *memory_bytes(const struct memory *memory, const struct descriptor_block *block);

enum memory_grant { MEMORY_GRANTED, MEMORY_HELD_ALREADY, MEMORY_HOLDER_DEAD };

/* Makes `to` a holder of a block that this endpoint holds; between the two calls the message goes
 * out. */
enum memory_grant memory_grant(struct memory *memory, uint32_t to,
                               const struct descriptor_block *block);
void memory_granted(struct memory *memory);

/* Takes back a grant whose message did not go out; instead of memory_granted. */
void memory_revoke(struct memory *memory, uint32_t to, const struct descriptor_block *block);

/* Ends this endpoint's hold. */
void memory_release(struct memory *memory, const struct descriptor_block *block);

/* True when nobody else holds the block. */
bool memory_alone(const struct memory *memory, const struct descriptor_block *block);

/*
 * A sender that died after it had made us a holder and before its message went out left us a hold
 * that we do not know of. After each arena_reap: memory_audit, then take everything out of the
 * inbox (memory_accept for each reference), then memory_audit_end gives up what no message has
 * explained. A further memory_audit in between is fine. It is true when there is something to find
 * out.
 */
bool memory_audit(struct memory *memory);
void memory_audit_end(struct memory *memory);

#endif
