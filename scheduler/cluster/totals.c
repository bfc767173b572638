/* Sums over all nodes: each is counted as it comes, goes or changes. */
#include "scheduler/cluster/totals.h"

/* Adds what is free on a node to the sums, or takes it from them. Reservations are none of it. */
static void account(struct sched_node *node, struct sched_pool *pool, bool enter)
{
    struct sched_totals *totals = node->totals;
    totals->claims++;
    if (node->state != SCHED_NODE_UP || !pool)
        return;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t capacity = node->capacity.amount[d];
        uint64_t claimed = node->claimed.amount[d];
        uint64_t room = claimed < capacity ? capacity - claimed : 0;
        bool pooled = sched_is_pooled(d);
        sched_sum *free = pooled ? &pool->up_free[d] : &totals->free[d];
        sched_sum *all = pooled ? &pool->up_capacity[d] : &totals->capacity[d];
        *free += enter ? room : -(sched_sum)room;
        *all += enter ? capacity : -(sched_sum)capacity;
    }
    sched_totals_refresh(totals, pool);
}

static void recount(sched_sum *total, sched_sum *counted, sched_sum now)
{
    *total += now - *counted;
    *counted = now;
}

static sched_sum least(sched_sum sum, uint64_t most)
{
    return sum < most ? sum : most;
}

/* The nodes of a machine have no more together than the machine. */
void sched_totals_refresh(struct sched_totals *totals, struct sched_pool *pool)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (!sched_is_pooled(d))
            continue;
        sched_sum free = pool->up_free[d];
        sched_sum all = pool->up_capacity[d];
        uint64_t claimed = pool->claimed.amount[d];
        uint64_t capacity = pool->capacity.amount[d];
        if (pool->node_count > 1) {
            free = least(free, claimed < capacity ? capacity - claimed : 0);
            all = least(all, capacity);
        }
        recount(&totals->free[d], &pool->counted_free[d], free);
        recount(&totals->capacity[d], &pool->counted_capacity[d], all);
    }
}

void sched_totals_enter(struct sched_node *node, struct sched_pool *pool)
{
    account(node, pool, true);
}

void sched_totals_leave(struct sched_node *node, struct sched_pool *pool)
{
    account(node, pool, false);
}

bool sched_totals_allow(const struct sched_totals *totals, const struct sched_vector *worker,
                        uint32_t workers)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if ((sched_sum)worker->amount[d] * workers > totals->free[d])
            return false;
    }
    return true;
}
