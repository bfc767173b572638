/*
 * covey-bench startup: how long from a call to N workers in user code.
 *
 * Every time is read from the clock of one machine: the call's just before it is made, the workers'
 * by themselves as they enter user code.
 */
#include "bench/bench.h"
#include "bench/cluster.h"
#include "bench/command.h"
#include "bench/series.h"
#include "bench/user.h"

#include "base/clock.h"
#include "base/quantity.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char definition[] = "covey-bench-idle";
static const double ns_per_ms = 1e6, ms_per_s = 1e3;
enum { nodes = 2, flare_timeout_s = 120, most = 1000000 };

struct settings {
    int workers;
    int runs;
    int warm_ups;
    int64_t gap_ns;
    int peer_runs;
    bool cold;
    bool json;
    const char *peer;
};

/* A flare's steps, in milliseconds after the call. */
enum step { ACCEPTED, PLACED, READY, STARTED, FIRST, LAST, ENDED, STEPS };
static const char *const step_names[STEPS] = {"accepted",     "placed",      "ready", "started",
                                              "first_worker", "last_worker", "ended"};

struct figures {
    struct bench_series steps[STEPS];
    struct bench_series spread; /* from the first worker to the last */
    struct bench_series peer;
};

enum { KEY_RUNS = 256, KEY_WARM_UPS, KEY_GAP, KEY_PEER, KEY_PEER_RUNS, KEY_COLD, KEY_JSON };

