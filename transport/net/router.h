/*
 * The router joins a host's port of the arena with the network: it takes what local workers send to
 * other nodes, brings what comes from there to its destination, and tells both sides who has ended.
 *
 * Threads: one, which also owns the host_port. Nothing here blocks. The loop that drives it:
 *
 *     epoll on router_port_fd and router_net_fd, with router_next_timeout_ns as its timer
 *     when anything happens:  while (router_progress(router, now)) {}
 *     before it sleeps:       if (!router_prepare_sleep(router)) do not sleep, go on
 *
 * Order: what a rank has sent before it ended is delivered before its end is told (docs/wire.md).
 */
#ifndef TRANSPORT_NET_ROUTER_H
#define TRANSPORT_NET_ROUTER_H

#include "transport/core/host_port.h"
#include "transport/net/net.h"

struct router;

struct router_events {
    /* Once, when the first connection is up: what carries messages ("ucx:tcp/lo"). */
    void (*on_transport)(void *data, const char *carrier);
    /* A node cannot be reached any more, and its ranks are marked as dead in the arena. */
    void (*on_node_lost)(void *data, unsigned node, enum covey_status status, const char *reason);
};

struct router_options {
    struct arena *arena;    /* borrowed; gives the flare, the nodes and which of them this is */
    struct host_port *port; /* borrowed */
    const char *backend;    /* NULL: there is only this node, and no network is opened */
    const uint8_t *secret;  /* NET_SECRET_BYTES; copied */
    const char *bind_address;
    uint16_t port_first, port_last; /* 0, 0: any */
    struct net_limits limits;
    const struct router_events *events; /* borrowed; may be NULL */
    void *data;
};

/* Limits to their defaults, all else to nothing. */
void router_options_init(struct router_options *options);

/* As net_create. EINVAL, too, where there are other nodes and no backend. */
enum covey_status router_create(const struct router_options *options, struct router **router,
                                struct covey_error *error) COVEY_MUST_USE;

/*
 * Closes the network, fenced (net_destroy), and gives back all memory of the arena. Call it before
 * host_port_destroy. NULL is harmless.
 */
void router_destroy(struct router *router);

/* Where this node listens; "" without a network. Borrowed. */
const char *router_address(const struct router *router);

/* Where another node listens: before workers start. EINVAL. */
enum covey_status router_set_address(struct router *router, unsigned node,
                                     const char *address) COVEY_MUST_USE;

/*
 * The control plane says that a rank of another node has ended (ARENA_DONE or ARENA_DIED). It is
 * told to the workers when what it has sent has come: its own host says how much that is. Only
 * where that host is silent it is told without: after a second of silence where the rank died,
 * after five where it ended well.
 */
void router_mark_ended(struct router *router, uint32_t rank, enum arena_rank_state state,
                       const char *reason);

/* The control plane says that a node is gone, with its host. */
void router_mark_node_lost(struct router *router, unsigned node, const char *reason);

/* Every worker of this node has ended, and what they had sent is at the hosts of its receivers, so
 * far as those are not lost: this host may go. */
bool router_is_done(const struct router *router);

/* Does a bounded amount of what there is to do. True: call it again before sleeping. */
bool router_progress(struct router *router, int64_t now_ns);

/* From now on workers write to the port's fd, and the network to its own. False: there is work. */
bool router_prepare_sleep(struct router *router) COVEY_MUST_USE;

/* When router_progress must be called though no fd is readable, or COVEY_NEVER_NS. */
int64_t router_next_timeout_ns(const struct router *router);

/* For epoll; borrowed. The second is -1 without a network. */
int router_port_fd(const struct router *router);
int router_net_fd(const struct router *router);

/* What workers sent to and got from another node: messages, and the bytes of their payload. */
struct net_traffic router_traffic(const struct router *router, unsigned node);

struct router_counters {
    uint64_t dropped;       /* messages to ranks that had ended, or to nodes that were lost */
    uint64_t held;          /* messages that had to wait for memory */
    uint64_t registrations; /* slabs registered with the network */
};

struct router_counters router_counters(const struct router *router);

#endif
