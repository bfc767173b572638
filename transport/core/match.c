/*
 * Matching. A message that nobody has asked for waits in four orders: of its sender, of arrival,
 * and, to be found at once among very many, of its sender and tag and of its tag. A receive waits
 * by what it asks for. Either side takes the first that fits, in the order of sending or posting.
 */
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
    index_open(&channel->waiting);
    index_open(&channel->early);
    index_open(&channel->posted);
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
    index_close(&channel->waiting);
    index_close(&channel->early);
    index_close(&channel->posted);
    free(channel->peers);
    channel->peers = NULL;
}

/* Either may be ENGINE_ANY. */
static uint64_t key_of(int source, int tag)
{
    return (uint64_t)(uint32_t)(source + 1) << 32 | (uint32_t)tag;
}

/* Unlike for all that can be early at once. */
static uint64_t early_key(uint32_t member, uint64_t sequence)
{
    return (uint64_t)member << 48 | (sequence & 0xffffffffffff);
}

static struct message *message_at(struct index_node *of_both)
{
    return of_both ? covey_container_of(of_both, struct message, of_both) : NULL;
}

/* ---- what is posted ---- */

static void post(struct channel *channel, struct request *request)
{
    struct covey_list *list = request->peer == ENGINE_ANY
                                  ? &channel->posted_any
                                  : &engine_peer(channel, (uint32_t)request->peer)->posted;
    covey_list_push_back(list, &request->link);
    index_add(&channel->posted, &request->index, key_of(request->peer, request->tag));
    request->posted = true;
}

void match_unpost(struct request *request)
{
    if (!request->posted)
        return;
    request->posted = false;
    covey_list_remove(&request->link);
    index_remove(&request->channel->posted, &request->index);
}

/* Of the receives that a message fits, the one that was posted first. */
static struct request *find_posted(struct channel *channel, int source, int tag)
{
    const uint64_t keys[] = {key_of(source, tag), key_of(source, ENGINE_ANY),
                             key_of(ENGINE_ANY, tag), key_of(ENGINE_ANY, ENGINE_ANY)};
    struct request *first = NULL;
    for (int i = 0; i < 4 && channel->posted.keys > 0; i++) {
        struct index_node *node = index_find(&channel->posted, keys[i]);
        struct request *request = node ? covey_container_of(node, struct request, index) : NULL;
        if (request && (!first || request->number < first->number))
            first = request;
    }
    return first;
}

/* ---- what is unexpected ---- */

static void keep(struct channel *channel, struct message *message)
{
    int tag = message->descriptor.header.tag;
    covey_list_push_back(&engine_peer(channel, message->member)->unexpected, &message->by_peer);
    covey_list_push_back(&channel->arrivals, &message->by_arrival);
    index_add(&channel->waiting, &message->of_both, key_of((int)message->member, tag));
    index_add(&channel->waiting, &message->of_tag, key_of(ENGINE_ANY, tag));
}

static void unkeep(struct channel *channel, struct message *message)
{
    covey_list_remove(&message->by_peer);
    covey_list_remove(&message->by_arrival);
    index_remove(&channel->waiting, &message->of_both);
    index_remove(&channel->waiting, &message->of_tag);
}

/* In the order of sending: it was the first that fits when it was taken. */
static void keep_in_order(struct channel *channel, struct message *message)
{
    struct peer *peer = engine_peer(channel, message->member);
    const struct descriptor_header *header = &message->descriptor.header;
    struct covey_list *by_peer = &peer->unexpected;
    struct covey_list *by_arrival = &channel->arrivals;
    covey_list_for_each (node, &peer->unexpected) {
        if (message_of(node)->descriptor.header.sequence < header->sequence)
            continue;
        by_peer = node;
        by_arrival = &message_of(node)->by_arrival;
        break;
    }
    covey_list_push_back(by_peer, &message->by_peer);
    covey_list_push_back(by_arrival, &message->by_arrival);
    index_add_first(&channel->waiting, &message->of_both,
                    key_of((int)message->member, header->tag));
    index_add_first(&channel->waiting, &message->of_tag, key_of(ENGINE_ANY, header->tag));
}

