#include "base/memory.h"
#include "transport/core/comm.h"
#include "transport/core/transfer.h"

#include <stdlib.h>
#include <string.h>

static struct message *message_of(struct covey_list *by_peer)
{
    return (struct message *)by_peer;
}

static struct message *arrival_of(struct covey_list *by_arrival)
{
    return (struct message *)(void *)((char *)by_arrival - offsetof(struct message, by_arrival));
}

static struct request *request_of(struct covey_list *link)
{
    return (struct request *)link;
}

struct peer *engine_peer(struct channel *channel, uint32_t member)
{
    struct peer *peer = &channel->peers[member];
    if (!peer->posted.next) {
        covey_list_init(&peer->unexpected);
        covey_list_init(&peer->early);
        covey_list_init(&peer->posted);
    }
    return peer;
}

enum covey_status engine_channel_open(struct engine *engine, struct channel *channel,
                                      struct comm *comm, uint64_t id)
{
    *channel = (struct channel){.comm = comm, .id = id};
    covey_list_init(&channel->arrivals);
    covey_list_init(&channel->posted_any);
    channel->peers = covey_calloc(comm->size, sizeof(*channel->peers));
    if (!channel->peers)
        return COVEY_ENOMEM;
    enum covey_status status = covey_map_set_u64(&engine->channels, id, channel);
    if (status) {
        free(channel->peers);
        channel->peers = NULL;
        return status;
    }
    /* What came for it before it was made. */
    covey_list_for_each_safe (node, after, &engine->strays) {
        struct message *message = message_of(node);
        const struct descriptor_header *header = &message->descriptor.header;
        if (header->communicator != id)
            continue;
        covey_list_remove(node);
        message->member = comm->member_of[header->source];
        if (message->member == UINT32_MAX)
            engine_message_free(engine, message);
        else if (header->kind == DESCRIPTOR_WITHDRAWN)
            match_withdrawn(channel, message);
        else
            match_arrived(channel, message);
    }
    return COVEY_OK;
}

void engine_channel_close(struct engine *engine, struct channel *channel)
{
    if (!channel->peers)
        return;
    covey_map_remove_u64(&engine->channels, channel->id);
    if (engine->latest == channel)
        engine->latest = NULL;
    for (uint32_t i = 0; i < channel->comm->size; i++) {
        struct peer *peer = engine_peer(channel, i);
        struct covey_list *node;
        while ((node = covey_list_pop_front(&peer->unexpected)))
            engine_message_free(engine, message_of(node));
        while ((node = covey_list_pop_front(&peer->early)))
            engine_message_free(engine, message_of(node));
    }
    free(channel->peers);
    channel->peers = NULL;
}

static bool tag_matches(int wanted, int tag)
{
    return wanted == ENGINE_ANY || wanted == tag;
}

static struct request *find_posted(struct covey_list *posted, int tag)
{
    covey_list_for_each (node, posted) {
        if (tag_matches(request_of(node)->tag, tag))
            return request_of(node);
    }
    return NULL;
}

/* Of the receives that match, the one that was posted first; false where there is none. */
static bool give_to_posted(struct channel *channel, struct message *message)
{
    struct engine *engine = channel->comm->engine;
    struct peer *peer = engine_peer(channel, message->member);
    int tag = message->descriptor.header.tag;
    struct request *request = find_posted(&peer->posted, tag);
    struct request *any = find_posted(&channel->posted_any, tag);
    if (any && (!request || any->number < request->number))
        request = any;
    if (!request)
        return false;
    covey_list_remove(&request->link);
    transfer_receive(engine, request, message);
    return true;
}

static void match_in_turn(struct channel *channel, struct message *message)
{
    if (comm_takes(channel, message) || give_to_posted(channel, message))
        return;
    covey_list_push_back(&engine_peer(channel, message->member)->unexpected, &message->by_peer);
    covey_list_push_back(&channel->arrivals, &message->by_arrival);
}

/* In the order of sending, before what was sent later. */
static void keep_in_order(struct channel *channel, struct message *message)
{
    struct peer *peer = engine_peer(channel, message->member);
    uint64_t sequence = message->descriptor.header.sequence;
    covey_list_for_each (node, &peer->unexpected) {
        struct message *later = message_of(node);
        if (later->descriptor.header.sequence < sequence)
            continue;
        covey_list_push_back(&later->by_peer, &message->by_peer);
        covey_list_push_back(&later->by_arrival, &message->by_arrival);
        return;
    }
    covey_list_push_back(&peer->unexpected, &message->by_peer);
    covey_list_push_back(&channel->arrivals, &message->by_arrival);
}

void match_put_back(struct channel *channel, struct message *message)
{
    if (!give_to_posted(channel, message))
        keep_in_order(channel, message);
}

static struct message *find_sequence(struct covey_list *list, uint64_t sequence)
{
    covey_list_for_each (node, list) {
        if (message_of(node)->descriptor.header.sequence == sequence)
            return message_of(node);
    }
    return NULL;
}

void match_withdrawn(struct channel *channel, struct message *message)
{
    const struct descriptor_header *header = &message->descriptor.header;
    struct peer *peer = engine_peer(channel, message->member);
    bool had_turn = header->sequence < peer->receive_sequence;
    struct message *offer =
        find_sequence(had_turn ? &peer->unexpected : &peer->early, header->sequence);
    if (!offer && !had_turn) { /* it has overtaken the offer, and takes its turn */
        match_arrived(channel, message);
        return;
    }
    if (offer && offer->descriptor.header.kind == DESCRIPTOR_OFFER) {
        offer->descriptor.header.cookie = 0;
        offer->descriptor.header.argument = header->argument;
    } else if (!offer) {
        transfer_withdrawn(channel, message);
    }
    engine_message_free(channel->comm->engine, message);
}

