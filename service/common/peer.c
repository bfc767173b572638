#include "service/common/peer.h"

#include <limits.h>

#define RECORDS_PER_TURN 64

static void on_handle_closed(uv_handle_t *handle)
{
    struct local_peer *peer = handle->data;
    link_close(&peer->link);
    if (peer->events->on_closed)
        peer->events->on_closed(peer, peer->data);
}

void peer_close(struct local_peer *peer)
{
    if (!peer->open)
        return;
    peer->open = false;
    (void)uv_poll_stop(&peer->poll);
    uv_close((uv_handle_t *)&peer->poll, on_handle_closed);
}

static void lose(struct local_peer *peer, enum covey_status status)
{
    if (!peer->open)
        return;
    peer_close(peer);
    peer->events->on_lost(peer, status, peer->data);
}

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct local_peer *peer)
{
    bool writing = link_wants_write(&peer->link);
    if (writing == peer->writing)
        return;
    peer->writing = writing;
    (void)uv_poll_start(&peer->poll, writing ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_event);
}

static void receive(struct local_peer *peer, int most)
{
    for (int i = 0; peer->open && i < most; i++) {
        struct local_record record;
        enum covey_status received = local_receive(peer->link.fd, &record);
        if (received == COVEY_EAGAIN)
            return;
        if (received) {
            lose(peer, received);
            return;
        }
        peer->events->on_record(peer, &record, peer->data);
        local_record_free(&record);
    }
}

/* The end of the other side is no reason to forget what it has said. After an error libuv waits no
 * more, so all is received that there is. */
static void on_event(uv_poll_t *poll, int status, int events)
{
    struct local_peer *peer = poll->data;
    enum covey_status flushed = events & UV_WRITABLE ? link_flush(&peer->link) : COVEY_OK;
    bool is_ending = status < 0 || flushed;
    receive(peer, is_ending ? INT_MAX : RECORDS_PER_TURN);
    if (is_ending)
        lose(peer, flushed ? flushed : COVEY_EUNAVAILABLE);
    else if (peer->open)
        watch(peer);
}

void peer_drain(struct local_peer *peer)
{
    receive(peer, INT_MAX);
}

enum covey_status peer_open(struct local_peer *peer, uv_loop_t *loop, int take_fd,
                            const struct local_peer_events *events, void *data)
{
    *peer = (struct local_peer){.events = events, .data = data};
    link_init(&peer->link);
    enum covey_status status = link_open(&peer->link, take_fd);
    if (status)
        return status;
    if (uv_poll_init(loop, &peer->poll, take_fd) < 0) {
        link_close(&peer->link);
        return COVEY_EIO;
    }
    peer->poll.data = peer;
    peer->open = true;
    if (uv_poll_start(&peer->poll, UV_READABLE, on_event) < 0) {
        peer_close(peer);
        return COVEY_EIO;
    }
    return COVEY_OK;
}

enum covey_status peer_send(struct local_peer *peer, const local_message *message, const int *fds,
                            size_t fd_count)
{
    if (!peer->open)
        return COVEY_EUNAVAILABLE;
    enum covey_status status = link_send(&peer->link, message, fds, fd_count);
    watch(peer);
    return status;
}
