/* The UCX backend's ops: life, progress, and the table. */
#include "transport/net/ucx.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* Upper bound of progress rounds in one call, so that other work of the loop gets its turn. */
#define ROUNDS 64

static void ucx_destroy(struct net_backend *ucx);

static enum covey_status ucx_create(const struct net_backend_options *options,
                                    struct net_backend **backend, struct covey_error *error)
{
    struct net_backend *ucx = covey_calloc(1, sizeof *ucx);
    if (!ucx)
        return COVEY_ENOMEM;
    ucx->options = *options;
    ucx->options.bind_address = NULL;
    ucx->epoll = ucx->listener = -1;
    snprintf(ucx->ip, sizeof ucx->ip, "%s", options->bind_address);
    covey_list_init(&ucx->links);
    covey_list_init(&ucx->news);
    covey_list_init(&ucx->doomed);
    covey_list_init(&ucx->pending);
    covey_list_init(&ucx->spare);
    covey_list_init(&ucx->regions);
    enum covey_status status = ucx_open(ucx, error);
    if (status != COVEY_OK) {
        ucx_destroy(ucx);
        return status;
    }
    *backend = ucx;
    return COVEY_OK;
}

static void close_links(struct net_backend *ucx, struct covey_list *links)
{
    while (!covey_list_empty(links)) {
        struct ucx_link *link = covey_container_of(links->next, struct ucx_link, node);
        ucx_close(ucx, &link->link);
    }
}

static void ucx_destroy(struct net_backend *ucx)
{
    close_links(ucx, &ucx->links);
    close_links(ucx, &ucx->news);
    ucx_links_progress(ucx);
    for (int round = 0; round < ROUNDS && !covey_list_empty(&ucx->pending); round++)
        ucp_worker_progress(ucx->worker);
    ucx_shut(ucx);
    /* With the worker gone no device and no part of UCX has their memory. */
    while (!covey_list_empty(&ucx->pending))
        ucx_operation_end(covey_container_of(ucx->pending.next, struct ucx_operation, node),
                          COVEY_ECANCELLED);
    for (struct covey_list *node; (node = covey_list_pop_front(&ucx->spare));)
        free(covey_container_of(node, struct ucx_operation, node));
    free(ucx);
}

static const char *ucx_address(const struct net_backend *ucx)
{
    return ucx->address;
}

/*
 * What came over UCX goes first: what a peer sent before it died counts. The sockets cost a system
 * call: they have their turn before and after each sleep, and now and then for who never sleeps.
 */
static bool ucx_progress(struct net_backend *ucx)
{
    unsigned rounds = 0;
    while (rounds < ROUNDS && ucx->worker && ucp_worker_progress(ucx->worker))
        rounds++;
    ucx->since_door += rounds + 1;
    if ((rounds == 0 && ucx->door_due) || ucx->since_door >= ROUNDS) {
        ucx->since_door = 0;
        ucx->door_due = false;
        rounds += ucx_door_progress(ucx);
    }
    return ucx_links_progress(ucx) || rounds > 0;
}

static int ucx_fd(const struct net_backend *ucx)
{
    return ucx->epoll;
}

static bool ucx_arm(struct net_backend *ucx)
{
    if (ucx->since_door > 0) { /* the sockets were not looked at last */
        ucx->door_due = true;
        return false;
    }
    if (!ucx_links_idle(ucx) || (ucx->worker && ucp_worker_arm(ucx->worker) != UCS_OK))
        return false;
    /* What completed before rxe was armed gives no event. */
    if (ucx->worker && ucp_worker_progress(ucx->worker))
        return false;
    ucx->door_due = true;
    return true;
}

const struct net_backend_ops net_ucx_ops = {
    .name = "ucx",
    .create = ucx_create,
    .wake = ucx_wake,
    .destroy = ucx_destroy,
    .address = ucx_address,
    .connect = ucx_connect,
    .send = ucx_send,
    .close = ucx_close,
    .settle = ucx_settle,
    .fetch = ucx_fetch,
    .release = ucx_release,
    .region_add = ucx_region_add,
    .region_remove = ucx_region_remove,
    .region_covers = ucx_region_covers,
    .progress = ucx_progress,
    .fd = ucx_fd,
    .arm = ucx_arm,
};
