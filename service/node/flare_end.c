/* The end of a flare on this node: it was stopped, or could not be prepared. */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "service/node/node.h"

#include <stdio.h>
#include <string.h>

/* A pack has so long beyond the grace to end; also where its log is not taken any further. */
#define STOP_SLACK_MS 450
#define SWEEP_MS      5

static void tell_failed(struct node *agent, const char *flare_id, const char *status_name,
                        const char *message, int32_t rank)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__PrepareFailed failed = COVEY__V1__PREPARE_FAILED__INIT;
    Covey__V1__Failure failure = COVEY__V1__FAILURE__INIT;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED;
    request.prepare_failed = &failed;
    failed.flare_id = (char *)(uintptr_t)flare_id;
    failed.failure = &failure;
    failure.status = (char *)(uintptr_t)status_name;
    failure.message = (char *)(uintptr_t)message;
    failure.rank = rank;
    failure.node = agent->options.name;
    outbox_add(agent, &request, -1, 0);
}

static void tell_gone(struct node *agent, const char *flare_id)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__FlareGone gone = COVEY__V1__FLARE_GONE__INIT;
    Google__Protobuf__Timestamp at;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE;
    request.flare_gone = &gone;
    gone.flare_id = (char *)(uintptr_t)flare_id;
    gone.at = node_timestamp(covey_wall_ns(), &at) ? &at : NULL;
    outbox_add(agent, &request, -1, 0);
}

void flare_tell_broken(struct node *agent, const char *flare_id, const char *message)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__HostEnded ended = COVEY__V1__HOST_ENDED__INIT;
    Covey__V1__Failure failure = COVEY__V1__FAILURE__INIT;
    static char status[] = "EPEER";
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED;
    request.host_ended = &ended;
    ended.flare_id = (char *)(uintptr_t)flare_id;
    ended.failure = &failure;
    failure.status = status;
    failure.message = (char *)(uintptr_t)message;
    failure.rank = -1;
    failure.node = agent->options.name;
    log_warn("%s flare=%s", message, flare_id);
    outbox_add(agent, &request, -1, 0);
}

void flare_refuse(struct node_flare *flare, const char *flare_id, const struct covey_error *error)
{
    struct node *agent = flare->agent;
    log_warn("a flare was refused flare=%s reason=\"%s\"", flare_id, error->message);
    flare_forget(flare);
    tell_failed(agent, flare_id, covey_status_name(error->status), error->message, -1);
}

void flare_kill(struct node_flare *flare)
{
    covey_list_for_each (node, &flare->packs)
        child_kill(covey_container_of(node, struct node_child, node));
    if (flare->host)
        child_kill(flare->host);
}

void flare_withdraw(struct node_flare *flare, const char *status_name, const char *message,
                    int32_t rank)
{
    if (flare->state >= FLARE_STOPPING)
        return;
    log_warn("a flare could not be prepared flare=%s reason=\"%s\"", flare->text->flare_id,
             message);
    flare->state = FLARE_WITHDRAWN;
    (void)snprintf(flare->failure_status, sizeof(flare->failure_status), "%s", status_name);
    (void)covey_text_print(flare->failure_message, sizeof(flare->failure_message), "%s", message);
    flare->failure_rank = rank;
    (void)uv_timer_stop(&flare->timer);
    fetch_forget(flare);
    flare_kill(flare);
    flare_check_gone(flare);
}

static struct node_flare *find_unprepared(struct node *agent)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&agent->flares, &cursor, NULL, &value)) {
        struct node_flare *flare = value;
        if (flare->state < FLARE_READY)
            return flare;
    }
    return NULL;
}

void flare_withdraw_unprepared(struct node *agent)
{
    struct node_flare *flare;
    while ((flare = find_unprepared(agent)))
        flare_withdraw(flare, "EUNAVAILABLE", "the controller was lost while it was prepared", -1);
}

bool flare_withdrawing(const struct node *agent)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&agent->flares, &cursor, NULL, &value)) {
        const struct node_flare *flare = value;
        if (flare->state == FLARE_WITHDRAWN || (flare->state == FLARE_STOPPING && !flare->prepared))
            return true;
    }
    return false;
}

static void on_sweep(uv_timer_t *timer)
{
    flare_check_gone(timer->data);
}