/* ---- both ---- */

/* False where nobody has asked for it. */
static bool give_to_posted(struct channel *channel, struct message *message)
{
    struct request *request =
        find_posted(channel, (int)message->member, message->descriptor.header.tag);
    if (!request)
        return false;
    match_unpost(request);
    transfer_receive(channel->comm->engine, request, message);
    return true;
}

static void match_in_turn(struct channel *channel, struct message *message)
{
    if (!comm_takes(channel, message) && !give_to_posted(channel, message))
        keep(channel, message);
}

void match_put_back(struct channel *channel, struct message *message)
{
    if (!give_to_posted(channel, message))
        keep_in_order(channel, message);
}

static struct message *find_early(struct channel *channel, uint32_t member, uint64_t sequence)
{
    return message_at(index_find(&channel->early, early_key(member, sequence)));
}

static struct message *find_unexpected(struct channel *channel, const struct message *like)
{
    const struct descriptor_header *header = &like->descriptor.header;
    struct index_node *first =
        index_find(&channel->waiting, key_of((int)like->member, header->tag));
    for (struct index_node *node = first; node; node = index_next(first, node)) {
        if (message_at(node)->descriptor.header.sequence == header->sequence)
            return message_at(node);
    }
    return NULL;
}

void match_withdrawn(struct channel *channel, struct message *message)
{
    const struct descriptor_header *header = &message->descriptor.header;
    struct peer *peer = engine_peer(channel, message->member);
    bool had_turn = header->sequence < peer->receive_sequence;
    struct message *offer = had_turn ? find_unexpected(channel, message)
                                     : find_early(channel, message->member, header->sequence);
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

static struct message *take_early(struct channel *channel, uint32_t member)
{
    struct message *message =
        find_early(channel, member, engine_peer(channel, member)->receive_sequence);
    if (message) {
        covey_list_remove(&message->by_peer);
        index_remove(&channel->early, &message->of_both);
    }
    return message;
}

void match_arrived(struct channel *channel, struct message *message)
{
    struct peer *peer = engine_peer(channel, message->member);
    uint64_t sequence = message->descriptor.header.sequence;
    if (sequence < peer->receive_sequence) {
        engine_message_free(channel->comm->engine, message);
        return;
    }
    if (sequence > peer->receive_sequence && find_early(channel, message->member, sequence)) {
        engine_message_free(channel->comm->engine, message); /* it was withdrawn before it came */
        return;
    }
    if (sequence > peer->receive_sequence) {
        covey_list_push_back(&peer->early, &message->by_peer);
        index_add(&channel->early, &message->of_both, early_key(message->member, sequence));
        return;
    }
    for (uint32_t member = message->member; message; message = take_early(channel, member)) {
        peer->receive_sequence++;
        match_in_turn(channel, message);
    }
}

struct message *engine_find(struct channel *channel, int source, int tag)
{
    if (tag != ENGINE_ANY) {
        struct index_node *node = index_find(&channel->waiting, key_of(source, tag));
        if (source != ENGINE_ANY)
            return message_at(node);
        return node ? covey_container_of(node, struct message, of_tag) : NULL;
    }
    struct covey_list *list = source == ENGINE_ANY
                                  ? &channel->arrivals
                                  : &engine_peer(channel, (uint32_t)source)->unexpected;
    if (covey_list_empty(list))
        return NULL;
    return source == ENGINE_ANY ? arrival_of(list->next) : message_of(list->next);
}

static bool take_unexpected(struct channel *channel, struct request *request)
{
    struct message *message = engine_find(channel, request->peer, request->tag);
    if (!message)
        return false;
    unkeep(channel, message);
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
    post(channel, request);
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
    while (!covey_list_empty(posted)) {
        struct request *request = request_of(posted->next);
        match_unpost(request);
        engine_complete(request, COVEY_EPEER);
    }
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
