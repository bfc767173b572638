/*
 * Messages between the hosts of one flare: one connection per pair of nodes, made at the first
 * message, authenticated with the flare's secret, and never remade: a peer that was lost stays
 * down.
 *
 * Threads: a net belongs to one thread, which drives it: net_progress whenever net_fd is readable,
 * or at once where net_arm says that there is work. Nothing here blocks. Callbacks come from
 * net_progress and, where said so, from inside the call; a callback may send, land, drop and close
 * a peer, and must not destroy the net.
 *
 * Order: none is promised between messages, not even on one connection; whoever needs it numbers
 * its messages (docs/wire.md).
 */
#ifndef TRANSPORT_NET_NET_H
#define TRANSPORT_NET_NET_H

#include "covey/status.h"
#include "transport/net/mac.h"
#include "transport/net/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net;
struct net_region;

#define NET_ADDRESS_BYTES 64
#define NET_CARRIER_BYTES 64

/* An incoming message, while it is the receiver's to decide on. */
struct net_message {
    unsigned node;         /* who sent it */
    const uint8_t *header; /* what net_send was given; check it: it comes from a peer */
    size_t header_bytes;
    size_t payload_bytes; /* checked against what really comes */
};

/* Where a payload goes: payload_bytes at address, inside region; context is for on_landed. */
struct net_landing {
    void *address;
    struct net_region *region;
    void *context;
};

enum net_verdict {
    NET_DROP, /* done with it: no payload is wanted, or the header was all */
    NET_LAND, /* *landing is filled in; on_landed follows, once */
    NET_HOLD, /* keep it; net_land or net_drop must follow, also after its sender is down. Not for
                 who has just closed that peer. How much is kept is the owner's to bound */
};

struct net_events {
    /* A message has come. Its header is borrowed until the verdict, or while it is held. */
    enum net_verdict (*on_message)(void *data, struct net_message *message,
                                   struct net_landing *landing);
    /*
     * The payload is in place, or will never be (EPEER, ECANCELLED: the memory has what it has, and
     * nothing writes to it any more). May come from inside the call that gave the landing.
     */
    void (*on_landed)(void *data, unsigned node, void *context, enum covey_status status);
    /*
     * Once per node: it cannot be reached any more. OK: it said goodbye. EPEER: its connection
     * broke. ETIMEOUT, EUNAVAILABLE: no connection could be made. EUNAUTHENTICATED, EVERSION,
     * EPROTO: it is not what it should be. What was under way to and from it completes with EPEER,
     * before or soon after.
     */
    void (*on_peer_down)(void *data, unsigned node, enum covey_status status, const char *reason);
    /* The connection is up; carrier is what carries it ("ucx:tcp/lo", "ucx:rc_verbs/rxe0:1"). */
    void (*on_connected)(void *data, unsigned node, const char *carrier);
};

struct net_limits {
    size_t eager_bytes;         /* payloads up to this travel with the header; default 8 KiB */
    uint32_t pending_sends;     /* per node, accepted and not complete; default 4096 */
    uint32_t strangers;         /* connections that have not proved who they are; default 64, and
                                   at least one for each node of the flare */
    int64_t connect_timeout_ns; /* from the first send until the connection is up; default 5 s */
    int64_t hello_timeout_ns;   /* for a stranger's first frame; default 2 s */
    /* To both times net_create adds 50 ms for each node: all may connect at once. */
};

void net_limits_init(struct net_limits *limits);

struct net_options {
    const char *backend; /* "ucx", "tcp" or "auto"; the same at all nodes of the flare */
    unsigned node;       /* this node's index */
    unsigned node_count; /* 1 to NET_NODES_MAX */
    const char *flare_id;
    const uint8_t *secret;    /* NET_SECRET_BYTES; copied, wiped at the end */
    const char *bind_address; /* a numeric address of this machine, not a wildcard */
    uint16_t port_first;      /* the ports that may be used, both included; 0, 0: any */
    uint16_t port_last;
    struct net_limits limits;
    const struct net_events *events; /* borrowed for the net's life */
    void *data;
};

#define NET_NODES_MAX 65536