/* Where processes are only known by their mark, those that hid must be looked for. */
static bool swept(struct node_flare *flare)
{
    if (flare->agent->tree != TREE_ENVIRONMENT || !tree_sweep(flare->text->flare_id))
        return true;
    (void)uv_timer_start(&flare->timer, on_sweep, SWEEP_MS, 0);
    return false;
}

void flare_check_gone(struct node_flare *flare)
{
    struct node *agent = flare->agent;
    char flare_id[32];
    if (flare->state < FLARE_STOPPING || flare->gone)
        return;
    /* The host goes last: what ended workers have sent may still be on its way to those who have
     * the grace to receive it. */
    if (covey_list_empty(&flare->packs) && flare->host &&
        (flare->host_done || !flare->waits_for_host))
        child_kill(flare->host);
    if (flare->children > 0 || !swept(flare) || !folder_remove(flare, flare_check_gone))
        return;
    flare->gone = true;
    (void)snprintf(flare_id, sizeof(flare_id), "%s", flare->text->flare_id);
    if (flare->state == FLARE_WITHDRAWN)
        tell_failed(agent, flare_id, flare->failure_status, flare->failure_message,
                    flare->failure_rank);
    if (flare->stop_asked)
        tell_gone(agent, flare_id);
    log_debug("gone flare=%s", flare_id);
    flare_forget(flare);
}

static void on_grace_over(uv_timer_t *timer);

static void set_stop_timer(struct node_flare *flare, uint64_t delay_ms)
{
    flare->log_was = flare->log_progress;
    (void)uv_timer_start(&flare->timer, on_grace_over, delay_ms, 0);
}

static void send_stop(struct node_flare *flare, int64_t grace_ns, bool cut_log)
{
    Covey__V1__PackStop stop = COVEY__V1__PACK_STOP__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_STOP;
    message.pack_stop = &stop;
    stop.grace_ns = grace_ns;
    stop.reason = flare->stop_reason;
    stop.cut_log = cut_log;
    covey_list_for_each (node, &flare->packs) {
        struct node_child *pack = covey_container_of(node, struct node_child, node);
        if (peer_send(&pack->peer, &message, NULL, 0) != COVEY_OK)
            child_kill(pack);
    }
}

static bool all_workers_ended(const struct node_flare *flare)
{
    for (uint32_t i = 0; i < flare->worker_count; i++) {
        if (!flare->workers[i].ended)
            return false;
    }
    return true;
}

/*
 * Packs should be gone by now. Where only their logs are left they may go on while these are taken,
 * or while there is no controller that could: nobody waits for the flare's end then. Where nothing
 * is taken they are told to give it up; where that does not help either they are killed.
 */
static void on_grace_over(uv_timer_t *timer)
{
    struct node_flare *flare = timer->data;
    bool logs_only = all_workers_ended(flare) && !flare->log_cut;
    bool stuck = flare->agent->attach.registered && flare->log_progress == flare->log_was;
    if (logs_only) {
        if (stuck) {
            flare->log_cut = true;
            send_stop(flare, 0, true);
        }
        set_stop_timer(flare, STOP_SLACK_MS);
    } else {
        log_debug("the grace is over flare=%s", flare->text->flare_id);
        flare_kill(flare);
    }
}

static void stop_packs(struct node_flare *flare, int64_t grace_ns)
{
    send_stop(flare, grace_ns, false);
    uint64_t kill_ms = (uint64_t)(grace_ns / COVEY_NS_PER_MS) + STOP_SLACK_MS;
    if (!uv_is_active((uv_handle_t *)&flare->timer) || uv_timer_get_due_in(&flare->timer) > kill_ms)
        set_stop_timer(flare, kill_ms);
}

void flare_stop(struct node *agent, const char *flare_id, int64_t grace_ns, const char *reason)
{
    struct node_flare *flare = covey_map_get(&agent->flares, flare_id);
    if (!flare) {
        tell_gone(agent, flare_id);
        return;
    }
    flare->stop_asked = true;
    bool prepared = flare->state == FLARE_READY || flare->state == FLARE_RUNNING;
    if (flare->state < FLARE_STOPPING) {
        flare->state = FLARE_STOPPING;
        (void)covey_text_print(flare->stop_reason, sizeof(flare->stop_reason), "%s", reason);
        (void)uv_timer_stop(&flare->timer);
        fetch_forget(flare);
        if (!prepared)
            flare_kill(flare);
    }
    flare->waits_for_host = flare->started && grace_ns > 0 && flare->text->n_nodes > 1;
    if (flare->state == FLARE_STOPPING)
        stop_packs(flare, grace_ns > 0 ? grace_ns : 0);
    flare_check_gone(flare);
}

