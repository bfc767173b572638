#include "transport/core/comm.h"

#include "base/memory.h"
#include "base/text.h"
#include "transport/core/agree.h"
#include "transport/core/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool allocate(struct comm *comm)
{
    uint32_t worker_count = comm->engine->arena->shape.worker_count;
    comm->ranks = covey_calloc(comm->size, sizeof(uint32_t));
    comm->member_of = covey_calloc(worker_count, sizeof(uint32_t));
    comm->node_of = covey_calloc(comm->size, sizeof(uint32_t));
    comm->node_start = covey_calloc(comm->size + 1ull, sizeof(uint32_t));
    comm->node_members = covey_calloc(comm->size, sizeof(uint32_t));
    comm->place = covey_calloc(comm->size, sizeof(uint32_t));
    return comm->ranks && comm->member_of && comm->node_of && comm->node_start &&
           comm->node_members && comm->place;
}

/* Numbers the nodes that have members, and lists the members of each. */
static bool map_nodes(struct comm *comm)
{
    const struct arena *arena = comm->engine->arena;
    uint32_t *number = covey_malloc(arena->shape.node_count * sizeof(uint32_t));
    uint32_t *filled = covey_calloc(comm->size, sizeof(uint32_t));
    if (number && filled) {
        memset(number, 0xff, arena->shape.node_count * sizeof(uint32_t));
        for (uint32_t i = 0; i < comm->size; i++) {
            uint32_t node = arena_node_of(arena, comm->ranks[i]);
            if (number[node] == UINT32_MAX)
                number[node] = comm->node_count++;
            comm->node_of[i] = number[node];
            comm->node_start[number[node] + 1]++;
        }
        for (uint32_t node = 0; node < comm->node_count; node++)
            comm->node_start[node + 1] += comm->node_start[node];
        for (uint32_t i = 0; i < comm->size; i++) {
            uint32_t node = comm->node_of[i];
            comm->place[i] = filled[node]++;
            comm->node_members[comm->node_start[node] + comm->place[i]] = i;
        }
        comm->node = comm->node_of[comm->rank];
    }
    bool made = number && filled;
    free(number);
    free(filled);
    return made;
}

enum covey_status comm_create(struct engine *engine, uint64_t id, const uint32_t *ranks,
                              uint32_t size, struct comm **out)
{
    struct comm *comm = covey_calloc(1, sizeof(*comm));
    if (!comm)
        return engine_fail(engine, COVEY_ENOMEM, "out of memory");
    comm->engine = engine;
    comm->id = id;
    comm->first_death = UINT32_MAX;
    comm->broken_by = UINT32_MAX;
    covey_list_push_back(&engine->comms, &comm->link);
    comm->size = size;
    comm->timeout_ns = engine->timeout_ns;
    enum covey_status status = COVEY_ENOMEM;
    if (!allocate(comm))
        goto failed;
    memcpy(comm->ranks, ranks, size * sizeof(*ranks));
    memset(comm->member_of, 0xff, engine->arena->shape.worker_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < size; i++) {
        comm->member_of[ranks[i]] = i;
        if (ranks[i] == engine->rank)
            comm->rank = i;
    }
    if (!map_nodes(comm))
        goto failed;
    status = engine_channel_open(engine, &comm->user, comm, id);
    if (!status)
        status = engine_channel_open(engine, &comm->collective, comm, id | 1);
    if (status)
        goto failed;
    *out = comm;
    return COVEY_OK;
failed:
    comm_destroy(comm);
    return engine_fail(engine, status, "out of memory");
}

void comm_destroy(struct comm *comm)
{
    if (!comm)
        return;
    covey_list_remove(&comm->link);
    agree_close(comm);
    engine_channel_close(comm->engine, &comm->user);
    engine_channel_close(comm->engine, &comm->collective);
    free(comm->ranks);
    free(comm->member_of);
    free(comm->node_of);
    free(comm->node_start);
    free(comm->node_members);
    free(comm->place);
    free(comm);
}

void comm_free(struct comm *comm)
{
    comm->freed = true;
    if (comm->requests == 0 && !comm->agreement)
        comm_destroy(comm);
}

void comm_hold(struct comm *comm)
{
    comm->requests++;
}

void comm_release(struct comm *comm)
{
    if (--comm->requests == 0 && comm->freed && !comm->agreement)
        comm_destroy(comm);
}

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t comm_child_id(const struct comm *parent, uint64_t number, uint64_t colour)
{
    return mix(mix(mix(parent->id) ^ number) ^ colour) & ~UINT64_C(3);
}

bool comm_takes(struct channel *channel, struct message *message)
{
    struct comm *comm = channel->comm;
    const struct descriptor_header *header = &message->descriptor.header;
    if (agree_takes(channel, message))
        return true;
    if (channel != &comm->collective || header->tag != COMM_TAG_BROKEN)
        return false;
    bool sure = header->argument & COMM_SURE;
    if (!transfer_is_void(header) && (!comm->broken || (sure && !comm->broken_sure))) {
        uint32_t culprit = (uint32_t)header->argument;
        int status = -(int)(header->argument >> 32 & 0x7fffffff);
        bool known = status == COVEY_EMISMATCH || status == COVEY_ETIMEOUT;
        comm->broken = known ? (enum covey_status)status : COVEY_EPEER;
        comm->broken_by = culprit < comm->size ? culprit : UINT32_MAX;
        comm->broken_sure = sure;
    }
    engine_message_free(comm->engine, message);
    return true;
}

