#include "rpc/timeout.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

static const struct {
    char letter;
    int64_t ns;
} units[] = {
    {'n', 1},
    {'u', COVEY_NS_PER_US},
    {'m', COVEY_NS_PER_MS},
    {'S', COVEY_NS_PER_S},
    {'M', 60 * COVEY_NS_PER_S},
    {'H', 3600 * COVEY_NS_PER_S},
};

#define UNIT_COUNT (sizeof units / sizeof *units)

void rpc_timeout_format(int64_t timeout_ns, char text[RPC_TIMEOUT_BYTES])
{
    if (timeout_ns < 0)
        timeout_ns = 0;
    /* 2^63 ns are 2562048 hours: the last unit always fits. */
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        int64_t count = timeout_ns / units[i].ns + (timeout_ns % units[i].ns != 0);
        if (count <= 99999999) {
            snprintf(text, RPC_TIMEOUT_BYTES, "%" PRId64 "%c", count, units[i].letter);
            return;
        }
    }
}

bool rpc_timeout_parse(const char *text, int64_t *timeout_ns)
{
    int64_t count = 0;
    size_t digits = 0;
    while (digits < 9 && text[digits] >= '0' && text[digits] <= '9') {
        count = count * 10 + (text[digits] - '0');
        digits++;
    }
    if (digits == 0 || digits > 8 || text[digits] == '\0' || text[digits + 1] != '\0')
        return false;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (units[i].letter != text[digits])
            continue;
        if (__builtin_mul_overflow(count, units[i].ns, timeout_ns))
            *timeout_ns = INT64_MAX;
        return true;
    }
    return false;
}
