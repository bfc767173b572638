#include "bench/messages/limit.h"

#include "bench/messages/capture.h"
#include "bench/messages/history.h"
#include "bench/program.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const limit_names[LIMITS] = {"mailbox", "boxes", "copy", "fault", "fork"};

static const uint64_t small_bytes = 8 << 10, copied_bytes = 1 << 20;
static const double allowed_factor = 1.5;
enum { name_bytes = 48, number_bytes = 24 };

static int read_figure(const char *line, struct limits *limits)
{
    for (size_t i = 0; i < LIMITS; i++) {
        size_t length = strlen(limit_names[i]);
        if (strncmp(line, limit_names[i], length) == 0 && line[length] == ' ') {
            limits->ns[i] = strtod(line + length, NULL);
            return 0;
        }
    }
    return -1;
}

uint64_t limit_copied_bytes(uint64_t bytes)
{
    return bytes <= small_bytes ? copied_bytes : bytes;
}

int limits_measure(uint64_t bytes, struct limits *limits)
{
    char number[number_bytes];
    const char *program = bench_file("lib:limit");
    snprintf(number, sizeof(number), "%" PRIu64, limit_copied_bytes(bytes));
    const char *arguments[] = {program, number, NULL};
    char *text = program ? capture(arguments, NULL) : NULL;
    if (!text)
        return -1;
    *limits = (struct limits){0};
    int failed = 0;
    for (const char *line = text; *line && !failed; line += strcspn(line, "\n") + 1)
        failed = read_figure(line, limits);
    free(text);
    for (size_t i = 0; i < LIMITS; i++)
        failed = failed || limits->ns[i] <= 0;
    if (failed)
        fprintf(stderr, "covey-bench: the limits of this machine were not measured\n");
    return failed;
}

enum limit limit_that_counts(uint64_t bytes)
{
    return bytes <= small_bytes ? LIMIT_MAILBOX : LIMIT_COPY;
}

double limit_of_order(const struct limits *limits, const struct order *order, int workers)
{
    double items = order_items(order, workers);
    if (workers != 2)
        return 0;
    switch (order->operation) {
    case OPERATION_LATENCY:
        return items * limits->ns[limit_that_counts(order->bytes)];
    case OPERATION_RATE:
    case OPERATION_BANDWIDTH:
        return items * limits->ns[order->bytes <= small_bytes ? LIMIT_BOXES : LIMIT_COPY];
    default:
        return 0;
    }
}

/* The file, in folders that are made; -1 where there can be none. */
static int history_path(char *path, size_t size)
{
    char host[HOST_NAME_MAX + 1] = "";
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool given = cache && *cache;
    if (!given && (!home || !*home))
        return -1;
    if (gethostname(host, sizeof(host) - 1) < 0)
        return -1;
    const char *base = given ? cache : home, *below = given ? "" : "/.cache";
    int length = snprintf(path, size, "%s%s/covey-bench/limits-%s", base, below, host);
    if (length < 0 || (size_t)length >= size)
        return -1;
    (void)snprintf(path, size, "%s%s", base, below);
    (void)mkdir(path, 0700);
    (void)snprintf(path, size, "%s%s/covey-bench", base, below);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -1;
    (void)snprintf(path, size, "%s%s/covey-bench/limits-%s", base, below, host);
    return 0;
}

bool limit_is_as_before(uint64_t bytes, const struct limits *limits)
{
    char path[PATH_MAX], name[name_bytes];
    double values[history_kept];
    enum limit limit = limit_that_counts(bytes);
    snprintf(name, sizeof(name), "%s-%" PRIu64, limit_names[limit],
             limit == LIMIT_COPY ? bytes : 8);
    if (history_path(path, sizeof(path)))
        return true;
    size_t count = history_read(path, name, values);
    bool agrees = history_agrees(values, count, limits->ns[limit], allowed_factor);
    if (history_add(path, name, limits->ns[limit]))
        fprintf(stderr, "covey-bench: %s: %s\n", path, strerror(errno));
    return agrees;
}
