#include "transport/core/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/core/comm.h"
#include "transport/core/transfer.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A descriptor that found its inbox full. */
struct pending {
    struct covey_list link;
    struct descriptor descriptor;
    struct request *request; /* to complete when it is out; may be NULL */
};

static uint32_t count_cpus(void)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    return sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : (uint32_t)CPU_COUNT(&cpus);
}

enum covey_status engine_create(struct arena *arena, uint32_t rank, int64_t timeout_ns,
                                struct engine **out)
{
    uint32_t endpoint;
    if (rank >= arena->shape.worker_count || !arena_local_of(arena, rank, &endpoint))
        return COVEY_EINVAL;
    struct engine *engine = covey_calloc(1, sizeof(*engine));
    if (!engine)
        return COVEY_ENOMEM;
    engine->arena = arena;
    engine->rank = rank;
    engine->endpoint = endpoint;
    engine->timeout_ns = timeout_ns;
    engine->next_cookie = 1;
    uint32_t cpus = count_cpus();
    /* Between nodes the host is at work, too, and a yield costs little of what a message does. */
    engine->may_spin = arena->shape.node_count == 1 && cpus >= arena->shape.local_count;
    engine->yield_ns = engine_yield_ns(arena->shape.local_count, cpus);
    uint32_t endpoints = arena->shape.local_count + 1;
    engine->pending = covey_calloc(endpoints, sizeof(*engine->pending));
    if (!engine->pending)
        goto no_pending;
    engine->ended = covey_calloc(arena->shape.worker_count, sizeof(*engine->ended));
    engine->last_look = covey_calloc(arena->shape.worker_count, sizeof(*engine->last_look));
    if (!engine->ended || !engine->last_look || !flow_open(engine))
        goto no_flows;
    if (boxes_open(arena, endpoint, &engine->boxes))
        goto no_boxes;
    if (memory_open(arena, endpoint, &engine->memory))
        goto no_memory;
    for (uint32_t i = 0; i < endpoints; i++)
        covey_list_init(&engine->pending[i]);
    covey_list_init(&engine->transfers);
    covey_list_init(&engine->offers);
    covey_list_init(&engine->incoming);
    covey_list_init(&engine->starved);
    covey_list_init(&engine->strays);
    covey_list_init(&engine->comms);
    covey_list_init(&engine->spare_messages);
    covey_list_init(&engine->spare_requests);
    inbox_open(arena, endpoint, &engine->inbox);
    *out = engine;
    return COVEY_OK;
no_memory:
    boxes_close(&engine->boxes);
no_boxes:
    flow_close(engine);
no_flows:
    free(engine->last_look);
    free(engine->ended);
    free(engine->pending);
no_pending:
    free(engine);
    return COVEY_ENOMEM;
}

static struct message *message_of(struct covey_list *by_peer)
{
    return (struct message *)by_peer;
}

/* Elements whose link is their first member. */
static void free_all(struct covey_list *list)
{
    covey_list_for_each_safe (node, after, list) {
        free(node);
    }
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    covey_list_for_each_safe (at, next, &engine->comms) {
        comm_destroy(covey_container_of(at, struct comm, link));
    }
    for (uint32_t i = 0; i <= engine->arena->shape.local_count; i++)
        free_all(&engine->pending[i]);
    covey_list_for_each_safe (node, after, &engine->strays) {
        engine_message_free(engine, message_of(node));
    }
    free_all(&engine->spare_messages);
    free_all(&engine->spare_requests);
    flow_close(engine);
    covey_map_clear(&engine->channels);
    covey_map_clear(&engine->cookies);
    memory_close(&engine->memory);
    boxes_close(&engine->boxes);
    free(engine->pending);
    free(engine->last_look);
    free(engine->ended);
    free(engine);
}

enum covey_status engine_fail(struct engine *engine, enum covey_status status, const char *format,
                              ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)covey_text_vprint(engine->text, sizeof(engine->text), format, arguments);
    va_end(arguments);
    return status;
}

