#include "service/controller/log_tail.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* All flares together: beyond this the slowest reader is not waited for. */
#define TAILS_MAX_BYTES ((uint64_t)64 << 20)

static void tell(struct logs *logs, const struct flare_log *log, const struct log_record *header)
{
    logs->options.on_taken(log->flare, header->pack, header->end, logs->options.data);
}

static struct log_reader *reader_of(struct covey_list *link)
{
    return covey_container_of(link, struct log_reader, link);
}

static uint64_t count_lines(const struct tail_piece *piece)
{
    uint64_t lines = 0;
    const uint8_t *next = piece->text;
    const uint8_t *end = piece->text + piece->header.text_bytes;
    while ((next = memchr(next, '\n', (size_t)(end - next)))) {
        lines++;
        next++;
    }
    return lines;
}

static void drop(struct logs *logs, struct flare_log *log, struct tail_piece *piece)
{
    uint64_t lines = 0;
    covey_list_for_each (link, &log->readers) {
        struct log_reader *reader = reader_of(link);
        if (reader->position > piece->position)
            continue;
        if (lines == 0)
            lines = count_lines(piece);
        reader->missed_lines += lines;
        reader->is_slow = true;
    }
    logs->tail_bytes -= piece->header.text_bytes;
    covey_list_remove(&piece->link);
    free(piece);
}

void tail_add(struct logs *logs, struct flare_log *log, const struct log_piece *piece, bool told,
              int64_t now_ns)
{
    if (covey_list_empty(&log->readers))
        return;
    struct tail_piece *made = covey_malloc(sizeof *made + piece->text_bytes);
    if (!made) {
        log_error("output of workers is not shown: out of memory flare=%s", log->flare);
        return;
    }
    *made = (struct tail_piece){
        .since_ns = now_ns, .position = log->end, .told = told, .header = piece->header};
    made->header.text_bytes = (uint32_t)piece->text_bytes;
    memcpy(made->text, piece->text, piece->text_bytes);
    log->end = tail_piece_end(made);
    logs->tail_bytes += piece->text_bytes;
    covey_list_push_back(&log->tail, &made->link);
    if (covey_list_empty(&log->waiting_link))
        covey_list_push_back(&logs->waiting, &log->waiting_link);
    if (logs->tail_bytes > TAILS_MAX_BYTES)
        tail_release(logs, log, now_ns);
}

bool tail_holds(const struct flare_log *log, uint32_t pack)
{
    covey_list_for_each (link, &log->tail) {
        const struct tail_piece *piece = tail_piece_of(link);
        if (piece->header.pack == pack && !piece->told)
            return true;
    }
    return false;
}

void tail_tell(struct logs *logs, struct flare_log *log)
{
    covey_list_for_each (link, &log->tail) {
        struct tail_piece *piece = tail_piece_of(link);
        if (!piece->told)
            tell(logs, log, &piece->header);
        piece->told = true;
    }
}

static bool is_waited_for(const struct logs *logs, const struct flare_log *log,
                          const struct tail_piece *piece, int64_t now_ns)
{
    if (piece->since_ns + LOGS_PATIENCE_NS <= now_ns || logs->tail_bytes > TAILS_MAX_BYTES)
        return false;
    covey_list_for_each (link, &log->readers) {
        const struct log_reader *reader = reader_of(link);
        if (reader->position <= piece->position && !reader->is_slow)
            return true;
    }
    return false;
}

void tail_release(struct logs *logs, struct flare_log *log, int64_t now_ns)
{
    struct log_record newest = {0};
    bool any = false;
    covey_list_for_each (link, &log->readers) {
        struct log_reader *reader = reader_of(link);
        if (reader->position == log->end)
            reader->is_slow = false;
    }
    while (!covey_list_empty(&log->tail)) {
        struct tail_piece *piece = tail_piece_of(log->tail.next);
        if (is_waited_for(logs, log, piece, now_ns))
            break;
        /* One acknowledgement for all in a row of one pack. */
        if (any && newest.pack != piece->header.pack)
            tell(logs, log, &newest);
        any = (any && newest.pack == piece->header.pack) || !piece->told;
        newest = piece->header;
        drop(logs, log, piece);
    }
    if (any)
        tell(logs, log, &newest);
    if (covey_list_empty(&log->tail))
        covey_list_remove(&log->waiting_link);
}

void tail_clear(struct logs *logs, struct flare_log *log)
{
    covey_list_for_each_safe (link, after, &log->tail) {
        drop(logs, log, tail_piece_of(link));
    }
    covey_list_remove(&log->waiting_link);
}

int64_t tail_deadline_ns(const struct flare_log *log)
{
    if (covey_list_empty(&log->tail))
        return COVEY_NEVER_NS;
    return tail_piece_of(log->tail.next)->since_ns + LOGS_PATIENCE_NS;
}
