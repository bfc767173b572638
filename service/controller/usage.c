/* What the workers of a flare use: asked of its nodes when a user asks, and kept in its view alone.
 */
#include "base/clock.h"
#include "base/error.h"
#include "service/controller/internal.h"

/* Nodes are not asked again sooner, however many users ask. */
#define ASK_NS (200 * COVEY_NS_PER_MS)

static void ask(struct controller *controller, struct flare *flare)
{
    int64_t now_ns = now_of(controller);
    if (flare->state != FLARE_RUNNING || now_ns < flare->usage_due_ns)
        return;
    flare->usage_due_ns = now_ns + ASK_NS;
    Covey__V1__Measure measure = COVEY__V1__MEASURE__INIT;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    measure.flare_id = flare->id;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_MEASURE;
    message.measure = &measure;
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].state == SHARE_STARTED)
            (void)node_send(controller, flare->shares[i].node, &message);
}

void controller_measure(struct controller *controller, const char *id)
{
    struct flare *flare = flare_find(controller, id);
    if (flare)
        ask(controller, flare);
}

enum covey_status usage_take(const struct share *share, const Covey__V1__Measured *measured,
                             struct covey_error *error)
{
    for (size_t i = 0; i < measured->n_workers; i++) {
        const Covey__V1__WorkerUsage *usage = measured->workers[i];
        if (usage->rank < share->first_rank || usage->rank - share->first_rank >= share->workers)
            return covey_error_set(error, COVEY_EPROTO,
                                   "node %s told what rank %u uses, which it does not have",
                                   share->node->name, usage->rank);
        worker_message *worker = flare_worker(share->flare, usage->rank);
        if (!worker || worker_has_ended(worker))
            continue;
        int64_t cpu_ns = usage->cpu_ns > INT64_MAX ? INT64_MAX : (int64_t)usage->cpu_ns;
        if (!message_set_duration(&worker->cpu_time, cpu_ns))
            return covey_error_set(error, COVEY_ENOMEM, "no memory for what a worker uses");
        worker->memory_bytes = usage->memory_bytes;
    }
    return COVEY_OK;
}