static enum covey_status check_state(struct engine *engine, uint32_t rank,
                                     enum arena_rank_state state)
{
    if (state < ARENA_DONE)
        return COVEY_OK;
    char reason[ARENA_REASON_BYTES];
    arena_rank_reason(engine->arena, rank, reason);
    return engine_fail(engine, COVEY_EPEER, "rank %u (node %u) %s%s%s", rank,
                       arena_node_of(engine->arena, rank),
                       state == ARENA_DONE ? "has ended" : "died", *reason ? ": " : "", reason);
}

enum covey_status engine_check_rank(struct engine *engine, uint32_t rank)
{
    return check_state(engine, rank, arena_rank_state(engine->arena, rank));
}

enum covey_status engine_check_heard(struct engine *engine, uint32_t rank)
{
    return check_state(engine, rank, (enum arena_rank_state)engine->ended[rank]);
}

struct message *engine_message_new(struct engine *engine)
{
    struct covey_list *spare = covey_list_pop_front(&engine->spare_messages);
    if (spare)
        return message_of(spare);
    return covey_malloc(sizeof(struct message));
}

void engine_message_free(struct engine *engine, struct message *message)
{
    if (message->descriptor.header.payload == DESCRIPTOR_BLOCK)
        memory_release(&engine->memory, &message->descriptor.block);
    else if (message->descriptor.header.payload == DESCRIPTOR_PRIVATE)
        free(message->descriptor.private_bytes);
    covey_list_push_front(&engine->spare_messages, &message->by_peer);
    flow_settle(engine, &message->descriptor.header);
}

struct request *engine_request_new(struct engine *engine)
{
    struct covey_list *spare = covey_list_pop_front(&engine->spare_requests);
    struct request *request = spare ? (struct request *)spare : covey_malloc(sizeof(*request));
    if (request) {
        request_begin(request);
        request->allocated = true;
        covey_list_init(&request->link);
    }
    return request;
}

void engine_request_free(struct engine *engine, struct request *request)
{
    if (request && request->allocated)
        covey_list_push_front(&engine->spare_requests, &request->link);
}

void engine_complete(struct request *request, enum covey_status status)
{
    if (!request)
        return;
    request->status = status;
    request->done = true;
}

/* ---- what goes out ---- */

static uint32_t endpoint_of(const struct engine *engine, uint32_t rank)
{
    uint32_t endpoint;
    return arena_local_of(engine->arena, rank, &endpoint) ? endpoint
                                                          : engine->arena->shape.local_count;
}

/* False where there is no room now. */
static bool post_to(struct engine *engine, uint32_t to, const struct descriptor *descriptor)
{
    enum boxes_posted posted = boxes_post(engine->arena, &engine->boxes, to, descriptor);
    return posted == BOXES_UNFIT ? inbox_post(engine->arena, engine->endpoint, to, descriptor)
                                 : posted == BOXES_POSTED;
}

/* Workers who never stop must not hold up what comes from other nodes. */
static bool take_next(struct engine *engine, struct descriptor *descriptor)
{
    bool its_turn = ++engine->takes % ENGINE_INBOX_TURN == 0;
    return (its_turn && inbox_take(engine->arena, &engine->inbox, descriptor)) ||
           boxes_take(engine->arena, &engine->boxes, descriptor) ||
           inbox_take(engine->arena, &engine->inbox, descriptor);
}

enum covey_status engine_post_shared(struct engine *engine, const struct descriptor *descriptor)
{
    uint32_t to = endpoint_of(engine, descriptor->header.destination);
    switch (memory_grant(&engine->memory, to, &descriptor->block)) {
    case MEMORY_HELD_ALREADY:
        return COVEY_EEXISTS;
    case MEMORY_HOLDER_DEAD:
        return COVEY_EPEER;
    case MEMORY_GRANTED:
        break;
    }
    if (!post_to(engine, to, descriptor)) {
        memory_revoke(&engine->memory, to, &descriptor->block);
        return COVEY_EAGAIN;
    }
    memory_granted(&engine->memory);
    return COVEY_OK;
}

