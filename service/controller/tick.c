/* What time alone brings about. */
#include "base/clock.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SUSPICION_NS (20 * COVEY_NS_PER_MS)

static failure_message plain_failure(const char *status, char *message)
{
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t)status;
    failure.message = message;
    failure.rank = -1;
    return failure;
}

static void prepare_is_late(struct controller *controller, struct flare *flare)
{
    const char *late = "";
    for (uint32_t i = 0; i < flare->share_count && !*late; i++)
        if (flare->shares[i].state == SHARE_PREPARING)
            late = flare->shares[i].node->name;
    char text[256];
    (void)covey_text_print(text, sizeof text, "node %s was not ready within %lld ms", late,
                           (long long)(controller->limits.prepare_timeout_ns / COVEY_NS_PER_MS));
    failure_message failure = plain_failure("ETIMEOUT", text);
    failure.node = (char *)(uintptr_t)late;
    flare->prepare_by_ns = COVEY_NEVER_NS;
    gang_roll_back(controller, flare, &failure, false);
}

static void time_is_up(struct controller *controller, struct flare *flare)
{
    int64_t limit_ns;
    (void)message_duration_ns(flare->view->options->time_limit,
                              controller->limits.max_time_limit_ns, &limit_ns);
    char text[256];
    (void)snprintf(text, sizeof text,
                   "its time limit of %.3f s was reached with %u of %u workers ended",
                   (double)limit_ns / (double)COVEY_NS_PER_S, flare->workers_ended,
                   flare->view->workers_total);
    const failure_message failure = plain_failure("ETIMEOUT", text);
    flare->limit_at_ns = COVEY_NEVER_NS;
    ending_begin(controller, flare, FLARE_EVENT_TIMING_OUT, &failure, NULL);
}

static void tick_flare(struct controller *controller, struct flare *flare, int64_t now_ns)
{
    if (flare->prepare_by_ns <= now_ns)
        prepare_is_late(controller, flare);
    else if (flare->limit_at_ns <= now_ns)
        time_is_up(controller, flare);
    else if (flare->stop_at_ns <= now_ns)
        ending_stop(controller, flare, controller->limits.stop_grace_ns);
    else if (flare->gone_by_ns <= now_ns)
        ending_stop(controller, flare, 0);
}

int64_t tick_silence_ns(const struct controller *controller)
{
    return controller->limits.heartbeat_ns * (int64_t)controller->limits.heartbeats_missed;
}

/* A controller that was stopped itself finds every node silent; what they said meanwhile waits to
 * be read, so the first finding is only a suspicion. */
static bool is_silent(const struct controller *controller, struct controller_node *node,
                      int64_t now_ns)
{
    if (!node->link || now_ns - node->heard_ns < tick_silence_ns(controller))
        return false;
    if (node->suspect_until_ns == 0)
        node->suspect_until_ns = now_ns + SUSPICION_NS;
    return node->suspect_until_ns <= now_ns;
}

/* A map must not change under a walk: one node a turn is forgotten. */
static void tick_nodes(struct controller *controller, int64_t now_ns)
{
    struct controller_node *forgotten = NULL;
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &value)) {
        struct controller_node *node = value;
        bool silent = is_silent(controller, node, now_ns);
        if (silent || (node->link && node->broken))
            node_break(controller, node, silent ? "its heartbeats stopped" : "its stream broke");
        else if (node->settled_at_ns <= now_ns)
            node->settled_at_ns = node->down_at_ns = COVEY_NEVER_NS;
        else if (!node->link && node->down_at_ns <= now_ns)
            node_expire(controller, node);
        else if (node->forget_at_ns <= now_ns && covey_list_empty(&node->shares))
            forgotten = node;
        if (node->drain_at_ns <= now_ns)
            drain_expire(controller, node);
    }
    if (forgotten)
        node_forget(controller, forgotten);
}

void tick_run(struct controller *controller)
{
    int64_t now_ns = now_of(controller);
    tick_nodes(controller, now_ns);
    covey_list_for_each_safe (link, after, &controller->active)
        tick_flare(controller, covey_container_of(link, struct flare, active_link), now_ns);
    logs_tick(controller->logs, now_ns);
    if (retention_deadline_ns(controller) <= now_ns)
        retention_run(controller);
}

static void sooner(int64_t *deadline_ns, int64_t at_ns)
{
    if (at_ns < *deadline_ns)
        *deadline_ns = at_ns;
}

int64_t tick_deadline_ns(const struct controller *controller)
{
    int64_t deadline_ns = retention_deadline_ns(controller);
    sooner(&deadline_ns, journal_deadline_ns(controller));
    sooner(&deadline_ns, logs_deadline_ns(controller->logs));
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &value)) {
        const struct controller_node *node = value;
        if (node->link)
            sooner(&deadline_ns, node->suspect_until_ns
                                     ? node->suspect_until_ns
                                     : node->heard_ns + tick_silence_ns(controller));
        sooner(&deadline_ns, node->drain_at_ns);
        sooner(&deadline_ns, node->link ? node->settled_at_ns : node->down_at_ns);
        sooner(&deadline_ns, node->forget_at_ns);
    }
    covey_list_for_each (link, &controller->active) {
        const struct flare *flare = covey_container_of(link, struct flare, active_link);
        sooner(&deadline_ns, flare->prepare_by_ns);
        sooner(&deadline_ns, flare->limit_at_ns);
        sooner(&deadline_ns, flare->stop_at_ns);
        sooner(&deadline_ns, flare->gone_by_ns);
    }
    return deadline_ns;
}
