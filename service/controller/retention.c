/* What is kept of flares that have ended, of blobs and of nodes, and for how long. */
#include "base/clock.h"
#include "base/log.h"
#include "service/controller/internal.h"

#include <stdio.h>

#define INTERVAL_NS (60 * COVEY_NS_PER_S)
#define BATCH       64 /* flares a run: the loop must not stand still */

struct sweep {
    int64_t before_ns;
    uint64_t keep_bytes;
    uint64_t spool_bytes; /* of all ended flares, less those chosen */
    size_t count;
    char ids[BATCH][ULID_BYTES];
};

/* The longest ended come first: too old, or too much while younger ones remain. */
static bool choose(const struct store_ended *ended, void *data)
{
    struct sweep *sweep = data;
    if (ended->ended_ns >= sweep->before_ns && sweep->spool_bytes <= sweep->keep_bytes)
        return false;
    sweep->spool_bytes -= ended->spool_bytes;
    (void)snprintf(sweep->ids[sweep->count++], ULID_BYTES, "%s", ended->id);
    return sweep->count < BATCH;
}

static enum covey_status sweep_flares(struct controller *controller, size_t *removed,
                                      struct covey_error *error)
{
    struct sweep sweep = {.before_ns = wall_of(controller) - controller->limits.keep_flares_ns,
                          .keep_bytes = controller->limits.keep_bytes};
    enum covey_status status = store_ended_bytes(controller->store, &sweep.spool_bytes, error);
    if (!status)
        status = store_flares_ended(controller->store, choose, &sweep, error);
    for (size_t i = 0; !status && i < sweep.count; i++)
        status = store_flare_remove(controller->store, sweep.ids[i], error);
    *removed = sweep.count;
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
