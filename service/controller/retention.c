/* What is kept of flares that have ended, of blobs and of nodes, and for how long. */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_NS (60 * COVEY_NS_PER_S)
#define BATCH       64 /* flares a run: the loop must not stand still */

struct sweep {
    struct controller *controller;
    int64_t before_ns;
    uint64_t spool_bytes; /* of all ended flares, less those chosen */
    size_t count;
    char ids[BATCH][ULID_BYTES];
};

static bool add_bytes(const struct store_flare *flare, void *data)
{
    struct sweep *sweep = data;
    sweep->spool_bytes += store_spool_bytes(sweep->controller->store, flare->id);
    return true;
}

/* The longest ended come first: too old, or too much while younger ones remain. */
static bool choose(const struct store_flare *flare, void *data)
{
    struct sweep *sweep = data;
    bool old = flare->ended_ns < sweep->before_ns;
    if (!old && sweep->spool_bytes <= sweep->controller->limits.keep_bytes)
        return false;
    sweep->spool_bytes -= store_spool_bytes(sweep->controller->store, flare->id);
    (void)snprintf(sweep->ids[sweep->count++], ULID_BYTES, "%s", flare->id);
    return sweep->count < BATCH;
}

static enum covey_status sweep_flares(struct controller *controller, size_t *removed,
                                      struct covey_error *error)
{
    struct sweep *sweep = covey_calloc(1, sizeof *sweep);
    if (!sweep)
        return COVEY_ENOMEM;
    sweep->controller = controller;
    sweep->before_ns = wall_of(controller) - controller->limits.keep_flares_ns;
    enum covey_status status = store_flares_ended(controller->store, add_bytes, sweep, error);
    if (!status)
        status = store_flares_ended(controller->store, choose, sweep, error);
    for (size_t i = 0; !status && i < sweep->count; i++)
        status = store_flare_remove(controller->store, sweep->ids[i], error);
    *removed = sweep->count;
    free(sweep);
    return status;
}

void retention_run(struct controller *controller)
{
    struct covey_error error = {0};
    size_t flares = 0;
    uint32_t blobs = 0;
    enum covey_status status = sweep_flares(controller, &flares, &error);
    if (!status)
        status = store_blobs_expire(controller->store,
                                    wall_of(controller) - controller->limits.keep_blobs_ns, &blobs,
                                    &error);
    if (status)
        log_error("old flares and blobs are not removed: %s", error.message);
    else if (flares || blobs)
        log_info("removed what was kept long enough flares=%zu blobs=%u", flares, blobs);
    controller->retention_ns =
        now_of(controller) + (flares == BATCH ? COVEY_NS_PER_S : INTERVAL_NS);
}
