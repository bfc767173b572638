#include "service/controller/logs.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/common/local.h"
#include "service/controller/log_tail.h"
#include "service/controller/logs_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one flare's log ---- */

/* How far the log of a pack has come; NULL: no memory. */
static uint64_t *known_of(struct flare_log *log, uint32_t attempt, uint32_t pack)
{
    if (log->attempt != attempt) {
        log->attempt = attempt;
        if (log->known_count > 0)
            memset(log->known, 0, log->known_count * sizeof *log->known);
    }
    if (pack >= log->known_count) {
        size_t count = (size_t)pack + 16;
        uint64_t *known = covey_reallocarray(log->known, count, sizeof *known);
        if (!known)
            return NULL;
        memset(known + log->known_count, 0, (count - log->known_count) * sizeof *known);
        log->known = known;
        log->known_count = count;
    }
    return &log->known[pack];
}

static enum covey_status learn(const struct log_record *record, void *data)
{
    struct flare_log *log = data;
    log->cut = log->cut || record->flags & LOG_RECORD_CUT;
    if (record->flags & (LOG_RECORD_CUT | LOG_RECORD_MARK) || record->pack >= LOCAL_MAX_WORKERS)
        return COVEY_OK;
    uint64_t *known = known_of(log, record->attempt, record->pack);
    if (!known)
        return COVEY_ENOMEM;
    if (record->end > *known)
        *known = record->end;
    return COVEY_OK;
}

static void free_log(struct logs *logs, struct flare_log *log)
{
    (void)covey_map_remove(&logs->flares, log->flare);
    tail_clear(logs, log);
    free(log->known);
    free(log);
}

static struct flare_log *find_log(const struct logs *logs, const char *flare)
{
    return covey_map_get(&logs->flares, flare);
}

static enum covey_status open_log(struct logs *logs, const char *flare, struct flare_log **found)
{
    struct covey_error error = {0};
    *found = find_log(logs, flare);
    if (*found)
        return COVEY_OK;
    struct flare_log *log = covey_calloc(1, sizeof *log);
    if (!log)
        return COVEY_ENOMEM;
    (void)snprintf(log->flare, sizeof log->flare, "%s", flare);
    covey_list_init(&log->readers);
    covey_list_init(&log->tail);
    covey_list_init(&log->waiting_link);
    enum covey_status status =
        log_file_open(&log->file, logs->options.store, log->flare, learn, log, &error);
    if (status == COVEY_ENOMEM)
        goto free_it;
    if (status) {
        /* It can be passed on all the same. */
        log_error("%s: nothing more of it is kept", error.message);
        log->cut = true;
    }
    log->end = log->file.size_bytes;
    status = covey_map_set(&logs->flares, log->flare, log);
    if (status)
        goto free_it;
    *found = log;
    return COVEY_OK;

free_it:
    free(log->known);
    free(log);
    return status;
}

/* ---- keeping ---- */

static void add_mark(struct flare_log *log, const struct log_source *from, uint32_t pack,
                     uint16_t flags, const char *text)
{
    struct covey_error error = {0};
    struct log_piece piece = {
        .header = {.rank = from->first_rank,
                   .pack = pack,
                   .attempt = from->attempt,
                   .stream = 2,
                   .flags = flags,
                   .wall_ns = covey_wall_ns()},
        .text = (const uint8_t *)text,
        .text_bytes = strlen(text),
    };
    if (log_file_append(&log->file, &piece, 1, &error) != COVEY_OK)
        log_error("a log cannot be marked where it is cut: %s", error.message);
    log->end = log->file.size_bytes;
}

static void cut(struct flare_log *log, const struct log_source *from, uint32_t pack,
                const char *why)
{
    char text[256];
    (void)covey_text_print(text, sizeof text, "covey: %s: what follows is not kept\n", why);
    log->cut = true;
    add_mark(log, from, pack, LOG_RECORD_CUT, text);
}

static void mark_gap(struct flare_log *log, const struct log_source *from, uint32_t pack,
                     uint64_t bytes)
{
    char text[128];
    (void)snprintf(text, sizeof text, "covey: %llu bytes of output are missing here\n",
                   (unsigned long long)bytes);
    log_error("a part of a log is missing flare=%s pack=%u bytes=%llu", log->flare, pack,
              (unsigned long long)bytes);
    add_mark(log, from, pack, LOG_RECORD_MARK, text);
}

