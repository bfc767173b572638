#include "transport/core/host_port.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "transport/core/bell.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A message that found its inbox full. */
struct queued {
    struct covey_list link;
    struct descriptor descriptor;
};

struct destination {
    struct covey_list queue;
    uint64_t bytes;
};

struct host_port {
    struct arena *arena;
    uint32_t endpoint;
    int event_fd;
    struct inbox inbox;
    struct memory memory;
    struct destination *destinations; /* by endpoint */
    uint64_t queued;
    struct covey_log_limit malformed;
};

enum covey_status host_port_create(struct arena *arena, struct host_port **out,
                                   struct covey_error *error)
{
    struct host_port *port = covey_calloc(1, sizeof(*port));
    if (!port)
        return covey_error_set(error, COVEY_ENOMEM, "host port: out of memory");
    enum covey_status status = COVEY_ENOMEM;
    port->arena = arena;
    port->endpoint = arena->shape.local_count;
    port->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->event_fd < 0) {
        status = covey_error_set_errno(error, errno, "host port: eventfd");
        goto no_event;
    }
    port->destinations = covey_calloc(port->endpoint + 1ull, sizeof(*port->destinations));
    if (!port->destinations)
        goto no_destinations;
    for (uint32_t i = 0; i < port->endpoint; i++)
        covey_list_init(&port->destinations[i].queue);
    status = memory_open(arena, port->endpoint, &port->memory);
    if (status)
        goto no_memory;
    status = arena_set_host_event(arena, port->event_fd);
    if (status)
        goto no_wake;
    inbox_open(arena, port->endpoint, &port->inbox);
    *out = port;
    return COVEY_OK;
no_wake:
    memory_close(&port->memory);
no_memory:
    free(port->destinations);
no_destinations:
    covey_close(&port->event_fd);
    covey_error_set(error, status, "host port: %s", covey_status_text(status));
no_event:
    free(port);
    return status;
}

void host_port_destroy(struct host_port *port)
{
    if (!port)
        return;
    if (port->malformed.unsaid > 0)
        log_warn("more messages of workers were dropped count=%llu",
                 (unsigned long long)port->malformed.unsaid);
    for (uint32_t i = 0; i < port->endpoint; i++) {
        covey_list_for_each_safe (node, after, &port->destinations[i].queue) {
            free((struct queued *)node);
        }
    }
    memory_close(&port->memory);
    free(port->destinations);
    covey_close(&port->event_fd);
    free(port);
}

int host_port_event_fd(const struct host_port *port)
{
    return port->event_fd;
}

static bool has_payload(uint32_t kind)
{
    return kind == DESCRIPTOR_MESSAGE || kind == DESCRIPTOR_DATA;
}

static const char *check_outgoing(struct host_port *port, const struct descriptor *descriptor,
                                  struct host_outgoing *outgoing)
{
    const struct descriptor_header *header = &descriptor->header;
    const struct layout_shape *shape = &port->arena->shape;
    if (header->kind == 0 || header->kind >= DESCRIPTOR_KINDS)
        return "kind";
    if (header->source >= shape->worker_count || header->destination >= shape->worker_count ||
        port->arena->rank_local[header->source] == UINT32_MAX ||
        port->arena->rank_local[header->destination] != UINT32_MAX)
        return "rank";
    outgoing->payload = outgoing->inline_bytes;
    switch (header->payload) {
    case DESCRIPTOR_NONE:
        return has_payload(header->kind) && header->length > 0 ? "length" : NULL;
    case DESCRIPTOR_INLINE:
        if (!has_payload(header->kind) || header->length > DESCRIPTOR_INLINE_BYTES)
            return "length";
        outgoing->length_bytes = (uint32_t)header->length;
        memcpy(outgoing->inline_bytes, descriptor->inline_bytes, header->length);
        return NULL;
    case DESCRIPTOR_BLOCK:
        outgoing->block = descriptor->block;
        if (!has_payload(header->kind) || outgoing->block.length != header->length ||
            outgoing->block.start > ARENA_SLAB_BYTES ||
            outgoing->block.length > ARENA_SLAB_BYTES - outgoing->block.start)
            return "length";
        outgoing->payload = memory_accept(&port->memory, &outgoing->block);
        if (!outgoing->payload)
            return "block";
        outgoing->in_arena = true;
        outgoing->length_bytes = (uint32_t)outgoing->block.length;
        return NULL;
    default:
        return "payload";
    }
}

