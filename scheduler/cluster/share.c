/* Shares: counted on their node and on its machine, always on both. */
#include "scheduler/cluster/share.h"

/* Adds a share to what is claimed, or takes it off. */
static void count(const struct sched_share *share, bool claim)
{
    struct sched_node *node = share->node;
    struct sched_pool *pool = &node->machine->pool;
    sched_totals_leave(node, pool);
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t amount = share->workers * share->stay->worker.amount[d];
        node->claimed.amount[d] += claim ? amount : -amount;
        if (sched_is_pooled(d))
            pool->claimed.amount[d] += claim ? amount : -amount;
    }
    sched_totals_enter(node, pool);
    sched_share_mark(share, claim);
}

void sched_share_claim(struct sched_share *share)
{
    count(share, true);
    share->node->claims++;
    covey_list_push_back(&share->node->shares, &share->link);
}

void sched_share_free(struct sched_share *share)
{
    covey_list_remove(&share->link);
    count(share, false);
    share->node->totals->freed++;
    share->node->claims--;
    share->node = NULL; /* it may be removed before the flare is released */
}

void sched_claimed_beyond(const struct sched_node *node, int64_t then_ns,
                          struct sched_vector *claimed)
{
    *claimed = (struct sched_vector){0};
    covey_list_for_each (link, &node->shares) {
        const struct sched_share *share = covey_container_of(link, struct sched_share, link);
        if (share->stay->ends_ns > then_ns)
            sched_vector_add(claimed, &share->stay->worker, share->workers, true);
    }
}

void sched_machine_claimed_beyond(const struct sched_machine *machine, int64_t then_ns,
                                  struct sched_vector *claimed)
{
    *claimed = (struct sched_vector){0};
    covey_list_for_each (link, &machine->nodes) {
        struct sched_vector part;
        sched_claimed_beyond(covey_container_of(link, struct sched_node, on_machine), then_ns,
                             &part);
        sched_vector_add(claimed, &part, 1, true);
    }
}
