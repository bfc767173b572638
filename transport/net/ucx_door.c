/*
 * The door: a plain TCP listener of our own. UCX's connection manager ends the whole process when a
 * stranger sends it something unexpected (an assertion on the length it claims), so a stranger
 * never gets as far as UCX: the two ends prove themselves over this socket first, and then tell
 * each other the addresses of their UCX workers. It stays open as the link's control channel; its
 * end is the quickest sign of a peer's death.
 *
 * A record is a length (u32, little-endian, of what follows the type), a type (u8), and so many
 * bytes.
 */
#include "transport/net/ucx.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "transport/net/socket.h"
#include "transport/net/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_HEAD_BYTES 5

/* Sockets, of those that are ready, served in one round. */
#define READY_MAX 32

static enum covey_status watch(struct net_backend *ucx, int operation, int fd, uint32_t events,
                               void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};
    return epoll_ctl(ucx->epoll, operation, fd, &event) < 0 ? covey_status_from_errno(errno)
                                                            : COVEY_OK;
}

/* Takes the socket over, also on failure. */
static enum covey_status make_link(struct net_backend *ucx, int take_socket, bool connected,
                                   struct ucx_link **made)
{
    struct ucx_link *link = covey_calloc(1, sizeof *link);
    enum covey_status status = COVEY_ENOMEM;
    if (link)
        status = watch(ucx, EPOLL_CTL_ADD, take_socket, connected ? EPOLLIN : EPOLLOUT, link);
    if (status != COVEY_OK) {
        covey_close(&take_socket);
        free(link);
        return status;
    }
    net_socket_prepare(take_socket);
    link->ucx = ucx;
    link->socket = take_socket;
    link->connected = connected;
    covey_list_push_back(&ucx->links, &link->node);
    *made = link;
    return COVEY_OK;
}

static void accept_stranger(struct net_backend *ucx)
{
    struct ucx_link *link;
    int fd = net_socket_accept(ucx->listener);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_warn("cannot accept a connection reason=\"%s\"", strerror(errno));
        return;
    }
    enum covey_status status = make_link(ucx, fd, true, &link);
    if (status != COVEY_OK)
        log_warn("cannot accept a connection reason=%s", covey_status_name(status));
    else
        ucx->options.events->on_accept(ucx->options.owner, &link->link);
}

/* EAGAIN: the port is taken. */
static enum covey_status listen_on(struct net_backend *ucx, uint16_t port)
{
    enum covey_status status =
        net_socket_listen(ucx->ip, port, ucx->address, sizeof ucx->address, &ucx->listener);
    return status == COVEY_OK ? watch(ucx, EPOLL_CTL_ADD, ucx->listener, EPOLLIN, ucx) : status;
}

enum covey_status ucx_door_open(struct net_backend *ucx, struct covey_error *error)
{
    enum covey_status status = COVEY_EAGAIN;
    for (unsigned i = 0; status == COVEY_EAGAIN && i < ucx_port_count(ucx, UCX_PORT_DOOR); i++) {
        uint16_t port = ucx_port(ucx, UCX_PORT_DOOR, i);
        if (port == 0 || port != ucx->data_port)
            status = listen_on(ucx, port);
    }
    if (status == COVEY_EAGAIN)
        return ucx_no_port(ucx, error);
    if (status != COVEY_OK)
        return covey_error_set(error, status, "cannot listen on %s: %s", ucx->ip, strerror(errno));
    return COVEY_OK;
}

enum covey_status ucx_connect(struct net_backend *ucx, const char *address, struct net_link **out)
{
    struct ucx_link *link;
    int fd;
    enum covey_status status = net_socket_connect(ucx->ip, address, &fd);
    if (status != COVEY_OK)
        return status;
    status = make_link(ucx, fd, false, &link);
    if (status == COVEY_OK)
        *out = &link->link;
    return status;
}

static void break_by_errno(struct ucx_link *link, int error_number)
{
    ucx_link_break(link, link->connected ? COVEY_EPEER : COVEY_EUNAVAILABLE,
                   strerror(error_number));
}

