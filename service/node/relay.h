/*
 * Logs of packs on their way to the controller. The agent keeps what a pack says until the
 * controller has taken it, says it again on a new stream, and lets the pack know how far it was
 * taken. What it keeps of a pack is bounded by the pack's window, and outlives the pack. One log
 * takes turns with the others, message by message.
 */
#ifndef SERVICE_NODE_RELAY_H
#define SERVICE_NODE_RELAY_H

#include "base/list.h"
#include "covey/v1/node.pb-c.h"
#include "service/common/local.h"

struct node_child;

struct relay {
    struct covey_list logs; /* the one whose turn it is first */
};

void relay_open(struct relay *relay);
void relay_close(struct relay *relay);

/*
 * Keeps the next part of a pack's log, which is taken in any case. EPROTO: it does not follow what
 * came before, or is more than a window. ENOMEM.
 */
enum covey_status relay_add(struct relay *relay, struct node_child *pack,
                            Covey__V1__PackLog *take_log) COVEY_MUST_USE;

/* Adds what the agent has read itself of what a pack left, whatever the window is. */
void relay_append(struct relay *relay, struct node_child *pack, uint32_t stream, const void *text,
                  size_t length_bytes);

/* Fills *chunk with what is to be said next; borrowed until relay_said. False: nothing is. flare_id
 * (may be NULL): only of this flare. */
bool relay_next(const struct relay *relay, const char *flare_id, Covey__V1__LogChunk *chunk);
/* Whether something of this flare's logs has not been said. */
bool relay_has(const struct relay *relay, const char *flare_id);
/* What relay_next gave for the same flare_id went out on this stream. */
void relay_said(struct relay *relay, const char *flare_id);
/* A new stream: what was not taken is to be said again. */
void relay_rewind(struct relay *relay);

/* The controller has taken a part. Returns the pack that is to be told, or NULL. */
struct node_child *relay_taken(struct relay *relay, const Covey__V1__LogTaken *taken);

/* The pack is gone; what is left of its log is passed on all the same. */
void relay_pack_gone(struct relay *relay, const struct node_child *pack);
/* Nobody waits for the logs of this flare any more. */
void relay_forget(struct relay *relay, const char *flare_id);

#endif