/* As much of a text as fits, in whole lines. */
static size_t fitting(const struct log_piece *piece, uint64_t room_bytes)
{
    if (room_bytes <= sizeof piece->header)
        return 0;
    size_t most = (size_t)(room_bytes - sizeof piece->header);
    if (most >= piece->text_bytes)
        return piece->text_bytes;
    const uint8_t *last = memrchr(piece->text, '\n', most);
    return last ? (size_t)(last - piece->text) + 1 : 0;
}

/* Keeps as much of the pieces as the limit allows; what was kept is taken off them. Returns how
 * many were kept whole. */
static size_t keep(struct logs *logs, struct flare_log *log, const struct log_source *from,
                   struct log_piece *pieces, size_t count)
{
    struct covey_error error = {0};
    struct log_piece batch[LOG_FILE_PIECES];
    uint64_t limit_bytes = logs->options.limit_bytes;
    uint64_t room_bytes =
        log->file.size_bytes < limit_bytes ? limit_bytes - log->file.size_bytes : 0;
    size_t whole = 0;
    size_t used = 0;
    for (bool fits = true; fits && whole < count; whole += fits) {
        batch[used] = pieces[whole];
        batch[used].text_bytes = fitting(&pieces[whole], room_bytes);
        fits = batch[used].text_bytes == pieces[whole].text_bytes;
        room_bytes -= batch[used].text_bytes ? sizeof batch->header + batch[used].text_bytes : 0;
        used += batch[used].text_bytes > 0;
    }
    if (used > 0 && log_file_append(&log->file, batch, used, &error) != COVEY_OK) {
        log_error("a log is cut: %s flare=%s", error.message, log->flare);
        cut(log, from, pieces->header.pack, "the controller cannot write the log");
        return 0;
    }
    log->end = log->file.size_bytes;
    if (whole == count)
        return whole;
    if (used > whole) {
        pieces[whole].text += batch[whole].text_bytes;
        pieces[whole].text_bytes -= batch[whole].text_bytes;
    }
    char why[80];
    (void)covey_text_print(why, sizeof why, "the log reached its limit of %llu bytes",
                           (unsigned long long)limit_bytes);
    cut(log, from, pieces->header.pack, why);
    return whole;
}

/* Keeps pieces, or passes them on. */
static void take_pieces(struct logs *logs, struct flare_log *log, const struct log_source *from,
                        struct log_piece *pieces, size_t count, int64_t now_ns)
{
    size_t kept = log->cut ? 0 : keep(logs, log, from, pieces, count);
    if (from->ending)
        tail_tell(logs, log);
    for (size_t i = kept; i < count; i++)
        tail_add(logs, log, &pieces[i], from->ending, now_ns);
}

static struct log_piece piece_from(const Covey__V1__LogLines *lines, const struct log_source *from,
                                   uint32_t pack, uint64_t end)
{
    int64_t wall_ns = lines->at ? lines->at->seconds * COVEY_NS_PER_S + lines->at->nanos : 0;
    return (struct log_piece){
        .header = {.rank = lines->rank,
                   .pack = pack,
                   .attempt = from->attempt,
                   .stream = (uint16_t)lines->stream,
                   .wall_ns = wall_ns,
                   .end = end},
        .text = lines->text.data,
        .text_bytes = lines->text.len,
    };
}

static void tell(struct logs *logs, const char *flare, uint32_t pack, uint64_t offset)
{
    logs->options.on_taken(flare, pack, offset, logs->options.data);
}

