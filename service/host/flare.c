/* What the agent wants of a host: to prepare, to start, to mark the dead. */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/common/stamp.h"
#include "service/host/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(struct host *host, const struct covey_error *error)
{
    Covey__V1__LocalFailure failure = COVEY__V1__LOCAL_FAILURE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_FAILURE;
    message.failure = &failure;
    failure.status = (char *)(uintptr_t)covey_status_name(error->status);
    failure.message = (char *)(uintptr_t)error->message;
    failure.rank = -1;
    host_send(host, &message, NULL, 0);
}

static enum covey_status make_arena(struct host *host, struct covey_error *error)
{
    const Covey__V1__LocalFlare *flare = host->flare;
    if (covey_fault(COVEY_FAULT_HOST_ARENA))
        return covey_error_set(error, COVEY_EIO, "fault host_arena");
    struct arena_pack *packs = covey_calloc(flare->n_packs, sizeof(*packs));
    if (!packs)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the packs");
    for (size_t i = 0; i < flare->n_packs; i++)
        packs[i] = (struct arena_pack){flare->packs[i]->first_rank, flare->packs[i]->workers,
                                       flare->packs[i]->node_index};
    struct arena_config config = {.flare_id = flare->flare_id,
                                  .worker_count = flare->workers_total,
                                  .node_count = (uint32_t)flare->n_nodes,
                                  .node = flare->node_index,
                                  .pack_count = (uint32_t)flare->n_packs,
                                  .packs = packs};
    enum covey_status status = arena_create(&config, &host->arena, error);
    free(packs);
    if (!status)
        status = host_port_create(host->arena, &host->port, error);
    return status;
}

static enum covey_status prepare(struct host *host, struct local_record *record,
                                 struct covey_error *error)
{
    host->flare_fd = local_take_fd(record, 0);
    enum covey_status status = local_flare_read(host->flare_fd, &host->flare, error);
    if (status)
        return status;
    status = stamp_flare(host->flare->flare_id);
    if (status)
        return covey_error_set(error, status, "the environment has no room for the flare's id");
    for (size_t i = 0; i < host->flare->n_packs; i++)
        host->packs_here += host->flare->packs[i]->node_index == host->flare->node_index ? 1 : 0;
    host->lifelines = covey_calloc(host->packs_here, sizeof(*host->lifelines));
    if (!host->lifelines)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the packs");
    status = make_arena(host, error);
    if (!status && host->flare->n_nodes > 1)
        status = host_network_open(host, record->message->host_prepare, error);
    return status;
}

static void tell_ready(struct host *host)
{
    Covey__V1__HostReady ready = COVEY__V1__HOST_READY__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    const int fds[] = {arena_fd(host->arena), host_port_event_fd(host->port)};
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_READY;
    message.host_ready = &ready;
    ready.address = host->address;
    host->ready = true;
    host_send(host, &message, fds, 2);
}

/* A pack is gone, and with it its workers that had not ended. */
/* It and all its workers are gone, since each of them had the lifeline open: nobody but the host is
 * left to clean up after them. */
static void pack_gone(struct host *host, const Covey__V1__LocalPack *pack)
{
    enum { AT_ONCE = 64 };
    for (uint32_t start = 0; start < pack->workers; start += AT_ONCE) {
        struct arena_end ends[AT_ONCE];
        uint32_t ranks[AT_ONCE];
        uint32_t count = 0;
        for (; count < AT_ONCE && start + count < pack->workers; count++) {
            ranks[count] = pack->first_rank + start + count;
            ends[count] = (struct arena_end){
                .rank = ranks[count], .state = ARENA_DIED, .reason = "its pack was killed"};
        }
        arena_mark_all_ended(host->arena, ends, count);
        arena_reap(host->arena, ranks, count);
    }
}

static void on_lifeline(uv_poll_t *poll, int status, int events)
{
    struct host_lifeline *lifeline = poll->data;
    struct host *host = lifeline->host;
    const Covey__V1__LocalPack *pack = local_flare_pack(host->flare, lifeline->pack_id);
    char byte;
    (void)status;
    (void)events;
    if (recv(lifeline->fd, &byte, 1, MSG_DONTWAIT) > 0)
        return;
    (void)uv_poll_stop(poll);
    uv_close((uv_handle_t *)poll, NULL);
    covey_close(&lifeline->fd);
    host->lifelines_open--;
    pack_gone(host, pack);
    if (host->lifelines_open == 0 && !host->agent)
        host_exit(host, 0);
}

static bool watch_pack(struct host *host, uint32_t pack_id, int take_fd)
{
    const Covey__V1__LocalPack *pack = local_flare_pack(host->flare, pack_id);
    if (!pack || pack->node_index != host->flare->node_index ||
        host->lifeline_count == host->packs_here || take_fd < 0) {
        covey_close(&take_fd);
        return false;
    }
    struct host_lifeline *lifeline = &host->lifelines[host->lifeline_count];
    *lifeline = (struct host_lifeline){.host = host, .fd = take_fd, .pack_id = pack_id};
    if (uv_poll_init(&host->loop, &lifeline->poll, take_fd) < 0) {
        covey_close(&lifeline->fd);
        return false;
    }
    host->lifeline_count++;
    host->lifelines_open++;
    lifeline->poll.data = lifeline;
    return uv_poll_start(&lifeline->poll, UV_READABLE, on_lifeline) == 0;
}

static void take_lifelines(struct host *host, struct local_record *record)
{
    const Covey__V1__HostLifelines *lifelines = record->message->host_lifelines;
    struct covey_error error = {0};
    bool good = host->flare && lifelines->n_pack_ids == record->fd_count;
    for (size_t i = 0; good && i < record->fd_count; i++)
        good = watch_pack(host, lifelines->pack_ids[i], local_take_fd(record, i));
    if (!good) {
        (void)covey_error_set(&error, COVEY_EPROTO, "the packs' lifelines do not fit the flare");
        fail(host, &error);
    } else if (host->lifeline_count == host->packs_here) {
        tell_ready(host);
    }
}

static void start(struct host *host, const Covey__V1__HostStart *message)
{
    struct covey_error error = {0};
    if (!host->ready || host->started) {
        log_error("the agent starts a host that is not ready or runs already");
        return;
    }
    enum covey_status status = COVEY_OK;
    if (host->flare->n_nodes > 1)
        status = host_network_start(host, message, &error);
    if (status) {
        log_error("the host cannot start: %s", error.message);
        host_exit(host, 1);
    }
    host->started = true;
    arena_open_gate(host->arena);
}

static void mark_peers(struct host *host, const Covey__V1__HostPeersEnded *ended)
{
    if (!host->ready)
        return;
    for (size_t i = 0; i < ended->n_peers; i++) {
        const Covey__V1__LocalPeerEnd *peer = ended->peers[i];
        if (peer->rank >= host->flare->workers_total)
            continue;
        host_network_mark_ended(host, peer->rank, peer->succeeded, peer->reason);
    }
}

void host_on_record(struct host *host, struct local_record *record)
{
    const local_message *message = record->message;
    struct covey_error error = {0};
    switch (message->body_case) {
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_PREPARE:
        if (host->flare)
            log_error("the agent prepares a host that is in use flare=%s", host->flare->flare_id);
        else if (prepare(host, record, &error) != COVEY_OK)
            fail(host, &error);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_LIFELINES:
        if (host->arena)
            take_lifelines(host, record);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_START:
        start(host, message->host_start);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_PEERS_ENDED:
        mark_peers(host, message->host_peers_ended);
        break;
    default:
        log_error("the agent said what a host does not know body=%d", (int)message->body_case);
        break;
    }
}
