#include "service/pack/lines.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static bool hold(struct lines *lines, const uint8_t *bytes, size_t length_bytes)
{
    if (length_bytes == 0)
        return true;
    if (!lines->held) {
        lines->held = covey_malloc(LINES_MAX_BYTES);
        if (!lines->held)
            return false;
    }
    memcpy(lines->held + lines->held_bytes, bytes, length_bytes);
    lines->held_bytes += length_bytes;
    return true;
}

bool lines_feed(struct lines *lines, const uint8_t *bytes, size_t length_bytes, lines_sink sink,
                void *data)
{
    while (length_bytes > 0) {
        size_t room = LINES_MAX_BYTES - lines->held_bytes;
        size_t look = length_bytes < room + 1 ? length_bytes : room + 1;
        const uint8_t *newline = memchr(bytes, '\n', look);
        size_t take = newline ? (size_t)(newline - bytes) : look < room ? look : room;
        bool whole = newline || look > room;
        if (!whole)
            return hold(lines, bytes, take);
        if (lines->held_bytes == 0) {
            sink(bytes, take, !newline, data);
        } else {
            (void)hold(lines, bytes, take);
            sink(lines->held, lines->held_bytes, !newline, data);
            lines->held_bytes = 0;
        }
        take += newline ? 1 : 0;
        bytes += take;
        length_bytes -= take;
    }
    return true;
}

void lines_finish(struct lines *lines, lines_sink sink, void *data)
{
    if (lines->held_bytes > 0)
        sink(lines->held, lines->held_bytes, true, data);
    free(lines->held);
    *lines = (struct lines){0};
}
