/*
 * What comes in: a row of records, each followed by its payload where it has one. A payload that
 * is small and lies in what was read ahead as a whole is offered from there. Of others the header
 * is offered first, and the rest of the payload is read straight to where the owner wants it. The
 * stream never waits for the owner: a payload that it keeps is read to memory of our own, and its
 * sender's memory is not free before the owner has it.
 */
#include "transport/net/tcp.h"

#include "base/memory.h"
#include "transport/net/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* System calls for one link in one call, so that others get their turn. */
#define READS_MAX 8

static size_t ahead_bytes(const struct tcp_link *link)
{
    return link->ahead_end - link->ahead_start;
}

static const uint8_t *ahead(const struct tcp_link *link)
{
    return link->ahead + link->ahead_start;
}

/* Of no more use: its sender is told, where it waits for that. */
static void free_body(struct tcp_body *body)
{
    if (body->link && body->large)
        tcp_say_taken(body->link, body->number);
    covey_list_remove(&body->node);
    free(body->own);
    free(body);
}

static void end_fetch(struct tcp_body *body, enum covey_status status)
{
    net_done done = body->done;
    void *done_data = body->done_data;
    free_body(body);
    done(done_data, status);
}

static bool is_whole(const struct tcp_body *body)
{
    return body->got_bytes == body->length_bytes;
}

/* The payload is all here. One that is kept stays until the owner fetches or releases it. */
static void finish_body(struct tcp_link *link)
{
    struct tcp_body *body = link->body;
    link->body = NULL;
    if (body->done)
        end_fetch(body, COVEY_OK);
}

/* Bytes of the payload have come to their place. */
static void body_got(struct tcp_link *link, size_t bytes)
{
    link->body->got_bytes += bytes;
    if (is_whole(link->body))
        finish_body(link);
}

/* Moves what was read ahead of the payload to its place. */
static void fill_body(struct tcp_link *link)
{
    struct tcp_body *body = link->body;
    size_t bytes = body->length_bytes - body->got_bytes;
    if (bytes > ahead_bytes(link))
        bytes = ahead_bytes(link);
    memcpy(body->address + body->got_bytes, ahead(link), bytes);
    link->ahead_start += bytes;
    body_got(link, bytes);
}

void tcp_body_orphan(struct tcp_link *link)
{
    covey_list_for_each (node, &link->bodies)
        covey_container_of(node, struct tcp_body, node)->link = NULL;
    struct tcp_body *body = link->body;
    link->body = NULL;
    if (body && body->done)
        end_fetch(body, COVEY_EPEER);
    /* The list goes with the link; what is still on it is the owner's to fetch or release. */
    while (covey_list_pop_front(&link->bodies))
        continue;
}

void tcp_release(struct net_backend *tcp, void *handle)
{
    struct tcp_body *body = handle;
    (void)tcp;
    if (body->link && body->link->body == body) {
        body->link->skip_bytes = body->length_bytes - body->got_bytes;
        body->link->body = NULL;
    }
    free_body(body);
}

void tcp_fetch(struct net_backend *tcp, struct net_link *from, void *handle, void *address,
               size_t length_bytes, struct net_region *region, net_done done, void *done_data)
{
    struct tcp_body *body = handle;
    (void)region;
    if (!from || tcp_link_of(from)->closed || length_bytes != body->length_bytes ||
        (!is_whole(body) && (!body->link || body->link->broken))) {
        tcp_release(tcp, handle);
        done(done_data, COVEY_EPEER);
        return;
    }
    if (body->own)
        memcpy(address, body->own, body->got_bytes);
    body->done = done;
    body->done_data = done_data;
    if (is_whole(body)) {
        end_fetch(body, COVEY_OK);
        return;
    }
    free(body->own);
    body->own = NULL;
    body->address = address;
}

/* A payload that is on its way, or in part. False: no memory. */
static bool offer_body(struct tcp_link *link, const uint8_t *frame, size_t frame_bytes,
                       size_t length_bytes, bool large)
{
    const struct net_backend_events *events = link->tcp->options.events;
    struct tcp_body *body = covey_calloc(1, sizeof *body);
    if (!body)
        return false;
    body->large = large;
    body->number = large ? link->larges_in++ : 0;
    covey_list_push_back(&link->bodies, &body->node);
    const struct net_body offered = {.length_bytes = length_bytes, .handle = body};
    body->link = link;
    body->length_bytes = length_bytes;
    link->body = body;
    bool kept = events->on_frame(link->tcp->options.owner, NULL, frame, frame_bytes, &offered);
    if (link->body != body || body->done) /* released, or fetched */
        return true;
    if (!kept) {
        tcp_release(link->tcp, body);
        return true;
    }
    body->own = body->address = covey_malloc(length_bytes);
    return body->own;
}

