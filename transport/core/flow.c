#include "transport/core/flow.h"

#include "base/log.h"
#include "base/memory.h"
#include "transport/core/transfer.h"

#include <stdlib.h>

/* Grants of one flow that can be on their way: see credit.h, 1, for a receiver of grants that takes
 * none out of its inbox. Each moves one of the limits by a part of its window. */
#define GRANTS_MOST 16u

uint32_t flow_pair_most(uint32_t worker_count)
{
    /* A window of each class; grants; and the pieces of what is accepted: of the transfers that
     * each class may have, and of those that the answers under way accept and give up again. */
    uint32_t messages = 2 * credit_window_of(worker_count).messages + FLOW_ANSWERS_MOST;
    uint32_t accepted = 2 * FLOW_TRANSFERS + FLOW_ANSWERS_MOST;
    return messages + accepted * FLOW_PIECES + FLOW_CLASSES * GRANTS_MOST;
}

bool flow_open(struct engine *engine)
{
    const struct layout_shape *shape = &engine->arena->shape;
    struct credit_window window = credit_window_of(shape->worker_count);
    engine->flows.windows[FLOW_USER] = engine->flows.windows[FLOW_COLLECTIVE] = window;
    engine->flows.windows[FLOW_ANSWERS] =
        (struct credit_window){.messages = FLOW_ANSWERS_MOST, .bytes = window.bytes};
    covey_list_init(&engine->flows.queued);
    covey_list_init(&engine->flows.dry);
    covey_list_init(&engine->flows.turns);
    if (shape->local_count == shape->worker_count)
        return true;
    engine->flows.of =
        covey_calloc((size_t)shape->worker_count * FLOW_CLASSES, sizeof(*engine->flows.of));
    return engine->flows.of != NULL;
}

void flow_close(struct engine *engine)
{
    covey_list_for_each_safe (node, after, &engine->flows.queued) {
        struct flow *flow = covey_container_of(node, struct flow, queued_link);
        for (struct covey_list *waits; (waits = covey_list_pop_front(&flow->queue));)
            free(waits);
    }
    free(engine->flows.of);
}

static struct flow *flow_of(struct engine *engine, uint32_t rank, enum flow_class class)
{
    struct flow *flow = &engine->flows.of[(size_t)rank * FLOW_CLASSES + class];
    if (!flow->queue.next) {
        flow->rank = rank;
        flow->class = class;
        covey_list_init(&flow->queue);
        covey_list_init(&flow->queued_link);
        covey_list_init(&flow->dry_link);
        covey_list_init(&flow->turn);
        covey_list_init(&flow->turns_link);
        credit_out_init(&flow->out, &engine->flows.windows[class]);
        credit_in_init(&flow->in, &engine->flows.windows[class]);
    }
    return flow;
}

/* A communicator's channels: collectives have the odd numbers. */
static enum flow_class class_of(uint64_t communicator)
{
    return communicator & 1 ? FLOW_COLLECTIVE : FLOW_USER;
}

/* False where it counts in none: the pieces of transfers, and grants. */
static bool has_class(const struct descriptor_header *header, enum flow_class *class)
{
    switch (header->kind) {
    case DESCRIPTOR_MESSAGE:
    case DESCRIPTOR_OFFER:
        *class = class_of(header->communicator);
        return true;
    case DESCRIPTOR_ACCEPT:
    case DESCRIPTOR_WITHDRAWN:
    case DESCRIPTOR_REFUSED:
        *class = FLOW_ANSWERS;
        return true;
    default:
        return false;
    }
}

static bool is_far(const struct engine *engine, uint32_t rank)
{
    return engine->arena->rank_local[rank] == UINT32_MAX;
}

/* The flow that a message counts in, NULL where it counts in none. */
static struct flow *outgoing_flow(struct engine *engine, const struct descriptor_header *header)
{
    enum flow_class class;
    if (!is_far(engine, header->destination) || !has_class(header, &class))
        return NULL;
    return flow_of(engine, header->destination, class);
}

static struct flow *incoming_flow(struct engine *engine, const struct descriptor_header *header)
{
    enum flow_class class;
    if (!is_far(engine, header->source) || !has_class(header, &class))
        return NULL;
    return flow_of(engine, header->source, class);
}

bool flow_must_wait(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = outgoing_flow(engine, header);
    return flow && (!covey_list_empty(&flow->queue) || !credit_send(&flow->out));
}

void flow_unsend(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = outgoing_flow(engine, header);
    if (flow)
        credit_unsend(&flow->out);
}

void flow_enqueue(struct engine *engine, const struct descriptor_header *header,
                  struct covey_list *pending)
{
    struct flow *flow = outgoing_flow(engine, header);
    if (covey_list_empty(&flow->queue))
        covey_list_push_back(&engine->flows.queued, &flow->queued_link);
    covey_list_push_back(&flow->queue, pending);
}

void flow_release(struct flow *flow, struct covey_list *to)
{
    while (!covey_list_empty(&flow->queue) && credit_send(&flow->out))
        covey_list_push_back(to, covey_list_pop_front(&flow->queue));
    if (covey_list_empty(&flow->queue))
        covey_list_remove(&flow->queued_link);
}

