#include "client/cli/lines.h"

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "client/cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A line without end is cut here, or it would grow without bound. */
#define MAX_LINE_BYTES ((size_t)1 << 20)

struct open_line {
    struct covey_buffer text;
    uint32_t stream;
};

static uint64_t key_of(uint32_t rank, uint32_t stream)
{
    return (uint64_t)rank << 1 | (stream == 2);
}

static void write_line(struct open_line *line)
{
    if (covey_buffer_append(&line->text, "\n", 1))
        return;
    cli_progress_hide();
    /* Where the reader is gone there is nobody to tell. */
    enum covey_status status = covey_write_full(line->stream == 2 ? STDERR_FILENO : STDOUT_FILENO,
                                                line->text.data, line->text.length_bytes);
    (void)status;
}

static void free_line(struct open_line *line)
{
    covey_buffer_free(&line->text);
    free(line);
}

static struct open_line *find_line(struct cli_lines *lines, uint64_t key,
                                   const struct covey_log_line *piece)
{
    struct open_line *line = covey_map_get_u64(&lines->open, key);
    if (line)
        return line;
    line = covey_calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->stream = piece->stream;
    if ((!lines->plain && covey_buffer_printf(&line->text, "[%u] ", piece->rank)) ||
        covey_map_set_u64(&lines->open, key, line)) {
        free_line(line);
        return NULL;
    }
    return line;
}

void cli_lines_print(struct cli_lines *lines, const struct covey_log_line *piece)
{
    uint64_t key = key_of(piece->rank, piece->stream);
    struct open_line *line = find_line(lines, key, piece);
    if (!line || covey_buffer_append(&line->text, piece->text.data, piece->text.length_bytes))
        return;
    if (piece->partial && line->text.length_bytes < MAX_LINE_BYTES)
        return;
    write_line(line);
    (void)covey_map_remove_u64(&lines->open, key);
    free_line(line);
}

void cli_lines_finish(struct cli_lines *lines)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&lines->open, &cursor, NULL, &value)) {
        write_line(value);
        free_line(value);
    }
    covey_map_clear(&lines->open);
}
