/*
 * The host's side of an arena: takes the messages that workers send to other nodes, and delivers
 * those that come from there. One thread at a time, the one that owns the arena's loop; nothing
 * here blocks.
 *
 *   out:  host_port_poll -> send header and payload -> host_port_release when the payload's last
 *         byte has been read (by a device, too)
 *   in:   header arrives -> host_port_allocate(length) -> payload is written there ->
 *         host_port_deliver; or host_port_discard where the transfer failed
 */
#ifndef TRANSPORT_CORE_HOST_PORT_H
#define TRANSPORT_CORE_HOST_PORT_H

#include "covey/status.h"
#include "transport/core/arena.h"
#include "transport/core/descriptor.h"

struct host_port;

/* The arena is borrowed, and is one that this process made or mapped; there is one port for it.
 * Makes the eventfd. ENOMEM, EIO. */
enum covey_status host_port_create(struct arena *arena, struct host_port **port,
                                   struct covey_error *error) COVEY_MUST_USE;

/* Drops what is queued. NULL is harmless. */
void host_port_destroy(struct host_port *port);

/* Readable when workers want the host, and after every arena_mark_*. To be handed to packs, for
 * arena_set_host_event. Owned by the port. */
int host_port_event_fd(const struct host_port *port);

/* A message from a worker of this node to a rank of another one. */
struct host_outgoing {
    struct descriptor_header header; /* checked: its ranks, its kind, its length */
    uint32_t length_bytes;           /* of the payload; at most ARENA_SLAB_BYTES */
    const void *payload;             /* in the arena and in one slab, or inline_bytes; never NULL */
    bool in_arena;
    uint8_t inline_bytes[DESCRIPTOR_INLINE_BYTES];
    struct descriptor_block block; /* when in_arena: what is held for this message */
};

/*
 * Takes the next message; false when there is none. A malformed one is dropped with a warning in
 * the log. The payload stays as it is until host_port_release, also when its sender dies (a sender
 * that breaks the rules may still write to it: what is read from it is data, not structure).
 * *outgoing must stay where it is while payload points into it.
 */
bool host_port_poll(struct host_port *port, struct host_outgoing *outgoing);

/* Gives the payload back. Harmless for a message that has none in the arena. */
void host_port_release(struct host_port *port, struct host_outgoing *outgoing);

/* Room for the payload of one incoming message. */
struct host_incoming {
    void *payload; /* length_bytes in one slab of the arena, 64-byte aligned; for
                      DESCRIPTOR_INLINE_BYTES and less, inline_bytes */
    uint32_t length_bytes;
    bool in_arena;
    uint8_t inline_bytes[DESCRIPTOR_INLINE_BYTES];
    struct descriptor_block block;
};

/*
 * Checks a header that came over the network from node `from_node` (its source is a rank of that
 * node, its destination a rank here, its kind known, its length and the payload's agree) and finds
 * room for the payload. EPROTO: the peer is at fault. EAGAIN: memory is full now; try again after
 * the event fd was readable or within some milliseconds, and meanwhile go on with other messages:
 * DESCRIPTOR_DATA, which somebody waits for, has a reserve of its own and so rarely fails. EPEER:
 * the destination has ended, the message is to be dropped.
 */
enum covey_status host_port_allocate(struct host_port *port, uint32_t from_node,
                                     const struct descriptor_header *header, uint64_t length_bytes,
                                     struct host_incoming *incoming) COVEY_MUST_USE;

/*
 * Hands the message to its destination, and takes over the payload. Where the inbox is full it is
 * queued for that destination alone, in order. EPEER: the destination has ended (dropped). ENOMEM:
 * nothing was done, incoming is still the caller's.
 */
enum covey_status host_port_deliver(struct host_port *port, const struct descriptor_header *header,
                                    struct host_incoming *incoming) COVEY_MUST_USE;

/* Gives room back unused. */
void host_port_discard(struct host_port *port, struct host_incoming *incoming);

/*
 * Tries to deliver what is queued; true while something remains, and then the caller comes back
 * when the event fd is readable, or after a few milliseconds.
 */
bool host_port_flush(struct host_port *port);

/* Bytes queued for a rank of this node, and messages for all: for the network's own back-pressure
 * and for metrics. */
uint64_t host_port_queued_bytes(const struct host_port *port, uint32_t rank);
uint64_t host_port_queued_messages(const struct host_port *port);

/*
 * Before the loop sleeps in epoll on the event fd: true, and from now on workers write to it; false
 * when a message is there already, and it must poll instead. host_port_wake ends that state (and
 * empties the event fd); call it first thing after epoll returns.
 */
bool host_port_sleep(struct host_port *port);
void host_port_wake(struct host_port *port);

#endif
