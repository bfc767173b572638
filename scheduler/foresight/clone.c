/* A copy of a scheduler that behaves as the original would, promises and all. */
#include "scheduler/foresight/clone.h"

#include "scheduler/foresight/promise.h"
#include "scheduler/order/flares.h"
#include "scheduler/order/hold.h"
#include "scheduler/order/queue.h"
#include "scheduler/order/walk.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct cloning {
    struct sched *from;
    int64_t now_ns;
    uint32_t queue_max;
    const struct sched_flare *also;
    struct sched *to;
    uint32_t *node_of; /* by id in the original: its id in the copy */
};

static enum covey_status copy_names(const struct cloning *cloning)
{
    const struct sched_topology *topology = &cloning->from->cluster.topology;
    const char *keys[SCHED_LEVELS_MAX];
    for (uint32_t i = 0; i < topology->levels; i++)
        keys[i] = topology->keys[i]->text;
    enum covey_status status =
        sched_cluster_set_topology(&cloning->to->cluster, keys, topology->levels);
    for (size_t i = 0; !status && i < SCHED_DIMENSIONS - SCHED_NAMED; i++) {
        enum sched_dimension dimension;
        if (cloning->from->cluster.names.resources[i])
            status =
                sched_names_dimension(&cloning->to->cluster.names,
                                      cloning->from->cluster.names.resources[i]->text, &dimension);
    }
    size_t cursor = 0;
    void *value;
    while (!status && covey_map_next(&cloning->from->tenants.by_name, &cursor, NULL, &value)) {
        const struct sched_tenant *tenant = value;
        if (tenant->configured)
            status = sched_tenants_set(&cloning->to->tenants, tenant->name, &tenant->quota);
    }
    return status;
}

static enum covey_status copy_node(const struct cloning *cloning, const struct sched_node *node)
{
    const struct sched_traits *traits = node->traits;
    struct sched *to = cloning->to;
    uint32_t id;
    uint32_t tag_count = traits->label_count + traits->taint_count;
    struct sched_label *labels = covey_reallocarray(NULL, tag_count + 1, sizeof(*labels));
    uint16_t *cpus = covey_reallocarray(NULL, traits->cpu_count + 1, sizeof(*cpus));
    uint8_t *numa = covey_reallocarray(NULL, traits->cpu_count + 1, sizeof(*numa));
    enum covey_status status = labels && cpus && numa ? COVEY_OK : COVEY_ENOMEM;
    for (uint32_t i = 0; !status && i < tag_count; i++)
        labels[i] = (struct sched_label){
            traits->tags[i].key->text, traits->tags[i].value ? traits->tags[i].value->text : NULL};
    for (uint32_t i = 0; !status && i < traits->cpu_count; i++) {
        cpus[i] = traits->cpus[i].id;
        numa[i] = traits->cpus[i].numa;
    }
    if (!status) {
        struct sched_node_facts facts = {.name = node->name,
                                         .epoch = node->epoch,
                                         .capacity = node->capacity,
                                         .labels = labels,
                                         .label_count = traits->label_count,
                                         .taints = labels + traits->label_count,
                                         .taint_count = traits->taint_count,
                                         .cpus = cpus,
                                         .numa_of_cpu = numa,
                                         .cpu_count = traits->cpu_count,
                                         .machine = node->machine->name,
                                         .machine_memory_bytes = node->machine_memory_bytes};
        status = sched_cluster_set(&to->cluster, &facts, &id, NULL);
    }
    if (!status) {
        cloning->node_of[node->id] = id;
        sched_cluster_set_state(&to->cluster, to->cluster.nodes[id], node->state);
    }
    free(labels);
    free(cpus);
    free(numa);
    return status;
}

static enum covey_status copy_flare(const struct cloning *cloning, const struct sched_flare *flare,
                                    struct sched_flare **copy)
{
    struct sched_request request = {.flare = flare->id,
                                    .priority = flare->priority,
                                    .tenant = flare->line->tenant->name,
                                    .preemptible = flare->preemptible,
                                    .limit_ns = flare->limit_ns,
                                    .expected_ns = flare->expected_ns,
                                    .submit_ns = flare->submit_ns};
    struct sched_shape shape = flare->shape;
    enum covey_status status =
        sched_filter_copy(&cloning->to->cluster.names, flare->shape.filter, &shape.filter);
    if (status)
        return status;
    *copy = sched_flare_create(cloning->to, &request, &shape);
    if (!*copy) {
        sched_shape_clear(&cloning->to->cluster.names, &shape);
        return COVEY_ENOMEM;
    }
    (*copy)->sequence = flare->sequence;
    (*copy)->ending = flare->ending;
    (*copy)->hopeless_at = flare->hopeless_at;
    (*copy)->refused_freed = flare->refused_freed;
    (*copy)->refused_signature = flare->refused_signature;
    return COVEY_OK;
}