void flare_stop_all(struct node *agent, int64_t grace_ns, const char *reason)
{
    uint32_t round = ++agent->stop_rounds;
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&agent->flares, &cursor, NULL, &value)) {
        struct node_flare *flare = value;
        if (flare->stop_round == round)
            continue;
        flare->stop_round = round;
        size_t count = agent->flares.count;
        flare_stop(agent, flare->text->flare_id, grace_ns, reason);
        /* Where nothing ran it has gone at once, and the map has changed under the walk. */
        if (agent->flares.count != count)
            cursor = 0;
    }
}

void flare_not_understood(struct node *agent, uint32_t command, const char *flare_id)
{
    static const char nothing[] = "";
    const struct node_flare *flare = covey_map_get(&agent->flares, flare_id);
    char text[COVEY_ERROR_MESSAGE_BYTES];
    (void)covey_text_print(text, sizeof(text), "node %s cannot read what it is told of the flare",
                           agent->options.name);
    if (!*flare_id)
        return;
    if (command == COVEY__V1__ATTACH_RESPONSE__BODY_STOP)
        flare_stop(agent, flare_id, 0, nothing);
    else if (command == COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE && !flare)
        tell_failed(agent, flare_id, "EPROTO", text, -1);
    else if (flare && flare->state < FLARE_STOPPING)
        flare_tell_broken(agent, flare_id, text);
}

static uint32_t node_by_name(const Covey__V1__LocalFlare *text, const char *name)
{
    for (size_t i = 0; i < text->n_nodes; i++) {
        if (strcmp(text->nodes[i], name) == 0)
            return (uint32_t)i;
    }
    return UINT32_MAX;
}

void flare_start(struct node *agent, const Covey__V1__Start *start)
{
    static char nowhere[] = "";
    struct node_flare *flare = covey_map_get(&agent->flares, start->flare_id);
    Covey__V1__HostStart host_start = COVEY__V1__HOST_START__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    char *addresses[LOCAL_MAX_NODES];
    if (!flare || flare->state != FLARE_READY) {
        log_warn("a flare that is not ready cannot start flare=%s", start->flare_id);
        return;
    }
    flare->state = FLARE_RUNNING;
    flare->started = true;
    if (!flare->host)
        return;
    for (size_t i = 0; i < flare->text->n_nodes; i++)
        addresses[i] = nowhere;
    for (size_t i = 0; i < start->n_hosts; i++) {
        uint32_t index = node_by_name(flare->text, start->hosts[i]->node);
        if (index != UINT32_MAX)
            addresses[index] = start->hosts[i]->address;
    }
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_START;
    message.host_start = &host_start;
    host_start.addresses = addresses;
    host_start.n_addresses = flare->text->n_nodes;
    if (covey_fault(COVEY_FAULT_NODE_START) ||
        peer_send(&flare->host->peer, &message, NULL, 0) != COVEY_OK)
        child_kill(flare->host);
}

void flare_peers_ended(struct node *agent, const Covey__V1__PeersEnded *ended)
{
    enum { MOST = 64 };
    struct node_flare *flare = covey_map_get(&agent->flares, ended->flare_id);
    Covey__V1__LocalPeerEnd ends[MOST];
    Covey__V1__LocalPeerEnd *pointers[MOST];
    Covey__V1__HostPeersEnded peers = COVEY__V1__HOST_PEERS_ENDED__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    if (!flare || !flare->host)
        return;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_PEERS_ENDED;
    message.host_peers_ended = &peers;
    peers.peers = pointers;
    for (size_t i = 0; i < ended->n_peers; i++) {
        Covey__V1__LocalPeerEnd *end = &ends[peers.n_peers];
        covey__v1__local_peer_end__init(end);
        end->rank = ended->peers[i]->rank;
        end->succeeded = ended->peers[i]->succeeded;
        end->reason = ended->peers[i]->reason;
        pointers[peers.n_peers++] = end;
        if (peers.n_peers < MOST && i + 1 < ended->n_peers)
            continue;
        if (peer_send(&flare->host->peer, &message, NULL, 0) != COVEY_OK)
            return;
        peers.n_peers = 0;
    }
}
