/*
 * covey-bench output: how long workers that only write keep whoever waits for their lines. From the
 * start of `covey run` to its end, with the lines of all workers in one file, each with its rank;
 * every line is counted.
 */
#include "bench/bench.h"
#include "bench/command.h"
#include "bench/series.h"
#include "bench/user.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { most = 100000000, word_bytes = 16, words_most = 16 };

struct settings {
    int workers;
    int lines;
    int runs;
    bool json;
    const char *peer;
};

struct figures {
    struct bench_series seconds;
    uint64_t bytes; /* of the file */
    struct bench_series peer;
    struct bench_series peer_lines;
};

enum { KEY_LINES = 256, KEY_RUNS, KEY_PEER, KEY_JSON };

static const struct argp_option options[] = {
    {"workers", 'n', "N", 0, "Workers (default: 8)", 0},
    {"lines", KEY_LINES, "N", 0, "Lines that each writes (default: 1000000)", 0},
    {"runs", KEY_RUNS, "N", 0, "Runs, of the peer too (default: 5)", 0},
    {"peer", KEY_PEER, "NAME", 0, "Compare with openmpi: mpirun --tag-output of the same program",
     0},
    {"json", KEY_JSON, NULL, 0, "One JSON object", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case 'n':
        settings->workers = bench_whole_number(text, 1, 1000, state);
        return 0;
    case KEY_LINES:
        settings->lines = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_RUNS:
        settings->runs = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_PEER:
        settings->peer = bench_peer(text, state);
        return 0;
    case KEY_JSON:
        settings->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "output takes no \"%s\"", text);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The lines and bytes of a file; -1, said, where it cannot be read. */
static int count(const char *path, uint64_t *lines, uint64_t *bytes)
{
    static char piece[1 << 20];
    FILE *file = fopen(path, "re");
    *lines = *bytes = 0;
    if (!file) {
        perror("covey-bench: the lines cannot be read");
        return -1;
    }
    for (size_t got; (got = fread(piece, 1, sizeof(piece), file)) > 0; *bytes += got) {
        const char *next = piece;
        while ((next = memchr(next, '\n', (size_t)(piece + got - next)))) {
            next++;
            (*lines)++;
        }
    }
    return fclose(file);
}

/* One run of covey, every line of which has to be there. */
static int run_covey(const struct settings *settings, const char *path, const char *const *words,
                     struct figures *figures)
{
    static char limit[] = "COVEY_MAX_LOG_BYTES=1TiB";
    char *environment[] = {limit, NULL};
    double seconds;
    uint64_t lines;
    if (bench_command_into(path, words, environment, &seconds) != 0 ||
        count(path, &lines, &figures->bytes))
        return -1;
    if (lines != (uint64_t)settings->workers * (uint64_t)settings->lines) {
        fprintf(stderr, "covey-bench: %" PRIu64 " lines came\n", lines);
        return -1;
    }
    return bench_series_add(&figures->seconds, seconds);
}

/* One run of the peer; how many lines come is its own affair, and is told. */
static int run_peer(const char *path, const char *const *words, struct figures *figures)
{
    double seconds;
    uint64_t lines, bytes;
    if (bench_command_into(path, words, NULL, &seconds) != 0 || count(path, &lines, &bytes))
        return -1;
    return bench_series_add(&figures->peer, seconds) ||
           bench_series_add(&figures->peer_lines, (double)lines);
}

static int measure(const struct settings *settings, const char *path, struct figures *figures)
{
    char workers[word_bytes], lines[word_bytes];
    char covey[512];
    const char *file = bench_file("covey");
    if (!file)
        return -1;
    snprintf(covey, sizeof(covey), "%s", file);
    snprintf(workers, sizeof(workers), "%d", settings->workers);
    snprintf(lines, sizeof(lines), "%d", settings->lines);
    const char *ours[words_most] = {covey, "run", "-q", "-n", workers, "/usr/bin/seq", lines};
    const char *theirs[words_most] = {"mpirun",
                                      "--allow-run-as-root",
                                      "--oversubscribe",
                                      "--tag-output",
                                      "-n",
                                      workers,
                                      "/usr/bin/seq",
                                      lines};
    for (int run = 0; run < settings->runs && !bench_interrupted(); run++) {
        if (run_covey(settings, path, ours, figures) ||
            (settings->peer && run_peer(path, theirs, figures))) {
            fprintf(stderr, "covey-bench: a run failed\n");
            return -1;
        }
    }
    return figures->seconds.count > 0 ? 0 : -1;
}

static void print_json_series(const struct bench_series *series)
{
    printf("\"unit\":\"s\",\"runs\":%zu,\"median\":%.4f,\"p10\":%.4f,\"p90\":%.4f,\"p99\":%.4f",
           series->count, bench_series_median(series), bench_series_percentile(series, 0.1),
           bench_series_percentile(series, 0.9), bench_series_percentile(series, 0.99));
}

static void print_json(const struct settings *settings, const struct figures *figures)
{
    printf("{\"benchmark\":\"output\",\"workers\":%d,\"lines\":%d,\"bytes\":%" PRIu64 ",",
           settings->workers, settings->lines, figures->bytes);
    print_json_series(&figures->seconds);
    if (settings->peer) {
        printf(",\"peer\":{\"name\":\"%s\",\"lines_of_all\":%.0f,", settings->peer,
               bench_series_median(&figures->peer_lines));
        print_json_series(&figures->peer);
        printf("},\"ratio\":{\"median\":%.2f}",
               bench_series_median(&figures->peer) / bench_series_median(&figures->seconds));
    }
    puts("}");
}

static void print_text(const struct settings *settings, const struct figures *figures)
{
    double median = bench_series_median(&figures->seconds);
    printf("output: %d workers, %d lines each, %d runs; seconds\n  %-10s %8s %8s %8s\n",
           settings->workers, settings->lines, settings->runs, "", "median", "p99", "min");
    printf("  %-10s %8.3f %8.3f %8.3f  %.1f million lines/s, %.0f MB/s\n", "covey", median,
           bench_series_percentile(&figures->seconds, 0.99),
           bench_series_percentile(&figures->seconds, 0),
           (double)settings->workers * settings->lines / median / 1e6,
           (double)figures->bytes / median / 1e6);
    if (settings->peer)
        printf("  %-10s %8.3f %8.3f %8.3f  %.0f of %.0f lines came\n  ratio %.2f\n", settings->peer,
               bench_series_median(&figures->peer), bench_series_percentile(&figures->peer, 0.99),
               bench_series_percentile(&figures->peer, 0),
               bench_series_median(&figures->peer_lines),
               (double)settings->workers * settings->lines,
               bench_series_median(&figures->peer) / median);
}

int bench_output(int argc, char **argv)
{
    struct settings settings = {.workers = 8, .lines = 1000000, .runs = 5};
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Measures `covey run` of workers that write numbered lines, into a file in TMPDIR: "
               "a private controller and nodes are started and end with it. Every line must come.",
    };
    char path[512];
    const char *folder = getenv("TMPDIR");
    argp_err_exit_status = BENCH_BAD_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &settings);
    snprintf(path, sizeof(path), "%s/covey-bench-XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0) {
        perror("covey-bench: no file for the lines");
        return BENCH_FAILED;
    }
    close(fd);
    struct figures figures = {0};
    int failed = measure(&settings, path, &figures);
    unlink(path);
    if (!failed && settings.json)
        print_json(&settings, &figures);
    else if (!failed)
        print_text(&settings, &figures);
    bench_series_free(&figures.seconds);
    bench_series_free(&figures.peer);
    bench_series_free(&figures.peer_lines);
    return failed ? BENCH_FAILED : BENCH_OK;
}
