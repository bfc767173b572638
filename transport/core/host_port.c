#include "transport/core/host_port_parts.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "transport/core/bell.h"
#include "transport/core/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
    size_t pairs = (size_t)arena->shape.worker_count * port->endpoint;
    port->pair_most = flow_pair_most(arena->shape.worker_count);
    port->outgoing = covey_calloc(pairs + 1, sizeof(*port->outgoing));
    if (!port->outgoing)
        goto no_outgoing;
    if (!host_lines_open(port))
        goto no_lines;
    if (!reserve_open(&port->reserve, arena, port->endpoint, layout_host_reserve(port->endpoint),
                      2 * port->endpoint))
        goto no_reserve;
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
    reserve_close(&port->reserve);
no_reserve:
    host_lines_close(port);
no_lines:
    free(port->outgoing);
no_outgoing:
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
    host_lines_close(port);
    memory_close(&port->memory);
    reserve_close(&port->reserve);
    free(port->outgoing);
    covey_close(&port->event_fd);
    free(port);
}

int host_port_event_fd(const struct host_port *port)
{
    return port->event_fd;
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
        return host_kind_has_payload(header->kind) && header->length > 0 ? "length" : NULL;
    case DESCRIPTOR_INLINE:
        if (!host_kind_has_payload(header->kind) || header->length > DESCRIPTOR_INLINE_BYTES)
            return "length";
        outgoing->length_bytes = (uint32_t)header->length;
        memcpy(outgoing->inline_bytes, descriptor->inline_bytes, header->length);
        return NULL;
    case DESCRIPTOR_BLOCK:
        outgoing->block = descriptor->block;
        if (!host_kind_has_payload(header->kind) || outgoing->block.length != header->length ||
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

static void release_payload(struct host_port *port, struct host_outgoing *outgoing)
{
    if (outgoing->in_arena)
        memory_release(&port->memory, &outgoing->block);
    outgoing->in_arena = false;
}

/* How many of a pair's messages the network has. */
static uint16_t *count_of(struct host_port *port, const struct descriptor_header *header)
{
    const struct arena *arena = port->arena;
    size_t local = arena->rank_local[header->source];
    return &port->outgoing[local * arena->shape.worker_count + header->destination];
}

/* What a receiver has taken, and given leave for again, the network may not have told of yet. */
static bool count(struct host_port *port, const struct descriptor_header *header)
{
    uint16_t *of = count_of(port, header);
    if (*of >= 2 * port->pair_most)
        return false;
    ++*of;
    return true;
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
        if (!wrong && count(port, &outgoing->header))
            return true;
        if (!wrong) {
            wrong = "no leave";
            release_payload(port, outgoing);
        }
        warn_malformed(port, &outgoing->header, wrong);
    }
    memory_audit_end(&port->memory);
    return false;
}

void host_port_release(struct host_port *port, struct host_outgoing *outgoing)
{
    --*count_of(port, &outgoing->header);
    release_payload(port, outgoing);
}

bool host_port_sleep(struct host_port *port)
{
    bell_prepare(port->arena, port->endpoint);
    if (!inbox_ready(&port->inbox))
        return true;
    bell_cancel(port->arena, port->endpoint);
    return false;
}

void host_port_stay(struct host_port *port)
{
    bell_cancel(port->arena, port->endpoint);
}

void host_port_wake(struct host_port *port)
{
    bell_cancel(port->arena, port->endpoint);
    uint64_t count;
    ssize_t got = read(port->event_fd, &count, sizeof(count));
    (void)got; /* EAGAIN: it was not the event that woke the loop */
}
