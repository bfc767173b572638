/* Values of options, and how values are shown. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/quantity.h"
#include "client/cli/cli.h"
#include "client/cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

const char *cli_duration_text(char text[CLI_TEXT_BYTES], int64_t duration_ns)
{
    double seconds = (double)duration_ns / 1e9;
    if (duration_ns < COVEY_NS_PER_MS)
        snprintf(text, CLI_TEXT_BYTES, "%.0f us", seconds * 1e6);
    else if (duration_ns < COVEY_NS_PER_S)
        snprintf(text, CLI_TEXT_BYTES, "%.1f ms", seconds * 1e3);
    else if (duration_ns < 120 * COVEY_NS_PER_S)
        snprintf(text, CLI_TEXT_BYTES, "%.2f s", seconds);
    else
        snprintf(text, CLI_TEXT_BYTES, "%.1f min", seconds / 60);
    return text;
}

const char *cli_rough_text(char text[CLI_TEXT_BYTES], int64_t duration_ns)
{
    int64_t seconds = (duration_ns + COVEY_NS_PER_S / 2) / COVEY_NS_PER_S;
    if (duration_ns < COVEY_NS_PER_S)
        snprintf(text, CLI_TEXT_BYTES, "1 s");
    else if (seconds < 120)
        snprintf(text, CLI_TEXT_BYTES, "%" PRId64 " s", seconds);
    else if (seconds < INT64_C(7200))
        snprintf(text, CLI_TEXT_BYTES, "%" PRId64 " min", (seconds + 30) / 60);
    else if (seconds < INT64_C(172800))
        snprintf(text, CLI_TEXT_BYTES, "%" PRId64 " h", (seconds + 1800) / 3600);
    else
        snprintf(text, CLI_TEXT_BYTES, "%" PRId64 " d", (seconds + 43200) / 86400);
    return text;
}

const char *cli_size_text(char text[CLI_TEXT_BYTES], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024; unit++)
        value /= 1024;
    snprintf(text, CLI_TEXT_BYTES, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

const char *cli_time_text(char text[CLI_TEXT_BYTES], int64_t wall_ns)
{
    struct tm calendar;
    time_t when = (time_t)(wall_ns / COVEY_NS_PER_S);
    if (wall_ns <= 0 || !localtime_r(&when, &calendar) ||
        !strftime(text, CLI_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &calendar))
        snprintf(text, CLI_TEXT_BYTES, "-");
    return text;
}

const char *cli_lowercase(const char *name)
{
    static char texts[4][32];
    static unsigned next;
    char *text = texts[next++ % 4];
    size_t i = 0;
    for (; name[i] && i < sizeof texts[0] - 1; i++)
        text[i] = (char)(name[i] == '_' ? ' ' : tolower((unsigned char)name[i]));
    text[i] = 0;
    return text;
}

int cli_finish_output(void)
{
    static bool told;
    if (fflush(stdout) || ferror(stdout)) {
        if (errno == EPIPE)
            cli_output_note_broken_pipe();
        else if (!told)
            cli_complain("cannot write to standard output: %s", strerror(errno));
        told = true;
        return CLI_FAILED;
    }
    return CLI_OK;
}