/* A worker can send such as fast as it likes. */
static void warn_malformed(struct host_port *port, const struct descriptor_header *header,
                           const char *wrong)
{
    uint64_t unsaid;
    if (covey_log_allow(&port->malformed, covey_now_ns(), &unsaid))
        log_warn("message of a worker dropped wrong=%s source=%u kind=%u unsaid=%llu", wrong,
                 header->source, header->kind, (unsigned long long)unsaid);
}

bool host_port_poll(struct host_port *port, struct host_outgoing *outgoing)
{
    memory_audit(&port->memory);
    memory_trim(&port->memory);
    struct descriptor descriptor;
    while (inbox_take(port->arena, &port->inbox, &descriptor)) {
        outgoing->header = descriptor.header;
        outgoing->in_arena = false;
        outgoing->length_bytes = 0;
        const char *wrong = check_outgoing(port, &descriptor, outgoing);
        if (!wrong)
            return true;
        warn_malformed(port, &outgoing->header, wrong);
    }
    memory_audit_end(&port->memory);
    return false;
}

void host_port_release(struct host_port *port, struct host_outgoing *outgoing)
{
    if (!outgoing->in_arena)
        return;
    outgoing->in_arena = false;
    memory_release(&port->memory, &outgoing->block);
}

static enum covey_status check_incoming(const struct host_port *port, uint32_t from_node,
                                        const struct descriptor_header *header,
                                        uint64_t length_bytes)
{
    const struct arena *arena = port->arena;
    if (header->kind == 0 || header->kind >= DESCRIPTOR_KINDS ||
        header->source >= arena->shape.worker_count ||
        header->destination >= arena->shape.worker_count || from_node == arena->shape.node ||
        arena_node_of(arena, header->source) != from_node ||
        arena->rank_local[header->destination] == UINT32_MAX)
        return COVEY_EPROTO;
    if (length_bytes > ARENA_SLAB_BYTES ||
        length_bytes != (has_payload(header->kind) ? header->length : 0))
        return COVEY_EPROTO;
    return arena_rank_state(arena, header->destination) >= ARENA_DONE ? COVEY_EPEER : COVEY_OK;
}

enum covey_status host_port_allocate(struct host_port *port, uint32_t from_node,
                                     const struct descriptor_header *header, uint64_t length_bytes,
                                     struct host_incoming *incoming)
{
    enum covey_status status = check_incoming(port, from_node, header, length_bytes);
    if (status)
        return status;
    incoming->length_bytes = (uint32_t)length_bytes;
    incoming->payload = incoming->inline_bytes;
    incoming->in_arena = length_bytes > DESCRIPTOR_INLINE_BYTES;
    if (!incoming->in_arena)
        return COVEY_OK;
    enum memory_use use = header->kind == DESCRIPTOR_DATA ? MEMORY_AGREED : MEMORY_OWNED;
    memory_trim(&port->memory);
    if (!memory_allocate(&port->memory, length_bytes, use, &incoming->block)) {
        memory_want(&port->memory, true);
        if (!memory_allocate(&port->memory, length_bytes, use, &incoming->block))
            return COVEY_EAGAIN;
    }
    memory_want(&port->memory, false);
    incoming->payload = memory_bytes(&port->memory, &incoming->block);
    return COVEY_OK;
}

