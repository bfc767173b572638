/* Making room for a flare of higher priority, where the controller is told to. */
#include "base/error.h"
#include "base/log.h"
#include "service/controller/internal.h"

#include <stdio.h>

#define BATCH 16 /* flares that are told at a time */

static void preempt(struct controller *controller, struct flare *flare)
{
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t) "ECANCELLED";
    failure.message = (char *)(uintptr_t) "it was preempted for a flare of higher priority";
    failure.rank = -1;
    restart_or_cancel(controller, flare, &failure, controller->limits.preempt_grace_ns);
}

void preempt_run(struct controller *controller)
{
    char victims[BATCH][SCHED_ID_BYTES];
    uint32_t count = 0;
    if (!controller->limits.preemption || controller->draining || journal_is_full(controller) ||
        sched_queue_length(controller->sched) == 0)
        return;
    enum covey_status status =
        sched_preempt(controller->sched, sched_now_of(controller),
                      controller->limits.preempt_grace_ns, victims, BATCH, &count);
    if (status)
        log_error("no flare is preempted: %s", covey_status_text(status));
    for (uint32_t i = 0; i < count; i++) {
        struct flare *flare = flare_find(controller, victims[i]);
        if (flare)
            preempt(controller, flare);
    }
}
