#include "transport/core/transfer.h"

#include "base/fault.h"
#include "transport/core/comm.h"

#include <string.h>

static bool is_far(const struct engine *engine, uint32_t rank)
{
    return engine->arena->rank_local[rank] == UINT32_MAX;
}

static struct descriptor answer(const struct engine *engine, uint32_t kind, uint32_t destination)
{
    return (struct descriptor){.header = {.kind = (uint16_t)kind,
                                          .payload = DESCRIPTOR_NONE,
                                          .source = engine->rank,
                                          .destination = destination}};
}

/* Copies bytes into a descriptor that has room for them. */
static void put_inline(struct descriptor *descriptor, const void *bytes, uint64_t length)
{
    descriptor->header.length = length;
    descriptor->header.payload = length > 0 ? DESCRIPTOR_INLINE : DESCRIPTOR_NONE;
    if (length > 0)
        memcpy(descriptor->inline_bytes, bytes, length);
}

static const void *payload_of(const struct engine *engine, const struct descriptor *descriptor)
{
    switch (descriptor->header.payload) {
    case DESCRIPTOR_BLOCK:
        return memory_bytes(&engine->memory, &descriptor->block);
    case DESCRIPTOR_PRIVATE:
        return descriptor->private_bytes;
    default:
        return descriptor->inline_bytes;
    }
}

enum covey_status transfer_name(struct engine *engine, struct request *request)
{
    uint64_t cookie = engine->next_cookie++;
    if (covey_map_set_u64(&engine->cookies, cookie, request))
        return engine_fail(engine, COVEY_ENOMEM, "out of memory");
    request->cookie = cookie;
    return COVEY_OK;
}

void transfer_unname(struct engine *engine, struct request *request)
{
    if (request->cookie)
        covey_map_remove_u64(&engine->cookies, request->cookie);
    request->cookie = 0;
    if (request->has_turn)
        flow_transfer_ends(engine, request->channel->id,
                           request->channel->comm->ranks[request->peer]);
    request->has_turn = false;
}

/* The request that a message from `source` may mean by this cookie. */
static struct request *named(struct engine *engine, uint64_t cookie, enum request_kind kind,
                             uint32_t source)
{
    struct request *request = covey_map_get_u64(&engine->cookies, cookie);
    if (!request || request->kind != kind || request->channel->comm->ranks[request->peer] != source)
        return NULL;
    return request;
}

/* ---- giving up ---- */

/* A status, as messages carry it. */
static uint64_t code_of(enum covey_status status)
{
    return (uint64_t) - (int64_t)status;
}

/* Ends a transfer that was agreed on, for the other side; why is a code. */
static void tell(struct engine *engine, enum descriptor_kind kind, uint32_t rank, uint64_t cookie,
                 uint64_t why)
{
    struct descriptor descriptor = answer(engine, kind, rank);
    descriptor.header.cookie = cookie;
    descriptor.header.argument = why;
    enum covey_status status = engine_post(engine, &descriptor, NULL);
    (void)status; /* it has ended: then it waits no more */
}

/* Ends an offer that has gone out, in the place that it has in the order. */
static void tell_withdrawn(struct engine *engine, const struct request *request,
                           enum covey_status why)
{
    struct descriptor descriptor =
        answer(engine, DESCRIPTOR_WITHDRAWN, request->channel->comm->ranks[request->peer]);
    descriptor.header.communicator = request->channel->id;
    descriptor.header.sequence = request->sequence;
    descriptor.header.tag = request->tag;
    descriptor.header.length = request->length;
    descriptor.header.argument = code_of(why);
    enum covey_status status = engine_post(engine, &descriptor, NULL);
    (void)status; /* as above */
}

