/*
 * What carries frames: the ops table that a backend (ucx, tcp) implements and net.c drives. A
 * backend knows links, frames and memory; it knows nothing of nodes, secrets or who may connect.
 *
 * One thread. Callbacks to the owner come from progress, and where said so from inside the call.
 */
#ifndef TRANSPORT_NET_BACKEND_H
#define TRANSPORT_NET_BACKEND_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_backend;

/*
 * A connection, made by connect or by a stranger. The backend's; invalid once close was called. It
 * begins with a control channel only, which carries the frames that the two ends prove themselves
 * with; what a stranger says goes no further. settle opens it for messages.
 */
struct net_link {
    void *owner_data; /* the owner's, NULL at first */
};

/* The payload of a frame that has just come. bytes is NULL where it has yet to be fetched. */
struct net_body {
    const void *bytes;
    size_t length_bytes;
    void *handle; /* for fetch and release, where bytes is NULL */
};

/* Called once; OK, or what kept it from completing. */
typedef void (*net_done)(void *data, enum covey_status status);

struct net_backend_events {
    /* A stranger has connected. */
    void (*on_accept)(void *owner, struct net_link *link);
    /*
     * A frame has come: over the control channel of link, or, where link is NULL, as a message, and
     * then its session says of which. Where body->bytes is NULL, the owner has called fetch before
     * it returns, or returns true to keep the handle for later; otherwise the payload is thrown
     * away.
     */
    bool (*on_frame)(void *owner, struct net_link *link, const uint8_t *bytes, size_t length_bytes,
                     const struct net_body *body);
    /* A settled link can carry messages now; carrier is what carries them ("tcp/lo"). */
    void (*on_settled)(void *owner, struct net_link *link, const char *carrier);
    /* The link broke, or never came up; once. The owner calls close, here or later. */
    void (*on_broken)(void *owner, struct net_link *link, enum covey_status status,
                      const char *reason);
};

struct net_backend_options {
    const char *bind_address;
    uint16_t port_first, port_last;
    size_t header_bytes_max; /* of a frame's fixed part and header together */
    const struct net_backend_events *events;
    void *owner;
};

struct net_send_request {
    const void *head; /* copied */
    size_t head_bytes;
    const void *header; /* copied */
    size_t header_bytes;
    const void *payload; /* borrowed until done */
    size_t payload_bytes;
    struct net_region *region; /* of the payload, or NULL */
    bool control;              /* over the control channel: no payload, done is not called */
    bool fetched;              /* the receiver fetches the payload; false: it goes along */
    net_done done;             /* may be NULL; may be called inside send */
    void *done_data;
};

struct net_backend_ops {
    const char *name;
    enum covey_status (*create)(const struct net_backend_options *options,
                                struct net_backend **backend, struct covey_error *error);
    /* Opens at once what is otherwise opened when it is needed first. */
    enum covey_status (*wake)(struct net_backend *backend, struct covey_error *error);
    /* Closes every link; when it returns every done was called and no device touches memory. */
    void (*destroy)(struct net_backend *backend);
    const char *(*address)(const struct net_backend *backend);
    enum covey_status (*connect)(struct net_backend *backend, const char *address,
                                 struct net_link **link);
    enum covey_status (*send)(struct net_backend *backend, struct net_link *link,
                              const struct net_send_request *request);
    /*
     * Ends a link at once. Its sends and fetches complete with EPEER, from a later progress, when
     * no device can touch their memory any more.
     */
    void (*close)(struct net_backend *backend, struct net_link *link);
    /* The owner has found the other end good: on_settled follows when messages can go. */
    enum covey_status (*settle)(struct net_backend *backend, struct net_link *link);
    /* Brings a kept payload, or that of the frame being handled, to address. link is whose session
     * it had, or NULL where that was closed since: then it fails with EPEER, inside the call. */
    void (*fetch)(struct net_backend *backend, struct net_link *link, void *handle, void *address,
                  size_t length_bytes, struct net_region *region, net_done done, void *done_data);
    /* Throws a kept payload away. */
    void (*release)(struct net_backend *backend, void *handle);
    enum covey_status (*region_add)(struct net_backend *backend, void *address, size_t length_bytes,
                                    struct net_region **region);
    void (*region_remove)(struct net_backend *backend, struct net_region *region);
    bool (*region_covers)(const struct net_region *region, const void *address,
                          size_t length_bytes);
    bool (*progress)(struct net_backend *backend);
    int (*fd)(const struct net_backend *backend);
    bool (*arm)(struct net_backend *backend);
};

extern const struct net_backend_ops net_ucx_ops;
extern const struct net_backend_ops net_tcp_ops;

/* Splits "ip:port" or "[ip6]:port" into a socket address. EINVAL where it is not one. */
struct sockaddr_storage;
enum covey_status net_address_parse(const char *text, struct sockaddr_storage *address,
                                    unsigned *address_bytes) COVEY_MUST_USE;

/* As text; "?" where it cannot be. */
void net_address_format(const struct sockaddr_storage *address, char *text, size_t text_bytes);

/* A numeric address of a machine (no wildcard) with a port. EINVAL. */
enum covey_status net_address_make(const char *ip, uint16_t port, struct sockaddr_storage *address,
                                   unsigned *address_bytes) COVEY_MUST_USE;

#endif