void flow_release_ended(struct engine *engine, struct covey_list *to)
{
    covey_list_for_each_safe (node, after, &engine->flows.queued) {
        struct flow *flow = covey_container_of(node, struct flow, queued_link);
        if (arena_rank_state(engine->arena, flow->rank) < ARENA_DONE)
            continue;
        while (!covey_list_empty(&flow->queue))
            covey_list_push_back(to, covey_list_pop_front(&flow->queue));
        covey_list_remove(&flow->queued_link);
    }
}

bool flow_send_bytes(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = outgoing_flow(engine, header);
    return !flow || credit_send_bytes(&flow->out, (uint32_t)header->length);
}

void flow_unsend_bytes(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = outgoing_flow(engine, header);
    if (flow)
        credit_unsend_bytes(&flow->out, (uint32_t)header->length);
}

struct flow *flow_allowed(struct engine *engine, const struct descriptor_header *header)
{
    if (!is_far(engine, header->source) || header->communicator >= FLOW_CLASSES)
        return NULL;
    enum flow_class class = (enum flow_class)header->communicator;
    struct flow *flow = flow_of(engine, header->source, class);
    const struct credit_grant grant = {.messages = header->sequence, .bytes = header->argument};
    return credit_allow(&flow->out, &engine->flows.windows[class], &grant) ? flow : NULL;
}

/* ---- receiving ---- */

static void grant(struct engine *engine, struct flow *flow, bool wanted)
{
    struct credit_grant due;
    if (!credit_due(&flow->in, &engine->flows.windows[flow->class], wanted, &due) ||
        arena_rank_state(engine->arena, flow->rank) >= ARENA_DONE)
        return;
    struct descriptor descriptor = {.header = {.kind = DESCRIPTOR_CREDIT,
                                               .payload = DESCRIPTOR_NONE,
                                               .source = engine->rank,
                                               .destination = flow->rank,
                                               .communicator = flow->class,
                                               .sequence = due.messages,
                                               .argument = due.bytes}};
    /* Without memory for it, it stays due: the next one says as much. */
    if (engine_post(engine, &descriptor, NULL) == COVEY_OK)
        credit_granted(&flow->in, &due);
    if (!credit_is_dry(&flow->in))
        covey_list_remove(&flow->dry_link);
}

/* Bytes that came unasked are those of a message with a payload of its own. */
static uint64_t unasked_bytes(const struct descriptor_header *header)
{
    bool unasked = header->kind == DESCRIPTOR_MESSAGE && header->length > DESCRIPTOR_INLINE_BYTES;
    return unasked ? header->length : 0;
}

bool flow_arrive(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = incoming_flow(engine, header);
    return !flow || credit_arrive(&flow->in);
}

void flow_handled(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = incoming_flow(engine, header);
    if (flow && flow->class != FLOW_USER) {
        credit_settle(&flow->in);
        grant(engine, flow, true);
    }
    if (!flow || !credit_is_dry(&flow->in))
        return;
    if (match_wants(engine, flow->rank))
        grant(engine, flow, true);
    else if (covey_list_empty(&flow->dry_link))
        covey_list_push_back(&engine->flows.dry, &flow->dry_link);
}

void flow_settle(struct engine *engine, const struct descriptor_header *header)
{
    struct flow *flow = incoming_flow(engine, header);
    if (!flow)
        return;
    if (flow->class == FLOW_USER)
        credit_settle(&flow->in);
    credit_settle_bytes(&flow->in, unasked_bytes(header));
    grant(engine, flow, false);
}

bool flow_transfer_begins(struct engine *engine, const struct descriptor_header *offer,
                          struct covey_list *link)
{
    struct flow *flow = incoming_flow(engine, offer);
    if (!flow)
        return true;
    if (flow->transfers < FLOW_TRANSFERS) {
        flow->transfers++;
        return true;
    }
    covey_list_push_back(&flow->turn, link);
    if (covey_list_empty(&flow->turns_link))
        covey_list_push_back(&engine->flows.turns, &flow->turns_link);
    return false;
}

void flow_transfer_ends(struct engine *engine, uint64_t communicator, uint32_t rank)
{
    if (is_far(engine, rank))
        flow_of(engine, rank, class_of(communicator))->transfers--;
}

struct covey_list *flow_next_turn(struct engine *engine)
{
    covey_list_for_each_safe (node, after, &engine->flows.turns) {
        struct flow *flow = covey_container_of(node, struct flow, turns_link);
        if (flow->transfers >= FLOW_TRANSFERS)
            continue;
        struct covey_list *link = covey_list_pop_front(&flow->turn);
        if (covey_list_empty(&flow->turn))
            covey_list_remove(node);
        if (!link) /* who waited was cancelled */
            continue;
        flow->transfers++;
        return link;
    }
    return NULL;
}

void flow_want(struct engine *engine, int rank)
{
    covey_list_for_each_safe (node, after, &engine->flows.dry) {
        struct flow *flow = covey_container_of(node, struct flow, dry_link);
        if (rank == ENGINE_ANY || (uint32_t)rank == flow->rank)
            grant(engine, flow, true);
    }
}
