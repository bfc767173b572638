#include "base/quantity.h"

#include "base/clock.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

__extension__ typedef unsigned __int128 wide;

#define FRACTION_DIGITS 9

struct unit {
    const char *name;
    uint64_t factor;
};

/* Digits, as a number of thousand-millionths; NULL where there are none or too many. */
static const char *read_number(const char *text, wide *number)
{
    const wide one = 1000000000;
    wide whole = 0;
    wide fraction = 0;
    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++) {
        whole = whole * 10 + (unsigned)(*text - '0');
        if (whole > UINT64_MAX)
            return NULL;
    }
    if (*text == '.') {
        if (!isdigit((unsigned char)*++text))
            return NULL;
        wide weight = one / 10;
        for (; isdigit((unsigned char)*text); text++, weight /= 10)
            fraction += weight * (unsigned)(*text - '0'); /* beyond the ninth digit: nothing */
    }
    *number = whole * one + fraction;
    return text;
}

static enum covey_status parse(const char *text, const struct unit *units, size_t count,
                               int (*compare)(const char *, const char *), uint64_t most,
                               uint64_t *value)
{
    wide number;
    const char *end = read_number(text, &number);
    for (size_t i = 0; end && i < count; i++) {
        if (compare(end, units[i].name) != 0)
            continue;
        wide whole = number / 1000000000;
        if (whole > most / units[i].factor)
            return COVEY_EINVAL;
        wide product = number * units[i].factor / 1000000000;
        if (product > most)
            return COVEY_EINVAL;
        *value = (uint64_t)product;
        return COVEY_OK;
    }
    return COVEY_EINVAL;
}

enum covey_status covey_parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},           {"B", 1},
                                        {"K", 1ULL << 10}, {"KiB", 1ULL << 10},
                                        {"M", 1ULL << 20}, {"MiB", 1ULL << 20},
                                        {"G", 1ULL << 30}, {"GiB", 1ULL << 30},
                                        {"T", 1ULL << 40}, {"TiB", 1ULL << 40},
                                        {"P", 1ULL << 50}, {"PiB", 1ULL << 50}};
    return parse(text, units, sizeof units / sizeof *units, strcasecmp, UINT64_MAX, bytes);
}

enum covey_status covey_parse_time(const char *text, int64_t *duration_ns)
{
    static const struct unit units[] = {{"", COVEY_NS_PER_S},
                                        {"ns", 1},
                                        {"us", 1000},
                                        {"ms", COVEY_NS_PER_MS},
                                        {"s", COVEY_NS_PER_S},
                                        {"m", 60ULL * COVEY_NS_PER_S},
                                        {"min", 60ULL * COVEY_NS_PER_S},
                                        {"h", 3600ULL * COVEY_NS_PER_S},
                                        {"d", 24 * 3600ULL * COVEY_NS_PER_S}};
    uint64_t value;
    enum covey_status status =
        parse(text, units, sizeof units / sizeof *units, strcmp, INT64_MAX, &value);
    if (!status)
        *duration_ns = (int64_t)value;
    return status;
}
