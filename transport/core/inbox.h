/*
 * Inboxes: a ring of slots for each endpoint, many producers, one consumer, lock-free, and safe
 * against a producer that is killed anywhere. A slot moves FREE -> OWNED(endpoint) -> READY -> FREE
 * of the next lap; the consumer steps over slots that are owned and not yet ready, and arena_reap
 * frees those of the dead. Internal to transport/core.
 */
#ifndef TRANSPORT_CORE_INBOX_H
#define TRANSPORT_CORE_INBOX_H

#include "transport/core/layout.h"

/* The consumer's side; private to its process. */
struct inbox {
    struct layout_inbox *shared;
    uint32_t slots;
    uint64_t head;
};

/* Opens the inbox of an endpoint, as its only consumer, from the first message. */
void inbox_open(const struct arena *arena, uint32_t endpoint, struct inbox *inbox);

/*
 * Takes a message, in no order that can be relied on. False when there is none. What is taken is a
 * copy, unchecked.
 */
bool inbox_take(const struct arena *arena, struct inbox *inbox, struct descriptor *descriptor);

/* True where inbox_take would find something. */
bool inbox_ready(const struct inbox *inbox);

/* Posts a message and wakes the endpoint. False when the inbox is full; the sender is rung when
 * there is space again, or it tries again after a while. */
bool inbox_post(const struct arena *arena, uint32_t from, uint32_t to,
                const struct descriptor *descriptor);

/* Frees the slot that a dead endpoint had claimed: it had one at most, in the inbox it has noted.
 */
void inbox_reap(const struct arena *arena, uint32_t dead);

#endif
