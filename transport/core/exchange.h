/* The plan of an all-to-all. Internal to exchange.c and plan.c. */
#ifndef TRANSPORT_CORE_EXCHANGE_H
#define TRANSPORT_CORE_EXCHANGE_H

#include "transport/core/group.h"

/*
 * What goes from one node to another is one stream of bytes: for each sending member, in order, its
 * blocks for the receiving node's members, in order. A member knows where its own part of each
 * outgoing stream starts, and where in each incoming stream the blocks for it lie.
 */
struct plan {
    uint64_t *memory;    /* of all below */
    uint64_t *out_start; /* by node */
    uint64_t *out_total; /* by node: of the whole stream */
    uint64_t *in_total;  /* by node */
    uint64_t *in_offset; /* by member, of other nodes */
    uint64_t *in_length; /* by member */
    /* For leaders: the same for every member of the node, by its place. Else NULL. */
    uint64_t *everybody;
    uint64_t words; /* of one member's part */
};

/* The part of a member of this node, at its leader. */
void plan_of(const struct plan *plan, const struct comm *comm, uint32_t place, struct plan *of);

enum covey_status plan_make(struct group *group, const struct blocks *send,
                            const struct blocks *receive, bool vector,
                            struct plan *plan) COVEY_MUST_USE;
void plan_free(struct plan *plan);

#endif
