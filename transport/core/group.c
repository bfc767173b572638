#include "transport/core/group.h"

#include "base/fault.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[GROUP_KINDS] = {
    [GROUP_BARRIER] = "barrier",       [GROUP_BCAST] = "bcast",
    [GROUP_BCAST_BUF] = "bcast_buf",   [GROUP_REDUCE] = "reduce",
    [GROUP_ALLREDUCE] = "allreduce",   [GROUP_GATHER] = "gather",
    [GROUP_GATHERV] = "gatherv",       [GROUP_SCATTER] = "scatter",
    [GROUP_SCATTERV] = "scatterv",     [GROUP_ALLGATHER] = "allgather",
    [GROUP_ALLGATHERV] = "allgatherv", [GROUP_ALLTOALL] = "alltoall",
    [GROUP_ALLTOALLV] = "alltoallv",
};

/* kind 5, detail 8, root 17, length 26 (folded), number 8: what members must agree on. */
static uint64_t make_check(enum group_kind kind, uint32_t detail, uint32_t root, uint64_t length,
                           uint64_t number)
{
    uint64_t folded = (length ^ length >> 26 ^ length >> 52) & 0x3ffffff;
    return (uint64_t)kind | (uint64_t)(detail & 0xff) << 5 |
           (uint64_t)((root + 1) & 0x1ffff) << 13 | folded << 30 | (number & 0xff) << 56;
}

enum covey_status group_begin(struct group *group, struct comm *comm, enum group_kind kind,
                              uint32_t root, uint32_t detail, uint64_t length)
{
    *group = (struct group){.comm = comm,
                            .engine = comm->engine,
                            .kind = kind,
                            .culprit = GROUP_NO_ROOT,
                            .why = COVEY_ECANCELLED};
    engine_wait_start(&group->wait, comm->engine, comm->timeout_ns);
    if (comm->broken)
        return comm_broken(comm);
    group->began = true;
    group->check = make_check(kind, detail, root, length, comm->collectives);
    comm_arrive(comm);
    covey_fault(COVEY_FAULT_WORKER_COLLECTIVE);
    return COVEY_OK;
}

/*
 * Tells the others, who may be waiting for what will not come; or only those of this node, who
 * might otherwise see this worker end because of it before they hear why.
 */
static void tell_member(struct group *group, uint32_t member, uint64_t argument)
{
    struct request request;
    request_begin(&request);
    char text[ENGINE_TEXT_BYTES];
    memcpy(text, group->engine->text, sizeof(text));
    enum covey_status sent = engine_send_start(&group->comm->collective, &request, member,
                                               COMM_TAG_BROKEN, argument, NULL, NULL, 0);
    if (sent) /* it is gone itself */
        memcpy(group->engine->text, text, sizeof(text));
    else
        engine_forget(&request);
}

static void tell_broken(struct group *group, enum covey_status status, bool everybody)
{
    struct comm *comm = group->comm;
    if (comm->told)
        return;
    comm->told = true;
    uint64_t argument =
        (uint64_t)(uint32_t)-status << 32 | comm->broken_by | (comm->broken_sure ? COMM_SURE : 0);
    /* A member here may end because of it at once, and its end must not reach another node first.
     */
    for (int here = everybody ? 0 : 1; here <= 1; here++) {
        for (uint32_t member = 0; member < comm->size; member++) {
            if (member != comm->rank && (comm->node_of[member] == comm->node) == here)
                tell_member(group, member, argument);
        }
    }
}

static void let_go(struct group *group)
{
    if (group->holds)
        group_release(group, &group->held);
    group->holds = false;
}

void group_abandon(struct group *group)
{
    for (size_t i = 0; i < group->request_count; i++)
        engine_cancel(&group->requests[i], group->why);
    group->request_count = 0;
    let_go(group);
}

/* The text of a timeout: who was waited for, and who of this node has come. */
static enum covey_status timed_out(struct group *group)
{
    struct comm *comm = group->comm;
    if (comm->broken_by == comm->rank)
        return engine_fail(group->engine, COVEY_ETIMEOUT,
                           "%s: this rank came when others had given up", names[group->kind]);
    if (comm->broken_by != UINT32_MAX)
        (void)!engine_fail(group->engine, COVEY_ETIMEOUT, "waited in vain for rank %u%s",
                           comm->ranks[comm->broken_by],
                           comm->broken_sure ? "" : ", which may be waiting itself");
    comm_name_missing(comm, names[group->kind]);
    return COVEY_ETIMEOUT;
}

