/*
 * The engine's flow control with workers of other nodes: credit.h for each of them, three times.
 * What users leave unreceived must not hold up collectives, and neither may hold up answers: the
 * accepts of transfers, and what ends them or an offer. Those of a communicator have only as much
 * under way as their algorithms send, and answers are dealt with at once, so there a message is
 * settled when it arrives. Answers need leave because giving up is up to each worker alone: it can
 * accept and refuse, or withdraw, as fast as it likes while the other is in no call.
 *
 * A message without leave waits here, in order; a worker that only computes gives none and sends
 * none of what waits, as with all that an engine does. Internal to transport/core.
 */
#ifndef TRANSPORT_CORE_FLOW_H
#define TRANSPORT_CORE_FLOW_H

#include "base/list.h"
#include "transport/core/credit.h"
#include "transport/core/descriptor.h"

#include <stddef.h>

struct engine;

/* Accepted transfers of one sender that are not complete, beyond which the next ones wait. */
#define FLOW_TRANSFERS 16u

/* Pieces of one transfer that are on their way. */
#define FLOW_PIECES 8u

/* Answers that are on their way: enough for all transfers to begin and to end at once. */
#define FLOW_ANSWERS_MOST (4 * FLOW_TRANSFERS)

enum flow_class { FLOW_USER, FLOW_COLLECTIVE, FLOW_ANSWERS, FLOW_CLASSES };

/* With one worker of another node, in one class. */
struct flow {
    uint32_t rank;
    enum flow_class class;
    struct covey_list queue;       /* struct pending: they wait for leave */
    struct covey_list queued_link; /* on flows.queued while the queue has any */
    struct covey_list dry_link;    /* on flows.dry, or on nothing */
    struct credit_out out;
    struct credit_in in;
    uint32_t transfers;           /* of this sender, accepted and not over */
    struct covey_list turn;       /* struct request.link: matched, to be accepted after others */
    struct covey_list turns_link; /* on flows.turns, or on nothing */
};

struct flows {
    struct credit_window windows[FLOW_CLASSES];
    struct flow *of;          /* FLOW_CLASSES for each rank, made when first used */
    struct covey_list queued; /* flows with something in their queues */
    struct covey_list dry;    /* that the user may want more of than was granted */
    struct covey_list turns;  /* with something in turn */
};

/*
 * Most messages of any kind that can be on their way from one worker to another of another node,
 * where both keep the rules. Hosts hold a peer to it.
 */
uint32_t flow_pair_most(uint32_t worker_count);

bool flow_open(struct engine *engine);
void flow_close(struct engine *engine);

/* ---- sending ---- */

/* True where this message must wait, in flow_queue; else it counts as sent. */
bool flow_must_wait(struct engine *engine, const struct descriptor_header *header);

/* It did not go after all. */
void flow_unsend(struct engine *engine, const struct descriptor_header *header);

/* Puts what must wait, a struct pending of engine.c, behind what waits already. */
void flow_enqueue(struct engine *engine, const struct descriptor_header *header,
                  struct covey_list *pending);

/* Moves what has leave now from a flow's queue to the end of another. */
void flow_release(struct flow *flow, struct covey_list *to);

/* Moves all that waits for ranks that have ended likewise. */
void flow_release_ended(struct engine *engine, struct covey_list *to);

/* Leave for payload that nobody has asked for, taken and given back. */
bool flow_send_bytes(struct engine *engine, const struct descriptor_header *header);
void flow_unsend_bytes(struct engine *engine, const struct descriptor_header *header);

/* CREDIT has come: the flow that may go on, or NULL. */
struct flow *flow_allowed(struct engine *engine, const struct descriptor_header *header);

/* ---- receiving; each is harmless for a message of this node ---- */

/* False where it is more than was granted: to be thrown away, without flow_settled. */
bool flow_arrive(struct engine *engine, const struct descriptor_header *header);

/* It was dealt with, or handed to the matching, which may have settled it or not. */
void flow_handled(struct engine *engine, const struct descriptor_header *header);

/* It is matched, or thrown away. */
void flow_settle(struct engine *engine, const struct descriptor_header *header);

/*
 * A receive has matched an offer: true, and it counts as a transfer, where it may be accepted now.
 * Else it waits by its link (on no list before) until flow_next_turn gives it.
 */
bool flow_transfer_begins(struct engine *engine, const struct descriptor_header *offer,
                          struct covey_list *link);

/* A transfer of this channel with this rank is over, or was given up. */
void flow_transfer_ends(struct engine *engine, uint64_t communicator, uint32_t rank);

/* One that waited and has its turn now, or NULL. */
struct covey_list *flow_next_turn(struct engine *engine);

/* A receive was posted, or a probe looks, and nothing that is here matches. ENGINE_ANY: of any
 * rank. */
void flow_want(struct engine *engine, int rank);

#endif