static void write_out(struct ucx_link *link)
{
    while (link->connected && !link->broken && link->out.length_bytes > 0) {
        ssize_t sent =
            send(link->socket, link->out.data, link->out.length_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            covey_buffer_consume(&link->out, (size_t)sent);
        else if (sent < 0 && errno == EAGAIN)
            break;
        else if (sent < 0 && errno != EINTR)
            break_by_errno(link, errno);
    }
    if (link->broken)
        return;
    uint32_t events = !link->connected || link->out.length_bytes > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (watch(link->ucx, EPOLL_CTL_MOD, link->socket, events, link) != COVEY_OK)
        break_by_errno(link, errno);
}

enum covey_status ucx_record_send(struct ucx_link *link, uint8_t type, const void *first,
                                  size_t first_bytes, const void *second, size_t second_bytes)
{
    uint8_t head[RECORD_HEAD_BYTES];
    if (link->broken || link->closed)
        return COVEY_EPEER;
    net_put_u32(head, (uint32_t)(first_bytes + second_bytes));
    head[4] = type;
    enum covey_status status =
        covey_buffer_reserve(&link->out, sizeof head + first_bytes + second_bytes);
    if (status == COVEY_OK)
        status = covey_buffer_append(&link->out, head, sizeof head);
    if (status == COVEY_OK)
        status = covey_buffer_append(&link->out, first, first_bytes);
    if (status == COVEY_OK)
        status = covey_buffer_append(&link->out, second, second_bytes);
    if (status == COVEY_OK)
        write_out(link);
    return status;
}

static void handle_record(struct ucx_link *link, uint8_t type, const uint8_t *bytes,
                          size_t length_bytes)
{
    struct net_backend *ucx = link->ucx;
    const struct net_body no_body = {.bytes = ""};
    if (type == UCX_RECORD_FRAME)
        (void)ucx->options.events->on_frame(ucx->options.owner, &link->link, bytes, length_bytes,
                                            &no_body);
    else if (type == UCX_RECORD_ADDRESS && link->settled && !link->endpoint)
        ucx_link_address(link, bytes, length_bytes);
    else
        ucx_link_break(link, COVEY_EPROTO, "a record that makes no sense");
}

/* The link may be closed by what is in a record: it lives on until ucx_links_progress. */
static void handle_records(struct ucx_link *link)
{
    size_t at = 0;
    while (!link->closed && !link->broken && link->in.length_bytes - at >= RECORD_HEAD_BYTES) {
        const uint8_t *record = link->in.data + at;
        size_t length_bytes = net_get_u32(record);
        if (length_bytes > UCX_RECORD_BYTES) {
            ucx_link_break(link, COVEY_EPROTO, "a record that is too long");
            return;
        }
        if (link->in.length_bytes - at - RECORD_HEAD_BYTES < length_bytes)
            break;
        handle_record(link, record[4], record + RECORD_HEAD_BYTES, length_bytes);
        at += RECORD_HEAD_BYTES + length_bytes;
    }
    if (!link->closed)
        covey_buffer_consume(&link->in, at);
}

static void read_all(struct ucx_link *link)
{
    while (!link->broken && !link->closed) {
        if (covey_buffer_reserve(&link->in, RECORD_HEAD_BYTES + UCX_RECORD_BYTES) != COVEY_OK) {
            ucx_link_break(link, COVEY_ENOMEM, "no memory for what it says");
            return;
        }
        ssize_t got = recv(link->socket, link->in.data + link->in.length_bytes,
                           link->in.capacity_bytes - link->in.length_bytes, MSG_DONTWAIT);
        if (got > 0) {
            link->in.length_bytes += (size_t)got;
            handle_records(link);
        } else if (got == 0) {
            ucx_link_break(link, COVEY_EPEER, "closed by the other side");
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            break_by_errno(link, errno);
        }
    }
}

/* There may be thousands of links that say little: none keeps an empty buffer. */
static void read_in(struct ucx_link *link)
{
    read_all(link);
    if (link->in.length_bytes == 0)
        covey_buffer_free(&link->in);
}

static void serve(struct ucx_link *link, uint32_t events)
{
    if (link->closed || link->broken)
        return;
    if (!link->connected) {
        int error_number = net_socket_error(link->socket);
        if (error_number != 0) {
            break_by_errno(link, error_number);
            return;
        }
        link->connected = true;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_in(link);
    if (!link->closed && !link->broken && events & EPOLLOUT)
        write_out(link);
}

void ucx_door_hear_out(struct ucx_link *link)
{
    if (link->connected)
        read_in(link);
}

bool ucx_door_progress(struct net_backend *ucx)
{
    struct epoll_event events[READY_MAX];
    bool did = false;
    int count = epoll_wait(ucx->epoll, events, READY_MAX, 0);
    for (int i = 0; i < count; i++) {
        if (!events[i].data.ptr) /* UCX's own, which it looks after itself */
            continue;
        did = true;
        if (events[i].data.ptr == ucx)
            accept_stranger(ucx);
        else
            serve(events[i].data.ptr, events[i].events);
    }
    return did;
}