/* Handles the message that begins at `frame`. False: more of it has to come first. */
static bool take_message(struct tcp_link *link, const uint8_t *frame, size_t frame_bytes,
                         bool large)
{
    const struct net_backend_events *events = link->tcp->options.events;
    if (!link->settled || frame_bytes < NET_WIRE_HEAD_BYTES) {
        tcp_link_break(link, COVEY_EPROTO, "a message that makes no sense");
        return true;
    }
    uint64_t payload_bytes = net_get_u64(frame + 8);
    size_t here_bytes = ahead_bytes(link) - TCP_RECORD_HEAD_BYTES - frame_bytes;
    if (large && payload_bytes == 0) {
        tcp_link_break(link, COVEY_EPROTO, "a large message of nothing");
        return true;
    }
    if (!large && payload_bytes > here_bytes && payload_bytes <= TCP_HERE_BYTES)
        return false;
    link->ahead_start += TCP_RECORD_HEAD_BYTES + frame_bytes;
    if (large || payload_bytes > here_bytes) {
        if (!offer_body(link, frame, frame_bytes, payload_bytes, large))
            tcp_link_break(link, COVEY_ENOMEM, "no memory for its message");
        return true;
    }
    const struct net_body body = {.bytes = frame + frame_bytes, .length_bytes = payload_bytes};
    link->ahead_start += payload_bytes;
    (void)events->on_frame(link->tcp->options.owner, NULL, frame, frame_bytes, &body);
    return true;
}

static bool take_record(struct tcp_link *link)
{
    const uint8_t *record = ahead(link);
    const struct net_body no_body = {.bytes = ""};
    if (ahead_bytes(link) < TCP_RECORD_HEAD_BYTES)
        return false;
    size_t frame_bytes = net_get_u32(record);
    if (frame_bytes > link->tcp->options.header_bytes_max) {
        tcp_link_break(link, COVEY_EPROTO, "a record that is too long; is its network another?");
        return true;
    }
    if (ahead_bytes(link) - TCP_RECORD_HEAD_BYTES < frame_bytes)
        return false;
    if (record[4] == TCP_RECORD_MESSAGE || record[4] == TCP_RECORD_LARGE)
        return take_message(link, record + TCP_RECORD_HEAD_BYTES, frame_bytes,
                            record[4] == TCP_RECORD_LARGE);
    link->ahead_start += TCP_RECORD_HEAD_BYTES + frame_bytes;
    if (record[4] == TCP_RECORD_FRAME)
        (void)link->tcp->options.events->on_frame(link->tcp->options.owner, &link->link,
                                                  record + TCP_RECORD_HEAD_BYTES, frame_bytes,
                                                  &no_body);
    else if (record[4] == TCP_RECORD_TAKEN && link->settled && frame_bytes == sizeof(uint32_t))
        tcp_was_taken(link, net_get_u32(record + TCP_RECORD_HEAD_BYTES));
    else
        tcp_link_break(link, COVEY_EPROTO, "a record that makes no sense; is its network another?");
    return true;
}

/* One step through what was read ahead; false: it needs more. */
static bool take_step(struct tcp_link *link)
{
    if (link->skip_bytes > 0) {
        size_t bytes = link->skip_bytes < ahead_bytes(link) ? link->skip_bytes : ahead_bytes(link);
        link->skip_bytes -= bytes;
        link->ahead_start += bytes;
        return bytes > 0;
    }
    if (!link->body)
        return take_record(link);
    if (ahead_bytes(link) == 0)
        return false;
    fill_body(link);
    return true;
}

static void take_all(struct tcp_link *link)
{
    while (!link->closed && !link->broken && take_step(link))
        continue;
    if (link->ahead_start == 0)
        return;
    memmove(link->ahead, ahead(link), ahead_bytes(link));
    link->ahead_end = ahead_bytes(link);
    link->ahead_start = 0;
}

/* Reads once: first what is missing of a payload, then ahead. Returns what came, as recv does. */
static ssize_t read_once(struct tcp_link *link, size_t *wanted_bytes)
{
    struct iovec pieces[2];
    struct msghdr message = {.msg_iov = pieces};
    struct tcp_body *body = link->body;
    size_t body_bytes = body ? body->length_bytes - body->got_bytes : 0;
    if (body)
        pieces[message.msg_iovlen++] = (struct iovec){body->address + body->got_bytes, body_bytes};
    pieces[message.msg_iovlen++] =
        (struct iovec){link->ahead + link->ahead_end, TCP_AHEAD_BYTES - link->ahead_end};
    *wanted_bytes = body_bytes + TCP_AHEAD_BYTES - link->ahead_end;
    ssize_t got = recvmsg(link->socket, &message, MSG_DONTWAIT);
    if (got <= 0)
        return got;
    size_t to_body = (size_t)got < body_bytes ? (size_t)got : body_bytes;
    link->ahead_end += (size_t)got - to_body;
    if (to_body > 0)
        body_got(link, to_body);
    return got;
}

bool tcp_read(struct tcp_link *link)
{
    bool did = false;
    if (!link->ahead && !link->closed) {
        link->ahead = covey_malloc(TCP_AHEAD_BYTES);
        if (!link->ahead)
            tcp_link_break(link, COVEY_ENOMEM, "no memory for what it says");
    }
    for (int i = 0; i < READS_MAX && !link->closed && !link->broken; i++) {
        size_t wanted_bytes;
        ssize_t got = read_once(link, &wanted_bytes);
        if (got > 0) {
            did = true;
            take_all(link);
            if ((size_t)got < wanted_bytes)
                break;
        } else if (got == 0) {
            tcp_link_break(link, COVEY_EPEER, "closed by the other side");
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            tcp_link_break(link, COVEY_EPEER, strerror(errno));
        }
    }
    return did;
}
