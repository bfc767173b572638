/* What is kept of flares that have ended, of blobs and of nodes, and for how long. */
#include "base/clock.h"
#include "base/log.h"
#include "service/controller/internal.h"

#define INTERVAL_NS (60 * COVEY_NS_PER_S)
/* Flares a step, and between steps: the loop must not stand still, and 3,000 flares may end in a
 * second. */
#define STEP_FLARES 64
#define STEP_NS     (20 * COVEY_NS_PER_MS)
#define RETRY_NS    (5 * COVEY_NS_PER_S)

static bool is_over(const struct controller *controller)
{
    const struct store_kept kept = store_kept(controller->store);
    return kept.flares > controller->limits.keep_count ||
           kept.bytes > controller->limits.keep_bytes;
}

int64_t retention_deadline_ns(const struct controller *controller)
{
    return is_over(controller) ? controller->retention_step_ns : controller->retention_ns;
}

void retention_run(struct controller *controller)
{
    const struct controller_limits *limits = &controller->limits;
    const struct store_keep keep = {.after_ns = wall_of(controller) - limits->keep_flares_ns,
                                    .flares = limits->keep_count,
                                    .bytes = limits->keep_bytes};
    struct covey_error error = {0};
    uint32_t flares = 0;
    uint32_t blobs = 0;
    int64_t now_ns = now_of(controller);
    enum covey_status status = store_expire(controller->store, &keep, STEP_FLARES, &flares, &error);
    if (!status && controller->retention_ns <= now_ns) {
        store_reserve_keep(controller->store);
        status = store_blobs_expire(controller->store, wall_of(controller) - limits->keep_blobs_ns,
                                    &blobs, &error);
    }
    if (status)
        log_error("old flares and blobs are not removed: %s", error.message);
    else if (blobs)
        log_info("removed blobs that nothing names blobs=%u", blobs);
    controller->retention_step_ns = now_ns + (status ? RETRY_NS : STEP_NS);
    if (status || flares == STEP_FLARES)
        controller->retention_ns = controller->retention_step_ns;
    else if (controller->retention_ns <= now_ns)
        controller->retention_ns = now_ns + INTERVAL_NS;
}