/* What the other side gives as its reason may be anything. */
static enum covey_status reason_of(const struct descriptor_header *header)
{
    switch (-(int64_t)header->argument) {
    case COVEY_ETIMEOUT:
        return COVEY_ETIMEOUT;
    case COVEY_ELIMIT:
        return COVEY_ELIMIT;
    case COVEY_EPEER:
        return COVEY_EPEER;
    case COVEY_EMISMATCH:
        return COVEY_EMISMATCH;
    default:
        return COVEY_ECANCELLED;
    }
}

void transfer_drop(struct request *request, enum covey_status status)
{
    struct engine *engine = request->channel->comm->engine;
    match_unpost(request);
    covey_list_remove(&request->link);
    transfer_unname(engine, request);
    if (request->kind == REQUEST_SEND)
        transfer_drop_window(engine, request);
    if (request->has_block)
        memory_release(&engine->memory, &request->block);
    request->has_block = false;
    engine_complete(request, status);
}

void engine_cancel(struct request *request, enum covey_status why)
{
    if (request->done)
        return;
    struct engine *engine = request->channel->comm->engine;
    struct message *message = request->message;
    bool agreed = request->far_cookie != 0 && !message;
    bool offered = request->kind == REQUEST_SEND && request->cookie != 0 && !agreed;
    bool queued = request->kind == REQUEST_SEND && engine_withdraw_pending(engine, request, why);
    request->message = NULL;
    transfer_drop(request, COVEY_ECANCELLED);
    if (agreed)
        tell(engine, request->kind == REQUEST_SEND ? DESCRIPTOR_WITHDRAWN : DESCRIPTOR_REFUSED,
             request->channel->comm->ranks[request->peer], request->far_cookie, code_of(why));
    else if (offered && !queued)
        tell_withdrawn(engine, request, why);
    if (message)
        match_put_back(request->channel, message);
}

void transfer_void(struct engine *engine, struct descriptor *descriptor, enum covey_status why)
{
    struct descriptor_header *header = &descriptor->header;
    if (header->payload == DESCRIPTOR_BLOCK && header->kind == DESCRIPTOR_MESSAGE)
        flow_unsend_bytes(engine, header);
    /* It still is a message that takes its place in the order, and has taken its leave. */
    header->kind = DESCRIPTOR_OFFER;
    header->payload = DESCRIPTOR_NONE;
    header->cookie = 0;
    header->argument = code_of(why);
}

bool transfer_is_void(const struct descriptor_header *header)
{
    return header->kind == DESCRIPTOR_WITHDRAWN ||
           (header->kind == DESCRIPTOR_OFFER && header->cookie == 0);
}

static void end_by_peer(struct request *request, const struct descriptor_header *header)
{
    request->gave_up = true;
    transfer_drop(request, reason_of(header));
}

void transfer_ended(struct engine *engine, const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    enum request_kind kind = header->kind == DESCRIPTOR_WITHDRAWN ? REQUEST_RECEIVE : REQUEST_SEND;
    struct request *request = named(engine, header->cookie, kind, header->source);
    if (request)
        end_by_peer(request, header);
}

static bool end_receive_of(struct covey_list *list, const struct channel *channel,
                           const struct message *message)
{
    covey_list_for_each (node, list) {
        struct request *request = (struct request *)node;
        if (request->channel != channel || request->peer != (int)message->member ||
            request->sequence != message->descriptor.header.sequence)
            continue;
        if (request->message)
            engine_message_free(channel->comm->engine, request->message);
        request->message = NULL;
        end_by_peer(request, &message->descriptor.header);
        return true;
    }
    return false;
}

void transfer_withdrawn(struct channel *channel, const struct message *message)
{
    struct engine *engine = channel->comm->engine;
    if (end_receive_of(&engine->incoming, channel, message) ||
        end_receive_of(&engine->starved, channel, message))
        return;
    covey_list_for_each (at, &engine->flows.turns) {
        if (end_receive_of(&covey_container_of(at, struct flow, turns_link)->turn, channel,
                           message))
            return;
    }
}

/* ---- sending ---- */

