/*
 * The order is kept as nodes come and go, O(log n) comparisons each. The domains are made from it
 * when they are next asked for, O(n * levels), in memory that was made sure of when the node came.
 */
#include "scheduler/cluster/topology.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const struct sched_name *a, const struct sched_name *b)
{
    if (a == b)
        return 0;
    return strcmp(a ? a->text : "", b ? b->text : "");
}

static int compare(const struct sched_node *a, const struct sched_node *b)
{
    for (uint32_t i = 0; i < SCHED_LEVELS_MAX; i++) {
        int order = compare_names(a->path[i], b->path[i]);
        if (order)
            return order;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

static int by_place(const void *left, const void *right)
{
    return compare(*(const struct sched_node *const *)left,
                   *(const struct sched_node *const *)right);
}

enum covey_status sched_topology_reserve(struct sched_topology *topology, uint32_t nodes,
                                         uint32_t levels)
{
    size_t domains = 1 + (size_t)levels * nodes;
    struct sched_node **order =
        covey_reallocarray(topology->order, nodes ? nodes : 1, sizeof(struct sched_node *));
    if (!order)
        return COVEY_ENOMEM;
    topology->order = order;
    if (domains <= topology->domain_room)
        return COVEY_OK;
    struct sched_domain *made =
        covey_reallocarray(topology->domains, domains, sizeof(struct sched_domain));
    if (!made)
        return COVEY_ENOMEM;
    topology->domains = made;
    topology->stale = true;
    struct sched_domain **sorted =
        covey_reallocarray(topology->sorted, domains, sizeof(struct sched_domain *));
    if (!sorted)
        return COVEY_ENOMEM;
    topology->sorted = sorted;
    topology->domain_room = domains;
    return COVEY_OK;
}

/* The place of a node in the order: of the first that does not come before it. */
static uint32_t place_of(const struct sched_topology *topology, const struct sched_node *node)
{
    uint32_t low = 0;
    uint32_t high = topology->node_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(topology->order[middle], node) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The values of the levels, as its labels have them now; the empty one is none. */
static void find_path(const struct sched_topology *topology, const struct sched_node *node,
                      const struct sched_name *path[SCHED_LEVELS_MAX])
{
    for (uint32_t i = 0; i < SCHED_LEVELS_MAX; i++) {
        const struct sched_name *value =
            i < topology->levels ? sched_label_of(node->traits, topology->keys[i]) : NULL;
        path[i] = value && *value->text ? value : NULL;
    }
}

static void enter(struct sched_topology *topology, struct sched_node *node)
{
    uint32_t at = place_of(topology, node);
    memmove(&topology->order[at + 1], &topology->order[at],
            (topology->node_count - at) * sizeof(struct sched_node *));
    topology->order[at] = node;
    topology->node_count++;
    topology->stale = true;
}

void sched_topology_enter(struct sched_topology *topology, struct sched_node *node)
{
    find_path(topology, node, node->path);
    enter(topology, node);
}

void sched_topology_leave(struct sched_topology *topology, const struct sched_node *node)
{
    uint32_t at = place_of(topology, node);
    topology->node_count--;
    memmove(&topology->order[at], &topology->order[at + 1],
            (topology->node_count - at) * sizeof(struct sched_node *));
    topology->stale = true;
}

void sched_topology_move(struct sched_topology *topology, struct sched_node *node)
{
    const struct sched_name *path[SCHED_LEVELS_MAX];
    find_path(topology, node, path);
    if (memcmp(path, node->path, sizeof(path)) == 0)
        return;
    sched_topology_leave(topology, node);
    memcpy(node->path, path, sizeof(path));
    enter(topology, node);
}

bool sched_same_domain(const struct sched_node *a, const struct sched_node *b, uint32_t level)
{
    for (uint32_t i = 0; i < level; i++) {
        if (a->path[i] != b->path[i])
            return false;
    }
    return true;
}

/* Makes the domains of one level behind those there are. */
static void make_level(struct sched_topology *topology, uint32_t level)
{
    struct sched_domain *domain = &topology->domains[topology->level_first[level]] - 1;
    const struct sched_node *last = NULL;
    for (uint32_t i = 0; i < topology->node_count; i++) {
        const struct sched_node *node = topology->order[i];
        if (!last || !sched_same_domain(last, node, level))
            *++domain = (struct sched_domain){.first = i};
        domain->end = i + 1;
        last = node;
    }
    topology->level_first[level + 1] = (uint32_t)(domain + 1 - topology->domains);
}

/* Gives the domains of a level, which are ranges of nodes still, their children. */
static void link_level(struct sched_topology *topology, uint32_t level)
{
    uint32_t child = topology->level_first[level + 1];
    uint32_t end = topology->level_first[level + 2];
    for (uint32_t i = topology->level_first[level]; i < topology->level_first[level + 1]; i++) {
        struct sched_domain *domain = &topology->domains[i];
        uint32_t nodes_end = domain->end;
        domain->first = child;
        while (child < end && topology->domains[child].end <= nodes_end)
            child++;
        domain->end = child;
    }
}

void sched_topology_refresh(struct sched_topology *topology)
{
    if (!topology->stale || topology->node_count == 0)
        return;
    topology->level_first[0] = 0;
    for (uint32_t level = 0; level <= topology->levels; level++)
        make_level(topology, level);
    for (uint32_t level = 0; level < topology->levels; level++)
        link_level(topology, level);
    for (uint32_t i = 0; i < topology->node_count; i++)
        topology->order[i]->position = i;
    topology->stale = false;
}

static enum covey_status take_keys(struct sched_names *names, const char *const *keys,
                                   uint32_t count, struct sched_name **taken)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t length = keys[i] ? strnlen(keys[i], SCHED_NAME_BYTES) : 0;
        if (length == 0 || length == SCHED_NAME_BYTES)
            return COVEY_EINVAL;
        enum covey_status status = sched_name_take(names, keys[i], &taken[i]);
        if (status)
            return status;
        for (uint32_t k = 0; k < i; k++) {
            if (taken[k] == taken[i])
                return COVEY_EINVAL;
        }
    }
    return COVEY_OK;
}

enum covey_status sched_topology_set(struct sched_topology *topology, struct sched_names *names,
                                     const char *const *keys, uint32_t count, uint32_t nodes)
{
    struct sched_name *taken[SCHED_LEVELS_MAX] = {NULL};
    if (count > SCHED_LEVELS_MAX)
        return COVEY_EINVAL;
    enum covey_status status = take_keys(names, keys, count, taken);
    if (!status)
        status = sched_topology_reserve(topology, nodes, count);
    if (status) {
        for (uint32_t i = 0; i < count; i++)
            sched_name_drop(names, taken[i]);
        return status;
    }
    for (uint32_t i = 0; i < topology->levels; i++)
        sched_name_drop(names, topology->keys[i]);
    memcpy(topology->keys, taken, sizeof(taken));
    topology->levels = count;
    for (uint32_t i = 0; i < topology->node_count; i++)
        find_path(topology, topology->order[i], topology->order[i]->path);
    if (topology->node_count)
        qsort(topology->order, topology->node_count, sizeof(struct sched_node *), by_place);
    topology->stale = true;
    return COVEY_OK;
}

void sched_topology_clear(struct sched_topology *topology, struct sched_names *names)
{
    for (uint32_t i = 0; i < topology->levels; i++)
        sched_name_drop(names, topology->keys[i]);
    free(topology->order);
    free(topology->domains);
    free(topology->sorted);
}
