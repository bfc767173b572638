/* Inside the UCX backend: what its files share. */
#ifndef TRANSPORT_NET_UCX_H
#define TRANSPORT_NET_UCX_H

#include "base/buffer.h"
#include "base/list.h"
#include "transport/net/backend.h"
#include "transport/net/device.h"

#include <ucp/api/ucp.h>

/* The active message id that all messages use. */
#define UCX_FRAME_ID 0

/* Longest record of a control channel: a frame, or a worker's address. */
#define UCX_RECORD_BYTES 16384

struct net_backend {
    struct net_backend_options options; /* bind_address is not kept */
    struct net_device device;
    char ip[64];
    char address[80];
    uint16_t data_port; /* of UCX's own TCP listener; 0: any, or none */
    int epoll;          /* of all that follows, and of UCX's own descriptor */
    int listener;
    ucp_context_h context; /* this and the worker: NULL until ucx_wake */
    ucp_worker_h worker;
    ucp_address_t *worker_address;
    size_t worker_address_bytes;
    struct covey_list links;   /* every link that is not closed, nor in news */
    struct covey_list news;    /* links that broke, until the owner is told */
    struct covey_list doomed;  /* closed by the owner, not yet given back */
    struct covey_list pending; /* operations that UCX has */
    struct covey_list regions;
    struct covey_list spare; /* operations that may be used again */
    unsigned since_door;     /* rounds since the sockets had their turn */
    bool door_due;           /* it is their turn when UCX has nothing */
};

struct ucx_link {
    struct net_link link; /* first: a net_link is one */
    struct net_backend *ucx;
    struct covey_list node; /* on links, news or doomed */
    int socket;             /* the control channel */
    bool connected;         /* the socket is */
    bool settled;           /* by the owner: our worker's address went out */
    ucs_status_t failure;   /* of the endpoint; UCS_OK while it is well */
    bool broken;            /* and why: */
    bool reported;          /* and the owner knows */
    bool closed;            /* by the owner */
    enum covey_status why;
    char reason[96];
    struct covey_buffer in, out; /* records that came in part, and that wait for the socket */
    ucp_ep_h endpoint;           /* NULL until the other worker's address has come */
};

/* A send or a fetch that is under way. */
struct ucx_operation {
    struct covey_list node;
    struct net_backend *ucx;
    net_done done;
    void *done_data;
    uint8_t head[]; /* options.header_bytes_max: UCX borrows it until the end */
};

struct net_region {
    struct covey_list node; /* on regions */
    ucp_mem_h handle;
    uintptr_t start;
    size_t length_bytes;
};

static inline struct ucx_link *ucx_link_of(struct net_link *link)
{
    return (struct ucx_link *)(void *)link;
}

/* What a status of UCX means for us. */
enum covey_status ucx_status(ucs_status_t status);

/* ucx_setup.c: the configuration, the context and the worker. */

/* Opens the door, and nothing of UCX: most of what UCX needs is of no use before there is a peer.
 */
enum covey_status ucx_open(struct net_backend *ucx, struct covey_error *error) COVEY_MUST_USE;
/* Opens UCX, on a port of its own, when it is needed first: for memory or for a peer. */
enum covey_status ucx_wake(struct net_backend *ucx, struct covey_error *error) COVEY_MUST_USE;
void ucx_shut(struct net_backend *ucx);
/*
 * The i-th port to try for a use, and how many there are (1 where any will do: port 0). Doors have
 * the upper half of the range: a door can be opened on a port where closed connections linger,
 * UCX's listener can not.
 */
enum ucx_port_use { UCX_PORT_DATA, UCX_PORT_DOOR };
uint16_t ucx_port(const struct net_backend *ucx, enum ucx_port_use use, unsigned i);
unsigned ucx_port_count(const struct net_backend *ucx, enum ucx_port_use use);
enum covey_status ucx_no_port(const struct net_backend *ucx, struct covey_error *error);

/* ucx_door.c: the listener and the control channels. */
enum covey_status ucx_door_open(struct net_backend *ucx, struct covey_error *error) COVEY_MUST_USE;
enum covey_status ucx_connect(struct net_backend *ucx, const char *address, struct net_link **link);
/* Sends one record: a frame in two parts, or an address. */
enum covey_status ucx_record_send(struct ucx_link *link, uint8_t type, const void *first,
                                  size_t first_bytes, const void *second,
                                  size_t second_bytes) COVEY_MUST_USE;
/* Reads what a link's other end said last. */
void ucx_door_hear_out(struct ucx_link *link);
/* Reads and writes what can be. */
bool ucx_door_progress(struct net_backend *ucx);

enum ucx_record { UCX_RECORD_FRAME = 1, UCX_RECORD_ADDRESS = 2 };

/* ucx_link.c: endpoints, and the end of links. */
enum covey_status ucx_settle(struct net_backend *ucx, struct net_link *link);
/* The other worker's address has come. */
void ucx_link_address(struct ucx_link *link, const uint8_t *address, size_t length_bytes);
void ucx_link_break(struct ucx_link *link, enum covey_status why, const char *reason);
void ucx_close(struct net_backend *ucx, struct net_link *link);
/* Tells the owner of links that broke and gives back closed ones. */
bool ucx_links_progress(struct net_backend *ucx);
bool ucx_links_idle(const struct net_backend *ucx);

/* ucx_data.c: messages and memory. */
ucs_status_t ucx_frame(void *ucx, const void *header, size_t header_length, void *data,
                       size_t length, const ucp_am_recv_param_t *param);
enum covey_status ucx_send(struct net_backend *ucx, struct net_link *link,
                           const struct net_send_request *request);
void ucx_fetch(struct net_backend *ucx, struct net_link *link, void *handle, void *address,
               size_t length_bytes, struct net_region *region, net_done done, void *done_data);
void ucx_release(struct net_backend *ucx, void *handle);
enum covey_status ucx_region_add(struct net_backend *ucx, void *address, size_t length_bytes,
                                 struct net_region **region);
void ucx_region_remove(struct net_backend *ucx, struct net_region *region);
bool ucx_region_covers(const struct net_region *region, const void *address, size_t length_bytes);
struct ucx_operation *ucx_operation_take(struct net_backend *ucx, net_done done, void *done_data);
/* Completes an operation, and keeps its memory for the next. */
void ucx_operation_end(struct ucx_operation *operation, enum covey_status status);

#endif