enum covey_status comm_broken(struct comm *comm)
{
    struct engine *engine = comm->engine;
    if (comm->broken_by == UINT32_MAX)
        return engine_fail(engine, comm->broken == COVEY_EMISMATCH ? COVEY_EMISMATCH : COVEY_EPEER,
                           "a collective of this communicator failed before");
    uint32_t rank = comm->ranks[comm->broken_by];
    if (comm->broken == COVEY_ETIMEOUT)
        return engine_fail(engine, COVEY_EPEER,
                           "a collective of this communicator timed out before: %s rank %u",
                           comm->broken_sure ? "it waited for" : "it heard nothing from", rank);
    if (comm->broken == COVEY_EPEER && engine_check_rank(engine, rank) != COVEY_OK)
        return COVEY_EPEER;
    return engine_fail(engine, comm->broken,
                       "a collective of this communicator failed at rank %u%s", rank,
                       comm->broken == COVEY_EMISMATCH ? ": its members do not agree" : "");
}

static struct layout_arrival *arrival_of(const struct comm *comm, uint32_t endpoint)
{
    return &layout_endpoint(comm->engine->arena, endpoint)
                ->arrivals[comm->id / 4 % LAYOUT_ARRIVALS];
}

/*
 * A member of this node that ended before it came to this collective. Where another communicator
 * has taken the place of its count nobody knows: then it has not.
 */
static bool missed(const struct comm *comm, uint32_t rank)
{
    uint32_t endpoint;
    if (!arena_local_of(comm->engine->arena, rank, &endpoint))
        return false;
    struct layout_arrival *arrival = arrival_of(comm, endpoint);
    uint64_t number = atomic_load_explicit(&arrival->number, memory_order_acquire);
    uint64_t communicator = atomic_load_explicit(&arrival->communicator, memory_order_relaxed);
    return number == 0 || (communicator == comm->id && number < comm->collectives);
}

uint32_t comm_first_death(struct comm *comm)
{
    struct engine *engine = comm->engine;
    if (engine->ends_seen == 0) /* nobody has ended */
        return UINT32_MAX;
    if (comm->deaths_seen == engine->ends_seen && comm->deaths_of == comm->collectives)
        return comm->first_death;
    uint32_t earliest = UINT32_MAX;
    comm->first_death = UINT32_MAX;
    for (uint32_t member = 0; member < comm->size; member++) {
        uint32_t rank = comm->ranks[member];
        bool gone = engine->ended[rank] == ARENA_DIED ||
                    (engine->ended[rank] == ARENA_DONE && missed(comm, rank));
        if (!gone || arena_rank_order(engine->arena, rank) >= earliest)
            continue;
        earliest = arena_rank_order(engine->arena, rank);
        comm->first_death = member;
    }
    comm->deaths_seen = engine->ends_seen;
    comm->deaths_of = comm->collectives;
    return comm->first_death;
}

void comm_arrive(struct comm *comm)
{
    struct layout_arrival *arrival = arrival_of(comm, comm->engine->endpoint);
    comm->collectives++;
    atomic_store_explicit(&arrival->communicator, comm->id, memory_order_relaxed);
    atomic_store_explicit(&arrival->number, comm->collectives, memory_order_release);
}

/* Of a member of this node; one whose place another communicator has taken counts as missing. */
static bool has_arrived(const struct comm *comm, uint32_t endpoint)
{
    struct layout_arrival *arrival = arrival_of(comm, endpoint);
    uint64_t number = atomic_load_explicit(&arrival->number, memory_order_acquire);
    return atomic_load_explicit(&arrival->communicator, memory_order_relaxed) == comm->id &&
           number >= comm->collectives;
}

uint32_t comm_missing(const struct comm *comm, uint32_t guess)
{
    uint32_t missing = UINT32_MAX;
    for (uint32_t member = 0; member < comm->size; member++) {
        uint32_t endpoint;
        if (!arena_local_of(comm->engine->arena, comm->ranks[member], &endpoint) ||
            has_arrived(comm, endpoint))
            continue;
        if (member == guess)
            return guess;
        if (missing == UINT32_MAX)
            missing = member;
    }
    return missing;
}

/* Lists ranks of this node, as many as fit. */
static void list_ranks(const struct comm *comm, bool arrived, char *text, size_t size)
{
    const struct arena *arena = comm->engine->arena;
    size_t used = 0;
    snprintf(text, size, "none");
    for (uint32_t member = 0; member < comm->size && used + 16 < size; member++) {
        uint32_t endpoint;
        if (!arena_local_of(arena, comm->ranks[member], &endpoint) ||
            has_arrived(comm, endpoint) != arrived)
            continue;
        int more = snprintf(text + used, size - used, "%s%u", used ? " " : "", comm->ranks[member]);
        used += more > 0 ? (size_t)more : 0;
    }
    if (used + 16 >= size)
        snprintf(text + used, size - used, " ...");
}

void comm_name_missing(struct comm *comm, const char *name)
{
    char missing[ENGINE_TEXT_BYTES / 3];
    char arrived[ENGINE_TEXT_BYTES / 3];
    char waited[64];
    (void)covey_text_print(waited, sizeof(waited), "%s", comm->engine->text);
    list_ranks(comm, false, missing, sizeof(missing));
    list_ranks(comm, true, arrived, sizeof(arrived));
    (void)!engine_fail(comm->engine, COVEY_ETIMEOUT,
                       "%s: %s; of this node, not arrived: %s; arrived: %s", name, waited, missing,
                       arrived);
}
