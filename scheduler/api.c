/* What is asked of a scheduler as a whole and is the business of a part of it. */
#include "scheduler/foresight/promise.h"
#include "scheduler/order/flares.h"
#include "scheduler/order/queue.h"

#include "base/error.h"

enum covey_status sched_resource(struct sched *sched, const char *name,
                                 enum sched_dimension *dimension)
{
    return sched_names_dimension(&sched->cluster.names, name, dimension);
}

const char *sched_dimension_name(const struct sched *sched, enum sched_dimension dimension)
{
    return sched_names_of_dimension(&sched->cluster.names, dimension);
}

enum covey_status sched_set_topology(struct sched *sched, const char *const *keys, uint32_t count)
{
    return sched_cluster_set_topology(&sched->cluster, keys, count);
}

/* ---- nodes ---- */

enum covey_status sched_node_set(struct sched *sched, const struct sched_node_facts *facts,
                                 uint32_t *node, struct covey_error *error)
{
    if (sched_desk_reserve(&sched->desk, sched->cluster.node_limit + 1) != COVEY_OK)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for node %s", facts->name);
    return sched_cluster_set(&sched->cluster, facts, node, error);
}

enum covey_status sched_node_set_state(struct sched *sched, uint32_t node,
                                       enum sched_node_state state)
{
    struct sched_node *known = sched_cluster_node(&sched->cluster, node);
    if (!known)
        return COVEY_ENOTFOUND;
    sched_cluster_set_state(&sched->cluster, known, state);
    return COVEY_OK;
}

enum covey_status sched_node_remove(struct sched *sched, uint32_t node)
{
    struct sched_node *known = sched_cluster_node(&sched->cluster, node);
    if (!known)
        return COVEY_ENOTFOUND;
    if (known->claims)
        return COVEY_EPRECONDITION;
    sched_promises_drop(sched, true);
    sched_cluster_remove(&sched->cluster, known);
    return COVEY_OK;
}

enum covey_status sched_node_get(const struct sched *sched, uint32_t node,
                                 struct sched_node_info *info)
{
    const struct sched_node *known = sched_cluster_node(&sched->cluster, node);
    if (!known)
        return COVEY_ENOTFOUND;
    *info = (struct sched_node_info){
        .name = known->name,
        .epoch = known->epoch,
        .state = known->state,
        .capacity = known->capacity,
        .claimed = known->claimed,
        .claims = known->claims,
        .machine_nodes = known->machine->pool.node_count,
        .machine = known->machine->pool.capacity,
        .machine_claimed = known->machine->pool.claimed,
    };
    return COVEY_OK;
}

enum covey_status sched_node_find(const struct sched *sched, const char *name, uint32_t *node)
{
    const struct sched_node *known = covey_map_get(&sched->cluster.by_name, name);
    if (!known)
        return COVEY_ENOTFOUND;
    *node = known->id;
    return COVEY_OK;
}

uint32_t sched_node_limit(const struct sched *sched)
{
    return sched->cluster.node_limit;
}

/* ---- policy ---- */

void sched_set_policy(struct sched *sched, const struct sched_policy *policy)
{
    sched->policy = *policy;
    if (sched->policy.window == 0)
        sched->policy.window = 1;
    if (sched->policy.reservations == 0)
        sched->policy.reservations = 1;
    sched->cluster.totals.freed++;
    sched->tenants.changes++;
}

enum covey_status sched_set_tenant(struct sched *sched, const char *name,
                                   const struct sched_quota *quota)
{
    enum covey_status status = sched_tenants_set(&sched->tenants, name, quota);
    if (!status)
        sched->cluster.totals.freed++;
    return status;
}

void sched_forget_tenants(struct sched *sched)
{
    sched_tenants_forget(&sched->tenants);
    sched->cluster.totals.freed++;
}

/* ---- the queue ---- */

enum covey_status sched_cancel(struct sched *sched, const char *flare)
{
    struct sched_flare *known = sched_flare_of(sched, flare);
    if (!known || known->state != SCHED_FLARE_QUEUED)
        return COVEY_ENOTFOUND;
    sched->cluster.totals.freed += known->promise != NULL; /* what it was promised is nobody's */
    sched_promise_drop(known->promise);
    sched_dequeue(sched, known);
    sched_flare_destroy(sched, known);
    return COVEY_OK;
}

uint32_t sched_queue_length(const struct sched *sched)
{
    return sched->queued;
}