/* True, with the leave taken, where this message may take its payload along. */
static bool may_go_unasked(struct engine *engine, const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    if (!is_far(engine, header->destination))
        return header->length <= ENGINE_EAGER_BYTES;
    return header->length <= ENGINE_EAGER_FAR_BYTES && flow_send_bytes(engine, header);
}

/* Takes the leave that a message of another node needs to go now, if it does. */
static bool has_leave(struct engine *engine, const struct descriptor *descriptor)
{
    if (!is_far(engine, descriptor->header.destination))
        return true;
    if (!may_go_unasked(engine, descriptor))
        return false;
    if (!flow_must_wait(engine, &descriptor->header))
        return true;
    flow_unsend_bytes(engine, &descriptor->header);
    return false;
}

/* By reference, where the receiver can take it so. EAGAIN where it cannot. */
static enum covey_status send_shared(struct engine *engine, struct request *request,
                                     struct descriptor *descriptor)
{
    if (descriptor->header.destination == engine->rank || !has_leave(engine, descriptor))
        return COVEY_EAGAIN;
    descriptor->header.payload = DESCRIPTOR_BLOCK;
    descriptor->block = *request->source_block;
    descriptor->block.length = request->length;
    enum covey_status status = engine_post_shared(engine, descriptor);
    if (status == COVEY_OK) {
        engine_complete(request, COVEY_OK);
        return COVEY_OK;
    }
    flow_unsend(engine, &descriptor->header);
    flow_unsend_bytes(engine, &descriptor->header);
    return status == COVEY_EEXISTS ? COVEY_EAGAIN : status;
}

/* As a copy in a block of its own. EAGAIN where there is no room or leave. */
static enum covey_status send_copy(struct engine *engine, struct request *request,
                                   struct descriptor *descriptor)
{
    if (!may_go_unasked(engine, descriptor))
        return COVEY_EAGAIN;
    struct descriptor_block block;
    if (!memory_allocate(&engine->memory, request->length, MEMORY_UNASKED, &block)) {
        flow_unsend_bytes(engine, &descriptor->header);
        return COVEY_EAGAIN;
    }
    memcpy(memory_bytes(&engine->memory, &block), request->source, request->length);
    descriptor->header.payload = DESCRIPTOR_BLOCK;
    descriptor->block = block;
    return engine_post(engine, descriptor, request);
}

static enum covey_status send_offer(struct engine *engine, struct request *request,
                                    struct descriptor *descriptor)
{
    enum covey_status status = transfer_name(engine, request);
    if (status)
        return status;
    descriptor->header.kind = DESCRIPTOR_OFFER;
    descriptor->header.payload = DESCRIPTOR_NONE;
    descriptor->header.cookie = request->cookie;
    covey_list_push_back(&engine->offers, &request->link);
    status = engine_post(engine, descriptor, NULL);
    if (status) {
        covey_list_remove(&request->link);
        transfer_unname(engine, request);
    }
    return status;
}

enum covey_status engine_send_start(struct channel *channel, struct request *request,
                                    uint32_t destination, int tag, uint64_t argument,
                                    const void *source, const struct descriptor_block *block,
                                    uint64_t length)
{
    struct engine *engine = channel->comm->engine;
    struct peer *peer = engine_peer(channel, destination);
    uint32_t rank = channel->comm->ranks[destination];
    request->kind = REQUEST_SEND;
    request->channel = channel;
    request->peer = (int)destination;
    request->tag = tag;
    request->source = block ? memory_bytes(&engine->memory, block) : source;
    request->source_block = block;
    request->length = length;
    request->sequence = peer->send_sequence;
    covey_list_init(&request->link);
    struct descriptor descriptor = answer(engine, DESCRIPTOR_MESSAGE, rank);
    descriptor.header.tag = tag;
    descriptor.header.communicator = channel->id;
    descriptor.header.sequence = peer->send_sequence;
    descriptor.header.length = length;
    descriptor.header.argument = argument;
    enum covey_status status = COVEY_EAGAIN;
    if (rank != engine->rank && (status = engine_check_rank(engine, rank)))
        return status;
    if (length <= DESCRIPTOR_INLINE_BYTES) {
        put_inline(&descriptor, request->source, length);
        status = engine_post(engine, &descriptor, request);
    } else {
        status = block ? send_shared(engine, request, &descriptor) : COVEY_EAGAIN;
        if (status == COVEY_EAGAIN)
            status = send_copy(engine, request, &descriptor);
        if (status == COVEY_EAGAIN)
            status = send_offer(engine, request, &descriptor);
    }
    /* One that did not go takes no place in the order. */
    if (!status)
        peer->send_sequence++;
    return status;
}