static struct message *take_early(struct peer *peer)
{
    covey_list_for_each (node, &peer->early) {
        if (message_of(node)->descriptor.header.sequence == peer->receive_sequence) {
            covey_list_remove(node);
            return message_of(node);
        }
    }
    return NULL;
}

void match_arrived(struct channel *channel, struct message *message)
{
    struct peer *peer = engine_peer(channel, message->member);
    uint64_t sequence = message->descriptor.header.sequence;
    if (sequence < peer->receive_sequence) {
        engine_message_free(channel->comm->engine, message);
        return;
    }
    if (sequence > peer->receive_sequence && find_sequence(&peer->early, sequence)) {
        engine_message_free(channel->comm->engine, message); /* it was withdrawn before it came */
        return;
    }
    if (sequence > peer->receive_sequence) {
        covey_list_push_back(&peer->early, &message->by_peer);
        return;
    }
    do {
        peer->receive_sequence++;
        match_in_turn(channel, message);
        message = take_early(peer);
    } while (message);
}

struct message *engine_find(struct channel *channel, int source, int tag)
{
    if (source != ENGINE_ANY) {
        covey_list_for_each (node, &engine_peer(channel, (uint32_t)source)->unexpected) {
            if (tag_matches(tag, message_of(node)->descriptor.header.tag))
                return message_of(node);
        }
        return NULL;
    }
    covey_list_for_each (node, &channel->arrivals) {
        if (tag_matches(tag, arrival_of(node)->descriptor.header.tag))
            return arrival_of(node);
    }
    return NULL;
}

static bool take_unexpected(struct channel *channel, struct request *request)
{
    struct message *message = engine_find(channel, request->peer, request->tag);
    if (!message)
        return false;
    covey_list_remove(&message->by_peer);
    covey_list_remove(&message->by_arrival);
    transfer_receive(channel->comm->engine, request, message);
    return true;
}

/* From any member: not once one has died, whose message it may have been, or all have ended. */
static enum covey_status can_come_from_any(struct channel *channel)
{
    struct comm *comm = channel->comm;
    struct engine *engine = comm->engine;
    uint32_t gone = 0;
    for (uint32_t member = 0; member < comm->size; member++) {
        if (member == comm->rank)
            continue;
        uint8_t state = engine->ended[comm->ranks[member]];
        if (state == ARENA_DIED)
            return engine_check_heard(engine, comm->ranks[member]);
        gone += state == ARENA_DONE;
    }
    if (gone > 0 && gone == comm->size - 1)
        return engine_fail(engine, COVEY_EPEER, "all other members of the communicator have ended");
    return COVEY_OK;
}

enum covey_status engine_can_come(struct channel *channel, int source)
{
    struct comm *comm = channel->comm;
    if (source == ENGINE_ANY)
        return can_come_from_any(channel);
    return (uint32_t)source == comm->rank ? COVEY_OK
                                          : engine_check_heard(comm->engine, comm->ranks[source]);
}

enum covey_status engine_receive_start(struct channel *channel, struct request *request, int source,
                                       int tag)
{
    request->kind = REQUEST_RECEIVE;
    request->channel = channel;
    request->peer = source;
    request->tag = tag;
    request->number = channel->posted_count++;
    covey_list_init(&request->link);
    if (take_unexpected(channel, request))
        return COVEY_OK;
    enum covey_status status = engine_can_come(channel, source);
    if (status)
        return status;
    if (source == ENGINE_ANY)
        covey_list_push_back(&channel->posted_any, &request->link);
    else
        covey_list_push_back(&engine_peer(channel, (uint32_t)source)->posted, &request->link);
    engine_want(channel, source);
    return COVEY_OK;
}

void engine_want(struct channel *channel, int source)
{
    flow_want(channel->comm->engine,
              source == ENGINE_ANY ? ENGINE_ANY : (int)channel->comm->ranks[source]);
}

bool match_wants(struct engine *engine, uint32_t rank)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&engine->channels, &cursor, NULL, &value)) {
        struct channel *channel = value;
        uint32_t member = channel->comm->member_of[rank];
        if (channel != &channel->comm->user || member == UINT32_MAX)
            continue;
        if (!covey_list_empty(&channel->posted_any) ||
            !covey_list_empty(&engine_peer(channel, member)->posted))
            return true;
    }
    return false;
}

static void fail_posted(struct channel *channel, struct covey_list *posted, int source)
{
    if (covey_list_empty(posted) || engine_can_come(channel, source) == COVEY_OK)
        return;
    struct covey_list *node;
    while ((node = covey_list_pop_front(posted)))
        engine_complete(request_of(node), COVEY_EPEER);
}

static void fail_list(struct engine *engine, struct covey_list *list)
{
    covey_list_for_each_safe (node, after, list) {
        struct request *request = request_of(node);
        struct comm *comm = request->channel->comm;
        if (engine_check_heard(engine, comm->ranks[request->peer]) == COVEY_OK ||
            comm->ranks[request->peer] == engine->rank)
            continue;
        transfer_drop(request, COVEY_EPEER);
    }
}

void match_ended(struct engine *engine)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&engine->channels, &cursor, NULL, &value)) {
        struct channel *channel = value;
        fail_posted(channel, &channel->posted_any, ENGINE_ANY);
        for (uint32_t member = 0; member < channel->comm->size; member++)
            fail_posted(channel, &engine_peer(channel, member)->posted, (int)member);
    }
    fail_list(engine, &engine->offers);
    fail_list(engine, &engine->transfers);
    fail_list(engine, &engine->incoming);
}