static enum covey_status post_now(struct engine *engine, const struct descriptor *descriptor)
{
    if (descriptor->header.payload == DESCRIPTOR_BLOCK)
        return engine_post_shared(engine, descriptor);
    uint32_t to = endpoint_of(engine, descriptor->header.destination);
    return post_to(engine, to, descriptor) ? COVEY_OK : COVEY_EAGAIN;
}

static void release_block(struct engine *engine, const struct descriptor *descriptor)
{
    if (descriptor->header.payload == DESCRIPTOR_BLOCK)
        memory_release(&engine->memory, &descriptor->block);
}

static void handle(struct engine *engine, const struct descriptor *descriptor,
                   struct message *message);

/* A worker's message to itself needs no inbox. */
static enum covey_status post_to_self(struct engine *engine, const struct descriptor *descriptor,
                                      struct request *done)
{
    struct message *message = engine_message_new(engine);
    if (!message) {
        release_block(engine, descriptor);
        return engine_fail(engine, COVEY_ENOMEM, "out of memory");
    }
    engine_complete(done, COVEY_OK);
    handle(engine, descriptor, message);
    return COVEY_OK;
}

static enum covey_status post_later(struct engine *engine, const struct descriptor *descriptor,
                                    struct request *done, bool has_leave)
{
    struct pending *pending = covey_malloc(sizeof(*pending));
    if (!pending) {
        release_block(engine, descriptor);
        return engine_fail(engine, COVEY_ENOMEM, "out of memory");
    }
    pending->descriptor = *descriptor;
    pending->request = done;
    if (!has_leave) {
        flow_enqueue(engine, &descriptor->header, &pending->link);
        return COVEY_OK;
    }
    uint32_t to = endpoint_of(engine, descriptor->header.destination);
    covey_list_push_back(&engine->pending[to], &pending->link);
    engine->pending_count++;
    return COVEY_OK;
}

enum covey_status engine_post(struct engine *engine, const struct descriptor *descriptor,
                              struct request *done)
{
    uint32_t rank = descriptor->header.destination;
    if (rank == engine->rank)
        return post_to_self(engine, descriptor, done);
    enum covey_status status = engine_check_rank(engine, rank);
    if (status) {
        release_block(engine, descriptor);
        return status;
    }
    if (flow_must_wait(engine, &descriptor->header))
        return post_later(engine, descriptor, done, false);
    if (!covey_list_empty(&engine->pending[endpoint_of(engine, rank)]))
        return post_later(engine, descriptor, done, true);
    status = post_now(engine, descriptor);
    if (status == COVEY_EAGAIN)
        return post_later(engine, descriptor, done, true);
    release_block(engine, descriptor);
    if (status)
        return engine_fail(engine, COVEY_EPEER, "rank %u has ended", rank);
    engine_complete(done, COVEY_OK);
    return COVEY_OK;
}

static void flush_pending(struct engine *engine, struct covey_list *queue)
{
    covey_list_for_each_safe (node, after, queue) {
        struct pending *pending = (struct pending *)node;
        enum covey_status status =
            engine_check_rank(engine, pending->descriptor.header.destination);
        if (!status)
            status = post_now(engine, &pending->descriptor);
        if (status == COVEY_EAGAIN)
            return;
        release_block(engine, &pending->descriptor);
        engine_complete(pending->request, status ? COVEY_EPEER : COVEY_OK);
        covey_list_remove(&pending->link);
        free(pending);
        engine->pending_count--;
    }
}

/* What has leave goes the way of what waits for room at the host. */
static void go_on(struct engine *engine, struct covey_list *released)
{
    struct covey_list *pending = &engine->pending[engine->arena->shape.local_count];
    for (struct covey_list *node; (node = covey_list_pop_front(released));) {
        covey_list_push_back(pending, node);
        engine->pending_count++;
    }
    flush_pending(engine, pending);
}

