/* A flare's end: the outcome decided once, its nodes told, and the last event when all is gone. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a node has, beyond the grace, to say that nothing is left, before it is told again. */
#define REPEAT_STOP_NS (2 * COVEY_NS_PER_S)

/* Up to this the order of two times on two nodes says nothing. */
#define CLOCKS_DIFFER_NS (50 * COVEY_NS_PER_MS)

/* ---- telling peers ---- */

void ending_note_peer(struct controller *controller, const struct share *origin, uint32_t rank,
                      bool succeeded, const char *reason)
{
    struct flare *flare = origin->flare;
    if (flare->share_count < 2)
        return;
    struct ended_peer *peers =
        covey_reallocarray(flare->ended_peers, flare->ended_peer_count + 1, sizeof *peers);
    char *copy = covey_strdup(reason);
    if (peers)
        flare->ended_peers = peers;
    if (!peers || !copy) {
        free(copy);
        log_error("no memory to tell peers of a rank's end flare=%s rank=%u", flare->id, rank);
        return;
    }
    peers[flare->ended_peer_count++] = (struct ended_peer){rank, succeeded, origin, copy};
    if (covey_list_empty(&flare->news_link))
        covey_list_push_back(&controller->news, &flare->news_link);
}

static void tell_share(struct controller *controller, const struct share *share,
                       Covey__V1__PeerEnd *peers, Covey__V1__PeerEnd **list)
{
    const struct flare *flare = share->flare;
    Covey__V1__PeersEnded ended = COVEY__V1__PEERS_ENDED__INIT;
    ended.flare_id = (char *)(uintptr_t)flare->id;
    ended.peers = list;
    for (size_t i = 0; i < flare->ended_peer_count; i++) {
        const struct ended_peer *from = &flare->ended_peers[i];
        if (from->origin == share)
            continue;
        peers[i] = (Covey__V1__PeerEnd)COVEY__V1__PEER_END__INIT;
        peers[i].rank = from->rank;
        peers[i].succeeded = from->succeeded;
        peers[i].reason = from->reason;
        list[ended.n_peers++] = &peers[i];
    }
    if (ended.n_peers == 0)
        return;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_PEERS_ENDED;
    message.peers_ended = &ended;
    (void)node_send(controller, share->node, &message);
}

static void tell_flare(struct controller *controller, struct flare *flare)
{
    Covey__V1__PeerEnd *peers = covey_calloc(flare->ended_peer_count, sizeof *peers);
    Covey__V1__PeerEnd **list = covey_calloc(flare->ended_peer_count, sizeof(Covey__V1__PeerEnd *));
    for (uint32_t i = 0; peers && list && i < flare->share_count; i++)
        if (flare->shares[i].state == SHARE_STARTED && flare->outcome != FLARE_SUCCEEDED)
            tell_share(controller, &flare->shares[i], peers, list);
    free(peers);
    free(list);
    ending_forget_peers(flare);
}

void ending_forget_peers(struct flare *flare)
{
    for (size_t i = 0; i < flare->ended_peer_count; i++)
        free(flare->ended_peers[i].reason);
    flare->ended_peer_count = 0;
    covey_list_remove(&flare->news_link);
}

void ending_tell_peers(struct controller *controller)
{
    for (struct covey_list *link; (link = covey_list_pop_front(&controller->news)) != NULL;)
        tell_flare(controller, covey_container_of(link, struct flare, news_link));
}

/* ---- stopping ---- */

static void send_stop(struct controller *controller, struct share *share, int64_t grace_ns)
{
    const struct flare *flare = share->flare;
    Google__Protobuf__Duration grace = message_duration(grace_ns);
    Covey__V1__Stop stop = COVEY__V1__STOP__INIT;
    stop.flare_id = (char *)(uintptr_t)flare->id;
    stop.grace = grace_ns > 0 ? &grace : NULL;
    if (flare->stop_reason)
        stop.reason = flare->stop_reason;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_STOP;
    message.stop = &stop;
    share->stop_sent = true;
    (void)node_send(controller, share->node, &message);
}