enum covey_status engine_send_lent(struct channel *channel, uint32_t destination, int tag,
                                   uint64_t argument, const struct descriptor_block *block)
{
    struct engine *engine = channel->comm->engine;
    struct peer *peer = engine_peer(channel, destination);
    uint32_t rank = channel->comm->ranks[destination];
    enum covey_status status = engine_check_rank(engine, rank);
    if (status)
        return status;
    struct descriptor descriptor = answer(engine, DESCRIPTOR_MESSAGE, rank);
    descriptor.header.payload = DESCRIPTOR_BLOCK;
    descriptor.header.tag = tag;
    descriptor.header.communicator = channel->id;
    descriptor.header.sequence = peer->send_sequence;
    descriptor.header.length = block->length;
    descriptor.header.argument = argument;
    descriptor.block = *block;
    status = engine_post_shared(engine, &descriptor);
    if (status == COVEY_OK)
        peer->send_sequence++;
    if (status == COVEY_EPEER)
        return engine_fail(engine, status, "rank %u has ended", rank);
    return status == COVEY_EEXISTS ? COVEY_EAGAIN : status;
}

void transfer_drop_window(struct engine *engine, struct request *request)
{
    for (uint32_t i = 0; i < request->window_used; i++)
        memory_release(&engine->memory, &request->window[i]);
    request->window_used = 0;
}

/* A block of the transfer's own that the receiver is done with, or a further one. */
static struct descriptor_block *next_piece(struct engine *engine, struct request *request)
{
    for (uint32_t i = 0; i < request->window_used; i++) {
        if (memory_alone(&engine->memory, &request->window[i]))
            return &request->window[i];
    }
    if (request->window_used == ENGINE_WINDOW)
        return NULL;
    struct descriptor_block *fresh = &request->window[request->window_used];
    if (!memory_allocate(&engine->memory, ENGINE_PIECE_BYTES, MEMORY_AGREED, fresh))
        return NULL;
    request->window_used++;
    return fresh;
}

static bool send_piece(struct engine *engine, struct request *request)
{
    struct descriptor descriptor =
        answer(engine, DESCRIPTOR_DATA, request->channel->comm->ranks[request->peer]);
    uint64_t left = request->accepted - request->moved;
    uint64_t length = left < ENGINE_PIECE_BYTES ? left : ENGINE_PIECE_BYTES;
    descriptor.header.cookie = request->far_cookie;
    descriptor.header.argument = request->moved;
    descriptor.header.length = length;
    descriptor.header.payload = DESCRIPTOR_BLOCK;
    enum covey_status status = COVEY_EEXISTS;
    if (request->source_block && length == request->length) {
        descriptor.block = *request->source_block;
        descriptor.block.length = length;
        status = engine_post_shared(engine, &descriptor);
    }
    if (status == COVEY_EEXISTS) {
        struct descriptor_block *piece = next_piece(engine, request);
        if (!piece)
            return false;
        memcpy(memory_bytes(&engine->memory, piece), request->source + request->moved, length);
        descriptor.block = *piece;
        descriptor.block.length = length;
        status = engine_post_shared(engine, &descriptor);
    }
    if (status)
        return false;
    request->moved += length;
    return true;
}