static void handle_credit(struct engine *engine, const struct descriptor_header *header)
{
    struct covey_list released;
    covey_list_init(&released);
    struct flow *flow = flow_allowed(engine, header);
    if (!flow)
        return;
    flow_release(flow, &released);
    go_on(engine, &released);
}

static void drop_for_ended(struct engine *engine)
{
    struct covey_list released;
    covey_list_init(&released);
    flow_release_ended(engine, &released);
    go_on(engine, &released);
}

/* Calls visit for each descriptor in a queue until it says that it was the one. */
static bool find_pending(struct engine *engine,
                         bool (*visit)(struct engine *, struct pending *, void *), void *data)
{
    covey_list_for_each (at, &engine->flows.queued) {
        struct flow *flow = covey_container_of(at, struct flow, queued_link);
        covey_list_for_each (node, &flow->queue) {
            if (visit(engine, (struct pending *)node, data))
                return true;
        }
    }
    for (uint32_t i = 0; engine->pending_count > 0 && i <= engine->arena->shape.local_count; i++) {
        covey_list_for_each (node, &engine->pending[i]) {
            if (visit(engine, (struct pending *)node, data))
                return true;
        }
    }
    return false;
}

static bool forget(struct engine *engine, struct pending *pending, void *data)
{
    (void)engine;
    if (pending->request != data)
        return false;
    pending->request = NULL;
    return true;
}

void engine_forget(struct request *request)
{
    if (!request->done)
        find_pending(request->channel->comm->engine, forget, request);
    engine_complete(request, COVEY_OK);
}

struct withdrawal {
    const struct request *request;
    enum covey_status why;
};

static bool withdraw(struct engine *engine, struct pending *pending, void *data)
{
    const struct withdrawal *withdrawal = data;
    const struct request *request = withdrawal->request;
    struct descriptor *descriptor = &pending->descriptor;
    bool offers = descriptor->header.kind == DESCRIPTOR_OFFER && request->cookie != 0 &&
                  descriptor->header.cookie == request->cookie;
    if (pending->request != request && !offers)
        return false;
    release_block(engine, descriptor);
    transfer_void(engine, descriptor, withdrawal->why);
    pending->request = NULL;
    return true;
}

bool engine_withdraw_pending(struct engine *engine, const struct request *request,
                             enum covey_status why)
{
    struct withdrawal withdrawal = {.request = request, .why = why};
    return find_pending(engine, withdraw, &withdrawal);
}

struct given_up {
    const struct descriptor_header *accept;
    uint64_t why;
};

static bool is_word_of(struct engine *engine, struct pending *pending, void *data)
{
    (void)engine;
    struct given_up *given_up = data;
    const struct descriptor_header *header = &pending->descriptor.header;
    if (header->kind != DESCRIPTOR_WITHDRAWN || header->cookie != 0 ||
        header->destination != given_up->accept->source ||
        header->communicator != given_up->accept->communicator ||
        header->sequence != given_up->accept->sequence)
        return false;
    given_up->why = header->argument;
    return true;
}

uint64_t engine_pending_reason(struct engine *engine, const struct descriptor_header *accept,
                               uint64_t otherwise)
{
    struct given_up given_up = {.accept = accept, .why = otherwise};
    find_pending(engine, is_word_of, &given_up);
    return given_up.why;
}

/* ---- what comes in ---- */

static bool has_payload(uint32_t kind)
{
    return kind == DESCRIPTOR_MESSAGE || kind == DESCRIPTOR_DATA;
}

/* Its block, if it has one, is accepted where this is NULL. */
static const char *check(struct engine *engine, const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    if (header->kind == 0 || header->kind >= DESCRIPTOR_KINDS)
        return "kind";
    if (header->source >= engine->arena->shape.worker_count || header->destination != engine->rank)
        return "rank";
    switch (header->payload) {
    case DESCRIPTOR_NONE:
        return has_payload(header->kind) && header->length > 0 ? "length" : NULL;
    case DESCRIPTOR_INLINE:
        return has_payload(header->kind) && header->length <= DESCRIPTOR_INLINE_BYTES ? NULL
                                                                                      : "length";
    case DESCRIPTOR_BLOCK:
        if (!has_payload(header->kind) || descriptor->block.length != header->length)
            return "length";
        return memory_accept(&engine->memory, &descriptor->block) ? NULL : "block";
    default:
        return "payload";
    }
}

