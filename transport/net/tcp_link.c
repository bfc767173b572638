/* The listener of the TCP backend, its links, and their end. */
#include "transport/net/tcp.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Sockets, of those that are ready, served in one round. */
#define READY_MAX 32

static enum covey_status watch(struct net_backend *tcp, int operation, int fd, uint32_t events,
                               void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};
    return epoll_ctl(tcp->epoll, operation, fd, &event) < 0 ? covey_status_from_errno(errno)
                                                            : COVEY_OK;
}

static enum covey_status listen_on(struct net_backend *tcp)
{
    unsigned count = tcp->options.port_first
                         ? (unsigned)tcp->options.port_last - tcp->options.port_first + 1u
                         : 1;
    enum covey_status status = COVEY_EAGAIN;
    /* Hosts that start together begin at different places. */
    for (unsigned i = 0; status == COVEY_EAGAIN && i < count; i++) {
        unsigned port = tcp->options.port_first + ((unsigned)getpid() + i) % count;
        status = net_socket_listen(tcp->ip, (uint16_t)port, tcp->address, sizeof tcp->address,
                                   &tcp->listener);
    }
    return status;
}

enum covey_status tcp_open(struct net_backend *tcp, struct covey_error *error)
{
    enum covey_status status = net_device_find(tcp->ip, &tcp->device);
    if (status != COVEY_OK)
        return covey_error_set(error, status,
                               status == COVEY_EINVAL ? "%s is not an address to listen on"
                                                      : "no interface of this machine has %s",
                               tcp->ip);
    tcp->epoll = epoll_create1(EPOLL_CLOEXEC);
    tcp->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (tcp->epoll < 0 || tcp->timer < 0)
        return covey_error_set_errno(error, errno, "cannot wait for the network");
    status = listen_on(tcp);
    if (status == COVEY_EAGAIN)
        return covey_error_set(error, COVEY_EUNAVAILABLE,
                               "no port is free on %s from %u to %u: raise the node's range, or "
                               "end what uses it",
                               tcp->ip, tcp->options.port_first, tcp->options.port_last);
    if (status != COVEY_OK)
        return covey_error_set(error, status, "cannot listen on %s: %s", tcp->ip, strerror(errno));
    status = watch(tcp, EPOLL_CTL_ADD, tcp->listener, EPOLLIN, tcp);
    if (status == COVEY_OK)
        status = watch(tcp, EPOLL_CTL_ADD, tcp->timer, EPOLLIN, &tcp->timer);
    return status == COVEY_OK ? status
                              : covey_error_set(error, status, "cannot wait for the network");
}

/* Takes the socket over, also on failure. */
static enum covey_status make_link(struct net_backend *tcp, int take_socket, bool connected,
                                   struct tcp_link **made)
{
    struct tcp_link *link = covey_calloc(1, sizeof *link);
    enum covey_status status = COVEY_ENOMEM;
    if (link)
        status = watch(tcp, EPOLL_CTL_ADD, take_socket, connected ? EPOLLIN : EPOLLOUT, link);
    if (status != COVEY_OK) {
        covey_close(&take_socket);
        free(link);
        return status;
    }
    net_socket_prepare(take_socket);
    link->tcp = tcp;
    link->socket = take_socket;
    link->connected = connected;
    covey_list_init(&link->sends);
    covey_list_init(&link->untaken);
    covey_list_init(&link->bodies);
    covey_list_init(&link->carries);
    covey_list_init(&link->writes);
    covey_list_push_back(&tcp->links, &link->node);
    *made = link;
    return COVEY_OK;
}

static void accept_stranger(struct net_backend *tcp)
{
    struct tcp_link *link;
    int fd = net_socket_accept(tcp->listener);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_warn("cannot accept a connection reason=\"%s\"", strerror(errno));
        return;
    }
    enum covey_status status = make_link(tcp, fd, true, &link);
    if (status != COVEY_OK)
        log_warn("cannot accept a connection reason=%s", covey_status_name(status));
    else
        tcp->options.events->on_accept(tcp->options.owner, &link->link);
}

enum covey_status tcp_connect(struct net_backend *tcp, const char *address, struct net_link **out)
{
    struct tcp_link *link;
    int fd;
    enum covey_status status = net_socket_connect(tcp->ip, address, &fd);
    if (status == COVEY_OK)
        status = make_link(tcp, fd, false, &link);
    if (status == COVEY_OK)
        *out = &link->link;
    return status;
}

/* The owner is to be told, by tcp_links_progress. */
static void make_news(struct tcp_link *link)
{
    if (link->closed || link->reported)
        return;
    covey_list_remove(&link->node);
    covey_list_push_back(&link->tcp->news, &link->node);
}

static void set_timer(struct net_backend *tcp, bool on)
{
    const struct itimerspec every_second = {.it_interval = {.tv_sec = on},
                                            .it_value = {.tv_sec = on}};
    (void)timerfd_settime(tcp->timer, 0, &every_second, NULL);
}