static const struct argp_option options[] = {
    {"workers", 'n', "N", 0, "Workers in a flare (default: 48)", 0},
    {"runs", KEY_RUNS, "N", 0, "Flares that are measured (default: 20)", 0},
    {"warm-ups", KEY_WARM_UPS, "N", 0, "Flares before them that are not (default: 2)", 0},
    {"gap", KEY_GAP, "TIME", 0,
     "Time between the end of a flare and the next call, in which the nodes start what "
     "they keep warm (default: 300ms)",
     0},
    {"cold", KEY_COLD, NULL, 0, "Nodes that keep no hosts and packs warm", 0},
    {"peer", KEY_PEER, "NAME", 0,
     "Compare with openmpi: mpirun of a program that does init, barrier and finalize", 0},
    {"peer-runs", KEY_PEER_RUNS, "N", 0, "Runs of the peer (default: 5)", 0},
    {"json", KEY_JSON, NULL, 0, "One JSON object", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case 'n':
        settings->workers = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_RUNS:
        settings->runs = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_WARM_UPS:
        settings->warm_ups = bench_whole_number(text, 0, most, state);
        return 0;
    case KEY_GAP:
        if (covey_parse_time(text, &settings->gap_ns))
            argp_error(state, "--gap must be " COVEY_TIME_EXAMPLES ", not \"%s\"", text);
        return 0;
    case KEY_PEER_RUNS:
        settings->peer_runs = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_COLD:
        settings->cold = true;
        return 0;
    case KEY_JSON:
        settings->json = true;
        return 0;
    case KEY_PEER:
        settings->peer = bench_peer(text, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "startup takes no \"%s\"", text);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int64_t wall_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int record(struct figures *figures, int64_t called_ns, const struct covey_flare *flare)
{
    int64_t first = INT64_MAX, last = 0;
    for (size_t i = 0; i < flare->worker_count; i++) {
        int64_t at = flare->workers[i].started_at_ns;
        first = at < first ? at : first;
        last = at > last ? at : last;
    }
    const struct covey_timeline *timeline = &flare->timeline;
    const int64_t times[STEPS] = {
        timeline->accepted_at_ns,
        timeline->placed_at_ns,
        timeline->ready_at_ns,
        timeline->started_at_ns,
        first,
        last,
        timeline->ended_at_ns,
    };
    for (int step = 0; step < STEPS; step++) {
        if (bench_series_add(&figures->steps[step], (double)(times[step] - called_ns) / ns_per_ms))
            return -1;
    }
    return bench_series_add(&figures->spread, (double)(last - first) / ns_per_ms);
}

/* One flare, from the call to its end; figures is NULL where it is not measured. */
static int run_flare(struct covey_client *client, const struct settings *settings,
                     struct figures *figures)
{
    struct covey_error error = {0};
    struct covey_flare *accepted = NULL, *ended = NULL;
    const struct covey_flare_request request = {.definition = definition,
                                                .workers = (uint32_t)settings->workers};
    int64_t called_ns = wall_ns();
    if (covey_client_flare(client, &request, 0, &accepted, &error))
        return bench_said("flare", &error);
    int failed = -1;
    if (covey_client_wait(client, accepted->id, flare_timeout_s * 1000000000LL, &ended, &error))
        bench_said("wait", &error);
    else if (ended->state != COVEY_FLARE_SUCCEEDED)
        fprintf(stderr, "covey-bench: the flare ended %s: %s\n",
                covey_flare_state_name(ended->state), ended->error ? ended->error->message : "");
    else if (ended->worker_count != (size_t)settings->workers)
        fprintf(stderr, "covey-bench: %zu workers of %d are known\n", ended->worker_count,
                settings->workers);
    else
        failed = figures ? record(figures, called_ns, ended) : 0;
    covey_flare_free(ended);
    covey_flare_free(accepted);
    return failed;
}

static void pause_ns(int64_t gap_ns)
{
    struct timespec gap = {.tv_sec = gap_ns / COVEY_NS_PER_S, .tv_nsec = gap_ns % COVEY_NS_PER_S};
    nanosleep(&gap, NULL);
}

static int run_flares(struct covey_client *client, const struct settings *settings,
                      struct figures *figures)
{
    if (bench_deploy(client, definition, "lib:idle.so"))
        return -1;
    for (int run = -settings->warm_ups; run < settings->runs; run++) {
        if (bench_interrupted()) {
            fprintf(stderr, "covey-bench: interrupted\n");
            return -1;
        }
        if (run_flare(client, settings, run < 0 ? NULL : figures))
            return -1;
        pause_ns(settings->gap_ns);
    }
    return 0;
}

static int measure(const struct settings *settings, struct figures *figures)
{
    struct bench_cluster cluster;
    if (bench_cluster_open(&cluster, nodes, (settings->workers + nodes - 1) / nodes,
                           settings->cold))
        return -1;
    struct covey_client *client = bench_connect(cluster.server);
    int failed = !client || run_flares(client, settings, figures);
    covey_client_destroy(client);
    bench_cluster_close(&cluster);
    return failed;
}

static int measure_peer(const struct settings *settings, struct figures *figures)
{
    char workers[16];
    const char *program = settings->peer ? bench_file("lib:mpi_startup") : NULL;
    if (!program) {
        if (settings->peer)
            fprintf(stderr, "covey-bench: build it where mpicc is installed\n");
        return settings->peer ? -1 : 0;
    }
    snprintf(workers, sizeof(workers), "%d", settings->workers);
    const char *arguments[] = {
        "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", workers, program, NULL};
    for (int run = 0; run < settings->peer_runs && !bench_interrupted(); run++) {
        double seconds;
        if (bench_command(arguments, NULL, &seconds) != 0) {
            fprintf(stderr, "covey-bench: mpirun -n %s failed\n", workers);
            return -1;
        }
        if (bench_series_add(&figures->peer, seconds * ms_per_s))
            return -1;
    }
    return 0;
}

static void print_series(const char *name, const struct bench_series *series)
{
    printf("\"%s\":{\"median\":%.3f,\"p99\":%.3f,\"min\":%.3f}", name, bench_series_median(series),
           bench_series_percentile(series, 0.99), bench_series_percentile(series, 0));
}

static void print_json(const struct settings *settings, const struct figures *figures)
{
    const struct bench_series *total = &figures->steps[LAST];
    printf("{\"benchmark\":\"startup\",\"workers\":%d,\"nodes\":%d,\"warm\":%s,\"unit\":\"ms\","
           "\"runs\":%zu,\"median\":%.3f,\"p99\":%.3f,\"min\":%.3f,",
           settings->workers, nodes, settings->cold ? "false" : "true", total->count,
           bench_series_median(total), bench_series_percentile(total, 0.99),
           bench_series_percentile(total, 0));
    print_series("spread", &figures->spread);
    printf(",\"steps\":{");
    for (int step = 0; step < STEPS; step++) {
        if (step > 0)
            putchar(',');
        print_series(step_names[step], &figures->steps[step]);
    }
    putchar('}');
    if (settings->peer) {
        printf(",\"peer\":{\"name\":\"%s\",\"runs\":%zu,\"median\":%.3f,\"p99\":%.3f},\"ratio\":"
               "%.2f",
               settings->peer, figures->peer.count, bench_series_median(&figures->peer),
               bench_series_percentile(&figures->peer, 0.99),
               bench_series_median(&figures->peer) / bench_series_median(total));
    }
    puts("}");
}

static void print_row(const char *name, const struct bench_series *series)
{
    printf("  %-22s %10.3f %10.3f %10.3f\n", name, bench_series_median(series),
           bench_series_percentile(series, 0.99), bench_series_percentile(series, 0));
}

static void print_text(const struct settings *settings, const struct figures *figures)
{
    printf("startup: %d workers on %d nodes, %s, %d runs; milliseconds after the call\n"
           "  %-22s %10s %10s %10s\n",
           settings->workers, nodes, settings->cold ? "cold" : "warm", settings->runs, "", "median",
           "p99", "min");
    for (int step = 0; step < STEPS; step++)
        print_row(step_names[step], &figures->steps[step]);
    print_row("first to last worker", &figures->spread);
    if (settings->peer) {
        print_row(settings->peer, &figures->peer);
        printf("  ratio %.1f\n",
               bench_series_median(&figures->peer) / bench_series_median(&figures->steps[LAST]));
    }
}

int bench_startup(int argc, char **argv)
{
    struct settings settings = {
        .workers = 48, .runs = 20, .warm_ups = 2, .gap_ns = 300000000, .peer_runs = 5};
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Measures from just before the call of a flare to its last worker in user code, on "
               "two local nodes that it starts itself, or on the cluster that COVEY_SERVER names.",
    };
    argp_err_exit_status = BENCH_BAD_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &settings);
    struct figures figures = {0};
    int failed = measure(&settings, &figures) || measure_peer(&settings, &figures);
    if (!failed && settings.json)
        print_json(&settings, &figures);
    else if (!failed)
        print_text(&settings, &figures);
    for (int step = 0; step < STEPS; step++)
        bench_series_free(&figures.steps[step]);
    bench_series_free(&figures.spread);
    bench_series_free(&figures.peer);
    return failed ? BENCH_FAILED : BENCH_OK;
}