static struct channel *find_channel(struct engine *engine, uint64_t id)
{
    if (!engine->latest || engine->latest->id != id) {
        struct channel *channel = covey_map_get_u64(&engine->channels, id);
        if (!channel)
            return NULL;
        engine->latest = channel;
    }
    return engine->latest;
}

/* What lies in the host's reserve must not stay there until somebody receives it: this worker has
 * no more than one block of it that it can count on. */
static void leave_reserve(struct engine *engine, struct descriptor *descriptor)
{
    uint32_t host = engine->arena->shape.local_count;
    if (descriptor->header.payload != DESCRIPTOR_BLOCK || descriptor->block.slab < host ||
        descriptor->block.slab - host >= layout_host_reserve(host))
        return;
    uint8_t *bytes =
        covey_memdup(memory_bytes(&engine->memory, &descriptor->block), descriptor->block.length);
    if (!bytes)
        return;
    memory_release(&engine->memory, &descriptor->block);
    descriptor->header.payload = DESCRIPTOR_PRIVATE;
    descriptor->private_bytes = bytes;
}

static void match(struct engine *engine, struct message *message)
{
    const struct descriptor_header *header = &message->descriptor.header;
    leave_reserve(engine, &message->descriptor);
    struct channel *channel = find_channel(engine, header->communicator);
    if (!channel) {
        covey_list_push_back(&engine->strays, &message->by_peer);
        return;
    }
    message->member = channel->comm->member_of[header->source];
    if (message->member == UINT32_MAX)
        engine_message_free(engine, message);
    else
        match_arrived(channel, message);
}

/* Of an offer: it is unmatched, or matched and not yet heard of by the sender, or still on its way.
 */
static void handle_withdrawn(struct engine *engine, const struct descriptor *descriptor,
                             struct message *message)
{
    struct channel *channel = find_channel(engine, descriptor->header.communicator);
    message->descriptor = *descriptor;
    message->member = channel ? channel->comm->member_of[descriptor->header.source] : UINT32_MAX;
    if (!channel)
        covey_list_push_back(&engine->strays, &message->by_peer);
    else if (message->member == UINT32_MAX)
        engine_message_free(engine, message);
    else
        match_withdrawn(channel, message);
}

/* Takes over message, which is for what has to be kept. */
static void handle(struct engine *engine, const struct descriptor *descriptor,
                   struct message *message)
{
    switch (descriptor->header.kind) {
    case DESCRIPTOR_MESSAGE:
    case DESCRIPTOR_OFFER:
        message->descriptor = *descriptor;
        match(engine, message);
        flow_handled(engine, &descriptor->header);
        return;
    case DESCRIPTOR_WITHDRAWN:
        if (descriptor->header.cookie == 0) {
            handle_withdrawn(engine, descriptor, message);
            flow_handled(engine, &descriptor->header);
            return;
        }
        transfer_ended(engine, descriptor);
        break;
    case DESCRIPTOR_REFUSED:
        transfer_ended(engine, descriptor);
        break;
    case DESCRIPTOR_ACCEPT:
        transfer_accept(engine, descriptor);
        break;
    case DESCRIPTOR_DATA:
        transfer_data(engine, descriptor);
        break;
    default:
        handle_credit(engine, &descriptor->header);
        break;
    }
    covey_list_push_front(&engine->spare_messages, &message->by_peer);
    flow_handled(engine, &descriptor->header);
}

/* A peer that breaks the rules can send such as fast as it likes. */
static void warn_malformed(struct engine *engine, const struct descriptor_header *header,
                           const char *wrong)
{
    uint64_t unsaid;
    if (covey_log_allow(&engine->malformed, covey_now_ns(), &unsaid))
        log_warn("message dropped wrong=%s rank=%u source=%u kind=%u unsaid=%llu", wrong,
                 engine->rank, header->source, header->kind, (unsigned long long)unsaid);
}

