/*
 * The engine of one worker: sends, receives and matches messages, and waits.
 *
 * An engine belongs to one thread. Nothing here runs by itself: whatever call waits drives all that
 * the engine has under way (progress).
 *
 * A channel is a stream of messages among the members of a communicator: each communicator has one
 * for its users and one for its collectives. Between two members, messages of a channel are matched
 * in the order they were sent.
 *
 * How a message goes: up to DESCRIPTOR_INLINE_BYTES in its descriptor; a little more in a block
 * that is sent by reference; beyond that, or when the sender has too much unasked memory out, by
 * rendezvous: OFFER, ACCEPT, then DATA pieces of at most ENGINE_PIECE_BYTES. A message for another
 * node goes to the host's inbox instead of its destination's, once it has leave (flow.h).
 *
 * Budget of sending and receiving a small message while the receiver is awake: no system call, no
 * lock; no allocation once as many messages have been waiting unmatched before.
 */
#ifndef TRANSPORT_CORE_ENGINE_H
#define TRANSPORT_CORE_ENGINE_H

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "transport/core/boxes.h"
#include "transport/core/flow.h"
#include "transport/core/inbox.h"
#include "transport/core/index.h"
#include "transport/core/memory.h"

#include <stddef.h>
#include <string.h>

#define ENGINE_ANY             (-1)
#define ENGINE_PIECE_BYTES     MEMORY_RESERVE_BYTES
#define ENGINE_EAGER_BYTES     65536u /* within the node */
#define ENGINE_EAGER_FAR_BYTES 16384u
#define ENGINE_WINDOW          FLOW_PIECES
#define ENGINE_TEXT_BYTES      512
#define ENGINE_INBOX_TURN      8u /* of so many takes one looks into the inbox first */

struct engine;
struct comm;

/* What a member knows of another, in one channel. */
struct peer {
    uint64_t send_sequence;
    uint64_t receive_sequence;    /* of the next message in order */
    struct covey_list unexpected; /* struct message.by_peer */
    struct covey_list early;      /* of a later turn */
    struct covey_list posted;     /* struct request.link */
};

struct channel {
    struct comm *comm;
    uint64_t id;
    uint64_t posted_count; /* numbers the receives */
    struct peer *peers;    /* by member; lists are made when first used */
    struct covey_list arrivals;
    struct covey_list posted_any;
    struct index waiting; /* struct message.of_both and of_tag: what is unexpected */
    struct index early;   /* struct message.of_both: by member and sequence */
    struct index posted;  /* struct request.index: by source and tag, either may be ENGINE_ANY */
};

struct message {
    struct covey_list by_peer;
    struct covey_list by_arrival;
    struct index_node of_both; /* by its source and tag; while it is early, by its sequence */
    struct index_node of_tag;
    uint32_t member;
    struct descriptor descriptor; /* checked; its block is accepted */
};

enum request_kind { REQUEST_SEND, REQUEST_RECEIVE };

struct request {
    struct covey_list link; /* in a list of its state */
    struct index_node index;
    enum request_kind kind;
    bool done;
    bool allocated; /* by engine_request_new */
    bool posted;
    bool gave_up; /* not this side: the other one, and why is in status */
    enum covey_status status;
    struct channel *channel;
    int peer; /* member, or ENGINE_ANY for a receive not yet matched */
    int tag;
    uint64_t argument;   /* travels with a message; of the sender's on a receive */
    uint64_t number;     /* of a posted receive */
    uint64_t cookie;     /* ours, while in a rendezvous; else 0 */
    uint64_t far_cookie; /* of the other side: of who accepted, or of the offer that was matched */
    uint64_t sequence;   /* of the message */

    /* a send: its bytes, or the block it is sent from */
    const uint8_t *source;
    const struct descriptor_block *source_block;
    uint64_t accepted; /* bytes asked for */
    uint32_t window_used;

    /* a receive: where to; or, as_block, into a block that the request's owner then holds */
    uint8_t *target;
    uint64_t size;
    bool as_block;
    bool has_block;
    bool has_turn; /* counts among the transfers of its sender */
    struct descriptor_block block;
    struct message *message; /* matched, waiting for memory */

    uint64_t length; /* of the message */
    uint64_t moved;  /* bytes so far */

    /* Last, so that a request begins without it: only the first window_used are filled in. */
    struct descriptor_block window[ENGINE_WINDOW];
};

/* All zero, but for the window, which has half the bytes and is seldom used. */
static inline void request_begin(struct request *request)
{
    memset(request, 0, offsetof(struct request, window));
}