/*
 * Listens, on one port; what carries messages, which takes a second, is opened with the first
 * connection or region. EINVAL: an option is wrong. EUNAVAILABLE: every port of the range is taken,
 * or no device has the address. ENOMEM, EIO. error says which, for a person.
 */
enum covey_status net_create(const struct net_options *options, struct net **net,
                             struct covey_error *error) COVEY_MUST_USE;

/* Opens at once what would be opened later; errors as net_create. */
enum covey_status net_wake(struct net *net, struct covey_error *error) COVEY_MUST_USE;

/*
 * Says goodbye where it can at once, and closes everything. When it returns, nothing in flight
 * touches any memory it was given; every accepted send and landing has had its callback
 * (ECANCELLED where unfinished), held messages are gone, and regions are unregistered. NULL is
 * harmless.
 */
void net_destroy(struct net *net);

/* Where this node listens, "ip:port" or "[ip6]:port". Borrowed. */
const char *net_address(const struct net *net);

/* Where a node listens. EINVAL: not an address, or no such node. Needed before the first send. */
enum covey_status net_set_address(struct net *net, unsigned node,
                                  const char *address) COVEY_MUST_USE;

/*
 * Registers memory, so that large payloads go to and from it without a copy. Costs a system call
 * and pins the memory: once per slab, never per message. EIO where the device refuses.
 */
enum covey_status net_region_add(struct net *net, void *address, size_t length_bytes,
                                 struct net_region **region) COVEY_MUST_USE;

/* Unregisters; no send or landing of the region may be under way. NULL is harmless. */
void net_region_remove(struct net *net, struct net_region *region);

/* What a send carries beyond its header. */
struct net_payload {
    const void *address;
    size_t length_bytes;
    struct net_region *region; /* needed where length_bytes is over limits.eager_bytes */
};

/*
 * Called once per accepted send: OK when the payload may be reused (which need not mean that it was
 * received), EPEER when the node went down first, ECANCELLED at destruction. May come from inside
 * net_send.
 */
typedef void (*net_send_done)(void *data, enum covey_status status);

/*
 * Sends header and payload to a node. The header (up to NET_HEADER_BYTES_MAX) is copied, the
 * payload is borrowed until done, which may be NULL where there is no payload. payload may be NULL.
 * EAGAIN: limits.pending_sends are under way. EPEER: the node is down. EINVAL: no such node or
 * address, a header that is too long, a payload outside its region. ENOMEM. On failure done is not
 * called.
 */
enum covey_status net_send(struct net *net, unsigned node, const void *header, size_t header_bytes,
                           const struct net_payload *payload, net_send_done done,
                           void *done_data) COVEY_MUST_USE;

/* Ends the holding of a message: it goes to *landing, and on_landed follows. */
void net_land(struct net *net, struct net_message *message, const struct net_landing *landing);

/* Ends the holding of a message: it is thrown away. */
void net_drop(struct net *net, struct net_message *message);

/* Gives a peer up: as if its connection had broken. reason is copied. */
void net_close_peer(struct net *net, unsigned node, const char *reason);

/* Does what there is to do at now_ns. Returns whether something was done. */
bool net_progress(struct net *net, int64_t now_ns);

/* When net_progress must be called though nothing came: a deadline, or COVEY_NEVER_NS. */
int64_t net_next_timeout_ns(const struct net *net);

/* Readable when there is work, once armed; for epoll. Borrowed; the same for the net's life. */
int net_fd(const struct net *net);

/* Before sleeping on net_fd. False: there is work already, call net_progress. */
bool net_arm(struct net *net) COVEY_MUST_USE;

/* What went between this node and another; payload and header bytes of messages, not framing. */
struct net_traffic {
    uint64_t sent_messages;
    uint64_t sent_bytes;
    uint64_t received_messages;
    uint64_t received_bytes;
};

/* Zeroes for a node that does not exist. */
struct net_traffic net_traffic(const struct net *net, unsigned node);

/* What happened, since the net was made. */
struct net_counters {
    uint64_t registrations;     /* calls that registered memory */
    uint64_t strangers_refused; /* connections closed before they proved anything */
    uint64_t frames_dropped;    /* without a connection or session to blame */
};

struct net_counters net_counters(const struct net *net);

#endif
