/* From the network to the workers of this node: a line for each of them. */
#include "base/memory.h"
#include "transport/core/flow.h"
#include "transport/core/host_port_parts.h"

#include <stdlib.h>
#include <string.h>

bool host_lines_open(struct host_port *port)
{
    const struct layout_shape *shape = &port->arena->shape;
    covey_list_init(&port->spare);
    port->lines = covey_calloc(shape->local_count + 1ull, sizeof(*port->lines));
    port->incoming =
        covey_calloc((size_t)shape->worker_count * shape->local_count + 1, sizeof(*port->incoming));
    if (!port->lines || !port->incoming) {
        free(port->lines);
        free(port->incoming);
        return false;
    }
    for (uint32_t i = 0; i < shape->local_count; i++) {
        covey_list_init(&port->lines[i].order);
        covey_list_init(&port->lines[i].queue);
    }
    return true;
}

static struct host_incoming *queued_of(struct covey_list *link)
{
    return covey_container_of(link, struct host_incoming, queue_link);
}

void host_lines_close(struct host_port *port)
{
    for (uint32_t i = 0; i < port->endpoint; i++) {
        for (struct covey_list *node; (node = covey_list_pop_front(&port->lines[i].queue));)
            free(queued_of(node));
    }
    for (struct covey_list *node; (node = covey_list_pop_front(&port->spare));)
        free(queued_of(node));
    free(port->lines);
    free(port->incoming);
}

static uint32_t endpoint_to(const struct host_port *port, const struct descriptor_header *header)
{
    return port->arena->rank_local[header->destination];
}

/*
 * Tells the worker how far the line has come: it believes that a rank elsewhere has ended only when
 * what waited here by then is in its inbox. A line that is empty all the time has nothing to tell.
 */
static void publish(struct host_port *port, uint32_t endpoint)
{
    struct host_line *line = &port->lines[endpoint];
    struct layout_endpoint *shared = layout_endpoint(port->arena, endpoint);
    uint64_t oldest = line->next;
    if (!covey_list_empty(&line->order))
        oldest = covey_container_of(line->order.next, struct host_incoming, order)->number;
    if (oldest == line->next && !line->published)
        return;
    line->published = oldest != line->next;
    atomic_store(&shared->line_end, line->next);
    atomic_store(&shared->line_start, oldest);
}

static uint16_t *count_of(struct host_port *port, const struct descriptor_header *header)
{
    size_t to = endpoint_to(port, header);
    return &port->incoming[to * port->arena->shape.worker_count + header->source];
}

static enum covey_status check(struct host_port *port, uint32_t from_node,
                               const struct descriptor_header *header, uint64_t length_bytes)
{
    const struct arena *arena = port->arena;
    if (header->kind == 0 || header->kind >= DESCRIPTOR_KINDS ||
        header->source >= arena->shape.worker_count ||
        header->destination >= arena->shape.worker_count || from_node == arena->shape.node ||
        arena_node_of(arena, header->source) != from_node ||
        arena->rank_local[header->destination] == UINT32_MAX)
        return COVEY_EPROTO;
    if (length_bytes > ARENA_SLAB_BYTES ||
        length_bytes != (host_kind_has_payload(header->kind) ? header->length : 0))
        return COVEY_EPROTO;
    if (arena_rank_state(arena, header->destination) >= ARENA_DONE)
        return COVEY_EPEER;
    return *count_of(port, header) >= port->pair_most ? COVEY_ELIMIT : COVEY_OK;
}

enum covey_status host_port_expect(struct host_port *port, uint32_t from_node,
                                   const struct descriptor_header *header, uint64_t length_bytes,
                                   struct host_incoming **out)
{
    enum covey_status status = check(port, from_node, header, length_bytes);
    if (status)
        return status;
    struct covey_list *spare = covey_list_pop_front(&port->spare);
    struct host_incoming *incoming = spare ? queued_of(spare) : covey_malloc(sizeof(*incoming));
    if (!incoming)
        return COVEY_ENOMEM;
    struct host_line *line = &port->lines[endpoint_to(port, header)];
    incoming->number = line->next++;
    incoming->descriptor.header = *header;
    incoming->descriptor.header.payload = length_bytes > 0 ? DESCRIPTOR_INLINE : DESCRIPTOR_NONE;
    incoming->length_bytes = (uint32_t)length_bytes;
    incoming->payload = incoming->descriptor.inline_bytes;
    incoming->wants_room = length_bytes > DESCRIPTOR_INLINE_BYTES;
    covey_list_init(&incoming->queue_link);
    covey_list_push_back(&line->order, &incoming->order);
    ++*count_of(port, header);
    *out = incoming;
    return COVEY_OK;
}

