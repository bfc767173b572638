#include "service/pack/backlog.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As many bytes of one message, by cost; what protobuf adds to a piece is less than its overhead,
 * and the fields around them fit into the rest of a record. */
#define MESSAGE_BYTES (LOCAL_LOG_TEXT_BYTES + (size_t)8 * 1024)

struct piece {
    struct covey_list node;
    int64_t wall_ns;
    uint32_t rank;
    uint32_t stream;
    uint64_t own_end;
    size_t length_bytes;
    uint8_t text[];
};

static struct piece *piece_of(struct covey_list *node)
{
    return covey_container_of(node, struct piece, node);
}

static size_t cost_of(const struct piece *piece)
{
    return piece->length_bytes + LOCAL_LOG_OVERHEAD_BYTES;
}

void backlog_open(struct backlog *backlog)
{
    covey_list_init(&backlog->pieces);
    backlog->next = &backlog->pieces;
    backlog->taken = backlog->end = 0;
}

void backlog_close(struct backlog *backlog)
{
    struct covey_list *node;
    while ((node = covey_list_pop_front(&backlog->pieces)))
        free(piece_of(node));
    backlog_open(backlog);
}

size_t backlog_room(const struct backlog *backlog)
{
    uint64_t held = backlog->end - backlog->taken;
    return held < LOCAL_LOG_WINDOW_BYTES ? (size_t)(LOCAL_LOG_WINDOW_BYTES - held) : 0;
}

enum covey_status backlog_add(struct backlog *backlog, const struct backlog_text *add)
{
    struct piece *piece = covey_malloc(sizeof(*piece) + add->length_bytes);
    if (!piece)
        return COVEY_ENOMEM;
    *piece = (struct piece){.wall_ns = add->wall_ns,
                            .rank = add->rank,
                            .stream = add->stream,
                            .own_end = add->own_end,
                            .length_bytes = add->length_bytes};
    memcpy(piece->text, add->text, add->length_bytes);
    covey_list_push_back(&backlog->pieces, &piece->node);
    if (backlog->next == &backlog->pieces)
        backlog->next = &piece->node;
    backlog->end += cost_of(piece);
    return COVEY_OK;
}

static void fill(struct backlog_message *message, size_t index, struct piece *piece)
{
    Covey__V1__LogLines *lines = &message->lines[index];
    Google__Protobuf__Timestamp *at = &message->times[index];
    *lines = (Covey__V1__LogLines)COVEY__V1__LOG_LINES__INIT;
    *at = (Google__Protobuf__Timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    at->seconds = piece->wall_ns / COVEY_NS_PER_S;
    at->nanos = (int32_t)(piece->wall_ns % COVEY_NS_PER_S);
    lines->rank = piece->rank;
    lines->stream = piece->stream;
    lines->at = at;
    lines->text = (ProtobufCBinaryData){piece->length_bytes, piece->text};
    message->list[index] = lines;
    uint64_t *own =
        piece->stream == STDOUT_FILENO ? &message->log.own_output : &message->log.own_error;
    if (piece->own_end > 0)
        *own = piece->own_end;
}

/* The offset of a piece, counted back from the end: what is not said yet is the shorter part. */
static uint64_t offset_of(const struct backlog *backlog, const struct covey_list *from)
{
    uint64_t offset = backlog->end;
    for (struct covey_list *node = backlog->pieces.previous; node != from->previous;
         node = node->previous)
        offset -= cost_of(piece_of(node));
    return offset;
}

bool backlog_say(struct backlog *backlog, struct backlog_message *message)
{
    size_t bytes = 0;
    if (backlog->next == &backlog->pieces)
        return false;
    message->log = (Covey__V1__PackLog)COVEY__V1__PACK_LOG__INIT;
    message->log.offset = offset_of(backlog, backlog->next);
    message->log.lines = message->list;
    while (backlog->next != &backlog->pieces && message->log.n_lines < BACKLOG_MESSAGE_PIECES) {
        struct piece *piece = piece_of(backlog->next);
        bytes += cost_of(piece);
        if (bytes > MESSAGE_BYTES)
            break;
        fill(message, message->log.n_lines++, piece);
        backlog->next = piece->node.next;
    }
    return true;
}

void backlog_rewind(struct backlog *backlog)
{
    backlog->next = backlog->pieces.next;
}

void backlog_take(struct backlog *backlog, uint64_t offset)
{
    covey_list_for_each_safe (link, after, &backlog->pieces) {
        struct piece *oldest = piece_of(link);
        if (link == backlog->next || backlog->taken + cost_of(oldest) > offset)
            return;
        backlog->taken += cost_of(oldest);
        covey_list_remove(&oldest->node);
        free(oldest);
    }
}
