/* Who has ended: told to other hosts, and to the workers here when nothing of theirs is missing. */
#include "transport/net/router_internal.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* How long what a rank sent may be on its way here after its host has told its end. */
#define DELIVERY_NS COVEY_NS_PER_S

static struct ending *find_ending(const struct router *router, uint32_t rank)
{
    covey_list_for_each (node, &router->endings) {
        struct ending *ending = covey_container_of(node, struct ending, node);
        if (ending->rank == rank)
            return ending;
    }
    return NULL;
}

static void conclude(struct router *router, struct ending *ending)
{
    arena_mark_ended(router->arena, ending->rank, ending->state, ending->reason);
    covey_list_remove(&ending->node);
    free(ending);
}

static bool is_due(const struct router *router, const struct ending *ending)
{
    if (router->now_ns >= ending->deadline_ns)
        return true;
    /* What is queued here for want of space in an inbox may be of the ended rank. */
    return ending->counted && router->finished[ending->rank] >= ending->sent &&
           host_port_queued_messages(router->port) == 0;
}

static struct ending *note(struct router *router, uint32_t rank, enum arena_rank_state state,
                           const char *reason, size_t reason_bytes, int64_t deadline_ns)
{
    struct ending *ending = find_ending(router, rank);
    if (!ending) {
        ending = covey_calloc(1, sizeof *ending);
        if (!ending)
            return NULL;
        ending->rank = rank;
        ending->deadline_ns = deadline_ns;
        covey_list_push_back(&router->endings, &ending->node);
    }
    if (reason_bytes >= sizeof ending->reason)
        reason_bytes = sizeof ending->reason - 1;
    ending->state = state;
    memcpy(ending->reason, reason, reason_bytes);
    ending->reason[reason_bytes] = '\0';
    return ending;
}

void router_mark_ended(struct router *router, uint32_t rank, enum arena_rank_state state,
                       const char *reason, int64_t now_ns)
{
    uint32_t local;
    if (rank >= arena_worker_count(router->arena) || arena_local_of(router->arena, rank, &local) ||
        arena_rank_state(router->arena, rank) >= ARENA_DONE)
        return;
    unsigned node = arena_node_of(router->arena, rank);
    struct ending *ending = NULL;
    /* Also where no connection is up: what it sent may be waiting for just that. */
    if (router->net && !router->node_lost[node])
        ending = note(router, rank, state, reason, strlen(reason), now_ns + ROUTER_GRACE_NS);
    if (!ending) /* nothing of it can come any more, or there is no memory to wait with */
        arena_mark_ended(router->arena, rank, state, reason);
}

void router_end_received(struct router *router, const struct net_message *message)
{
    const uint8_t *header = message->header;
    uint32_t rank = net_get_u32(header + 4);
    uint32_t state = net_get_u32(header + 8);
    if (rank >= arena_worker_count(router->arena) ||
        arena_node_of(router->arena, rank) != message->node ||
        (state != ARENA_DONE && state != ARENA_DIED)) {
        router_fail_node(router, message->node, "it sent a malformed message");
        return;
    }
    if (arena_rank_state(router->arena, rank) >= ARENA_DONE)
        return;
    const char *reason = (const char *)header + ROUTER_ENDED_BYTES;
    struct ending *ending =
        note(router, rank, state, reason,
             strnlen(reason, message->header_bytes - ROUTER_ENDED_BYTES), COVEY_NEVER_NS);
    if (!ending) {
        router_fail_node(router, message->node, "news of it was lost here: out of memory");
        return;
    }
    ending->counted = true;
    ending->sent = net_get_u64(header + 16);
    ending->deadline_ns = router->now_ns + DELIVERY_NS;
    if (is_due(router, ending))
        conclude(router, ending);
}

void router_end_finished(struct router *router, uint32_t source)
{
    router->finished[source]++;
    if (covey_list_empty(&router->endings))
        return;
    struct ending *ending = find_ending(router, source);
    if (ending && is_due(router, ending))
        conclude(router, ending);
}

/* Tells one node of the end of a local rank. */
static enum covey_status tell(struct router *router, unsigned node, uint32_t local)
{
    uint8_t header[ROUTER_ENDED_BYTES + ARENA_REASON_BYTES] = {ROUTER_ENDED};
    uint32_t rank = arena_rank_of(router->arena, local);
    char reason[ARENA_REASON_BYTES];
    arena_rank_reason(router->arena, rank, reason);
    size_t reason_bytes = strnlen(reason, sizeof reason);
    net_put_u32(header + 4, rank);
    net_put_u32(header + 8, arena_rank_state(router->arena, rank));
    net_put_u64(header + 16, router->sent[(size_t)node * arena_local_count(router->arena) + local]);
    memcpy(header + ROUTER_ENDED_BYTES, reason, reason_bytes);
    return net_send(router->net, node, header, ROUTER_ENDED_BYTES + reason_bytes, NULL, NULL, NULL);
}

/* False where it must be tried again; who has heard it twice does not mind. */
static bool tell_all(struct router *router, uint32_t local)
{
    for (unsigned node = 0; node < arena_node_count(router->arena); node++) {
        if (!router->node_known[node] || router->node_lost[node])
            continue;
        enum covey_status status = tell(router, node, local);
        if (status == COVEY_EAGAIN || status == COVEY_ENOMEM)
            return false;
    }
    return true;
}

void router_end_look(struct router *router)
{
    router->epoch = arena_epoch(router->arena);
    if (router->epoch == router->epoch_seen)
        return;
    for (uint32_t local = 0; local < arena_local_count(router->arena); local++)
        if (arena_rank_state(router->arena, arena_rank_of(router->arena, local)) >= ARENA_DONE)
            router->end_seen[local] = true;
}

static bool tell_local_ends(struct router *router)
{
    for (uint32_t local = 0; local < arena_local_count(router->arena); local++) {
        if (router->end_told[local] || !router->end_seen[local])
            continue;
        if (!tell_all(router, local))
            return false;
        router->end_told[local] = true;
    }
    return true;
}

void router_end_connected(struct router *router, unsigned node)
{
    for (uint32_t local = 0; local < arena_local_count(router->arena); local++)
        if (router->end_told[local] && tell(router, node, local) != COVEY_OK)
            router->end_told[local] = false;
}

bool router_end_progress(struct router *router)
{
    bool did = false;
    if (router->net && router->drained && router->epoch != router->epoch_seen) {
        if (tell_local_ends(router))
            router->epoch_seen = router->epoch;
        else
            router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
        did = true;
    }
    covey_list_for_each_safe (node, after, &router->endings) {
        struct ending *ending = covey_container_of(node, struct ending, node);
        if (!is_due(router, ending))
            continue;
        conclude(router, ending);
        did = true;
    }
    return did;
}

void router_end_lost(struct router *router, unsigned node)
{
    covey_list_for_each_safe (at, after, &router->endings) {
        struct ending *ending = covey_container_of(at, struct ending, node);
        if (arena_node_of(router->arena, ending->rank) == node)
            conclude(router, ending);
    }
}

int64_t router_end_next_ns(const struct router *router)
{
    int64_t next_ns = COVEY_NEVER_NS;
    covey_list_for_each (node, &router->endings) {
        const struct ending *ending = covey_container_of(node, struct ending, node);
        if (ending->deadline_ns < next_ns)
            next_ns = ending->deadline_ns;
    }
    return next_ns;
}

void router_end_clear(struct router *router)
{
    for (struct covey_list *node; (node = covey_list_pop_front(&router->endings));)
        free(covey_container_of(node, struct ending, node));
}