struct engine {
    struct arena *arena;
    uint32_t rank;
    uint32_t endpoint;
    int64_t timeout_ns;
    bool may_spin;    /* there are cores to spare */
    int64_t yield_ns; /* how long a wait yields before it sleeps */
    struct inbox inbox;
    struct boxes boxes;
    uint32_t takes; /* counts looks for the next descriptor */
    struct memory memory;
    uint32_t epoch_seen;   /* whose ends are acted on */
    uint32_t epoch_looked; /* whose ends last_look has; acted on for this node: */
    bool near_done;
    uint32_t ends_seen; /* how often ends were acted on */
    uint64_t line_end;  /* of the host's line to this worker, at that look */
    uint8_t *ended;     /* by rank: what it was when the inbox was last emptied after a look */
    uint8_t *last_look; /* by rank: before the inbox is emptied */
    uint64_t next_cookie;
    struct covey_map channels;  /* by id */
    struct covey_map cookies;   /* struct request by its cookie */
    struct covey_list *pending; /* by endpoint: descriptors that found its inbox full */
    uint32_t pending_count;
    struct flows flows;
    struct covey_list transfers; /* sends with an accepted offer */
    struct covey_list offers;    /* sends whose offer is out */
    struct covey_list incoming;  /* receives in a rendezvous */
    struct covey_list starved;   /* matched receives that wait for memory */
    struct covey_list strays;    /* messages of channels that are not made yet */
    struct covey_list comms;     /* struct comm.link: all that there are */
    struct covey_list spare_messages;
    struct covey_list spare_requests;
    bool stalled;           /* something could not go on for want of memory or space in an inbox */
    bool no_memory;         /* the process's own */
    struct channel *latest; /* that a message came for */
    struct covey_log_limit malformed;
    char text[ENGINE_TEXT_BYTES];
};

enum covey_status engine_create(struct arena *arena, uint32_t rank, int64_t timeout_ns,
                                struct engine **engine) COVEY_MUST_USE;

/* Delivers what was sent and is still queued or wanted, at most until the deadline. */
void engine_flush(struct engine *engine, int64_t deadline_ns);

/* Destroys the communicators that are left, too. NULL is harmless. */
void engine_destroy(struct engine *engine);

/* Sets the text of the last failure, and returns status. */
enum covey_status engine_fail(struct engine *engine, enum covey_status status, const char *format,
                              ...) COVEY_PRINTF(3, 4);

/* Does what can be done without waiting. */
void engine_progress(struct engine *engine);

/* ---- channels; of comm.c ---- */

enum covey_status engine_channel_open(struct engine *engine, struct channel *channel,
                                      struct comm *comm, uint64_t id) COVEY_MUST_USE;
void engine_channel_close(struct engine *engine, struct channel *channel);
struct peer *engine_peer(struct channel *channel, uint32_t member);

/* ---- requests ---- */

/* NULL: out of memory. */
struct request *engine_request_new(struct engine *engine);
void engine_request_free(struct engine *engine, struct request *request);

/*
 * Starts a send of length bytes, of source or of the start of *block (which must stay held until it
 * is done). Fails, with the engine's text set, where the destination has ended.
 */
enum covey_status engine_send_start(struct channel *channel, struct request *request,
                                    uint32_t destination, int tag, uint64_t argument,
                                    const void *source, const struct descriptor_block *block,
                                    uint64_t length) COVEY_MUST_USE;

/* Sends a block by reference to a member of this node, whatever its length, now or not at all:
 * EAGAIN where the inbox is full. The sender keeps its hold. */
enum covey_status engine_send_lent(struct channel *channel, uint32_t destination, int tag,
                                   uint64_t argument,
                                   const struct descriptor_block *block) COVEY_MUST_USE;

/* Starts a receive, with target and size or as_block set in *request beforehand. */
enum covey_status engine_receive_start(struct channel *channel, struct request *request, int source,
                                       int tag) COVEY_MUST_USE;

/* The first unexpected message that matches, or NULL. */
struct message *engine_find(struct channel *channel, int source, int tag);

/* Says that what engine_find did not find is wanted, though no receive is posted. */
void engine_want(struct channel *channel, int source);

/* EPEER where nothing can come any more from source: it has ended, and all that it had sent was
 * taken out of the inbox; else OK. */
enum covey_status engine_can_come(struct channel *channel, int source);

/*
 * Gives up a request that is not done, and tells the other side at once, where there is one: an
 * offer or a queued message is withdrawn, and who would receive it gets `why` instead; a transfer
 * that was agreed on ends there with `why`. Data of it that is under way finds nobody. A message
 * that was matched and could not be taken for want of memory goes back to where it was.
 */
void engine_cancel(struct request *request, enum covey_status why);

/* Lets a message that is queued go out without its request, which must not be in a rendezvous. */
void engine_forget(struct request *request);

/* ---- waiting ---- */

struct engine_wait {
    struct engine *engine;
    int64_t timeout_ns;
    int64_t start_ns; /* 0: not looked at the clock yet */
    int64_t deadline_ns;
    int64_t asleep_after_ns;
    uint32_t rounds;
};

/* How long to yield where so many workers share so many cores. */
int64_t engine_yield_ns(uint32_t workers, uint32_t cpus);

void engine_wait_start(struct engine_wait *wait, struct engine *engine, int64_t timeout_ns);

/* From now on another timeout holds, counted from when the wait began. */
void engine_wait_limit(struct engine_wait *wait, int64_t timeout_ns);

/*
 * When the time is over: a wait for a word from others, whose time is over at about the same moment
 * and who may know more of the reason. A tenth of the timeout, 100 ms at most.
 */
void engine_wait_word(struct engine_wait *wait, struct engine *engine, int64_t timeout_ns);

/* Waits a little for something to happen, but not the first time; then progress. ETIMEOUT once the
 * time is over, ENOMEM. */
enum covey_status engine_wait_more(struct engine_wait *wait) COVEY_MUST_USE;

/* Until the request is done: its status, or ETIMEOUT, and then it goes on. */
enum covey_status engine_wait_request(struct request *request,
                                      struct engine_wait *wait) COVEY_MUST_USE;

#endif