/* True once the inbox was seen empty. */
static bool drain(struct engine *engine)
{
    struct descriptor descriptor;
    for (uint32_t taken = 0; taken < 4 * LAYOUT_WORKER_SLOTS; taken++) {
        struct message *message = engine_message_new(engine);
        if (!message) {
            engine->no_memory = true;
            return false;
        }
        if (!take_next(engine, &descriptor)) {
            covey_list_push_front(&engine->spare_messages, &message->by_peer);
            return true;
        }
        const char *wrong = check(engine, &descriptor);
        if (!wrong && !flow_arrive(engine, &descriptor.header)) {
            release_block(engine, &descriptor);
            wrong = "credit";
        }
        if (wrong) {
            warn_malformed(engine, &descriptor.header, wrong);
            covey_list_push_front(&engine->spare_messages, &message->by_peer);
            continue;
        }
        handle(engine, &descriptor, message);
    }
    return false;
}

static void look_at_ranks(struct engine *engine)
{
    for (uint32_t rank = 0; rank < engine->arena->shape.worker_count; rank++)
        engine->last_look[rank] = (uint8_t)arena_rank_state(engine->arena, rank);
}

/* False while the host has something for this worker that it had when the ranks were looked at. */
static bool look_at_line(const struct engine *engine)
{
    return atomic_load(&layout_endpoint(engine->arena, engine->endpoint)->line_start) >=
           engine->line_end;
}

static void look_at_ends(struct engine *engine, uint32_t epoch)
{
    if (epoch == engine->epoch_looked)
        return;
    look_at_ranks(engine);
    engine->line_end = atomic_load(&layout_endpoint(engine->arena, engine->endpoint)->line_end);
    engine->epoch_looked = epoch;
    engine->near_done = false;
}

/* The inbox was emptied since the last look: what it saw ended has no more to say; but for those of
 * other nodes only where the host has nothing either. */
static void act_on_ends(struct engine *engine, bool far_too)
{
    if (engine->near_done && !far_too)
        return;
    for (uint32_t rank = 0; rank < engine->arena->shape.worker_count; rank++)
        if (far_too || engine->arena->rank_local[rank] != UINT32_MAX)
            engine->ended[rank] = engine->last_look[rank];
    engine->near_done = true;
    engine->ends_seen++;
    match_ended(engine);
    if (far_too)
        engine->epoch_seen = engine->epoch_looked;
}

/*
 * Ends are looked at before the inbox is emptied, and acted on after: what was sent before an end
 * comes first. Only by that look: a rank that sent and ended meanwhile still has a message in the
 * inbox.
 */
void engine_progress(struct engine *engine)
{
    uint32_t epoch = arena_epoch(engine->arena);
    bool news = epoch != engine->epoch_seen;
    if (news)
        look_at_ends(engine, epoch);
    bool line_is_through = !news || look_at_line(engine);
    memory_audit(&engine->memory);
    memory_trim(&engine->memory);
    engine->stalled = false;
    bool emptied = drain(engine);
    if (emptied)
        memory_audit_end(&engine->memory);
    for (uint32_t i = 0; engine->pending_count > 0 && i <= engine->arena->shape.local_count; i++)
        flush_pending(engine, &engine->pending[i]);
    transfer_advance(engine);
    if (news)
        drop_for_ended(engine);
    if (emptied && news)
        act_on_ends(engine, line_is_through);
    engine->stalled |= !line_is_through;
}

void engine_flush(struct engine *engine, int64_t deadline_ns)
{
    struct engine_wait wait;
    int64_t now = covey_now_ns();
    engine_wait_start(&wait, engine, deadline_ns > now ? deadline_ns - now : 0);
    while (engine->pending_count > 0 || !covey_list_empty(&engine->flows.queued) ||
           !covey_list_empty(&engine->offers) || !covey_list_empty(&engine->transfers)) {
        if (engine_wait_more(&wait))
            return;
    }
}
