/* Adding up what members have, shared by the forms of reduce. Internal to transport/core. */
#ifndef TRANSPORT_CORE_COMBINE_H
#define TRANSPORT_CORE_COMBINE_H

#include "transport/core/group.h"

/* One piece of the vectors. */
struct piece {
    const uint8_t *input;
    uint8_t *sum; /* where the result goes */
    uint64_t count;
    uint64_t bytes;
    reduce_apply apply;
};

/*
 * Adds up what the members of this node have of a piece, in their order: its own input, and a
 * message from each other. *own is scratch memory of piece->bytes; piece->sum may be where the
 * input is.
 */
enum covey_status combine_node(struct group *group, const struct piece *piece,
                               uint8_t *own) COVEY_MUST_USE;

/*
 * Allreduce of a long vector among the members of one node: each adds up as much of it as the
 * others, and all copy from each.
 */
bool rounds_suit(const struct comm *comm, uint64_t bytes);
enum covey_status rounds_allreduce(struct group *group, const void *input, void *output,
                                   const struct reduction *reduction) COVEY_MUST_USE;

#endif
