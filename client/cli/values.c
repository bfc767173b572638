/* Values of options. */
#include "client/cli/values.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/quantity.h"
#include "client/cli/complain.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t cli_parse_integer(const struct argp_state *state, const char *option, const char *text,
                          int32_t least, int32_t most)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        argp_error(state, "%s must be a whole number from %" PRId32 " to %" PRId32 ", not \"%s\"",
                   option, least, most, text);
    return (int32_t)value;
}

uint32_t cli_parse_count(const struct argp_state *state, const char *option, const char *text,
                         uint32_t least, uint32_t most)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < (long long)least || value > (long long)most)
        argp_error(state, "%s must be a whole number from %" PRIu32 " to %" PRIu32 ", not \"%s\"",
                   option, least, most, text);
    return (uint32_t)value;
}

uint64_t cli_parse_size(const struct argp_state *state, const char *option, const char *text)
{
    uint64_t bytes = 0;
    if (covey_parse_size(text, &bytes) || bytes == 0 || bytes > INT64_MAX)
        argp_error(state, "%s must be " COVEY_SIZE_EXAMPLES ", not \"%s\"", option, text);
    return bytes;
}

int64_t cli_parse_duration(const struct argp_state *state, const char *option, const char *text)
{
    int64_t duration_ns = 0;
    if (covey_parse_time(text, &duration_ns) || duration_ns == 0 || duration_ns > INT64_MAX / 2)
        argp_error(state, "%s must be " COVEY_TIME_EXAMPLES ", not \"%s\"", option, text);
    return duration_ns;
}

struct covey_pair cli_parse_pair(const struct argp_state *state, const char *option, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text)
        argp_error(state, "%s must be KEY=VALUE, not \"%s\"", option, text);
    else
        *equals = 0;
    return (struct covey_pair){text, equals ? equals + 1 : ""};
}

static bool parse_range(const char *text, char **end, uint32_t *first, uint32_t *last)
{
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long low = strtoul(text, end, 10);
    unsigned long high = low;
    if (**end == '-' && isdigit((unsigned char)(*end)[1]))
        high = strtoul(*end + 1, end, 10);
    *first = (uint32_t)low;
    *last = (uint32_t)high;
    return !errno && low <= high && high - low < 1000000 && high <= UINT32_MAX;
}

void cli_parse_ranks(const struct argp_state *state, const char *text, uint32_t **ranks,
                     size_t *count)
{
    const char *at = text;
    for (;;) {
        char *end = NULL;
        uint32_t first = 0, last = 0;
        if (!parse_range(at, &end, &first, &last) || (*end && *end != ',')) {
            argp_error(state, "--rank must be like 0,3,8-11, not \"%s\"", text);
            return;
        }
        uint32_t *grown = covey_reallocarray(*ranks, *count + (last - first) + 1, sizeof **ranks);
        if (!grown) {
            argp_failure(state, CLI_FAILED, ENOMEM, "--rank");
            return;
        }
        *ranks = grown;
        for (uint64_t rank = first; rank <= last; rank++)
            (*ranks)[(*count)++] = (uint32_t)rank;
        if (!*end)
            return;
        at = end + 1;
    }
}