/* Once it is told, a node forgets the flare: a controller that dies must know why by then. */
static bool hold_stop(struct controller *controller, struct flare *flare, int64_t grace_ns)
{
    flare->stop_held = !journal_is_written(controller) && !journal_is_full(controller);
    if (!flare->stop_held)
        return false;
    flare->held_grace_ns = grace_ns;
    gang_hold(controller, flare);
    journal_hurry(controller);
    return true;
}

void ending_stop(struct controller *controller, struct flare *flare, int64_t grace_ns)
{
    bool held = hold_stop(controller, flare, grace_ns);
    flare->stop_at_ns = COVEY_NEVER_NS;
    logs_hurry(controller->logs, flare->id);
    flare->gone_by_ns = now_of(controller) + grace_ns + REPEAT_STOP_NS;
    for (uint32_t i = 0; i < flare->share_count; i++) {
        struct share *share = &flare->shares[i];
        if (share->state == SHARE_NEW)
            share->state = SHARE_GONE;
        else if (share->state != SHARE_GONE && share->node->link && !held)
            send_stop(controller, share, grace_ns);
    }
}

/* ---- the outcome ---- */

/* The workers of a share that is lost end with it. *storage holds them; both arrays are the
 * caller's to free. */
static void list_lost(struct controller *controller, const struct share *lost,
                      Google__Protobuf__Timestamp *at, flare_message *delta,
                      worker_message **storage)
{
    worker_message *workers = covey_calloc(lost->workers, sizeof *workers);
    delta->workers = covey_calloc(lost->workers, sizeof(worker_message *));
    *storage = workers;
    for (uint32_t i = 0; workers && delta->workers && i < lost->workers; i++) {
        uint32_t rank = lost->first_rank + i;
        const worker_message *worker = flare_worker(lost->flare, rank);
        workers[i] = (worker_message)COVEY__V1__WORKER__INIT;
        if (!worker || worker_has_ended(worker))
            continue;
        workers[i].rank = rank;
        workers[i].state = COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED;
        workers[i].ended_at = at;
        delta->workers[delta->n_workers++] = &workers[i];
        ending_note_peer(controller, lost, rank, false, delta->error ? delta->error->message : "");
    }
}

static void stop_when_due(struct controller *controller, struct flare *flare,
                          enum flare_event event, enum flare_state from)
{
    int64_t grace_ns = flare->notice_ns ? flare->notice_ns : controller->limits.stop_grace_ns;
    if (from != FLARE_RUNNING || event == FLARE_EVENT_FINISHING)
        grace_ns = 0;
    if (from == FLARE_RUNNING && event == FLARE_EVENT_FAILING) {
        /* The others first learn who is gone, and may end by themselves. */
        int64_t failure_grace_ns;
        (void)message_duration_ns(flare->view->options->failure_grace,
                                  controller->limits.failure_grace_ns, &failure_grace_ns);
        flare->stop_at_ns = covey_deadline_ns(now_of(controller), failure_grace_ns);
        return;
    }
    ending_stop(controller, flare, grace_ns);
}

/*
 * News of a death takes several ways, and survivors that give up because of it may be told of
 * first. So a worker that only exited gives way to a host or node that is gone and, while the
 * others are given time to end, to a worker that had ended before: by a signal, also where clocks
 * of nodes differ; by itself, where its clock says so.
 */