/* Between two requests of this worker there is nothing but a copy. */
static void move_to_self(struct engine *engine, struct request *request)
{
    struct request *to = named(engine, request->far_cookie, REQUEST_RECEIVE, engine->rank);
    if (to) {
        if (to->accepted > 0)
            memcpy(to->as_block ? memory_bytes(&engine->memory, &to->block) : to->target,
                   request->source, to->accepted);
        covey_list_remove(&to->link);
        transfer_unname(engine, to);
        engine_complete(to, to->accepted < to->length ? COVEY_ETRUNCATED : COVEY_OK);
    }
    request->moved = request->accepted;
}

static void advance(struct engine *engine, struct request *request)
{
    if (request->channel->comm->ranks[request->peer] == engine->rank)
        move_to_self(engine, request);
    while (request->moved < request->accepted) {
        if (!send_piece(engine, request)) {
            engine->stalled = true;
            return;
        }
    }
    covey_list_remove(&request->link);
    transfer_unname(engine, request);
    transfer_drop_window(engine, request);
    engine_complete(request, COVEY_OK);
}

void transfer_accept(struct engine *engine, const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    struct request *request = named(engine, header->cookie, REQUEST_SEND, header->source);
    if (!request || request->far_cookie) {
        tell(engine, DESCRIPTOR_WITHDRAWN, header->source, header->argument,
             engine_pending_reason(engine, header, code_of(COVEY_ECANCELLED)));
        return;
    }
    request->far_cookie = header->argument;
    request->accepted = header->length < request->length ? header->length : request->length;
    covey_list_remove(&request->link);
    covey_list_push_back(&engine->transfers, &request->link);
    advance(engine, request);
}

/* ---- receiving ---- */

/* False where the memory is full. */
static bool receive_as_block(struct engine *engine, struct request *request,
                             struct message *message)
{
    struct descriptor *descriptor = &message->descriptor;
    if (descriptor->header.payload == DESCRIPTOR_BLOCK) {
        request->block = descriptor->block;
        descriptor->header.payload = DESCRIPTOR_NONE; /* its hold is the request's now */
    } else {
        uint64_t length = descriptor->header.length;
        if (!memory_allocate(&engine->memory, length ? length : 1, MEMORY_OWNED, &request->block))
            return false;
        request->block.length = length;
        memcpy(memory_bytes(&engine->memory, &request->block), payload_of(engine, descriptor),
               length);
    }
    request->has_block = true;
    engine_complete(request, COVEY_OK);
    return true;
}

static bool receive_message(struct engine *engine, struct request *request, struct message *message)
{
    struct descriptor *descriptor = &message->descriptor;
    uint64_t length = descriptor->header.length;
    if (request->as_block) {
        if (!receive_as_block(engine, request, message))
            return false;
    } else {
        uint64_t fits = length < request->size ? length : request->size;
        if (fits > 0)
            memcpy(request->target, payload_of(engine, descriptor), fits);
        engine_complete(request, fits < length ? COVEY_ETRUNCATED : COVEY_OK);
    }
    return true;
}

/* False where the memory is full. */
static bool accept_offer(struct engine *engine, struct request *request, struct message *message)
{
    const struct descriptor_header *offer = &message->descriptor.header;
    uint64_t wanted = offer->length;
    if (!request->as_block && request->size < wanted)
        wanted = request->size;
    bool adopts = offer->length <= ENGINE_PIECE_BYTES && offer->source != engine->rank;
    if (request->as_block && !adopts) {
        if (!memory_allocate(&engine->memory, wanted, MEMORY_OWNED, &request->block))
            return false;
        request->has_block = true;
    }
    request->accepted = wanted;
    request->moved = 0;
    enum covey_status status = transfer_name(engine, request);
    if (status) {
        engine_cancel(request, status);
        request->status = status;
        return true;
    }
    struct descriptor accept = answer(engine, DESCRIPTOR_ACCEPT, offer->source);
    accept.header.cookie = offer->cookie;
    accept.header.argument = request->cookie;
    accept.header.length = wanted;
    accept.header.communicator = offer->communicator;
    accept.header.sequence = offer->sequence;
    covey_list_push_back(&engine->incoming, &request->link);
    status = engine_post(engine, &accept, NULL);
    if (status) {
        transfer_drop(request, status);
    } else if (wanted == 0 && !request->done) {
        covey_list_remove(&request->link);
        transfer_unname(engine, request);
        engine_complete(request, request->length > 0 ? COVEY_ETRUNCATED : COVEY_OK);
    }
    return true;
}

