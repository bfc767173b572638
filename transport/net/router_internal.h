/* Inside the router: what its files share. */
#ifndef TRANSPORT_NET_ROUTER_INTERNAL_H
#define TRANSPORT_NET_ROUTER_INTERNAL_H

#include "base/list.h"
#include "transport/net/router.h"

/* The headers that routers put into messages; docs/wire.md. */
enum router_kind {
    ROUTER_MESSAGE = 1, /* a descriptor header, then the payload where it is short */
    ROUTER_ENDED = 2,   /* ranks of the sending node have ended */
    ROUTER_TAKEN = 3,   /* all that ended ranks of the other node had sent is here */
};

#define ROUTER_MESSAGE_BYTES 64
#define ROUTER_ENDED_BYTES   24 /* of each rank, and its reason */
#define ROUTER_TAKEN_BYTES   4  /* and 4 for each rank */

/* How often what waits for memory or a place in an inbox is tried again. */
#define ROUTER_RETRY_NS 2000000LL

/* Messages for one node that the network has at once; more wait here, each node's by itself. */
#define ROUTER_UNDER_WAY 1024

/* A message on its way out. */
struct outgoing {
    struct covey_list node; /* on router->outgoing, queued or spare */
    struct router *router;
    struct host_outgoing message;
};

/* A message on its way in. */
struct arrival {
    struct covey_list node; /* on router->landing while its payload lands, held or spare */
    struct router *router;
    unsigned from;
    bool counted;                /* as finished with */
    struct net_message *message; /* that the net holds for want of memory */
    struct host_incoming *room;
};

/* The end of a rank elsewhere, to be told when all that it sent is delivered. */
struct ending {
    struct covey_list node;
    uint32_t rank;
    enum arena_rank_state state;
    bool told;        /* to the workers here; what is held may still have to be fetched */
    bool taken;       /* all of it is here, and its host is to be told */
    bool counted;     /* by its host: */
    uint64_t sent;    /* so many messages to here */
    int64_t since_ns; /* when the news came, by active_ns */
    char reason[ARENA_REASON_BYTES];
};

struct router {
    struct router_options options;
    struct arena *arena;
    struct host_port *port;
    struct net *net; /* NULL without a network */
    uint8_t *slabs;
    uint32_t slab_count;
    struct net_region **regions; /* by slab; NULL: not met the network yet */
    unsigned node_count;
    uint64_t *sent;              /* by node and local rank: messages for the network */
    uint64_t *finished;          /* by rank: messages from it that are here, or dropped */
    uint64_t *taken;             /* of those, the ones whose payload is here, too */
    bool *end_seen;              /* by local rank: it had ended before the inbox was last read */
    bool *end_told;              /* by node and local rank */
    bool *end_taken;             /* by node and local rank: that node has all that it sent */
    uint32_t ends_seen;          /* local ranks with end_seen */
    int64_t *heard_ns;           /* by node: when something of it came last, by active_ns */
    bool *node_lost;             /* by node */
    bool *node_known;            /* by node: a connection has been begun or is up */
    struct net_traffic *traffic; /* by node */
    uint32_t epoch;              /* of the arena, when router_end_look last looked */
    uint32_t epoch_seen;         /* whose ends are told */
    bool tell_due;               /* some node is to be told of ends here */
    bool asleep;
    bool drained; /* the inbox was empty just now, and all of it is on its way */
    bool transport_told;
    struct covey_list outgoing, spare_outgoing;
    struct covey_list *queued; /* by node: struct outgoing */
    uint64_t queued_count;
    struct covey_list landing, spare_arrivals;
    struct covey_list *held; /* by local destination: struct arrival */
    uint64_t held_count;
    struct covey_list endings;
    struct ending **ending_of; /* by rank: where it is among them; NULL: nowhere */
    int64_t now_ns;
    int64_t active_ns; /* a clock that stands still while this process does */
    int64_t retry_ns;  /* when to try again, or COVEY_NEVER_NS */
    struct router_counters counters;
};

/* The registered region of a slab that holds this address; NULL where it cannot be registered. */
struct net_region *router_region(struct router *router, const void *address);

/* Gives a node up, because of what it sent or what we cannot do for it. */
void router_fail_node(struct router *router, unsigned node, const char *reason);

/* router_out.c */
bool router_out_progress(struct router *router);
void router_out_clear(struct router *router);
void router_message_encode(const struct descriptor_header *header,
                           uint8_t bytes[ROUTER_MESSAGE_BYTES]);
void router_message_decode(const uint8_t bytes[ROUTER_MESSAGE_BYTES],
                           struct descriptor_header *header);

/* router_in.c */
enum net_verdict router_on_message(void *router, struct net_message *message,
                                   struct net_landing *landing);
void router_on_landed(void *router, unsigned node, void *context, enum covey_status status);
bool router_in_progress(struct router *router);
void router_in_clear(struct router *router);

/* router_end.c: who has ended. */
/* Before the inbox is read: notes who has ended. What they sent is in the inbox, or has gone. */
void router_end_look(struct router *router);
/* After it: tells the ends that were noted, where the inbox was found empty. */
bool router_end_progress(struct router *router);
/* A node is reached for the first time: it is told of who has ended before. */
void router_end_connected(struct router *router, unsigned node);
void router_end_received(struct router *router, const struct net_message *message);
/* A message from a rank is here, or dropped; taken: nothing of it is missing at this host. What is
 * held for want of memory is here first, and taken later. */
void router_end_finished(struct router *router, uint32_t source);
void router_end_taken(struct router *router, uint32_t source);
void router_end_taken_received(struct router *router, const struct net_message *message);
/* A node is lost: what is known of the ends of its ranks is told now. */
void router_end_lost(struct router *router, unsigned node, const char *reason);
/* Something of a node has come. */
void router_end_heard(struct router *router, unsigned node);
/* The time is now_ns. */
void router_end_pass_time(struct router *router, int64_t now_ns);
int64_t router_end_next_ns(const struct router *router);
void router_end_clear(struct router *router);

#endif