/* Whoever waits for a member that waits itself does not know who is missing. The others' time is up
 * at about the same moment, and one of them may: that is worth a moment. */
static void hear_who_is_missing(struct group *group)
{
    struct comm *comm = group->comm;
    struct engine_wait wait;
    engine_wait_word(&wait, group->engine, comm->timeout_ns);
    while (!comm->broken_sure && engine_wait_more(&wait) == COVEY_OK)
        group->engine->stalled = true;
}

static void blame_for_timeout(struct group *group)
{
    struct comm *comm = group->comm;
    uint32_t missing = comm_missing(comm, group->culprit);
    if (missing == UINT32_MAX)
        hear_who_is_missing(group);
    if (comm->broken)
        return;
    comm->broken = COVEY_ETIMEOUT;
    comm->broken_sure = missing != UINT32_MAX;
    comm->broken_by = comm->broken_sure ? missing : group->culprit;
}

static void blame_for_death(struct group *group, enum covey_status status)
{
    struct comm *comm = group->comm;
    comm->broken = status == COVEY_EMISMATCH ? COVEY_EMISMATCH : COVEY_EPEER;
    comm->broken_by = comm->rank;
    comm->broken_sure = true;
    if (status == COVEY_EPEER && comm_first_death(comm) != UINT32_MAX)
        comm->broken_by = comm->first_death;
    else if (status == COVEY_EPEER && group->culprit != GROUP_NO_ROOT)
        comm->broken_by = group->culprit;
}

enum covey_status group_end(struct group *group, enum covey_status status)
{
    struct comm *comm = group->comm;
    group->why = status;
    if (status)
        group_abandon(group);
    free(group->requests);
    group->requests = NULL;
    if (!status)
        return status;
    /* One that failed first may have said why before it ended. */
    if (status == COVEY_EPEER && !comm->broken)
        engine_progress(group->engine);
    bool told = comm->broken != COVEY_OK;
    if (!told && status == COVEY_ETIMEOUT)
        blame_for_timeout(group);
    else if (!told)
        blame_for_death(group, status);
    tell_broken(group, comm->broken, !told);
    if (group->began && comm->broken == COVEY_ETIMEOUT)
        return timed_out(group);
    return told ? comm_broken(comm) : status;
}

enum covey_status group_reserve(struct group *group, size_t requests)
{
    if (requests <= group->request_room)
        return COVEY_OK;
    struct request *more = covey_reallocarray(group->requests, requests, sizeof(*more));
    if (!more)
        return engine_fail(group->engine, COVEY_ENOMEM, "out of memory");
    group->requests = more;
    group->request_room = requests;
    return COVEY_OK;
}

void *group_memory(struct group *group, uint64_t count, uint64_t size)
{
    void *memory = count < SIZE_MAX / (size ? size : 1)
                       ? covey_reallocarray(NULL, count ? count : 1, size ? size : 1)
                       : NULL;
    if (!memory)
        (void)!engine_fail(group->engine, COVEY_ENOMEM, "%s: out of memory", names[group->kind]);
    return memory;
}

/* Room must be reserved: requests are on lists, and so must not move. */
static struct request *next_request(struct group *group)
{
    struct request *request = &group->requests[group->request_count++];
    *request = (struct request){0};
    covey_list_init(&request->link);
    return request;
}

/* Remembers whose end a status of EPEER is about. */
static enum covey_status blame(struct group *group, uint32_t member, enum covey_status status)
{
    if (status == COVEY_EPEER)
        group->culprit = member;
    return status;
}

/* A request that did not start is none. */
static enum covey_status started(struct group *group, uint32_t member, enum covey_status status)
{
    if (status)
        group->request_count--;
    return blame(group, member, status);
}

/* While something other than a message is waited for. */
static enum covey_status wait_more(struct group *group)
{
    struct comm *comm = group->comm;
    enum covey_status status = engine_wait_more(&group->wait);
    group->engine->stalled = true;
    if (!status && comm->broken)
        status = comm_broken(comm);
    if (!status && comm_first_death(comm) != UINT32_MAX)
        status = engine_check_rank(group->engine, comm->ranks[comm->first_death]);
    return status;
}

