/* A registering agent says what runs on it: what is known is adopted, the rest must end. */
#include "base/log.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <string.h>

static const Covey__V1__RunningFlare *reported(const Covey__V1__Register *registration,
                                               const char *flare_id)
{
    for (size_t i = 0; i < registration->n_flares; i++)
        if (strcmp(registration->flares[i]->flare_id, flare_id) == 0)
            return registration->flares[i];
    return NULL;
}

static bool has_ended(const struct share *share)
{
    for (uint32_t i = 0; i < share->workers; i++) {
        const worker_message *worker = flare_worker(share->flare, share->first_rank + i);
        if (!worker || !worker_has_ended(worker))
            return false;
    }
    return true;
}

/* A share that the agent has no more, and of which it has nothing more to say. One of an attempt
 * that is undone is told to stop all the same: what the agent has still to say of it comes before
 * its answer. */
static void miss(struct controller *controller, struct share *share)
{
    struct flare *flare = share->flare;
    if (flare->state == FLARE_PREPARING)
        return;
    if (has_ended(share)) {
        ending_share_gone(controller, share);
        return;
    }
    char text[256];
    (void)covey_text_print(text, sizeof text, "node %s came back without it", share->node->name);
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t) "ENODE";
    failure.message = text;
    failure.node = share->node->name;
    failure.rank = -1;
    share->state = SHARE_GONE;
    if (flare->state == FLARE_RUNNING)
        restart_or_fail(controller, flare, &failure, share);
    ending_share_gone(controller, share);
}

/* Takes what the agent says of a share it still has. */
static enum covey_status adopt(struct controller *controller, struct share *share,
                               const Covey__V1__RunningFlare *running)
{
    for (size_t i = 0; i < running->n_workers; i++) {
        worker_message *worker = running->workers[i];
        if (worker->rank < share->first_rank || worker->rank - share->first_rank >= share->workers)
            return COVEY_EPROTO;
        /* Ends are reported apart, with their messages and results. */
        if (worker->state != COVEY__V1__WORKER_STATE__WORKER_STATE_RUNNING)
            worker->state = COVEY__V1__WORKER_STATE__WORKER_STATE_UNSPECIFIED;
    }
    if (!message_set_string(&share->host_address, running->host_address))
        return COVEY_ENOMEM;
    share->state = running->started ? SHARE_STARTED : SHARE_READY;
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.n_workers = running->n_workers;
    delta.workers = running->workers;
    (void)flare_must(controller, share->flare, FLARE_EVENT_NODE_RETURNED, &delta,
                     share->node->name);
    return COVEY_OK;
}

enum covey_status node_reconcile(struct controller *controller, struct controller_node *node,
                                 const Covey__V1__Register *registration, char **unknown,
                                 size_t *unknown_count)
{
    *unknown_count = 0;
    node->repeats_until = registration->last_report;
    covey_list_for_each_safe (link, after, &node->shares) {
        struct share *share = covey_container_of(link, struct share, node_link);
        const Covey__V1__RunningFlare *running = reported(registration, share->flare->id);
        share->missing = !running && node->repeats_until > 0;
        if (share->missing)
            continue;
        if (!running) {
            miss(controller, share);
            continue;
        }
        enum covey_status status = adopt(controller, share, running);
        if (status)
            return status;
    }
    for (size_t i = 0; i < registration->n_flares; i++) {
        char *id = registration->flares[i]->flare_id;
        const struct flare *flare = flare_find(controller, id);
        const struct share *share = flare ? gang_share(flare, node) : NULL;
        if (share && share->state != SHARE_GONE)
            continue;
        log_warn("a node runs a flare that nobody waits for: it is ended node=%s flare=%s",
                 node->name, ulid_is_valid(id) ? id : "?");
        unknown[(*unknown_count)++] = id;
    }
    return COVEY_OK;
}

void node_repeated(struct controller *controller, struct controller_node *node)
{
    if (node->repeats_until == 0 || node->sequence < node->repeats_until)
        return;
    node->repeats_until = 0;
    covey_list_for_each_safe (link, after, &node->shares) {
        struct share *share = covey_container_of(link, struct share, node_link);
        if (share->missing)
            miss(controller, share);
        share->missing = false;
    }
}

static bool knows_addresses(const struct flare *flare)
{
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].state != SHARE_READY && flare->shares[i].state != SHARE_STARTED)
            return false;
    return true;
}

/* A START that was in the journal, and did not reach every node. */
static void repeat_start(struct controller *controller, struct flare *flare)
{
    if (flare->state != FLARE_RUNNING || !knows_addresses(flare) ||
        !covey_list_empty(&flare->held_link))
        return;
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].state == SHARE_READY && flare->shares[i].node->link)
            (void)gang_send_start(controller, &flare->shares[i]);
}

void node_resume(struct controller *controller, struct controller_node *node)
{
    covey_list_for_each_safe (link, after, &node->shares) {
        struct share *share = covey_container_of(link, struct share, node_link);
        struct flare *flare = share->flare;
        repeat_start(controller, flare);
        bool ends = flare->state == FLARE_ENDING || flare->rolling_back;
        if (ends && flare->stop_at_ns == INT64_MAX)
            ending_stop(controller, flare, 0);
    }
}
