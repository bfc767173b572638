/*
 * Who has ended: told to other hosts, and to the workers here when nothing of theirs is missing.
 *
 * An end of another node's rank comes twice: from the control plane, and from that rank's host,
 * which says how many messages it had sent here. It is told to the workers
 *   - when so many have come, and are delivered, dropped, or wait here for their receiver alone:
 *     each receiver believes in the end only when its own line is through (host_port.h);
 *   - when its node is lost;
 *   - when its node has been silent for a while, though something of the rank is missing, or its
 *     host has not said whether anything is. That is the one deadline: it is for the network, runs
 *     only while this process does, and never for what waits here.
 * In the last two cases a rank that ended well counts as dead: a receiver must not take what is
 * lost for what was never sent.
 *
 * When all of it is taken, with every payload, the rank's host is told in turn: once it has heard
 * that from every node that it had sent to, of all its ranks, it can go.
 */
#include "transport/net/router_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* How long a node may be silent. News of a death must be quick; who ended well can be waited for.
 */
#define SILENT_DEATH_NS COVEY_NS_PER_S
#define SILENT_END_NS   (5 * COVEY_NS_PER_S)

/* Between two looks at a silence. */
#define LOOK_NS (50 * COVEY_NS_PER_MS)

/* More time than this between two calls of router_progress is not this process's. */
#define ACTIVE_STEP_NS (100 * COVEY_NS_PER_MS)

static struct ending *find_ending(const struct router *router, uint32_t rank)
{
    covey_list_for_each (node, &router->endings) {
        struct ending *ending = covey_container_of(node, struct ending, node);
        if (ending->rank == rank)
            return ending;
    }
    return NULL;
}

static void forget(struct ending *ending)
{
    covey_list_remove(&ending->node);
    free(ending);
}

static bool is_through(const struct router *router, const struct ending *ending)
{
    return ending->counted && router->finished[ending->rank] >= ending->sent;
}

static bool is_silent(const struct router *router, const struct ending *ending)
{
    int64_t since_ns = router->heard_ns[arena_node_of(router->arena, ending->rank)];
    if (since_ns < ending->since_ns)
        since_ns = ending->since_ns;
    return router->active_ns - since_ns >=
           (ending->state == ARENA_DIED ? SILENT_DEATH_NS : SILENT_END_NS);
}

/* Anything else passes: too much under way, no memory, or the node's address has not come yet. */
static bool is_final(enum covey_status status)
{
    return status == COVEY_OK || status == COVEY_EPEER;
}

/* False where it must be tried again. */
static bool tell_taken(struct router *router, const struct ending *ending)
{
    uint8_t header[ROUTER_TAKEN_BYTES] = {ROUTER_TAKEN};
    net_put_u32(header + 4, ending->rank);
    enum covey_status status = net_send(router->net, arena_node_of(router->arena, ending->rank),
                                        header, sizeof header, NULL, NULL, NULL);
    return is_final(status);
}

/* Does what is due; the ending may be gone then, or must be tried again. */
static bool settle(struct router *router, struct ending *ending)
{
    bool did = false;
    if (!ending->told && is_through(router, ending)) {
        arena_mark_ended(router->arena, ending->rank, ending->state, ending->reason);
        did = ending->told = true;
    }
    if (!ending->told || !ending->counted || router->taken[ending->rank] < ending->sent)
        return did;
    if (!tell_taken(router, ending)) {
        router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
        return did;
    }
    forget(ending);
    return true;
}

/* Something of the rank may be lost. A node that was never heard of has sent nothing. */
static void give_up(struct router *router, struct ending *ending, const char *why)
{
    unsigned node = arena_node_of(router->arena, ending->rank);
    if (ending->state == ARENA_DONE && router->node_known[node]) {
        ending->state = ARENA_DIED;
        (void)covey_text_print(ending->reason, sizeof ending->reason,
                               "it had ended, but the last that it sent is lost: %s", why);
    }
    arena_mark_ended(router->arena, ending->rank, ending->state, ending->reason);
    forget(ending);
}

void router_end_pass_time(struct router *router, int64_t now_ns)
{
    int64_t step_ns = now_ns - router->now_ns;
    router->active_ns += step_ns < ACTIVE_STEP_NS ? step_ns : ACTIVE_STEP_NS;
    router->now_ns = now_ns;
}

void router_end_heard(struct router *router, unsigned node)
{
    router->heard_ns[node] = router->active_ns;
}

