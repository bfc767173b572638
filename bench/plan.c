/*
 * covey-bench plan: how long a plan takes through the API, on a connection that is open, while
 * every slot is taken and others wait: what a person at a terminal or a program would see.
 */
#include "bench/bench.h"
#include "bench/cluster.h"
#include "bench/series.h"
#include "bench/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char definition[] = "covey-bench-hold";
static const double ns_per_ms = 1e6;
static const int64_t ns_per_s = 1000000000;
enum { slots = 2, planned_workers = 8, warm_ups = 10, goal_ms = 5 };

struct settings {
    int nodes;
    int queued;
    int runs;
    bool json;
};

enum { KEY_NODES = 256, KEY_QUEUED, KEY_RUNS, KEY_JSON };

static const struct argp_option options[] = {
    {"nodes", KEY_NODES, "N", 0, "Local nodes, of two slots each (default: 20)", 0},
    {"queued", KEY_QUEUED, "N", 0, "Flares that wait (default: 100)", 0},
    {"runs", KEY_RUNS, "N", 0, "Plans that are measured (default: 200)", 0},
    {"json", KEY_JSON, NULL, 0, "One JSON object", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case KEY_NODES:
        settings->nodes = bench_whole_number(text, 1, 64, state);
        return 0;
    case KEY_QUEUED:
        settings->queued = bench_whole_number(text, 0, 100000, state);
        return 0;
    case KEY_RUNS:
        settings->runs = bench_whole_number(text, 1, 1000000, state);
        return 0;
    case KEY_JSON:
        settings->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "plan takes no \"%s\"", text);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int submit(struct covey_client *client, uint32_t workers, int64_t limit_ns)
{
    struct covey_error error = {0};
    struct covey_flare *flare = NULL;
    struct covey_flare_request request = {.definition = definition, .workers = workers};
    request.options.time_limit_ns = limit_ns;
    if (covey_client_flare(client, &request, 0, &flare, &error))
        return bench_said("flare", &error);
    covey_flare_free(flare);
    return 0;
}

/* One flare takes every slot, the others wait behind it: of all sizes and limits. */
static int fill(struct covey_client *client, const struct settings *settings)
{
    uint32_t all = (uint32_t)settings->nodes * slots;
    int failed =
        bench_deploy(client, definition, "lib:hold.so") || submit(client, all, 3600 * ns_per_s);
    for (int i = 0; i < settings->queued && !failed; i++)
        failed = bench_interrupted() ||
                 submit(client, 1 + (uint32_t)i * 7 % all, (1 + i * 13 % 60) * ns_per_s);
    return failed;
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * ns_per_s + time.tv_nsec;
}

static int measure_plans(struct covey_client *client, const struct settings *settings,
                         struct bench_series *series)
{
    uint32_t all = (uint32_t)settings->nodes * slots;
    struct covey_flare_request request = {.definition = definition,
                                          .workers = all < planned_workers ? all : planned_workers};
    request.options.time_limit_ns = 30 * ns_per_s;
    for (int run = -warm_ups; run < settings->runs; run++) {
        struct covey_error error = {0};
        struct covey_plan *plan = NULL;
        int64_t called_ns = now_ns();
        if (bench_interrupted())
            return -1;
        if (covey_client_plan_flare(client, &request, 0, &plan, &error))
            return bench_said("plan", &error);
        double took_ms = (double)(now_ns() - called_ns) / ns_per_ms;
        covey_plan_free(plan);
        if (run >= 0 && bench_series_add(series, took_ms))
            return -1;
    }
    return 0;
}

static int measure(const struct settings *settings, struct bench_series *series)
{
    struct bench_cluster cluster;
    if (bench_cluster_open(&cluster, settings->nodes, slots, true))
        return -1;
    struct covey_client *client = bench_connect(cluster.server);
    int failed = !client || fill(client, settings) || measure_plans(client, settings, series);
    covey_client_destroy(client);
    bench_cluster_close(&cluster);
    return failed;
}

static void print(const struct settings *settings, const struct bench_series *series)
{
    double median = bench_series_median(series);
    double p99 = bench_series_percentile(series, 0.99);
    double min = bench_series_percentile(series, 0);
    bool passed = median < goal_ms;
    if (settings->json)
        printf("{\"benchmark\":\"plan\",\"nodes\":%d,\"queued\":%d,\"unit\":\"ms\",\"runs\":%zu,"
               "\"median\":%.3f,\"p99\":%.3f,\"min\":%.3f,\"goal\":%d,\"passed\":%s}\n",
               settings->nodes, settings->queued, series->count, median, p99, min, goal_ms,
               passed ? "true" : "false");
    else
        printf("plan: %d nodes, %d flares wait, %zu runs; milliseconds\n"
               "  median %.3f, p99 %.3f, min %.3f; goal %d: %s\n",
               settings->nodes, settings->queued, series->count, median, p99, min, goal_ms,
               passed ? "passed" : "missed");
}

int bench_plan(int argc, char **argv)
{
    struct settings settings = {.nodes = 20, .queued = 100, .runs = 200};
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Measures a plan of 8 workers through the API, on an open connection, while every "
               "slot of a cluster that it starts itself is taken and flares wait.",
    };
    argp_err_exit_status = BENCH_BAD_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &settings);
    struct bench_series series = {0};
    int failed = measure(&settings, &series);
    if (!failed)
        print(&settings, &series);
    bench_series_free(&series);
    return failed ? BENCH_FAILED : BENCH_OK;
}
