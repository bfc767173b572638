/* Inside the UCX backend: what its files share. */
#ifndef TRANSPORT_NET_UCX_H
#define TRANSPORT_NET_UCX_H

#include "base/list.h"
#include "base/map.h"
#include "transport/net/backend.h"
#include "transport/net/device.h"

#include <netinet/in.h>
#include <ucp/api/ucp.h>

/* The active message id that all frames use. */
#define UCX_FRAME_ID 0

struct net_backend {
    struct net_backend_options options; /* bind_address is not kept */
    struct net_device device;
    ucp_context_h context;
    ucp_worker_h worker;
    ucp_listener_h listener;
    char address[80];
    uint16_t port;      /* the listener's */
    uint16_t data_port; /* of UCX's own TCP listener; 0 where there is none */
    int fd;
    bool accepting;
    bool has_tcp;                 /* UCX may use TCP */
    struct covey_map by_endpoint; /* ep -> struct ucx_link, of links that are not closed */
    struct covey_list links;      /* every link that is not closed */
    struct covey_list doomed;     /* closed by the owner, endpoint not yet given back */
    struct covey_list pending;    /* operations that UCX has */
    struct covey_list spare;      /* operations that may be used again */
};

struct ucx_link {
    struct net_link link; /* first: a net_link is one */
    ucp_ep_h endpoint;
    struct covey_list node; /* on links or doomed */
    bool broken;            /* UCX says so */
    bool reported;          /* and the owner knows */
    ucs_status_t why;
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

/* ucx_setup.c: the configuration, the context, the worker and both listeners. */
enum covey_status ucx_open(struct net_backend *ucx, const char *bind_address,
                           struct covey_error *error) COVEY_MUST_USE;
void ucx_shut(struct net_backend *ucx);

/* ucx_link.c */
void ucx_accept(ucp_conn_request_h request, void *ucx);
enum covey_status ucx_connect(struct net_backend *ucx, const char *address, struct net_link **link);
void ucx_close(struct net_backend *ucx, struct net_link *link);
void ucx_settle(struct net_backend *ucx, struct net_link *link, char *carrier,
                size_t carrier_bytes);
/* Tells the owner of links that broke and gives back the endpoints of closed ones. */
bool ucx_links_progress(struct net_backend *ucx);

/* ucx_data.c */
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