static enum covey_status copy_holder(const struct cloning *cloning, const struct sched_flare *flare)
{
    struct sched_flare *copy;
    enum covey_status status = copy_flare(cloning, flare, &copy);
    if (status)
        return status;
    struct sched_gang *gang = sched_gang_copy(&cloning->to->cluster, flare->gang, cloning->node_of);
    if (!gang) {
        sched_flare_destroy(cloning->to, copy);
        return COVEY_ENOMEM;
    }
    copy->state = flare->state;
    sched_hold_take(cloning->to, copy, gang);
    gang->stay.ends_ns = flare->gang->stay.ends_ns;
    return COVEY_OK;
}

static enum covey_status copy_promise(const struct cloning *cloning,
                                      const struct sched_promise *promise)
{
    struct sched_flare *flare = sched_flare_of(cloning->to, promise->flare->id);
    if (!flare) /* it is not among those that were copied */
        return COVEY_OK;
    return sched_promise_copy(promise, cloning->to, flare, cloning->node_of);
}

static enum covey_status copy_queued(const struct cloning *cloning, const struct sched_flare *flare)
{
    struct sched_flare *copy;
    enum covey_status status = copy_flare(cloning, flare, &copy);
    if (!status)
        sched_enqueue(cloning->to, copy);
    return status;
}

/* All of it, or those that are first in the order. */
static enum covey_status copy_queue(const struct cloning *cloning)
{
    struct sched *from = cloning->from;
    enum covey_status status = COVEY_OK;
    if (from->queued <= cloning->queue_max) {
        covey_list_for_each (link, &from->queue) {
            if (!status)
                status = copy_queued(cloning, covey_container_of(link, struct sched_flare, link));
        }
        return status;
    }
    struct sched_walk walk;
    uint64_t walks = from->cluster.bookings.walk;
    bool has_other = !cloning->also;
    const struct sched_flare *flare;
    sched_walk_start(&walk, from, cloning->now_ns);
    for (uint32_t i = 0; !status && i < cloning->queue_max && (flare = sched_walk_next(&walk));
         i++) {
        sched_walk_take(&walk, flare);
        has_other |= flare == cloning->also;
        status = copy_queued(cloning, flare);
    }
    sched_bookings_keep(&from->cluster.bookings, walks);
    return status || has_other ? status : copy_queued(cloning, cloning->also);
}

static enum covey_status copy_all(const struct cloning *cloning)
{
    const struct sched *from = cloning->from;
    struct sched *to = cloning->to;
    enum covey_status status = sched_desk_reserve(&to->desk, from->cluster.node_limit);
    if (!status)
        status = copy_names(cloning);
    for (uint32_t i = 0; !status && i < from->cluster.node_limit; i++) {
        if (from->cluster.nodes[i])
            status = copy_node(cloning, from->cluster.nodes[i]);
    }
    covey_list_for_each (link, &from->holders) {
        if (!status)
            status = copy_holder(cloning, covey_container_of(link, struct sched_flare, link));
    }
    if (!status)
        status = copy_queue(cloning);
    covey_list_for_each (link, &from->cluster.bookings.all) {
        if (!status)
            status = copy_promise(cloning, sched_promise_of(link));
    }
    to->policy = from->policy;
    to->cluster.version = from->cluster.version;
    to->submissions = from->submissions;
    to->cluster.bookings.walk = from->cluster.bookings.walk;
    to->cluster.totals.freed = from->cluster.totals.freed;
    return status;
}

enum covey_status sched_clone(struct sched *from, int64_t now_ns, uint32_t queue_max,
                              const struct sched_flare *also, struct sched **to, uint32_t **node_of)
{
    struct cloning cloning = {.from = from, .now_ns = now_ns, .queue_max = queue_max, .also = also};
    enum covey_status status = sched_create(&cloning.to);
    if (status)
        return status;
    cloning.node_of = covey_calloc((size_t)from->cluster.node_limit + 1, sizeof(uint32_t));
    status = cloning.node_of ? copy_all(&cloning) : COVEY_ENOMEM;
    if (status) {
        sched_destroy(cloning.to);
        free(cloning.node_of);
        return status;
    }
    *to = cloning.to;
    *node_of = cloning.node_of;
    return COVEY_OK;
}