static struct ending *note(struct router *router, uint32_t rank, enum arena_rank_state state,
                           const char *reason, size_t reason_bytes)
{
    struct ending *ending = find_ending(router, rank);
    if (!ending) {
        ending = covey_calloc(1, sizeof *ending);
        if (!ending)
            return NULL;
        ending->rank = rank;
        ending->since_ns = router->active_ns;
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
                       const char *reason)
{
    uint32_t local;
    if (rank >= arena_worker_count(router->arena) || arena_local_of(router->arena, rank, &local) ||
        arena_rank_state(router->arena, rank) >= ARENA_DONE)
        return;
    unsigned node = arena_node_of(router->arena, rank);
    struct ending *ending = NULL;
    /* Also where no connection is up: what it sent may be waiting for just that. */
    if (router->net && !router->node_lost[node])
        ending = note(router, rank, state, reason, strlen(reason));
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
    const char *reason = (const char *)header + ROUTER_ENDED_BYTES;
    struct ending *ending = note(router, rank, state, reason,
                                 strnlen(reason, message->header_bytes - ROUTER_ENDED_BYTES));
    if (!ending) {
        router_fail_node(router, message->node, "news of it was lost here: out of memory");
        return;
    }
    ending->counted = true;
    ending->sent = net_get_u64(header + 16);
    ending->told |= arena_rank_state(router->arena, rank) >= ARENA_DONE;
    (void)settle(router, ending);
}

static void look_at_ending(struct router *router, uint32_t rank)
{
    struct ending *ending = covey_list_empty(&router->endings) ? NULL : find_ending(router, rank);
    if (ending)
        (void)settle(router, ending);
}

void router_end_finished(struct router *router, uint32_t source)
{
    router->finished[source]++;
    look_at_ending(router, source);
}

void router_end_taken(struct router *router, uint32_t source)
{
    router->taken[source]++;
    look_at_ending(router, source);
}

void router_end_taken_received(struct router *router, const struct net_message *message)
{
    uint32_t local;
    uint32_t rank = net_get_u32(message->header + 4);
    if (rank >= arena_worker_count(router->arena) || !arena_local_of(router->arena, rank, &local)) {
        router_fail_node(router, message->node, "it sent a malformed message");
        return;
    }
    router->end_taken[(size_t)message->node * arena_local_count(router->arena) + local] = true;
}

static bool node_is_done(const struct router *router, unsigned node)
{
    size_t locals = arena_local_count(router->arena);
    for (size_t local = 0; local < locals; local++)
        if (!router->end_taken[node * locals + local])
            return false;
    return true;
}

bool router_is_done(const struct router *router)
{
    if (!router->net || router->ends_seen < arena_local_count(router->arena) || !router->drained)
        return false;
    for (unsigned node = 0; node < router->node_count; node++)
        if (router->node_known[node] && !router->node_lost[node] && !node_is_done(router, node))
            return false;
    return true;
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

static bool *told(struct router *router, unsigned node, uint32_t local)
{
    return &router->end_told[(size_t)node * arena_local_count(router->arena) + local];
}

/* False where it must be tried again. */
static bool tell_node(struct router *router, unsigned node)
{
    for (uint32_t local = 0; local < arena_local_count(router->arena); local++) {
        if (!router->end_seen[local] || *told(router, node, local))
            continue;
        enum covey_status status = tell(router, node, local);
        if (!is_final(status))
            return false;
        *told(router, node, local) = true;
    }
    return true;
}

void router_end_look(struct router *router)
{
    router->epoch = arena_epoch(router->arena);
    if (router->epoch == router->epoch_seen)
        return;
    for (uint32_t local = 0; local < arena_local_count(router->arena); local++)
        if (!router->end_seen[local] &&
            arena_rank_state(router->arena, arena_rank_of(router->arena, local)) >= ARENA_DONE) {
            router->end_seen[local] = true;
            router->ends_seen++;
        }
}

static bool tell_local_ends(struct router *router)
{
    bool all = true;
    for (unsigned node = 0; node < router->node_count; node++)
        if (router->node_known[node] && !router->node_lost[node])
            all &= tell_node(router, node);
    return all;
}

void router_end_connected(struct router *router, unsigned node)
{
    router_end_heard(router, node);
    router->tell_due = true;
}

bool router_end_progress(struct router *router)
{
    bool did = false;
    bool news = router->tell_due || router->epoch != router->epoch_seen;
    if (router->net && router->drained && news) {
        router->tell_due = !tell_local_ends(router);
        router->epoch_seen = router->epoch;
        if (router->tell_due)
            router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
        did = !router->tell_due;
    }
    covey_list_for_each_safe (node, after, &router->endings) {
        struct ending *ending = covey_container_of(node, struct ending, node);
        if (!ending->told && !is_through(router, ending) && is_silent(router, ending)) {
            give_up(router, ending, "its node is silent");
            did = true;
            continue;
        }
        did |= settle(router, ending);
    }
    return did;
}

void router_end_lost(struct router *router, unsigned node, const char *reason)
{
    covey_list_for_each_safe (at, after, &router->endings) {
        struct ending *ending = covey_container_of(at, struct ending, node);
        if (arena_node_of(router->arena, ending->rank) != node)
            continue;
        if (ending->told)
            forget(ending);
        else
            give_up(router, ending, reason);
    }
}

int64_t router_end_next_ns(const struct router *router)
{
    return covey_list_empty(&router->endings) ? COVEY_NEVER_NS : router->now_ns + LOOK_NS;
}

void router_end_clear(struct router *router)
{
    for (struct covey_list *node; (node = covey_list_pop_front(&router->endings));)
        free(covey_container_of(node, struct ending, node));
}
