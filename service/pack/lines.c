#include "service/pack/lines.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

size_t lines_begin(struct lines *lines, uint8_t *bytes)
{
    if (lines->held_bytes > 0)
        memcpy(bytes, lines->held, lines->held_bytes);
    return lines->held_bytes;
}

static bool hold(struct lines *lines, const uint8_t *bytes, size_t length_bytes)
{
    lines->held_bytes = 0;
    if (length_bytes == 0)
        return true;
    if (length_bytes > LINES_HELD_BYTES)
        return false;
    if (!lines->held)
        lines->held = covey_malloc(LINES_HELD_BYTES);
    if (!lines->held)
        return false;
    memcpy(lines->held, bytes, length_bytes);
    lines->held_bytes = length_bytes;
    return true;
}

void lines_cut(struct lines *lines, const uint8_t *bytes, size_t length_bytes, lines_sink sink,
               void *data)
{
    const uint8_t *last = memrchr(bytes, '\n', length_bytes);
    size_t whole_bytes = last ? (size_t)(last - bytes) + 1 : 0;
    if (whole_bytes > 0)
        sink(bytes, whole_bytes, data);
    if (!hold(lines, bytes + whole_bytes, length_bytes - whole_bytes))
        sink(bytes + whole_bytes, length_bytes - whole_bytes, data);
}

void lines_finish(struct lines *lines, lines_sink sink, void *data)
{
    if (lines->held_bytes > 0)
        sink(lines->held, lines->held_bytes, data);
    free(lines->held);
    *lines = (struct lines){0};
}