enum covey_status group_start_send(struct group *group, uint32_t member, const void *bytes,
                                   uint64_t length)
{
    return started(group, member,
                   engine_send_start(&group->comm->collective, next_request(group), member, 0,
                                     group->check, bytes, NULL, length));
}

enum covey_status group_start_send_block(struct group *group, uint32_t member,
                                         const struct descriptor_block *block)
{
    return started(group, member,
                   engine_send_start(&group->comm->collective, next_request(group), member, 0,
                                     group->check, NULL, block, block->length));
}

enum covey_status group_start_receive(struct group *group, uint32_t member, void *bytes,
                                      uint64_t length)
{
    struct request *request = next_request(group);
    request->target = bytes;
    request->size = length;
    return started(
        group, member,
        engine_receive_start(&group->comm->collective, request, (int)member, ENGINE_ANY));
}

enum covey_status group_verify(struct group *group, const struct request *request)
{
    uint64_t theirs = request->argument;
    struct comm *comm = group->comm;
    uint32_t rank = comm->ranks[request->peer];
    if (theirs == group->check) {
        if (request->status == COVEY_OK && (request->as_block || request->length == request->size))
            return COVEY_OK;
        return engine_fail(group->engine, COVEY_EMISMATCH,
                           "%s: rank %u sent %llu bytes, %llu were expected", names[group->kind],
                           rank, (unsigned long long)request->length,
                           (unsigned long long)request->size);
    }
    uint32_t kind = theirs & 0x1f;
    if (kind == 0 || kind >= GROUP_KINDS)
        return engine_fail(group->engine, COVEY_EMISMATCH, "%s: rank %u sent something else",
                           names[group->kind], rank);
    if (kind != group->kind)
        return engine_fail(group->engine, COVEY_EMISMATCH, "this is %s, rank %u called %s",
                           names[group->kind], rank, names[kind]);
    uint32_t root = (uint32_t)(theirs >> 13 & 0x1ffff) - 1;
    if ((theirs ^ group->check) >> 13 & 0x1ffff)
        return engine_fail(group->engine, COVEY_EMISMATCH, "%s: rank %u says that %u is the root",
                           names[group->kind], rank, root);
    return engine_fail(group->engine, COVEY_EMISMATCH, "%s: rank %u gave another %s",
                       names[group->kind], rank,
                       (theirs ^ group->check) >> 5 & 0xff ? "type or operation" : "length");
}

/* A message was withdrawn: its sender has failed, and tells why unless it has lost patience. */
static enum covey_status await_reason(struct group *group, uint32_t sender)
{
    struct comm *comm = group->comm;
    enum covey_status status = COVEY_OK;
    while (!status && !comm->broken && comm_first_death(comm) == UINT32_MAX) {
        status = engine_can_come(&comm->collective, (int)sender);
        if (!status)
            status = engine_wait_more(&group->wait);
    }
    if (comm->broken)
        return comm_broken(comm);
    if (comm_first_death(comm) != UINT32_MAX)
        return engine_check_rank(comm->engine, comm->ranks[comm->first_death]);
    return status;
}

/* Until this request is done; and what it brought is right. */
static enum covey_status await(struct group *group, struct request *request)
{
    enum covey_status status = engine_wait_request(request, &group->wait);
    if (request->gave_up)
        status = await_reason(group, (uint32_t)request->peer);
    if (status == COVEY_ETIMEOUT && group->comm->broken)
        return comm_broken(group->comm);
    if (status == COVEY_ETIMEOUT) {
        group->culprit = (uint32_t)request->peer;
        return engine_fail(group->engine, status, "waited in vain for rank %u",
                           group->comm->ranks[request->peer]);
    }
    if (status == COVEY_EPEER && !group->comm->broken &&
        comm_first_death(group->comm) == UINT32_MAX) {
        group->culprit = (uint32_t)request->peer;
        (void)!engine_can_come(&group->comm->collective, request->peer);
    }
    if (request->kind == REQUEST_RECEIVE && request->done &&
        (status == COVEY_OK || status == COVEY_ETRUNCATED))
        return group_verify(group, request);
    return status;
}