void transfer_receive(struct engine *engine, struct request *request, struct message *message)
{
    const struct descriptor_header *header = &message->descriptor.header;
    request->peer = (int)message->member;
    request->tag = header->tag;
    request->argument = header->argument;
    request->length = header->length;
    request->message = NULL;
    request->sequence = header->sequence;
    request->far_cookie = header->kind == DESCRIPTOR_OFFER ? header->cookie : 0;
    if (transfer_is_void(header)) {
        end_by_peer(request, header);
        engine_message_free(engine, message);
        return;
    }
    if (request->as_block && header->length > memory_most_bytes(&engine->memory)) {
        request->far_cookie = 0;
        transfer_drop(request, COVEY_ELIMIT);
        match_put_back(request->channel, message);
        return;
    }
    if (header->kind == DESCRIPTOR_OFFER && !request->has_turn) {
        request->has_turn = flow_transfer_begins(engine, header, &request->link);
        if (!request->has_turn) {
            request->message = message;
            return;
        }
    }
    bool moved_on = header->kind == DESCRIPTOR_MESSAGE ? receive_message(engine, request, message)
                                                       : accept_offer(engine, request, message);
    if (moved_on) {
        engine_message_free(engine, message);
        return;
    }
    request->message = message;
    engine->stalled = true;
    covey_list_push_back(&engine->starved, &request->link);
}

/* A piece that is the whole of what a buffer is wanted for becomes that buffer. */
static bool adopt(struct request *request, const struct descriptor *descriptor)
{
    if (!request->as_block || request->has_block ||
        descriptor->header.payload != DESCRIPTOR_BLOCK ||
        descriptor->header.length != request->accepted)
        return false;
    request->block = descriptor->block;
    request->has_block = true;
    return true;
}

void transfer_data(struct engine *engine, const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    struct request *request = named(engine, header->cookie, REQUEST_RECEIVE, header->source);
    uint64_t offset = header->argument;
    bool fits = request && offset <= request->accepted &&
                header->length <= request->accepted - offset &&
                header->length <= request->accepted - request->moved;
    bool adopted = fits && adopt(request, descriptor);
    if (fits && !adopted && (request->target || request->has_block)) {
        uint8_t *to =
            request->has_block ? memory_bytes(&engine->memory, &request->block) : request->target;
        memcpy(to + offset, payload_of(engine, descriptor), header->length);
    }
    if (!adopted && header->payload == DESCRIPTOR_BLOCK)
        memory_release(&engine->memory, &descriptor->block);
    if (!fits)
        return;
    request->moved += header->length;
    if (request->moved < request->accepted)
        return;
    covey_list_remove(&request->link);
    transfer_unname(engine, request);
    engine_complete(request, request->accepted < request->length ? COVEY_ETRUNCATED : COVEY_OK);
}

void transfer_advance(struct engine *engine)
{
    covey_list_for_each_safe (node, after, &engine->transfers) {
        advance(engine, (struct request *)node);
    }
    for (struct covey_list *link; (link = flow_next_turn(engine));) {
        struct request *request = (struct request *)link;
        request->has_turn = true;
        transfer_receive(engine, request, request->message);
    }
    covey_list_for_each_safe (node2, after2, &engine->starved) {
        struct request *request = (struct request *)node2;
        struct message *message = request->message;
        covey_list_remove(&request->link);
        transfer_receive(engine, request, message);
        if (request->message)
            break; /* still full */
    }
}
