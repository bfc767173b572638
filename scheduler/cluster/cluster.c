/* The nodes: ids and facts. */
#include "scheduler/cluster/cluster.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void sched_cluster_init(struct sched_cluster *cluster)
{
    cluster->version = 1;
    covey_list_init(&cluster->bookings.all);
    cluster->machines.totals = &cluster->totals;
    cluster->machines.bookings = &cluster->bookings;
}

struct sched_node *sched_cluster_node(const struct sched_cluster *cluster, uint32_t node)
{
    return node < cluster->node_limit ? cluster->nodes[node] : NULL;
}

/* Makes room for one more node. */
static enum covey_status grow(struct sched_cluster *cluster)
{
    if (cluster->node_limit < cluster->node_room)
        return COVEY_OK;
    if (cluster->node_room > UINT32_MAX / 2)
        return COVEY_ENOMEM;
    uint32_t room = cluster->node_room ? cluster->node_room * 2 : 16;
    struct sched_node **nodes =
        covey_reallocarray(cluster->nodes, room, sizeof(struct sched_node *));
    if (!nodes)
        return COVEY_ENOMEM;
    cluster->nodes = nodes;
    enum covey_status status =
        sched_topology_reserve(&cluster->topology, room, cluster->topology.levels);
    if (!status)
        cluster->node_room = room;
    return status;
}

static void destroy_node(struct sched_cluster *cluster, struct sched_node *node)
{
    sched_machine_leave(node);
    sched_traits_destroy(&cluster->names, node->traits);
    free(node->name);
    free(node);
}

static enum covey_status add_node(struct sched_cluster *cluster, const char *name,
                                  struct sched_node **added)
{
    enum covey_status status = grow(cluster);
    if (status)
        return status;
    struct sched_node *node = covey_calloc(1, sizeof(*node));
    if (!node)
        return COVEY_ENOMEM;
    covey_list_init(&node->shares);
    covey_list_init(&node->bookings);
    covey_list_init(&node->on_machine);
    node->booked_walk = &cluster->bookings.walk;
    node->totals = &cluster->totals;
    node->name = covey_strdup(name);
    status = node->name ? covey_map_set(&cluster->by_name, name, node) : COVEY_ENOMEM;
    if (status) {
        destroy_node(cluster, node);
        return status;
    }
    uint32_t id = cluster->first_hole;
    while (id < cluster->node_limit && cluster->nodes[id])
        id++;
    if (id == cluster->node_limit)
        cluster->node_limit++;
    cluster->first_hole = id + 1;
    cluster->nodes[id] = node;
    node->id = id;
    *added = node;
    return COVEY_OK;
}

static void set_facts(struct sched_cluster *cluster, struct sched_node *node,
                      const struct sched_node_facts *facts, struct sched_traits *take_traits,
                      struct sched_machine *machine)
{
    struct sched_traits *old = node->traits;
    sched_totals_leave(node, node->machine ? &node->machine->pool : NULL);
    node->traits = take_traits;
    node->tainted = take_traits->taint_count > 0;
    if (old)
        sched_topology_move(&cluster->topology, node);
    else
        sched_topology_enter(&cluster->topology, node);
    sched_traits_destroy(&cluster->names, old);
    node->epoch = facts->epoch;
    node->capacity = facts->capacity;
    node->machine_memory_bytes = facts->machine_memory_bytes;
    sched_machine_enter(node, machine);
    sched_totals_enter(node, &node->machine->pool);
    cluster->version++;
    cluster->totals.freed++;
}

enum covey_status sched_cluster_set(struct sched_cluster *cluster,
                                    const struct sched_node_facts *facts, uint32_t *node,
                                    struct covey_error *error)
{
    const char *name = facts->name;
    size_t length = strnlen(name, SCHED_NAME_BYTES);
    if (length == 0 || length == SCHED_NAME_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "a node's name has 1 to %d bytes",
                               SCHED_NAME_BYTES - 1);
    struct sched_node *known = covey_map_get(&cluster->by_name, name);
    if (known && facts->epoch < known->epoch)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "node %s is at epoch %llu already, this is its epoch %llu", name,
                               (unsigned long long)known->epoch, (unsigned long long)facts->epoch);
    enum covey_status status = sched_traits_check(facts, error);
    if (status)
        return status;
    struct sched_traits *traits = sched_traits_create(&cluster->names, facts);
    struct sched_machine *machine = sched_machine_take(&cluster->machines, facts->machine, known);
    status = traits && machine ? COVEY_OK : COVEY_ENOMEM;
    if (!status && !known)
        status = add_node(cluster, name, &known);
    if (status) {
        sched_machine_drop(machine);
        sched_traits_destroy(&cluster->names, traits);
        return covey_error_set(error, status, "no memory for node %s", name);
    }
    set_facts(cluster, known, facts, traits, machine);
    *node = known->id;
    return COVEY_OK;
}

void sched_cluster_set_state(struct sched_cluster *cluster, struct sched_node *node,
                             enum sched_node_state state)
{
    sched_totals_leave(node, &node->machine->pool);
    node->state = state;
    sched_totals_enter(node, &node->machine->pool);
    cluster->version++;
    cluster->totals.freed++;
}

void sched_cluster_remove(struct sched_cluster *cluster, struct sched_node *node)
{
    uint32_t id = node->id;
    (void)covey_map_remove(&cluster->by_name, node->name);
    sched_topology_leave(&cluster->topology, node);
    sched_totals_leave(node, &node->machine->pool);
    destroy_node(cluster, node);
    cluster->nodes[id] = NULL;
    if (id < cluster->first_hole)
        cluster->first_hole = id;
    cluster->version++;
    cluster->totals.freed++;
}

enum covey_status sched_cluster_set_topology(struct sched_cluster *cluster, const char *const *keys,
                                             uint32_t count)
{
    enum covey_status status =
        sched_topology_set(&cluster->topology, &cluster->names, keys, count, cluster->node_room);
    if (!status)
        cluster->version++;
    return status;
}

void sched_cluster_clear(struct sched_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_limit; i++) {
        if (cluster->nodes[i])
            destroy_node(cluster, cluster->nodes[i]);
    }
    free(cluster->nodes);
    sched_topology_clear(&cluster->topology, &cluster->names);
    covey_map_clear(&cluster->by_name);
    covey_map_clear(&cluster->machines.by_name);
    sched_names_clear(&cluster->names);
}