enum covey_status group_finish(struct group *group)
{
    for (size_t i = 0; i < group->request_count; i++) {
        enum covey_status status = await(group, &group->requests[i]);
        if (status)
            return status;
    }
    group->request_count = 0;
    let_go(group);
    return COVEY_OK;
}

static enum covey_status complete_one(struct group *group, struct request *request,
                                      enum covey_status status)
{
    if (!status)
        status = await(group, request);
    if (status && !request->done)
        engine_cancel(request, status);
    return status;
}

enum covey_status group_send(struct group *group, uint32_t member, const void *bytes,
                             uint64_t length)
{
    struct request request;
    request_begin(&request);
    covey_list_init(&request.link);
    request.channel = &group->comm->collective;
    enum covey_status status = engine_send_start(&group->comm->collective, &request, member, 0,
                                                 group->check, bytes, NULL, length);
    if (!status && request.done)
        return request.status;
    return status ? blame(group, member, status) : complete_one(group, &request, status);
}

enum covey_status group_receive(struct group *group, uint32_t member, void *bytes, uint64_t length)
{
    struct request request;
    request_begin(&request);
    request.target = bytes;
    request.size = length;
    enum covey_status status =
        engine_receive_start(&group->comm->collective, &request, (int)member, ENGINE_ANY);
    return status ? blame(group, member, status) : complete_one(group, &request, status);
}

enum covey_status group_receive_block(struct group *group, uint32_t member,
                                      struct descriptor_block *block, int *tag)
{
    struct request request;
    request_begin(&request);
    request.as_block = true;
    enum covey_status status =
        engine_receive_start(&group->comm->collective, &request, (int)member, ENGINE_ANY);
    status = status ? blame(group, member, status) : complete_one(group, &request, status);
    if (status && request.done && request.has_block)
        group_release(group, &request.block);
    *block = request.block;
    if (tag)
        *tag = request.tag;
    return status;
}

enum covey_status group_start_send_held(struct group *group, uint32_t member,
                                        const struct descriptor_block *block)
{
    group->held = *block;
    group->holds = true;
    return group_start_send_block(group, member, &group->held);
}

enum covey_status group_lend(struct group *group, uint32_t member, int tag,
                             const struct descriptor_block *block)
{
    for (;;) {
        enum covey_status status =
            engine_send_lent(&group->comm->collective, member, tag, group->check, block);
        if (status != COVEY_EAGAIN)
            return status;
        status = wait_more(group);
        if (status)
            return status;
    }
}

enum covey_status group_allocate(struct group *group, uint64_t length,
                                 struct descriptor_block *block)
{
    while (!memory_allocate(&group->engine->memory, length, MEMORY_AGREED, block)) {
        enum covey_status status = wait_more(group);
        if (status)
            return status;
    }
    return COVEY_OK;
}

uint8_t *group_bytes(const struct group *group, const struct descriptor_block *block)
{
    return memory_bytes(&group->engine->memory, block);
}

void group_release(struct group *group, const struct descriptor_block *block)
{
    memory_release(&group->engine->memory, block);
}

static uint64_t step(struct walk *walk, uint64_t length)
{
    uint64_t left = blocks_length(walk->blocks, walk->member) - walk->done;
    return left < length ? left : length;
}

static void advance(struct walk *walk, uint64_t length)
{
    walk->done += length;
    if (walk->done == blocks_length(walk->blocks, walk->member)) {
        walk->member++;
        walk->done = 0;
    }
}

void walk_read(struct walk *walk, uint8_t *to, uint64_t length)
{
    while (length > 0 && walk->member < walk->end) {
        uint64_t now = step(walk, length);
        if (now > 0)
            memcpy(to, blocks_at(walk->blocks, walk->member) + walk->done, now);
        advance(walk, now);
        to += now;
        length -= now;
    }
}

void walk_write(struct walk *walk, const uint8_t *from, uint64_t length)
{
    while (length > 0 && walk->member < walk->end) {
        uint64_t now = step(walk, length);
        if (now > 0)
            memcpy(blocks_at(walk->blocks, walk->member) + walk->done, from, now);
        advance(walk, now);
        from += now;
        length -= now;
    }
}
