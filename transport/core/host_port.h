/*
 * The host's side of an arena: takes the messages that workers send to other nodes, and delivers
 * those that come from there. One thread at a time, the one that owns the arena's loop; nothing
 * here blocks.
 *
 *   out:  host_port_poll -> send header and payload -> host_port_release when the payload's last
 *         byte has been read (by a device, too)
 *   in:   header arrives -> host_port_expect -> host_port_make_room -> payload is written there ->
 *         host_port_deliver; or host_port_discard where the transfer failed
 *
 * Neither way holds more of a pair of workers than flow_pair_most: what breaks that rule is not
 * kept.
 */
#ifndef TRANSPORT_CORE_HOST_PORT_H
#define TRANSPORT_CORE_HOST_PORT_H

#include "base/list.h"
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
 * Takes the next message; false when there is none. A malformed one, or one more than its source
 * may have under way to its destination, is dropped with a warning in the log. The payload stays as
 * it is until host_port_release, also when its sender dies (a sender that breaks the rules may
 * still write to it: what is read from it is data, not structure). *outgoing must stay where it is
 * while payload points into it.
 */
bool host_port_poll(struct host_port *port, struct host_outgoing *outgoing);

/* The end of a message that host_port_poll gave: gives its payload back. */
void host_port_release(struct host_port *port, struct host_outgoing *outgoing);

/*
 * A message that has come for a worker of this node, from host_port_expect until host_port_deliver
 * or host_port_discard.
 */
struct host_incoming {
    struct covey_list order;      /* in its destination's line */
    struct covey_list queue_link; /* while it waits for a place in the inbox, or is spare */
    uint64_t number;              /* in the line */
    bool wants_room;              /* host_port_make_room has not found any yet */
    void *payload;                /* length_bytes, once there is room: inline, or in one slab of the
                                     arena, 64-byte aligned, and then in_arena */
    uint32_t length_bytes;
    struct descriptor descriptor;
};

static inline bool host_incoming_in_arena(const struct host_incoming *incoming)
{
    return incoming->descriptor.header.payload == DESCRIPTOR_BLOCK;
}

/*
 * Checks a header that came over the network from node `from_node`, and gives the message its place
 * in the line of its destination. EPROTO: its source is no rank of that node, its destination none
 * here, its kind is unknown, or its length and the payload's do not agree. ELIMIT: more has come of
 * its source than that may have under way (flow.h). EPEER: the destination has ended, the message
 * is to be dropped. ENOMEM.
 */
enum covey_status host_port_expect(struct host_port *port, uint32_t from_node,
                                   const struct descriptor_header *header, uint64_t length_bytes,
                                   struct host_incoming **incoming) COVEY_MUST_USE;

/*
 * Finds room for its payload. EAGAIN: memory is full now; try again after the event fd was readable
 * or within some milliseconds, and meanwhile go on with other messages: DESCRIPTOR_DATA, which
 * somebody waits for, has a reserve of its own and so rarely fails. EPEER: the destination has
 * ended meanwhile, the message is to be discarded.
 */
enum covey_status host_port_make_room(struct host_port *port,
                                      struct host_incoming *incoming) COVEY_MUST_USE;

/*
 * Hands a message whose payload is in place to its destination. Where the inbox is full it is
 * queued for that destination alone, in order. EPEER: the destination has ended (dropped).
 */
enum covey_status host_port_deliver(struct host_port *port,
                                    struct host_incoming *incoming) COVEY_MUST_USE;

/* Throws a message away, with its room. */
void host_port_discard(struct host_port *port, struct host_incoming *incoming);

/*
 * Tries to deliver what is queued; true while something remains, and then the caller comes back
 * when the event fd is readable, or after a few milliseconds.
 */
bool host_port_flush(struct host_port *port);

/*
 * Before the loop sleeps in epoll on the event fd: true, and from now on workers write to it; false
 * when a message is there already, and it must poll instead. host_port_wake ends that state (and
 * empties the event fd); call it first thing after epoll returns.
 */
bool host_port_sleep(struct host_port *port);
void host_port_wake(struct host_port *port);
/* Ends that state where the loop did not get to sleep: at no cost of a system call. */
void host_port_stay(struct host_port *port);

#endif
