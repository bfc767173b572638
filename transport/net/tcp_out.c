/*
 * What goes out. A large send is over when the other end has taken it, so that what lies there is
 * bounded by what senders can lend. Sends wait in their order; one system call takes as many as the
 * socket does. They are written in the next round of progress, so that what is sent in one round
 * goes together.
 */
#include "transport/net/tcp.h"

#include "base/memory.h"
#include "transport/net/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Pieces of memory in one system call; each send is one or two. */
#define PIECES_MAX 128

/* How often what has come is read before a link that cannot be written to is given up: a goodbye,
 * or what was sent before a death, counts. */
#define LAST_ROUNDS 4096

static void end(struct net_backend *tcp, struct tcp_send *send, enum covey_status status)
{
    net_done done = send->done;
    void *done_data = send->done_data;
    covey_list_remove(&send->node);
    covey_list_push_front(&tcp->spare, &send->node);
    if (done)
        done(done_data, status);
}

void tcp_sends_fail(struct tcp_link *link)
{
    while (!covey_list_empty(&link->untaken))
        end(link->tcp, covey_container_of(link->untaken.next, struct tcp_send, node), COVEY_EPEER);
    while (!covey_list_empty(&link->sends))
        end(link->tcp, covey_container_of(link->sends.next, struct tcp_send, node), COVEY_EPEER);
}

static struct tcp_send *take_send(struct net_backend *tcp)
{
    struct covey_list *node = covey_list_pop_front(&tcp->spare);
    if (node)
        return covey_container_of(node, struct tcp_send, node);
    struct tcp_send *send =
        covey_malloc(sizeof *send + TCP_RECORD_HEAD_BYTES + tcp->options.header_bytes_max);
    if (send)
        covey_list_init(&send->node);
    return send;
}

static void queue(struct tcp_link *link, struct tcp_send *send)
{
    send->sent_bytes = 0;
    covey_list_push_back(&link->sends, &send->node);
    if (link->connected && !link->full && covey_list_empty(&link->writes))
        covey_list_push_back(&link->tcp->unsent, &link->writes);
}

void tcp_say_taken(struct tcp_link *link, uint32_t number)
{
    if (link->broken || link->closed)
        return;
    struct tcp_send *send = take_send(link->tcp);
    if (!send) {
        tcp_link_break(link, COVEY_ENOMEM, "no memory for an answer to it");
        return;
    }
    *send = (struct tcp_send){.head_bytes = TCP_RECORD_HEAD_BYTES + sizeof number};
    covey_list_init(&send->node);
    net_put_u32(send->head, sizeof number);
    send->head[4] = TCP_RECORD_TAKEN;
    net_put_u32(send->head + TCP_RECORD_HEAD_BYTES, number);
    queue(link, send);
}

static struct tcp_send *find_large(struct covey_list *list, uint32_t number)
{
    covey_list_for_each (node, list) {
        struct tcp_send *send = covey_container_of(node, struct tcp_send, node);
        if (send->large && send->number == number && !send->taken)
            return send;
    }
    return NULL;
}

void tcp_was_taken(struct tcp_link *link, uint32_t number)
{
    struct tcp_send *send = find_large(&link->untaken, number);
    if (send) {
        end(link->tcp, send, COVEY_OK);
        return;
    }
    send = find_large(&link->sends, number);
    if (send && send->sent_bytes > 0)
        send->taken = true;
    else
        tcp_link_break(link, COVEY_EPROTO, "it took what was not sent");
}