bool ending_is_behind(const struct flare *flare, const failure_message *failure)
{
    const failure_message *known = flare->cause ? flare->cause : flare->view->error;
    if (flare->state != FLARE_ENDING || flare->outcome != FLARE_FAILED || !known ||
        known->rank < 0 || known->signal != 0 || known->exit_status == 0)
        return false;
    if (failure->rank < 0)
        return true;
    const worker_message *later = flare_worker(flare, (uint32_t)known->rank);
    const worker_message *worker = flare_worker(flare, (uint32_t)failure->rank);
    bool ended_itself = failure->signal == 0;
    if ((ended_itself && failure->exit_status == 0) || flare->stop_at_ns == COVEY_NEVER_NS ||
        !later || !worker)
        return false;
    bool one_clock = ended_itself || strcmp(known->node, failure->node) == 0;
    return message_time_ns(worker->ended_at) <
           message_time_ns(later->ended_at) + (one_clock ? 0 : CLOCKS_DIFFER_NS);
}

void ending_begin(struct controller *controller, struct flare *flare, enum flare_event event,
                  const failure_message *failure, const struct share *lost)
{
    enum flare_state from = flare->state;
    if (event == FLARE_EVENT_FAILING && failure && ending_is_behind(flare, failure)) {
        message_free(flare->cause);
        flare->cause = message_copy(&failure->base);
    }
    if (flare_rule(from, event).kind != STATE_MOVE)
        return;
    controller->refuse_append = covey_fault(COVEY_FAULT_CONTROLLER_ENDING);
    Google__Protobuf__Timestamp at = message_time(wall_of(controller));
    Covey__V1__Timeline timeline = COVEY__V1__TIMELINE__INIT;
    timeline.outcome_at = &at;
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.timeline = &timeline;
    delta.error = (failure_message *)(uintptr_t)failure;
    worker_message *workers = NULL;
    if (lost)
        list_lost(controller, lost, &at, &delta, &workers);
    const char *message = failure ? failure->message : NULL;
    bool applied = flare_must(controller, flare, event, &delta, message);
    free(workers);
    free(delta.workers);
    if (!applied)
        return;
    if (from == FLARE_QUEUED && sched_cancel(controller->sched, flare->id) != COVEY_OK)
        log_error("the scheduler does not know a flare that was queued flare=%s", flare->id);
    flare->prepare_by_ns = COVEY_NEVER_NS;
    flare->limit_at_ns = COVEY_NEVER_NS;
    free(flare->stop_reason);
    flare->stop_reason = covey_strdup(message ? message : "the flare has ended");
    stop_when_due(controller, flare, event, from);
    ending_check(controller, flare);
}

void ending_check(struct controller *controller, struct flare *flare)
{
    if (flare->state != FLARE_ENDING)
        return;
    /* Nobody is left to be told, or to end by itself. */
    if (flare->stop_at_ns != COVEY_NEVER_NS && flare->workers_ended == flare->view->workers_total)
        ending_stop(controller, flare, 0);
    if (!gang_is_gone(flare))
        return;
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.error = flare->cause;
    (void)flare_must(controller, flare, FLARE_EVENT_ENDED, &delta,
                     flare->cause ? flare->cause->message : NULL);
    estimate_learn(controller, flare->view);
    enum covey_status status = sched_release(controller->sched, flare->id);
    if (status && status != COVEY_ENOTFOUND)
        log_error("the scheduler cannot release a flare flare=%s status=%s", flare->id,
                  covey_status_name(status));
    for (uint32_t i = 0; i < flare->share_count; i++)
        covey_list_remove(&flare->shares[i].node_link);
    covey_list_remove(&flare->news_link);
    covey_list_remove(&flare->active_link);
    (void)covey_map_remove(&controller->flares, flare->id);
    allowance_return(controller, flare);
    covey_list_push_back(&controller->ended, &flare->active_link);
    logs_end(controller->logs, flare->id);
    controller->place = true;
}

void ending_share_gone(struct controller *controller, struct share *share)
{
    struct flare *flare = share->flare;
    share->state = SHARE_GONE;
    covey_list_remove(&share->node_link);
    if (flare->state == FLARE_PREPARING)
        gang_rolled_back(controller, flare);
    else
        ending_check(controller, flare);
}