enum covey_status tcp_settle(struct net_backend *tcp, struct net_link *settled)
{
    struct tcp_link *link = tcp_link_of(settled);
    link->settled = true;
    covey_list_push_back(&tcp->settled, &link->carries);
    if (tcp->settled_count++ == 0)
        set_timer(tcp, true);
    make_news(link);
    return COVEY_OK;
}

void tcp_link_break(struct tcp_link *link, enum covey_status why, const char *reason)
{
    if (link->broken)
        return;
    make_news(link);
    link->broken = true;
    link->why = why;
    (void)covey_text_print(link->reason, sizeof link->reason, "%s", reason);
}

void tcp_link_full(struct tcp_link *link, bool full)
{
    if (link->full == full)
        return;
    link->full = full;
    link->tcp->full_count += full ? 1u : -1u;
    if (watch(link->tcp, EPOLL_CTL_MOD, link->socket, full ? EPOLLIN | EPOLLOUT : EPOLLIN, link) !=
        COVEY_OK)
        tcp_link_break(link, COVEY_EIO, strerror(errno));
}

/* The link's memory goes in tcp_links_progress: it may be read from just now. */
void tcp_close(struct net_backend *tcp, struct net_link *closed)
{
    struct tcp_link *link = tcp_link_of(closed);
    link->closed = true;
    covey_list_remove(&link->node);
    covey_list_push_back(&tcp->doomed, &link->node);
}

static void give_back(struct tcp_link *link)
{
    struct net_backend *tcp = link->tcp;
    covey_list_remove(&link->writes);
    covey_list_remove(&link->carries);
    if (link->settled && --tcp->settled_count == 0)
        set_timer(tcp, false);
    tcp->full_count -= link->full;
    covey_close(&link->socket);
    tcp_body_orphan(link);
    tcp_sends_fail(link);
    free(link->ahead);
    free(link);
}

/* One link at a time: the owner may close any other when it is told. */
static void tell_owner(struct net_backend *tcp)
{
    const struct net_backend_events *events = tcp->options.events;
    struct tcp_link *link = covey_container_of(tcp->news.next, struct tcp_link, node);
    covey_list_remove(&link->node);
    covey_list_push_back(&tcp->links, &link->node);
    if (link->settled && !link->told) {
        link->told = true;
        events->on_settled(tcp->options.owner, &link->link, tcp->device.interface);
    }
    if (link->closed || !link->broken)
        return;
    link->reported = true;
    events->on_broken(tcp->options.owner, &link->link, link->why, link->reason);
}

bool tcp_links_progress(struct net_backend *tcp)
{
    bool did = !covey_list_empty(&tcp->news);
    if (did)
        tell_owner(tcp);
    for (struct covey_list *node; (node = covey_list_pop_front(&tcp->doomed));) {
        did = true;
        give_back(covey_container_of(node, struct tcp_link, node));
    }
    return did;
}

static void finish_connecting(struct tcp_link *link)
{
    int error_number = net_socket_error(link->socket);
    if (error_number != 0) {
        tcp_link_break(link, COVEY_EUNAVAILABLE, strerror(error_number));
        return;
    }
    link->connected = true;
    if (watch(link->tcp, EPOLL_CTL_MOD, link->socket, EPOLLIN, link) != COVEY_OK)
        tcp_link_break(link, COVEY_EIO, strerror(errno));
    else
        tcp_write(link);
}

static bool serve(struct tcp_link *link, uint32_t events)
{
    bool did = true;
    if (link->closed || link->broken)
        return false;
    if (!link->connected) {
        finish_connecting(link);
        return true;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        did = tcp_read(link);
    if (!link->closed && !link->broken && events & EPOLLOUT) {
        tcp_link_full(link, false);
        tcp_write(link);
    }
    return did;
}

/* Each second: a connection that has something under way is not watched by its keepalive. */
static void find_silent(struct net_backend *tcp)
{
    uint64_t expired;
    ssize_t got = read(tcp->timer, &expired, sizeof expired);
    (void)got;
    covey_list_for_each (node, &tcp->settled) {
        struct tcp_link *link = covey_container_of(node, struct tcp_link, carries);
        if (!link->closed && net_socket_is_silent(link->socket))
            tcp_link_break(link, COVEY_EPEER, "it does not answer");
    }
}

bool tcp_sockets_progress(struct net_backend *tcp)
{
    struct epoll_event events[READY_MAX];
    bool did = false;
    int count = epoll_wait(tcp->epoll, events, READY_MAX, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &tcp->timer)
            find_silent(tcp);
        else if (events[i].data.ptr == tcp)
            accept_stranger(tcp);
        else
            did |= serve(events[i].data.ptr, events[i].events);
    }
    return did || count == READY_MAX;
}
