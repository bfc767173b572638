/* A local connection on a libuv loop. One thread: the loop's. */
#ifndef SERVICE_COMMON_PEER_H
#define SERVICE_COMMON_PEER_H

#include "service/common/link.h"

#include <uv.h>

struct local_peer;

/* Borrowed for the peer's life. */
struct local_peer_events {
    /* One record; what the callback does not take out of it is freed after it. */
    void (*on_record)(struct local_peer *peer, struct local_record *record, void *data);
    /* The connection is lost, or what came was malformed (EPROTO). The peer is closed; it may be
     * freed from on_closed on. */
    void (*on_lost)(struct local_peer *peer, enum covey_status status, void *data);
    /* After peer_close or on_lost: nothing refers to the peer any more. May be NULL. */
    void (*on_closed)(struct local_peer *peer, void *data);
};

/* Embedded in its owner; opaque to it. */
struct local_peer {
    struct local_link link;
    uv_poll_t poll;
    const struct local_peer_events *events;
    void *data;
    bool open;
    bool writing;
};

/* Starts to receive on a connected socket, which is taken, also on failure. */
enum covey_status peer_open(struct local_peer *peer, uv_loop_t *loop, int take_fd,
                            const struct local_peer_events *events, void *data) COVEY_MUST_USE;

/* As link_send; a failure other than ELIMIT or ENOMEM is also told by on_lost, later. */
enum covey_status peer_send(struct local_peer *peer, const local_message *message, const int *fds,
                            size_t fd_count) COVEY_MUST_USE;

/* Receives all that is there, now: before it counts that the process at the other end is gone. */
void peer_drain(struct local_peer *peer);

/* Closes; on_closed follows. Harmless on one that is closed already. */
void peer_close(struct local_peer *peer);

#endif
