/*
 * What tenants may have waiting and running: as many flares, and as many bytes kept for them, as
 * there is room left. One tenant alone can so take half of it, two a third each, and for who comes
 * new there is always some.
 */
#include "base/error.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdlib.h>

static const struct allowance nothing;

static const struct allowance *of_tenant(const struct controller *controller, const char *tenant)
{
    const struct allowance *taken = covey_map_get(&controller->allowances, tenant);
    return taken ? taken : &nothing;
}

/* True where one who has so much may have more of what there is. */
static bool has_room(uint64_t taken, uint64_t taken_by_all, uint64_t most, uint64_t more,
                     bool is_operator)
{
    uint64_t left = taken_by_all < most ? most - taken_by_all : 0;
    return more <= left && (is_operator || taken <= left - more || taken == 0);
}

enum covey_status allowance_check(const struct controller *controller,
                                  const struct controller_identity *caller, uint64_t bytes,
                                  struct covey_error *error)
{
    const struct controller_limits *limits = &controller->limits;
    const struct allowance *taken = of_tenant(controller, caller->tenant);
    const struct allowance *all = &controller->allowed;
    if (!has_room(taken->flares, all->flares, limits->max_queued, 1, caller->is_operator))
        return covey_error_set(error, COVEY_ELIMIT,
                               "%llu of your flares wait or run, and room is left for %llu: try "
                               "again when some have ended",
                               (unsigned long long)taken->flares,
                               (unsigned long long)(all->flares < limits->max_queued
                                                        ? limits->max_queued - all->flares
                                                        : 0));
    if (!has_room(taken->bytes, all->bytes, limits->max_queued_bytes, bytes, caller->is_operator))
        return covey_error_set(
            error, COVEY_ELIMIT,
            "parameters of your flares that wait or run take %llu bytes, these are %llu, and room "
            "is left for %llu: try again when some have ended, or put them into blobs",
            (unsigned long long)taken->bytes, (unsigned long long)bytes,
            (unsigned long long)(all->bytes < limits->max_queued_bytes
                                     ? limits->max_queued_bytes - all->bytes
                                     : 0));
    return COVEY_OK;
}

enum covey_status allowance_take(struct controller *controller, struct flare *flare, uint64_t bytes)
{
    struct allowance *taken = covey_map_get(&controller->allowances, flare->tenant);
    if (!taken) {
        taken = covey_calloc(1, sizeof *taken);
        if (!taken || covey_map_set(&controller->allowances, flare->tenant, taken) != COVEY_OK) {
            free(taken);
            return COVEY_ENOMEM;
        }
    }
    flare->kept_bytes = bytes;
    taken->flares++;
    taken->bytes += bytes;
    controller->allowed.flares++;
    controller->allowed.bytes += bytes;
    return COVEY_OK;
}

void allowance_return(struct controller *controller, const struct flare *flare)
{
    struct allowance *taken = covey_map_get(&controller->allowances, flare->tenant);
    taken->bytes -= flare->kept_bytes;
    controller->allowed.flares--;
    controller->allowed.bytes -= flare->kept_bytes;
    if (--taken->flares == 0)
        free(covey_map_remove(&controller->allowances, flare->tenant));
}

void allowance_clear(struct controller *controller)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->allowances, &cursor, NULL, &value))
        free(value);
    covey_map_clear(&controller->allowances);
}