enum covey_status tcp_send(struct net_backend *tcp, struct net_link *to,
                           const struct net_send_request *request)
{
    struct tcp_link *link = tcp_link_of(to);
    if (link->broken || link->closed)
        return COVEY_EPEER;
    struct tcp_send *send = take_send(tcp);
    if (!send)
        return COVEY_ENOMEM;
    size_t frame_bytes = request->head_bytes + request->header_bytes;
    net_put_u32(send->head, (uint32_t)frame_bytes);
    send->large = request->fetched && !request->control && request->payload_bytes > 0;
    send->taken = false;
    send->number = send->large ? link->larges_out++ : 0;
    send->head[4] = request->control ? TCP_RECORD_FRAME
                    : send->large    ? TCP_RECORD_LARGE
                                     : TCP_RECORD_MESSAGE;
    memcpy(send->head + TCP_RECORD_HEAD_BYTES, request->head, request->head_bytes);
    if (request->header_bytes > 0)
        memcpy(send->head + TCP_RECORD_HEAD_BYTES + request->head_bytes, request->header,
               request->header_bytes);
    send->head_bytes = TCP_RECORD_HEAD_BYTES + frame_bytes;
    send->payload = request->payload;
    send->payload_bytes = request->control ? 0 : request->payload_bytes;
    send->done = request->control ? NULL : request->done;
    send->done_data = request->done_data;
    queue(link, send);
    return COVEY_OK;
}

/* What is still to go of a send, as one or two pieces. */
static size_t add_pieces(const struct tcp_send *send, struct iovec *pieces)
{
    size_t count = 0, sent_payload = 0;
    if (send->sent_bytes < send->head_bytes)
        pieces[count++] = (struct iovec){(void *)(uintptr_t)(send->head + send->sent_bytes),
                                         send->head_bytes - send->sent_bytes};
    else
        sent_payload = send->sent_bytes - send->head_bytes;
    if (send->payload_bytes > sent_payload)
        pieces[count++] = (struct iovec){(void *)(uintptr_t)(send->payload + sent_payload),
                                         send->payload_bytes - sent_payload};
    return count;
}

static size_t gather(const struct tcp_link *link, struct iovec pieces[PIECES_MAX], size_t *bytes)
{
    size_t count = 0;
    covey_list_for_each (node, &link->sends) {
        if (count + 2 > PIECES_MAX)
            break;
        size_t added = add_pieces(covey_container_of(node, struct tcp_send, node), pieces + count);
        for (size_t i = 0; i < added; i++)
            *bytes += pieces[count + i].iov_len;
        count += added;
    }
    return count;
}

/* So many bytes have gone. */
static void advance(struct tcp_link *link, size_t bytes)
{
    while (bytes > 0) {
        struct tcp_send *send = covey_container_of(link->sends.next, struct tcp_send, node);
        size_t rest = send->head_bytes + send->payload_bytes - send->sent_bytes;
        if (bytes < rest) {
            send->sent_bytes += bytes;
            return;
        }
        bytes -= rest;
        if (send->large && !send->taken) {
            covey_list_remove(&send->node);
            covey_list_push_back(&link->untaken, &send->node);
        } else {
            end(link->tcp, send, COVEY_OK);
        }
    }
}

static void fail(struct tcp_link *link, int error_number)
{
    for (int i = 0; i < LAST_ROUNDS && !link->broken && !link->closed && tcp_read(link); i++)
        continue;
    tcp_link_break(link, COVEY_EPEER, strerror(error_number));
}

void tcp_write(struct tcp_link *link)
{
    while (!link->broken && !link->closed && !covey_list_empty(&link->sends)) {
        struct iovec pieces[PIECES_MAX];
        struct msghdr message = {.msg_iov = pieces};
        size_t bytes = 0;
        message.msg_iovlen = gather(link, pieces, &bytes);
        ssize_t sent = sendmsg(link->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            advance(link, (size_t)sent);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            fail(link, errno);
        } else if (sent >= 0 ? (size_t)sent < bytes : errno == EAGAIN) {
            tcp_link_full(link, true);
            return;
        }
    }
}

bool tcp_writes_progress(struct net_backend *tcp)
{
    bool did = !covey_list_empty(&tcp->unsent);
    struct covey_list now;
    covey_list_init(&now);
    for (struct covey_list *node; (node = covey_list_pop_front(&tcp->unsent));)
        covey_list_push_back(&now, node);
    for (struct covey_list *node; (node = covey_list_pop_front(&now));)
        tcp_write(covey_container_of(node, struct tcp_link, writes));
    return did;
}
