/*
 * covey-bench scheduler: the scheduler library alone, on one core, beside a plain first-fit that
 * knows nothing of topology, queues or claims.
 */
#include "base/error.h"
#include "base/io.h"
#include "bench/bench.h"
#include "bench/fleet.h"
#include "bench/series.h"
#include "bench/sim/plot.h"
#include "bench/user.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { warm_ups = 3, growth_steps = 4, growth_runs = 20, churn_round = 1000 };
enum { memory_nodes = 10000, memory_queued = 100000 };
static const uint32_t growth_nodes[growth_steps] = {100, 1000, 10000, 100000};
static const double ms_per_s = 1e3, bytes_per_mib = 1 << 20;

struct settings {
    int runs;
    bool json;
    const char *svg;
};

/* A figure with what it must be at least, or at most. */
struct result {
    const char *name;
    const char *unit;
    struct bench_series ours, plain;
    double goal_median;
    double goal_p99; /* 0: none */
    bool more_is_better;
};

enum { PLACE_1000, PLACE_10000, CHURN, MEMORY, RESULTS };

struct figures {
    struct result results[RESULTS];
    struct bench_series growth_ours[growth_steps], growth_plain[growth_steps];
};

static const struct argp_option options[] = {
    {"runs", 'r', "N", 0, "Rounds of each measurement, at least 20 (default: 100)", 0},
    {"json", 'j', NULL, 0, "One JSON object", 0},
    {"svg", 's', "FILE", 0, "Draw the growth with the number of nodes", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case 'r':
        settings->runs = bench_whole_number(text, 20, 100000, state);
        return 0;
    case 'j':
        settings->json = true;
        return 0;
    case 's':
        settings->svg = text;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "scheduler takes no \"%s\"", text);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Of a gang with as many workers as there are nodes, in milliseconds. */
static int measure_place(uint32_t nodes, int runs, struct bench_series *ours,
                         struct bench_series *plain)
{
    struct fleet fleet;
    struct fleet_times times;
    int failed = fleet_create(&fleet, nodes);
    for (int run = -warm_ups; run < runs && !failed; run++) {
        failed = bench_interrupted() || fleet_place(&fleet, nodes, &times);
        if (run >= 0 && !failed)
            failed = bench_series_add(ours, times.ours_s * ms_per_s) ||
                     bench_series_add(plain, times.plain_s * ms_per_s);
    }
    fleet_destroy(&fleet);
    return failed;
}

static int measure_churn(int runs, struct result *result)
{
    struct fleet fleet;
    struct fleet_times times;
    int failed = fleet_create(&fleet, 1000);
    for (int run = -warm_ups; run < runs && !failed; run++) {
        failed = bench_interrupted() || fleet_churn(&fleet, churn_round, &times);
        if (run >= 0 && !failed)
            failed = bench_series_add(&result->ours, churn_round / times.ours_s) ||
                     bench_series_add(&result->plain, churn_round / times.plain_s);
    }
    fleet_destroy(&fleet);
    return failed;
}

/* What this process has resident, in MiB; -1, said. */
static double resident_mib(void)
{
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    const char *second = file && fgets(text, sizeof(text), file) ? strchr(text, ' ') : NULL;
    if (file)
        fclose(file);
    if (!second) {
        fprintf(stderr, "covey-bench: /proc/self/statm cannot be read\n");
        return -1;
    }
    double pages = (double)strtoul(second, NULL, 10);
    return pages * (double)sysconf(_SC_PAGESIZE) / bytes_per_mib;
}

/* First-fit would keep a number for each node, and an id and a size for each gang. */
static int measure_memory(struct result *result)
{
    struct fleet fleet;
    double before = resident_mib();
    int failed =
        before < 0 || fleet_create(&fleet, memory_nodes) || fleet_queue(&fleet, memory_queued);
    double after = resident_mib();
    double plain =
        (memory_nodes * sizeof(uint32_t) + memory_queued * (SCHED_ID_BYTES + sizeof(uint32_t))) /
        bytes_per_mib;
    if (!failed)
        failed = after < 0 || bench_series_add(&result->ours, after - before) ||
                 bench_series_add(&result->plain, plain);
    if (before >= 0)
        fleet_destroy(&fleet);
    return failed;
}

static int measure(const struct settings *settings, struct figures *figures)
{
    struct result *results = figures->results;
    /* Memory first: later, what was freed would be used again and not grow. */
    int failed = measure_memory(&results[MEMORY]) ||
                 measure_place(1000, settings->runs, &results[PLACE_1000].ours,
                               &results[PLACE_1000].plain) ||
                 measure_place(10000, settings->runs, &results[PLACE_10000].ours,
                               &results[PLACE_10000].plain) ||
                 measure_churn(settings->runs, &results[CHURN]);
    for (int i = 0; i < growth_steps && !failed; i++)
        failed = measure_place(growth_nodes[i], growth_runs, &figures->growth_ours[i],
                               &figures->growth_plain[i]);
    return failed;
}

static bool passed(const struct result *result)
{
    double median = bench_series_median(&result->ours);
    if (result->more_is_better)
        return median >= result->goal_median;
    return median <= result->goal_median &&
           (result->goal_p99 <= 0 ||
            bench_series_percentile(&result->ours, 0.99) <= result->goal_p99);
}

/* How many times better than first-fit; below 1 where it is the better one. */
static double ratio(const struct bench_series *ours, const struct bench_series *plain, bool more)
{
    double ratio = bench_series_median(plain) / bench_series_median(ours);
    return more ? 1 / ratio : ratio;
}

static void json_series(const struct bench_series *series)
{
    printf("\"runs\":%zu,\"median\":%.6f,\"p99\":%.6f,\"min\":%.6f", series->count,
           bench_series_median(series), bench_series_percentile(series, 0.99),
           bench_series_percentile(series, 0));
}

static void print_json(const struct figures *figures)
{
    printf("{\"benchmark\":\"scheduler\",\"peer\":\"first-fit\",\"results\":[");
    for (int i = 0; i < RESULTS; i++) {
        const struct result *result = &figures->results[i];
        printf("%s{\"name\":\"%s\",\"unit\":\"%s\",", i ? "," : "", result->name, result->unit);
        json_series(&result->ours);
        printf(",\"goal\":{\"median\":%g", result->goal_median);
        if (result->goal_p99 > 0)
            printf(",\"p99\":%g", result->goal_p99);
        printf("},\"passed\":%s,\"peer\":{", passed(result) ? "true" : "false");
        json_series(&result->plain);
        printf("},\"ratio\":%.4f}", ratio(&result->ours, &result->plain, result->more_is_better));
    }
    printf("],\"growth\":[");
    for (int i = 0; i < growth_steps; i++) {
        printf("%s{\"nodes\":%u,\"workers\":%u,\"unit\":\"ms\",", i ? "," : "", growth_nodes[i],
               growth_nodes[i]);
        json_series(&figures->growth_ours[i]);
        printf(",\"peer\":{");
        json_series(&figures->growth_plain[i]);
        printf("},\"ratio\":%.4f}",
               ratio(&figures->growth_ours[i], &figures->growth_plain[i], false));
    }
    puts("]}");
}

static void print_text(const struct figures *figures)
{
    printf("%-34s %-13s %11s %11s %11s %11s %s\n", "scheduler", "", "median", "p99", "goal",
           "first-fit", "");
    for (int i = 0; i < RESULTS; i++) {
        const struct result *result = &figures->results[i];
        printf("%-34s %-13s %11.3f %11.3f %11g %11.3f %s\n", result->name, result->unit,
               bench_series_median(&result->ours), bench_series_percentile(&result->ours, 0.99),
               result->goal_median, bench_series_median(&result->plain),
               passed(result) ? "pass" : "FAIL");
    }
    printf("\n%-34s %-13s %11s %11s %11s %11s\n", "growth: as many workers as nodes", "", "median",
           "p99", "us a node", "first-fit");
    for (int i = 0; i < growth_steps; i++) {
        double median = bench_series_median(&figures->growth_ours[i]);
        printf("%-34u %-13s %11.3f %11.3f %11.3f %11.3f\n", growth_nodes[i], "ms", median,
               bench_series_percentile(&figures->growth_ours[i], 0.99),
               median * 1000 / growth_nodes[i], bench_series_median(&figures->growth_plain[i]));
    }
}

static int draw(const char *path, const struct figures *figures)
{
    struct sim_point ours[growth_steps], plain[growth_steps], linear[growth_steps];
    for (int i = 0; i < growth_steps; i++) {
        ours[i] =
            (struct sim_point){growth_nodes[i], bench_series_median(&figures->growth_ours[i])};
        plain[i] =
            (struct sim_point){growth_nodes[i], bench_series_median(&figures->growth_plain[i])};
        linear[i] =
            (struct sim_point){growth_nodes[i], ours[0].y * growth_nodes[i] / growth_nodes[0]};
    }
    const struct sim_line lines[] = {{"covey", ours, growth_steps, false},
                                     {"first-fit", plain, growth_steps, false},
                                     {"linear", linear, growth_steps, false}};
    const struct sim_plot plot = {.title = "Placing as many workers as there are nodes",
                                  .x = {"nodes", true},
                                  .y = {"milliseconds, median", true},
                                  .lines = lines,
                                  .count = 3};
    FILE *out = fopen(path, "w");
    if (out)
        sim_plot_svg(out, &plot, 1);
    if (!out || (ferror(out) | fclose(out))) {
        fprintf(stderr, "covey-bench: %s cannot be written\n", path);
        return -1;
    }
    return 0;
}

static void free_figures(struct figures *figures)
{
    for (int i = 0; i < RESULTS; i++) {
        bench_series_free(&figures->results[i].ours);
        bench_series_free(&figures->results[i].plain);
    }
    for (int i = 0; i < growth_steps; i++) {
        bench_series_free(&figures->growth_ours[i]);
        bench_series_free(&figures->growth_plain[i]);
    }
}

int bench_scheduler(int argc, char **argv)
{
    struct settings settings = {.runs = 100};
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Measures the scheduler library alone, on one core and nodes that are made up, half "
               "in use at random, beside a plain first-fit.",
    };
    argp_err_exit_status = BENCH_BAD_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &settings);
    struct covey_error error;
    if (settings.svg && covey_file_check_write(settings.svg, &error) != COVEY_OK) {
        fprintf(stderr, "covey-bench: %s\n", error.message);
        return BENCH_BAD_INPUT;
    }
    struct figures figures = {
        .results = {
            {.name = "1000 workers on 1000 nodes", .unit = "ms", .goal_median = 1, .goal_p99 = 3},
            {.name = "10000 workers on 10000 nodes", .unit = "ms", .goal_median = 20},
            {.name = "gangs of 8 on 1000 nodes",
             .unit = "placements/s",
             .goal_median = 20000,
             .more_is_better = true},
            {.name = "10000 nodes, 100000 queued", .unit = "MiB", .goal_median = 200},
        }};
    int failed = measure(&settings, &figures) || (settings.svg && draw(settings.svg, &figures));
    if (!failed && settings.json)
        print_json(&figures);
    else if (!failed)
        print_text(&figures);
    free_figures(&figures);
    return failed ? BENCH_FAILED : BENCH_OK;
}
