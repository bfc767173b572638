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

static void forget(struct router *router, struct ending *ending)
{
    covey_list_remove(&ending->node);
    router->ending_of[ending->rank] = NULL;
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

/* Does what is due here; who is to hear of it elsewhere is told by router_end_progress. */
static bool settle(struct router *router, struct ending *ending)
{
    bool did = false;
    if (!ending->told && is_through(router, ending)) {
        arena_mark_ended(router->arena, ending->rank, ending->state, ending->reason);
        did = ending->told = true;
    }
    ending->taken = ending->told && ending->counted && router->taken[ending->rank] >= ending->sent;
    return did;
}

/* Tells a node, in one record, of as many as there is room for, from this ending on: they are
 * forgotten then. False where it must be tried again. */
static bool tell_taken(struct router *router, const struct ending *first)
{
    uint8_t header[NET_HEADER_BYTES_MAX] = {ROUTER_TAKEN};
    uint32_t named[(NET_HEADER_BYTES_MAX - ROUTER_TAKEN_BYTES) / 4];
    unsigned node = arena_node_of(router->arena, first->rank);
    size_t count = 0;
    for (const struct covey_list *at = &first->node; at != &router->endings; at = at->next) {
        const struct ending *ending = covey_container_of(at, struct ending, node);
        if (!ending->taken || arena_node_of(router->arena, ending->rank) != node)
            continue;
        if (count == sizeof named / sizeof *named)
            break;
        net_put_u32(header + ROUTER_TAKEN_BYTES + 4 * count, ending->rank);
        named[count++] = ending->rank;
    }
    if (!is_final(
            net_send(router->net, node, header, ROUTER_TAKEN_BYTES + 4 * count, NULL, NULL, NULL)))
        return false;
    while (count > 0)
        forget(router, router->ending_of[named[--count]]);
    return true;
}

static bool tell_all_taken(struct router *router)
{
    bool did = false;
    for (struct covey_list *at = router->endings.next; at != &router->endings;) {
        const struct ending *ending = covey_container_of(at, struct ending, node);
        if (!ending->taken) {
            at = at->next;
            continue;
        }
        if (!tell_taken(router, ending)) {
            router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
            return did;
        }
        did = true;
        at = router->endings.next;
    }
    return did;
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
    forget(router, ending);
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
    struct ending *ending = router->ending_of[rank];
    if (!ending) {
        ending = covey_calloc(1, sizeof *ending);
        if (!ending)
            return NULL;
        ending->rank = rank;
        ending->since_ns = router->active_ns;
        covey_list_push_back(&router->endings, &ending->node);
        router->ending_of[rank] = ending;
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

/* The bytes of one of the ends in a record, of which there are left_bytes; 0: it makes no sense. */
static size_t check_end(const struct router *router, unsigned node, const uint8_t *end,
                        size_t left_bytes)
{
    if (left_bytes < ROUTER_ENDED_BYTES)
        return 0;
    size_t reason_bytes = net_get_u16(end + 2);
    uint32_t rank = net_get_u32(end + 4);
    uint32_t state = net_get_u32(end + 8);
    bool is_sound = end[0] == ROUTER_ENDED && reason_bytes <= left_bytes - ROUTER_ENDED_BYTES &&
                    rank < arena_worker_count(router->arena) &&
                    arena_node_of(router->arena, rank) == node &&
                    (state == ARENA_DONE || state == ARENA_DIED);
    return is_sound ? ROUTER_ENDED_BYTES + reason_bytes : 0;
}

/* False: out of memory. */
static bool take_end(struct router *router, const uint8_t *end)
{
    uint32_t rank = net_get_u32(end + 4);
    const char *reason = (const char *)end + ROUTER_ENDED_BYTES;
    struct ending *ending =
        note(router, rank, net_get_u32(end + 8), reason, strnlen(reason, net_get_u16(end + 2)));
    if (!ending)
        return false;
    ending->counted = true;
    ending->sent = net_get_u64(end + 16);
    ending->told |= arena_rank_state(router->arena, rank) >= ARENA_DONE;
    (void)settle(router, ending);
    return true;
}

void router_end_received(struct router *router, const struct net_message *message)
{
    const uint8_t *bytes = message->header;
    size_t length_bytes = message->header_bytes;
    for (size_t at = 0; at < length_bytes;) {
        size_t here = check_end(router, message->node, bytes + at, length_bytes - at);
        if (here == 0) {
            router_fail_node(router, message->node, "it sent a malformed message");
            return;
        }
        at += here;
    }
    for (size_t at = 0; at < length_bytes; at += ROUTER_ENDED_BYTES + net_get_u16(bytes + at + 2)) {
        if (!take_end(router, bytes + at)) {
            router_fail_node(router, message->node, "news of it was lost here: out of memory");
            return;
        }
    }
}

static void look_at_ending(struct router *router, uint32_t rank)
{
    struct ending *ending = router->ending_of[rank];
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
    const uint8_t *bytes = message->header;
    for (size_t at = ROUTER_TAKEN_BYTES; at < message->header_bytes; at += 4) {
        uint32_t local;
        uint32_t rank = net_get_u32(bytes + at);
        if (rank >= arena_worker_count(router->arena) ||
            !arena_local_of(router->arena, rank, &local)) {
            router_fail_node(router, message->node, "it sent a malformed message");
            return;
        }
        router->end_taken[(size_t)message->node * arena_local_count(router->arena) + local] = true;
    }
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

struct record {
    uint8_t bytes[NET_HEADER_BYTES_MAX];
    size_t length_bytes;
};

/* Puts the end of a local rank into a record for a node; false where there is no room. */
static bool put_end(const struct router *router, unsigned node, uint32_t local,
                    struct record *record)
{
    uint8_t *end = record->bytes + record->length_bytes;
    uint32_t rank = arena_rank_of(router->arena, local);
    char reason[ARENA_REASON_BYTES];
    arena_rank_reason(router->arena, rank, reason);
    size_t reason_bytes = strnlen(reason, sizeof reason);
    if (sizeof record->bytes - record->length_bytes < ROUTER_ENDED_BYTES + reason_bytes)
        return false;
    memset(end, 0, ROUTER_ENDED_BYTES);
    end[0] = ROUTER_ENDED;
    net_put_u16(end + 2, (uint16_t)reason_bytes);
    net_put_u32(end + 4, rank);
    net_put_u32(end + 8, arena_rank_state(router->arena, rank));
    net_put_u64(end + 16, router->sent[(size_t)node * arena_local_count(router->arena) + local]);
    memcpy(end + ROUTER_ENDED_BYTES, reason, reason_bytes);
    record->length_bytes += ROUTER_ENDED_BYTES + reason_bytes;
    return true;
}

/* Tells a node of the ends here of which it does not know, many in one record. False where it must
 * be tried again. */
static bool tell_node(struct router *router, unsigned node)
{
    const uint32_t locals = arena_local_count(router->arena);
    bool *told = router->end_told + (size_t)node * locals;
    uint32_t first = 0;
    while (first < locals) {
        struct record record = {.length_bytes = 0};
        uint32_t next = first;
        while (next < locals &&
               (!router->end_seen[next] || told[next] || put_end(router, node, next, &record)))
            next++;
        if (record.length_bytes > 0 && !is_final(net_send(router->net, node, record.bytes,
                                                          record.length_bytes, NULL, NULL, NULL)))
            return false;
        for (; first < next; first++)
            told[first] |= router->end_seen[first];
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
    if (router->net)
        did |= tell_all_taken(router);
    return did;
}

void router_end_lost(struct router *router, unsigned node, const char *reason)
{
    covey_list_for_each_safe (at, after, &router->endings) {
        struct ending *ending = covey_container_of(at, struct ending, node);
        if (arena_node_of(router->arena, ending->rank) != node)
            continue;
        if (ending->told)
            forget(router, ending);
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