static bool take_reserve(struct host_port *port, const struct host_incoming *incoming,
                         struct descriptor_block *block)
{
    const struct descriptor_header *header = &incoming->descriptor.header;
    uint32_t user = 2 * endpoint_to(port, header) + (header->kind == DESCRIPTOR_DATA);
    if (incoming->length_bytes > MEMORY_RESERVE_BYTES || !reserve_may_have(&port->reserve, user) ||
        !memory_allocate_reserve(&port->memory, incoming->length_bytes, block))
        return false;
    reserve_give(&port->reserve, user, block);
    return true;
}

/* What somebody waits for comes to the same few blocks again and again while they are in the cache;
 * what nobody has asked for uses the reserve only where all else is full. */
static bool find_room(struct host_port *port, const struct host_incoming *incoming,
                      struct descriptor_block *block)
{
    bool agreed = incoming->descriptor.header.kind == DESCRIPTOR_DATA;
    return (agreed && take_reserve(port, incoming, block)) ||
           memory_allocate(&port->memory, incoming->length_bytes, MEMORY_OWNED, block) ||
           (!agreed && take_reserve(port, incoming, block));
}

enum covey_status host_port_make_room(struct host_port *port, struct host_incoming *incoming)
{
    struct descriptor *descriptor = &incoming->descriptor;
    if (arena_rank_state(port->arena, descriptor->header.destination) >= ARENA_DONE)
        return COVEY_EPEER;
    if (!incoming->wants_room)
        return COVEY_OK;
    struct descriptor_block block;
    memory_trim(&port->memory);
    if (!find_room(port, incoming, &block)) {
        memory_want(&port->memory, true);
        if (!find_room(port, incoming, &block)) {
            publish(port, endpoint_to(port, &descriptor->header));
            return COVEY_EAGAIN;
        }
    }
    memory_want(&port->memory, false);
    incoming->wants_room = false;
    descriptor->header.payload = DESCRIPTOR_BLOCK;
    descriptor->block = block;
    incoming->payload = memory_bytes(&port->memory, &block);
    return COVEY_OK;
}

/* It has left its line, one way or the other. */
static void leave(struct host_port *port, struct host_incoming *incoming)
{
    const struct descriptor_header *header = &incoming->descriptor.header;
    --*count_of(port, header);
    covey_list_remove(&incoming->order);
    covey_list_push_front(&port->spare, &incoming->queue_link);
    publish(port, endpoint_to(port, header));
}

static void drop_payload(struct host_port *port, const struct descriptor *descriptor)
{
    if (descriptor->header.payload == DESCRIPTOR_BLOCK)
        memory_release(&port->memory, &descriptor->block);
}

void host_port_discard(struct host_port *port, struct host_incoming *incoming)
{
    drop_payload(port, &incoming->descriptor);
    leave(port, incoming);
}

/* EAGAIN where the inbox is full, and then nothing is done. */
static enum covey_status post(struct host_port *port, const struct descriptor *descriptor)
{
    uint32_t to = endpoint_to(port, &descriptor->header);
    if (arena_rank_state(port->arena, descriptor->header.destination) >= ARENA_DONE) {
        drop_payload(port, descriptor);
        return COVEY_EPEER;
    }
    if (descriptor->header.payload != DESCRIPTOR_BLOCK)
        return inbox_post(port->arena, port->endpoint, to, descriptor) ? COVEY_OK : COVEY_EAGAIN;
    if (memory_grant(&port->memory, to, &descriptor->block) != MEMORY_GRANTED) {
        drop_payload(port, descriptor);
        return COVEY_EPEER;
    }
    if (!inbox_post(port->arena, port->endpoint, to, descriptor)) {
        memory_revoke(&port->memory, to, &descriptor->block);
        return COVEY_EAGAIN;
    }
    memory_granted(&port->memory);
    memory_release(&port->memory, &descriptor->block);
    return COVEY_OK;
}

enum covey_status host_port_deliver(struct host_port *port, struct host_incoming *incoming)
{
    uint32_t to = endpoint_to(port, &incoming->descriptor.header);
    struct host_line *line = &port->lines[to];
    enum covey_status status = COVEY_EAGAIN;
    if (covey_list_empty(&line->queue))
        status = post(port, &incoming->descriptor);
    if (status != COVEY_EAGAIN) {
        leave(port, incoming);
        return status;
    }
    covey_list_push_back(&line->queue, &incoming->queue_link);
    port->queued++;
    publish(port, to);
    return COVEY_OK;
}

static void flush_line(struct host_port *port, struct host_line *line)
{
    while (!covey_list_empty(&line->queue)) {
        struct host_incoming *incoming = queued_of(line->queue.next);
        if (post(port, &incoming->descriptor) == COVEY_EAGAIN)
            return;
        covey_list_remove(&incoming->queue_link);
        port->queued--;
        leave(port, incoming);
    }
}

bool host_port_flush(struct host_port *port)
{
    for (uint32_t i = 0; port->queued > 0 && i < port->endpoint; i++)
        flush_line(port, &port->lines[i]);
    return port->queued > 0;
}
