/* A communicator: its members, its two channels, and where its members are. */
#ifndef TRANSPORT_CORE_COMM_H
#define TRANSPORT_CORE_COMM_H

#include "transport/core/engine.h"

struct comm {
    struct covey_list link; /* engine->comms */
    struct engine *engine;
    uint64_t id;
    uint32_t size;
    uint32_t rank;       /* this worker's member number */
    uint32_t *ranks;     /* in the flare, by member */
    uint32_t *member_of; /* by rank in the flare; UINT32_MAX: none */
    int64_t timeout_ns;
    struct channel user;
    struct channel collective;
    struct agreement *agreement; /* of agree.c; NULL until its members first shrink it */

    /* Nodes that have members, numbered from 0 in the order of their lowest member. */
    uint32_t node_count;
    uint32_t node;          /* this worker's */
    uint32_t *node_of;      /* by member */
    uint32_t *node_start;   /* by node, one more: where its members start in node_members */
    uint32_t *node_members; /* by node, ascending; the first is its leader */
    uint32_t *place;        /* by member: its position in its node's list */

    uint64_t children;        /* splits so far */
    uint64_t collectives;     /* so far */
    uint32_t requests;        /* of the user's that are not freed yet */
    bool freed;               /* by the user; goes with the last request */
    enum covey_status broken; /* by a failed collective; then why: EPEER, EMISMATCH, ETIMEOUT */
    uint32_t broken_by;       /* the member at fault, as far as is known, or UINT32_MAX */
    bool broken_sure;         /* who is at fault is known, not guessed */
    bool told;                /* the other members, or those of this node */
    uint32_t deaths_seen;     /* the engine's ends_seen when first_death was found out */
    uint64_t deaths_of;       /* and for which collective */
    uint32_t first_death;     /* the member that died first, or UINT32_MAX */
};

/* ranks is copied: the members in order, this worker among them. */
enum covey_status comm_create(struct engine *engine, uint64_t id, const uint32_t *ranks,
                              uint32_t size, struct comm **comm) COVEY_MUST_USE;

/* Drops what is unreceived. Of requests there must be none left that anybody will look at. NULL is
 * harmless. */
void comm_destroy(struct comm *comm);

/* The user needs it no more: destroys it, now or with the last of its requests; or with the engine,
 * where others may still ask what was agreed on. */
void comm_free(struct comm *comm);

/* One more request of the user's, one less; the latter may be the end of it. */
void comm_hold(struct comm *comm);
void comm_release(struct comm *comm);

/* The tag of the message, in the channel of collectives, that one has failed; argument is minus
 * the status << 32 | the member at fault, with COMM_SURE where that is known. */
#define COMM_TAG_BROKEN (-3)
#define COMM_SURE       (UINT64_C(1) << 63)

/* This member has come to its next collective: for the text of others' timeouts. */
void comm_arrive(struct comm *comm);

/* A member of this node that has not come to the present collective, `guess` before others; or
 * UINT32_MAX. */
uint32_t comm_missing(const struct comm *comm, uint32_t guess);

/* Sets the engine's text to who has and who has not come to the present collective. */
void comm_name_missing(struct comm *comm, const char *name);

/* True where the message is such, or of an agreement, and then it is taken over. */
bool comm_takes(struct channel *channel, struct message *message);

/*
 * The member that was first to end and leave this collective without it, among the ends that the
 * engine has acted on; UINT32_MAX: none. One that ended well counts where it is of this node and
 * did not come to the collective: one of another node may have done its part.
 */
uint32_t comm_first_death(struct comm *comm);

/* EPEER or EMISMATCH and the text of a communicator that is broken. */
enum covey_status comm_broken(struct comm *comm) COVEY_MUST_USE;

/* The id of a communicator that is made from another: a multiple of 4, since its channels have the
 * next numbers. */
uint64_t comm_child_id(const struct comm *parent, uint64_t number, uint64_t colour);

#endif
