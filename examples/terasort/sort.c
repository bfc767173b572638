#include "sort.h"

#include "record.h"

#include <stdlib.h>

/* A key and where its record is; the key's ten bytes as five digits of 16 bits, the least
 * significant first. */
struct entry {
    uint16_t digits[5];
    uint16_t unused;
    uint32_t index;
};

enum { digit_values = 65536 };

static void sort_by_digit(const struct entry *from, struct entry *to, size_t count, int digit,
                          uint32_t *starts)
{
    memset(starts, 0, digit_values * sizeof(*starts));
    for (size_t i = 0; i < count; i++)
        starts[from[i].digits[digit]]++;
    uint32_t total = 0;
    for (int value = 0; value < digit_values; value++) {
        uint32_t here = starts[value];
        starts[value] = total;
        total += here;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].digits[digit]]++] = from[i];
}

int sort_records(const uint8_t *from, uint8_t *to, size_t count)
{
    if (count > UINT32_MAX)
        return -1;
    struct entry *entries = malloc((2 * count + 1) * sizeof(*entries));
    uint32_t *starts = malloc(digit_values * sizeof(*starts));
    if (!entries || !starts) {
        free(entries);
        free(starts);
        return -1;
    }
    struct entry *source = entries, *target = entries + count;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *key = from + i * record_bytes;
        for (int digit = 0; digit < 5; digit++)
            source[i].digits[digit] = (uint16_t)(key[8 - 2 * digit] << 8 | key[9 - 2 * digit]);
        source[i].index = (uint32_t)i;
    }
    for (int digit = 0; digit < 5; digit++) {
        sort_by_digit(source, target, count, digit, starts);
        struct entry *sorted = target;
        target = source;
        source = sorted;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * record_bytes, from + (size_t)source[i].index * record_bytes, record_bytes);
    free(entries);
    free(starts);
    return 0;
}