void logs_take(struct logs *logs, const struct log_source *from, const Covey__V1__LogChunk *chunk,
               int64_t now_ns)
{
    struct log_piece pieces[LOG_FILE_PIECES];
    struct flare_log *log;
    uint64_t end = chunk->offset + local_log_cost(chunk->lines, chunk->n_lines);
    uint64_t *known = NULL;
    if (open_log(logs, from->flare, &log) == COVEY_OK)
        known = known_of(log, from->attempt, chunk->pack);
    if (!known) {
        log_error("output of workers is lost: out of memory flare=%s", from->flare);
        tell(logs, from->flare, chunk->pack, end);
        return;
    }
    if (end <= *known) {
        /* Said before; acknowledged then, or when it has been passed on. */
        if (!tail_holds(log, chunk->pack))
            tell(logs, log->flare, chunk->pack, *known);
        return;
    }
    /* What was not kept is not known after a restart. */
    if (chunk->offset > *known && !log->cut)
        mark_gap(log, from, chunk->pack, chunk->offset - *known);
    uint64_t at = chunk->offset;
    size_t count = 0;
    for (size_t i = 0; i < chunk->n_lines; i++) {
        at += chunk->lines[i]->text.len + LOCAL_LOG_OVERHEAD_BYTES;
        if (at > *known)
            pieces[count++] = piece_from(chunk->lines[i], from, chunk->pack, at);
        if (count == LOG_FILE_PIECES || i + 1 == chunk->n_lines) {
            take_pieces(logs, log, from, pieces, count, now_ns);
            count = 0;
        }
    }
    *known = end;
    if (!tail_holds(log, chunk->pack))
        tell(logs, log->flare, chunk->pack, end);
}

void logs_hurry(struct logs *logs, const char *flare)
{
    struct flare_log *log = find_log(logs, flare);
    if (log)
        tail_tell(logs, log);
}

void logs_end(struct logs *logs, const char *flare)
{
    struct flare_log *log = find_log(logs, flare);
    if (!log)
        return;
    log->ended = true;
    if (covey_list_empty(&log->readers))
        free_log(logs, log);
}

/* ---- readers ---- */

enum covey_status logs_follow(struct logs *logs, struct log_reader *reader)
{
    struct flare_log *log;
    enum covey_status status = open_log(logs, reader->flare, &log);
    if (status)
        return status;
    /* A position of an earlier controller, of what was passed on then. */
    if (reader->position > log->end)
        reader->position = log->end;
    reader->log = log;
    covey_list_push_back(&log->readers, &reader->link);
    return COVEY_OK;
}

void logs_leave(struct logs *logs, struct log_reader *reader, int64_t now_ns)
{
    struct flare_log *log = reader->log;
    if (!log)
        return;
    reader->log = NULL;
    covey_list_remove(&reader->link);
    tail_release(logs, log, now_ns);
    if (log->ended && covey_list_empty(&log->readers))
        free_log(logs, log);
}

void logs_passed(struct logs *logs, struct log_reader *reader, int64_t now_ns)
{
    if (reader->log)
        tail_release(logs, reader->log, now_ns);
}

/* ---- life and time ---- */

struct logs *logs_create(const struct logs_options *options)
{
    struct logs *logs = covey_calloc(1, sizeof *logs);
    if (!logs)
        return NULL;
    logs->options = *options;
    covey_list_init(&logs->waiting);
    return logs;
}

void logs_destroy(struct logs *logs)
{
    size_t cursor = 0;
    void *value;
    if (!logs)
        return;
    while (covey_map_next(&logs->flares, &cursor, NULL, &value)) {
        struct flare_log *log = value;
        covey_list_for_each_safe (link, after, &log->readers) {
            covey_container_of(link, struct log_reader, link)->log = NULL;
            covey_list_remove(link);
        }
        tail_clear(logs, log);
        free(log->known);
        free(log);
    }
    covey_map_clear(&logs->flares);
    batch_free(&logs->batch);
    free(logs);
}

void logs_tick(struct logs *logs, int64_t now_ns)
{
    covey_list_for_each_safe (link, after, &logs->waiting)
        tail_release(logs, covey_container_of(link, struct flare_log, waiting_link), now_ns);
}

int64_t logs_deadline_ns(const struct logs *logs)
{
    int64_t deadline_ns = COVEY_NEVER_NS;
    covey_list_for_each (link, &logs->waiting) {
        int64_t at_ns = tail_deadline_ns(covey_container_of(link, struct flare_log, waiting_link));
        if (at_ns < deadline_ns)
            deadline_ns = at_ns;
    }
    return deadline_ns;
}
