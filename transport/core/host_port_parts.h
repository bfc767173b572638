/* How the two halves of the host's port work together. Internal to transport/core. */
#ifndef TRANSPORT_CORE_HOST_PORT_PARTS_H
#define TRANSPORT_CORE_HOST_PORT_PARTS_H

#include "base/list.h"
#include "base/log.h"
#include "transport/core/host_port.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"
#include "transport/core/reserve.h"

/* What has come for one worker of this node and is not in its inbox yet. */
struct host_line {
    struct covey_list order; /* all of it, by number; struct host_incoming */
    struct covey_list queue; /* what waits for a place in the inbox */
    uint64_t next;           /* number */
    bool published;          /* that something waits */
};

struct host_port {
    struct arena *arena;
    uint32_t endpoint;
    int event_fd;
    struct inbox inbox;
    struct memory memory;
    struct reserve reserve;
    struct covey_log_limit malformed;
    uint32_t pair_most;      /* messages of a pair that can be under way */
    uint16_t *outgoing;      /* by local source and destination: what the network has */
    uint16_t *incoming;      /* by local destination and source: what is in the lines */
    struct host_line *lines; /* by endpoint */
    struct covey_list spare; /* struct host_incoming.queue_link */
    uint64_t queued;
};

static inline bool host_kind_has_payload(uint32_t kind)
{
    return kind == DESCRIPTOR_MESSAGE || kind == DESCRIPTOR_DATA;
}

/* host_in.c */
bool host_lines_open(struct host_port *port);
void host_lines_close(struct host_port *port);

#endif
