/* How values are shown to a person. */
#include "client/cli/text.h"

#include "base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

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