void host_port_discard(struct host_port *port, struct host_incoming *incoming)
{
    if (incoming->in_arena)
        memory_release(&port->memory, &incoming->block);
    incoming->in_arena = false;
}

static void drop(struct host_port *port, const struct descriptor *descriptor)
{
    if (descriptor->header.payload == DESCRIPTOR_BLOCK)
        memory_release(&port->memory, &descriptor->block);
}

/* EAGAIN where the inbox is full, and then nothing is done. */
static enum covey_status post(struct host_port *port, const struct descriptor *descriptor)
{
    uint32_t to = port->arena->rank_local[descriptor->header.destination];
    if (arena_rank_state(port->arena, descriptor->header.destination) >= ARENA_DONE) {
        drop(port, descriptor);
        return COVEY_EPEER;
    }
    if (descriptor->header.payload != DESCRIPTOR_BLOCK)
        return inbox_post(port->arena, port->endpoint, to, descriptor) ? COVEY_OK : COVEY_EAGAIN;
    if (memory_grant(&port->memory, to, &descriptor->block) != MEMORY_GRANTED) {
        drop(port, descriptor);
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

enum covey_status host_port_deliver(struct host_port *port, const struct descriptor_header *header,
                                    struct host_incoming *incoming)
{
    uint32_t to = port->arena->rank_local[header->destination];
    struct destination *destination = &port->destinations[to];
    struct descriptor descriptor = {.header = *header};
    if (incoming->in_arena) {
        descriptor.header.payload = DESCRIPTOR_BLOCK;
        descriptor.block = incoming->block;
    } else {
        bool any = incoming->length_bytes > 0;
        descriptor.header.payload = any ? DESCRIPTOR_INLINE : DESCRIPTOR_NONE;
        memcpy(descriptor.inline_bytes, incoming->inline_bytes, incoming->length_bytes);
    }
    enum covey_status status = COVEY_EAGAIN;
    if (covey_list_empty(&destination->queue))
        status = post(port, &descriptor);
    if (status == COVEY_EAGAIN) {
        struct queued *queued = covey_malloc(sizeof(*queued));
        if (!queued)
            return COVEY_ENOMEM;
        queued->descriptor = descriptor;
        covey_list_push_back(&destination->queue, &queued->link);
        destination->bytes += incoming->length_bytes;
        port->queued++;
        status = COVEY_OK;
    }
    incoming->in_arena = false;
    return status;
}

static void flush_destination(struct host_port *port, struct destination *destination)
{
    covey_list_for_each_safe (node, after, &destination->queue) {
        struct queued *queued = (struct queued *)node;
        uint64_t length =
            has_payload(queued->descriptor.header.kind) ? queued->descriptor.header.length : 0;
        if (post(port, &queued->descriptor) == COVEY_EAGAIN)
            return;
        covey_list_remove(&queued->link);
        free(queued);
        destination->bytes -= length;
        port->queued--;
    }
}

bool host_port_flush(struct host_port *port)
{
    for (uint32_t i = 0; port->queued > 0 && i < port->endpoint; i++)
        flush_destination(port, &port->destinations[i]);
    return port->queued > 0;
}

uint64_t host_port_queued_bytes(const struct host_port *port, uint32_t rank)
{
    uint32_t local;
    return arena_local_of(port->arena, rank, &local) ? port->destinations[local].bytes : 0;
}

uint64_t host_port_queued_messages(const struct host_port *port)
{
    return port->queued;
}

bool host_port_sleep(struct host_port *port)
{
    bell_prepare(port->arena, port->endpoint);
    if (!inbox_ready(&port->inbox))
        return true;
    bell_cancel(port->arena, port->endpoint);
    return false;
}

void host_port_wake(struct host_port *port)
{
    bell_cancel(port->arena, port->endpoint);
    uint64_t count;
    ssize_t got = read(port->event_fd, &count, sizeof(count));
    (void)got; /* EAGAIN: it was not the event that woke the loop */
}
