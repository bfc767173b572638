#include "bench/messages/sizes.h"

#include "base/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct sizes *sizes, uint64_t bytes)
{
    if (bytes == 0 || sizes->count == sizes_most)
        return -1;
    sizes->bytes[sizes->count++] = bytes;
    return 0;
}

/* FROM..TO, with *FACTOR where that is not 2. */
static int add_range(struct sizes *sizes, const char *from, char *to)
{
    uint64_t first, last, factor = 2;
    char *star = strchr(to, '*');
    if (star) {
        *star = 0;
        if (covey_parse_size(star + 1, &factor) || factor < 2)
            return -1;
    }
    if (covey_parse_size(from, &first) || covey_parse_size(to, &last) || first > last)
        return -1;
    for (uint64_t bytes = first; bytes <= last; bytes *= factor) {
        if (add(sizes, bytes))
            return -1;
        if (bytes > last / factor)
            break;
    }
    return 0;
}

static int add_item(struct sizes *sizes, char *item)
{
    uint64_t bytes;
    char *dots = strstr(item, "..");
    if (!dots)
        return covey_parse_size(item, &bytes) ? -1 : add(sizes, bytes);
    *dots = 0;
    return add_range(sizes, item, dots + 2);
}

int sizes_parse(const char *text, struct sizes *sizes)
{
    struct sizes parsed = {.count = 0};
    char *copy = strdup(text);
    int failed = copy ? 0 : -1;
    for (char *item = copy, *comma; item && !failed; item = comma) {
        comma = strchr(item, ',');
        if (comma)
            *comma++ = 0;
        failed = add_item(&parsed, item);
    }
    free(copy);
    if (!failed)
        *sizes = parsed;
    return failed;
}

void size_write(uint64_t bytes, char *text)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    for (; unit < 3 && bytes >= 1024 && bytes % 1024 == 0; unit++)
        bytes /= 1024;
    snprintf(text, size_text_bytes, "%" PRIu64 " %s", bytes, units[unit]);
}
