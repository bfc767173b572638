#include "client/cli/lines.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line without end is cut here, or it would grow without bound. */
#define MAX_LINE_BYTES ((size_t)1 << 20)

/* What may wait for the reader before no more is asked for. */
#define BEHIND_BYTES ((size_t)1 << 20)

struct open_line {
    struct covey_buffer text;
    uint32_t rank;
    uint32_t stream;
};

void cli_lines_begin(struct cli_lines *lines)
{
    cli_output_begin(&lines->output);
}

static uint64_t key_of(uint32_t rank, uint32_t stream)
{
    return (uint64_t)rank << 1 | (stream == 2);
}

/* Millions of lines in a row are of the same rank. */
static void set_prefix(struct cli_lines *lines, uint32_t rank)
{
    if (lines->plain || (lines->prefix_bytes > 0 && lines->prefix_rank == rank))
        return;
    int length = snprintf(lines->prefix, sizeof lines->prefix, "[%" PRIu32 "] ", rank);
    lines->prefix_bytes = (size_t)length;
    lines->prefix_rank = rank;
}

static void append(struct covey_buffer *to, const void *bytes, size_t length_bytes)
{
    if (length_bytes > 0) {
        memcpy(to->data + to->length_bytes, bytes, length_bytes);
        to->length_bytes += length_bytes;
    }
}

/* Without memory a line is left out; there is nowhere left to say so. */
static void write_whole(struct cli_lines *lines, uint32_t stream, const void *text,
                        size_t length_bytes)
{
    struct covey_buffer *to = cli_output_text(&lines->output, stream);
    if (!to || covey_buffer_reserve(to, lines->prefix_bytes + length_bytes + 1))
        return;
    append(to, lines->prefix, lines->prefix_bytes);
    append(to, text, length_bytes);
    append(to, "\n", 1);
}

static void free_line(struct open_line *line)
{
    covey_buffer_free(&line->text);
    free(line);
}

static struct open_line *open_line(struct cli_lines *lines, uint64_t key,
                                   const struct covey_log_line *piece)
{
    struct open_line *line = covey_calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->rank = piece->rank;
    line->stream = piece->stream;
    if (covey_map_set_u64(&lines->open, key, line) == COVEY_OK)
        return line;
    free_line(line);
    return NULL;
}

static void add_part(struct cli_lines *lines, const struct covey_log_line *piece)
{
    uint64_t key = key_of(piece->rank, piece->stream);
    struct open_line *line = covey_map_get_u64(&lines->open, key);
    if (!line && !piece->partial) {
        write_whole(lines, piece->stream, piece->text.data, piece->text.length_bytes);
        return;
    }
    if (!line)
        line = open_line(lines, key, piece);
    if (!line || covey_buffer_append(&line->text, piece->text.data, piece->text.length_bytes))
        return;
    if (piece->partial && line->text.length_bytes < MAX_LINE_BYTES)
        return;
    write_whole(lines, piece->stream, line->text.data, line->text.length_bytes);
    (void)covey_map_remove_u64(&lines->open, key);
    free_line(line);
}

void cli_lines_add(struct cli_lines *lines, const struct covey_log_line *piece)
{
    if (lines->json) {
        struct covey_buffer *to = cli_output_text(&lines->output, 1);
        if (to && covey_buffer_printf(to, "%s\n", piece->json))
            return;
        return;
    }
    set_prefix(lines, piece->rank);
    if (lines->open.count == 0 && !piece->partial)
        write_whole(lines, piece->stream, piece->text.data, piece->text.length_bytes);
    else
        add_part(lines, piece);
}

void cli_lines_turn(struct cli_lines *lines)
{
    bool behind = cli_output_pending(&lines->output) > BEHIND_BYTES;
    if (!lines->operation || behind == lines->paused)
        return;
    lines->paused = behind;
    if (behind)
        covey_operation_pause(lines->operation);
    else
        covey_operation_resume(lines->operation);
}

void cli_lines_complete(struct cli_lines *lines)
{
    size_t cursor = 0;
    void *value;
    lines->operation = NULL;
    while (covey_map_next(&lines->open, &cursor, NULL, &value)) {
        struct open_line *line = value;
        set_prefix(lines, line->rank);
        write_whole(lines, line->stream, line->text.data, line->text.length_bytes);
        free_line(line);
    }
    covey_map_clear(&lines->open);
}

void cli_lines_end(struct cli_lines *lines)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&lines->open, &cursor, NULL, &value))
        free_line(value);
    covey_map_clear(&lines->open);
    cli_output_end(&lines->output);
}
