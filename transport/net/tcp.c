/* The TCP backend's ops: life, progress, and the table. */
#include "transport/net/tcp.h"

#include "base/io.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* So few links are read from without asking epoll first which of them have something. */
#define FEW_LINKS 4

/* How often epoll is asked though all seems well: strangers come by it. */
#define EPOLL_ROUNDS 64

static void tcp_destroy(struct net_backend *tcp);

static enum covey_status tcp_create(const struct net_backend_options *options,
                                    struct net_backend **backend, struct covey_error *error)
{
    struct net_backend *tcp = covey_calloc(1, sizeof *tcp);
    if (!tcp)
        return COVEY_ENOMEM;
    tcp->options = *options;
    tcp->options.bind_address = NULL;
    tcp->epoll = tcp->listener = tcp->timer = -1;
    snprintf(tcp->ip, sizeof tcp->ip, "%s", options->bind_address);
    covey_list_init(&tcp->links);
    covey_list_init(&tcp->news);
    covey_list_init(&tcp->doomed);
    covey_list_init(&tcp->settled);
    covey_list_init(&tcp->unsent);
    covey_list_init(&tcp->spare);
    covey_list_init(&tcp->regions);
    enum covey_status status = tcp_open(tcp, error);
    if (status != COVEY_OK) {
        tcp_destroy(tcp);
        return status;
    }
    *backend = tcp;
    return COVEY_OK;
}

static enum covey_status tcp_wake(struct net_backend *tcp, struct covey_error *error)
{
    (void)tcp;
    (void)error;
    return COVEY_OK;
}

static void close_links(struct net_backend *tcp, struct covey_list *links)
{
    while (!covey_list_empty(links))
        tcp_close(tcp, &covey_container_of(links->next, struct tcp_link, node)->link);
}

static void tcp_destroy(struct net_backend *tcp)
{
    close_links(tcp, &tcp->links);
    close_links(tcp, &tcp->news);
    (void)tcp_links_progress(tcp);
    for (struct covey_list *node; (node = covey_list_pop_front(&tcp->spare));)
        free(covey_container_of(node, struct tcp_send, node));
    for (struct covey_list *node; (node = covey_list_pop_front(&tcp->regions));)
        free(covey_container_of(node, struct net_region, node));
    covey_close(&tcp->listener);
    covey_close(&tcp->timer);
    covey_close(&tcp->epoll);
    free(tcp);
}

static const char *tcp_address(const struct net_backend *tcp)
{
    return tcp->address;
}

static bool read_settled(struct net_backend *tcp)
{
    bool did = false;
    /* Callbacks may close any link, but none leaves the list before tcp_links_progress. */
    covey_list_for_each (node, &tcp->settled)
        did |= tcp_read(covey_container_of(node, struct tcp_link, carries));
    return did;
}

static bool tcp_progress(struct net_backend *tcp)
{
    bool did = tcp_writes_progress(tcp);
    bool ask = tcp->slept || tcp->full_count > 0 || tcp->settled_count == 0 ||
               tcp->settled_count > FEW_LINKS || ++tcp->rounds >= EPOLL_ROUNDS;
    if (ask) {
        tcp->rounds = 0;
        tcp->slept = false;
        did |= tcp_sockets_progress(tcp);
    } else {
        did |= read_settled(tcp);
    }
    return tcp_links_progress(tcp) || did;
}

static int tcp_fd(const struct net_backend *tcp)
{
    return tcp->epoll;
}

/* What has come meanwhile makes the descriptor readable, whether it was looked for or not. */
static bool tcp_arm(struct net_backend *tcp)
{
    if (!covey_list_empty(&tcp->unsent) || !covey_list_empty(&tcp->news) ||
        !covey_list_empty(&tcp->doomed))
        return false;
    tcp->slept = true;
    return true;
}

static enum covey_status tcp_region_add(struct net_backend *tcp, void *address, size_t length_bytes,
                                        struct net_region **region)
{
    struct net_region *added = covey_malloc(sizeof *added);
    if (!added)
        return COVEY_ENOMEM;
    added->start = (uintptr_t)address;
    added->length_bytes = length_bytes;
    covey_list_push_back(&tcp->regions, &added->node);
    *region = added;
    return COVEY_OK;
}

static void tcp_region_remove(struct net_backend *tcp, struct net_region *region)
{
    (void)tcp;
    covey_list_remove(&region->node);
    free(region);
}

static bool tcp_region_covers(const struct net_region *region, const void *address,
                              size_t length_bytes)
{
    uintptr_t start = (uintptr_t)address;
    return start >= region->start && start - region->start <= region->length_bytes &&
           length_bytes <= region->length_bytes - (start - region->start);
}

const struct net_backend_ops net_tcp_ops = {
    .name = "tcp",
    .create = tcp_create,
    .wake = tcp_wake,
    .destroy = tcp_destroy,
    .address = tcp_address,
    .connect = tcp_connect,
    .send = tcp_send,
    .close = tcp_close,
    .settle = tcp_settle,
    .fetch = tcp_fetch,
    .release = tcp_release,
    .region_add = tcp_region_add,
    .region_remove = tcp_region_remove,
    .region_covers = tcp_region_covers,
    .progress = tcp_progress,
    .fd = tcp_fd,
    .arm = tcp_arm,
};
