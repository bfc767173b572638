#include "service/controller/logs.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 4
/* A line is at most 16 KiB with its fields; longer records were never written. */
#define RECORD_MAX_BYTES ((size_t)64 * 1024)
/* At once: a stream that is not read on holds no more. */
#define READ_BYTES (HEADER_BYTES + RECORD_MAX_BYTES)

static enum covey_status pack_line(struct covey_buffer *buffer, const Covey__V1__LogLine *line)
{
    size_t length_bytes = covey__v1__log_line__get_packed_size(line);
    if (length_bytes > RECORD_MAX_BYTES)
        return COVEY_ELIMIT;
    enum covey_status status = covey_buffer_reserve(buffer, HEADER_BYTES + length_bytes);
    if (status)
        return status;
    uint32_t header = (uint32_t)length_bytes;
    memcpy(buffer->data + buffer->length_bytes, &header, sizeof header);
    (void)covey__v1__log_line__pack(line, buffer->data + buffer->length_bytes + HEADER_BYTES);
    buffer->length_bytes += HEADER_BYTES + length_bytes;
    return COVEY_OK;
}

/* The mark stands for the line that was the first not to be kept. */
static void pack_mark(struct covey_buffer *buffer, const Covey__V1__LogLine *line,
                      uint64_t limit_bytes)
{
    char text[128];
    int length = snprintf(text, sizeof text,
                          "covey: the log is cut here: it reached its limit of %llu bytes",
                          (unsigned long long)limit_bytes);
    Covey__V1__LogLine mark = *line;
    mark.stream = 2;
    mark.partial = false;
    mark.text = (ProtobufCBinaryData){(size_t)length, (uint8_t *)text};
    if (pack_line(buffer, &mark) != COVEY_OK)
        log_warn("no memory to mark where a log was cut");
}

void logs_append(struct store *store, const char *flare, Covey__V1__LogLine **lines, size_t count,
                 uint64_t limit_bytes)
{
    uint64_t size_bytes = store_log_size(store, flare);
    if (size_bytes > limit_bytes)
        return; /* it is cut, and marked */
    struct covey_buffer buffer = {0};
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < count; i++) {
        size_t before = buffer.length_bytes;
        status = pack_line(&buffer, lines[i]);
        if (status || size_bytes + buffer.length_bytes <= limit_bytes)
            continue;
        buffer.length_bytes = before;
        pack_mark(&buffer, lines[i], limit_bytes);
        /* The mark goes past the limit, and so is the last. */
        while (size_bytes + buffer.length_bytes <= limit_bytes && !status)
            status = covey_buffer_append(&buffer, "\0\0\0\0", HEADER_BYTES);
        break;
    }
    struct covey_error error = {0};
    if (buffer.length_bytes &&
        store_log_append(store, flare, buffer.data, buffer.length_bytes, &size_bytes, &error))
        log_error("log lines are lost: %s flare=%s", error.message, flare);
    else if (status)
        log_error("log lines are lost: %s flare=%s", covey_status_text(status), flare);
    covey_buffer_free(&buffer);
}

static bool is_wanted(uint32_t rank, const uint32_t *ranks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ranks[i] == rank)
            return true;
    return count == 0;
}

static enum covey_status add_line(Covey__V1__StreamLogsResponse *response, Covey__V1__LogLine *line)
{
    void *lines =
        covey_reallocarray(response->lines, response->n_lines + 1, sizeof(Covey__V1__LogLine *));
    if (!lines)
        return COVEY_ENOMEM;
    response->lines = lines;
    response->lines[response->n_lines++] = line;
    return COVEY_OK;
}

/* One record at bytes; *used is its length, 0 where it is not whole. */
static enum covey_status take_record(const uint8_t *bytes, size_t have_bytes, size_t *used,
                                     const uint32_t *ranks, size_t rank_count,
                                     Covey__V1__StreamLogsResponse *response)
{
    uint32_t length_bytes;
    *used = 0;
    if (have_bytes < HEADER_BYTES)
        return COVEY_OK;
    memcpy(&length_bytes, bytes, sizeof length_bytes);
    if (length_bytes > RECORD_MAX_BYTES)
        return COVEY_EPROTO;
    if (length_bytes > have_bytes - HEADER_BYTES)
        return COVEY_OK;
    *used = HEADER_BYTES + length_bytes;
    if (length_bytes == 0)
        return COVEY_OK; /* padding */
    Covey__V1__LogLine *line =
        covey__v1__log_line__unpack(NULL, length_bytes, bytes + HEADER_BYTES);
    if (!line)
        return COVEY_EPROTO;
    enum covey_status status =
        is_wanted(line->rank, ranks, rank_count) ? add_line(response, line) : COVEY_EAGAIN;
    if (status)
        message_free(line);
    return status == COVEY_EAGAIN ? COVEY_OK : status;
}

enum covey_status logs_read(struct store *store, const char *flare, uint64_t *offset,
                            const uint32_t *ranks, size_t rank_count,
                            Covey__V1__StreamLogsResponse *response, bool *more)
{
    *response = (Covey__V1__StreamLogsResponse)COVEY__V1__STREAM_LOGS_RESPONSE__INIT;
    *more = false;
    uint8_t *bytes = covey_malloc(READ_BYTES);
    if (!bytes)
        return COVEY_ENOMEM;
    size_t have_bytes;
    size_t at = 0;
    enum covey_status status =
        store_log_read(store, flare, *offset, bytes, READ_BYTES, &have_bytes);
    while (!status) {
        size_t used;
        status = take_record(bytes + at, have_bytes - at, &used, ranks, rank_count, response);
        if (used == 0)
            break;
        at += used;
    }
    free(bytes);
    *offset += at;
    *more = at > 0;
    return status;
}

void logs_free(Covey__V1__StreamLogsResponse *response)
{
    for (size_t i = 0; i < response->n_lines; i++)
        message_free(response->lines[i]);
    free(response->lines);
    response->lines = NULL;
    response->n_lines = 0;
}
