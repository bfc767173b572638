/* Reading logs: from the file, then what is passed on. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "service/common/local.h"
#include "service/controller/log_tail.h"
#include "service/controller/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As much of the file at once, and about as much of what is passed on, since a stream that is not
 * read on holds as much. One record at least. */
#define READ_BYTES (LOCAL_LOG_TEXT_BYTES + sizeof(struct log_record))

void batch_free(struct log_batch *batch)
{
    free(batch->bytes);
    free(batch->lines);
    free(batch->list);
    free(batch->times);
    *batch = (struct log_batch){0};
}

static bool grow(struct log_batch *batch)
{
    size_t capacity = batch->capacity ? batch->capacity * 2 : 64;
    void *lines = covey_reallocarray(batch->lines, capacity, sizeof *batch->lines);
    if (lines)
        batch->lines = lines;
    void *list = covey_reallocarray(batch->list, capacity, sizeof(Covey__V1__LogLines *));
    if (list)
        batch->list = list;
    void *times = covey_reallocarray(batch->times, capacity, sizeof *batch->times);
    if (times)
        batch->times = times;
    if (!lines || !list || !times)
        return false;
    batch->capacity = capacity;
    return true;
}

static enum covey_status add(struct log_batch *batch, const struct log_record *record,
                             const uint8_t *text)
{
    size_t index = batch->response.n_lines;
    if (index == batch->capacity && !grow(batch))
        return COVEY_ENOMEM;
    Covey__V1__LogLines *lines = &batch->lines[index];
    *lines = (Covey__V1__LogLines)COVEY__V1__LOG_LINES__INIT;
    lines->rank = record->rank;
    lines->stream = record->stream;
    lines->text = (ProtobufCBinaryData){record->text_bytes, (uint8_t *)(uintptr_t)text};
    batch->times[index] = message_time(record->wall_ns);
    batch->response.n_lines++;
    return COVEY_OK;
}

/* Only now, since the arrays may have moved. */
static void finish(struct log_batch *batch)
{
    for (size_t i = 0; i < batch->response.n_lines; i++) {
        batch->lines[i].at = &batch->times[i];
        batch->list[i] = &batch->lines[i];
    }
    batch->response.lines = batch->list;
}

static int compare_ranks(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static bool is_wanted(const struct log_reader *reader, const struct log_record *record)
{
    if (reader->rank_count == 0 || record->flags & (LOG_RECORD_CUT | LOG_RECORD_MARK))
        return true;
    return bsearch(&record->rank, reader->ranks, reader->rank_count, sizeof record->rank,
                   compare_ranks) != NULL;
}

static enum covey_status refuse_position(const struct log_reader *reader, struct covey_error *error)
{
    return covey_error_set(error, COVEY_EINVAL,
                           "nothing begins at position %llu of the log of flare %s: give one that "
                           "an answer gave",
                           (unsigned long long)reader->position, reader->flare);
}

static enum covey_status read_file(struct logs *logs, struct log_reader *reader,
                                   struct covey_error *error)
{
    struct log_batch *batch = &logs->batch;
    size_t have_bytes;
    size_t at = 0;
    if (!batch->bytes)
        batch->bytes = covey_malloc(READ_BYTES);
    if (!batch->bytes)
        return covey_error_set(error, COVEY_ENOMEM, "no memory to read a log");
    if (reader->position > INT64_MAX - READ_BYTES)
        return refuse_position(reader, error);
    enum covey_status status = store_log_read(logs->options.store, reader->flare, reader->position,
                                              batch->bytes, READ_BYTES, &have_bytes);
    if (status)
        return covey_error_set(error, status, "the log of flare %s cannot be read", reader->flare);
    while (!status) {
        struct log_record record;
        size_t need_bytes;
        const uint8_t *bytes = batch->bytes + at;
        status = log_record_look(bytes, have_bytes - at, &record, &need_bytes);
        if (status)
            return refuse_position(reader, error);
        if (need_bytes > have_bytes - at)
            break;
        if (is_wanted(reader, &record))
            status = add(batch, &record, bytes + sizeof record);
        at += status ? 0 : need_bytes;
        reader->position += status ? 0 : need_bytes;
    }
    return status ? covey_error_set(error, status, "no memory to read a log") : COVEY_OK;
}

static enum covey_status say_missed(struct logs *logs, struct log_reader *reader)
{
    struct log_batch *batch = &logs->batch;
    int length = snprintf(batch->missed, sizeof batch->missed,
                          "covey: %llu lines are not shown here: this reader is too slow\n",
                          (unsigned long long)reader->missed_lines);
    const struct log_record mark = {.text_bytes = (uint32_t)length,
                                    .rank = reader->rank_count ? reader->ranks[0] : 0,
                                    .stream = 2,
                                    .wall_ns = covey_wall_ns()};
    reader->missed_lines = 0;
    return add(batch, &mark, (const uint8_t *)batch->missed);
}

static enum covey_status read_tail(struct logs *logs, struct log_reader *reader)
{
    struct flare_log *log = reader->log;
    enum covey_status status = reader->missed_lines ? say_missed(logs, reader) : COVEY_OK;
    size_t bytes = 0;
    covey_list_for_each (link, &log->tail) {
        const struct tail_piece *piece = tail_piece_of(link);
        if (piece->position < reader->position)
            continue;
        if (status || bytes > READ_BYTES)
            return status;
        if (is_wanted(reader, &piece->header))
            status = add(&logs->batch, &piece->header, piece->text);
        bytes += piece->header.text_bytes;
        reader->position = tail_piece_end(piece);
    }
    if (!status && bytes == 0)
        reader->position = log->end;
    return status;
}

enum covey_status logs_read(struct logs *logs, struct log_reader *reader,
                            const Covey__V1__StreamLogsResponse **response, bool *more,
                            struct covey_error *error)
{
    struct log_batch *batch = &logs->batch;
    uint64_t before = reader->position;
    bool in_file = !reader->log || before < reader->log->file.size_bytes;
    batch->response = (Covey__V1__StreamLogsResponse)COVEY__V1__STREAM_LOGS_RESPONSE__INIT;
    enum covey_status status = COVEY_OK;
    if (in_file)
        status = read_file(logs, reader, error);
    else if (read_tail(logs, reader) != COVEY_OK)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory to read a log");
    finish(batch);
    batch->response.position = reader->position;
    *response = &batch->response;
    *more = reader->position > before || batch->response.n_lines > 0;
    return status;
}
