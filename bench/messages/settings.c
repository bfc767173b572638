#include "bench/messages/settings.h"

#include "bench/bench.h"
#include "bench/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const char *const peer_names[PEERS] = {"openmpi", "ucx", "limit"};

enum {
    KEY_NODES = 256,
    KEY_BYTES,
    KEY_WORKER,
    KEY_OWNED,
    KEY_PROTOCOL,
    KEY_PEER,
    KEY_RUNS,
    KEY_SAMPLES,
    KEY_WINDOW,
    KEY_JSON,
    KEY_CSV,
    KEY_COMPARE,
};

enum { most_workers = 4096, most_nodes = 64, most = 1000000 };
enum { rate_rounds = 16, most_samples = 200, least_samples = 3, most_warm_ups = 20 };
/* What one run moves, about; a message counts as a line at least. */
static const uint64_t traffic_bytes = 2ULL << 30, least_bytes = 16 << 10;

static const struct argp_option options[] = {
    {"workers", 'n', "N", 0, "Workers (default: 2 for messages between two, 8 for collectives)", 0},
    {"nodes", KEY_NODES, "N", 0, "Nodes that they are spread over evenly (default: 1)", 0},
    {"bytes", KEY_BYTES, "LIST", 0,
     "Length of a message, or of one worker's block: 8,64K,1M or 8..1M (doubling) or 8..1M*8", 0},
    {"worker", KEY_WORKER, "KIND", 0, "process (the default) or thread", 0},
    {"owned", KEY_OWNED, NULL, 0, "Send owned buffers, by reference", 0},
    {"protocol", KEY_PROTOCOL, "NAME", 0,
     "warm (the default): many calls after others; or once: one call in fresh workers, from the "
     "first start to the last end",
     0},
    {"peer", KEY_PEER, "LIST", 0, "Beside it, in turn: openmpi, ucx, limit", 0},
    {"runs", KEY_RUNS, "N", 0, "Runs of each (default: 5)", 0},
    {"samples", KEY_SAMPLES, "N", 0, "Times taken in a run (default: by the length, 3 to 200)", 0},
    {"window", KEY_WINDOW, "N", 0,
     "Messages under way at once, or calls in a sample (default: 64; 8 for bandwidth)", 0},
    {"json", KEY_JSON, NULL, 0, "One JSON object for each length and peer", 0},
    {"csv", KEY_CSV, NULL, 0, "The same as comma-separated values", 0},
    {"compare", KEY_COMPARE, "FILE", 0,
     "What an earlier --json has said, and whether it is beyond noise", 0},
    {0},
};

static void parse_peers(char *text, struct settings *settings, struct argp_state *state)
{
    char *rest = NULL;
    for (char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        int peer = 0;
        while (peer < PEERS && strcmp(peer_names[peer], name) != 0)
            peer++;
        if (peer == PEERS)
            argp_error(state, "no peer is called \"%s\"; there are: openmpi, ucx, limit", name);
        settings->peers[peer] = true;
    }
}

/* Which of two words it is: true for the second. */
static bool second(const char *text, const char *first, const char *other, const char *option,
                   struct argp_state *state)
{
    bool is_other = strcmp(text, other) == 0;
    if (!is_other && strcmp(text, first) != 0)
        argp_error(state, "%s is %s or %s, not \"%s\"", option, first, other, text);
    return is_other;
}

static void check(struct settings *settings, struct argp_state *state)
{
    enum operation operation = settings->operation;
    bool pairs = operation_pairs(operation);
    if (settings->workers == 0)
        settings->workers = pairs ? 2 : 8;
    if (settings->window == 0)
        settings->window = operation == OPERATION_BANDWIDTH ? 8 : 64;
    if (settings->workers % settings->nodes)
        argp_error(state, "%d workers are not evenly on %d nodes", settings->workers,
                   settings->nodes);
    if (pairs && settings->workers % 2)
        argp_error(state, "%s is between pairs: -n must be even", operation_names[operation]);
    if (settings->owned && !pairs && operation != OPERATION_BCAST)
        argp_error(state, "%s has no owned form", operation_names[operation]);
    if (settings->peers[PEER_UCX] && (!pairs || settings->workers != 2))
        argp_error(state, "ucx is measured between two only: latency, rate and bandwidth, -n 2");
    for (size_t i = 0; i < settings->sizes.count; i++) {
        if ((operation == OPERATION_REDUCE || operation == OPERATION_ALLREDUCE) &&
            settings->sizes.bytes[i] % sizeof(double))
            argp_error(state, "%s adds doubles: a length is a multiple of 8",
                       operation_names[operation]);
    }
    if (settings->json && settings->csv)
        argp_error(state, "--json or --csv, not both");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case 'n':
        settings->workers = bench_whole_number(text, 2, most_workers, state);
        return 0;
    case KEY_NODES:
        settings->nodes = bench_whole_number(text, 1, most_nodes, state);
        return 0;
    case KEY_BYTES:
        if (sizes_parse(text, &settings->sizes))
            argp_error(state, "--bytes is a list as 8,64K,1M or 8..1M, not \"%s\"", text);
        return 0;
    case KEY_WORKER:
        settings->threads = second(text, "process", "thread", "--worker", state);
        return 0;
    case KEY_OWNED:
        settings->owned = true;
        return 0;
    case KEY_PROTOCOL:
        settings->once = second(text, "warm", "once", "--protocol", state);
        return 0;
    case KEY_PEER:
        parse_peers(text, settings, state);
        return 0;
    case KEY_RUNS:
        settings->runs = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_SAMPLES:
        settings->samples = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_WINDOW:
        settings->window = bench_whole_number(text, 1, most, state);
        return 0;
    case KEY_JSON:
        settings->json = true;
        return 0;
    case KEY_CSV:
        settings->csv = true;
        return 0;
    case KEY_COMPARE:
        settings->compare = text;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s takes no \"%s\"", operation_names[settings->operation], text);
        return EINVAL;
    case ARGP_KEY_END:
        check(settings, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void settings_read(int argc, char **argv, struct settings *settings)
{
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Measures messages of workers on local nodes that it starts itself, or on the "
               "cluster that COVEY_SERVER names. Data is fresh each time, and what comes is "
               "compared with it.",
    };
    int operation = operation_find(strrchr(argv[0], ' ') + 1);
    *settings = (struct settings){
        .operation = operation < 0 ? OPERATION_LATENCY : (enum operation)operation,
        .nodes = 1,
        .runs = 5,
        .sizes = {.bytes = {8}, .count = 1},
    };
    if (settings->operation >= OPERATION_BANDWIDTH)
        settings->sizes.bytes[0] = 1 << 20;
    argp_err_exit_status = BENCH_BAD_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, settings);
    if (settings->operation == OPERATION_BARRIER)
        settings->sizes.count = 1;
}

bool settings_bound(const struct settings *settings)
{
    return settings->nodes == 1 && settings->workers <= sysconf(_SC_NPROCESSORS_ONLN);
}

double order_items(const struct order *order, int workers)
{
    switch (order->operation) {
    case OPERATION_LATENCY:
        return 2.0 * (double)order->window;
    case OPERATION_RATE:
    case OPERATION_BANDWIDTH:
        return (double)order->window * (double)order->rounds * workers / 2;
    case OPERATION_BARRIER:
        return (double)order->window;
    default:
        return 1;
    }
}

/* How often the block of one worker moves in a sample, about. */
static uint64_t moves(const struct order *order, int workers)
{
    uint64_t all = (uint64_t)workers;
    switch (order->operation) {
    case OPERATION_ALLREDUCE:
        return 2 * all;
    case OPERATION_ALLGATHER:
    case OPERATION_ALLTOALL:
        return all * all;
    case OPERATION_BCAST:
    case OPERATION_REDUCE:
    case OPERATION_GATHER:
    case OPERATION_SCATTER:
        return all;
    default:
        return (uint64_t)order_items(order, workers);
    }
}

uint64_t fresh_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        perror("covey-bench: no random seed; data is the same each time");
    return seed;
}

struct order settings_order(const struct settings *settings, uint64_t bytes)
{
    struct order order = {
        .operation = settings->operation,
        .bytes = settings->operation == OPERATION_BARRIER ? 0 : bytes,
        .window = (uint64_t)settings->window,
        .rounds = settings->operation == OPERATION_RATE ? rate_rounds : 1,
        .samples = 1,
        .owned = settings->owned,
        .once = settings->once,
    };
    if (order.operation == OPERATION_LATENCY && bytes > least_bytes)
        order.window = 1;
    if (settings->once) {
        order.window = order.operation == OPERATION_BANDWIDTH ? order.window : 1;
        order.rounds = 1;
        return order;
    }
    uint64_t each = bytes > least_bytes ? bytes : least_bytes;
    uint64_t samples = traffic_bytes / each / moves(&order, settings->workers);
    samples = samples < least_samples ? least_samples : samples;
    order.samples = samples > most_samples ? most_samples : samples;
    if (settings->samples)
        order.samples = (uint64_t)settings->samples;
    order.warm_ups = order.samples / 4 < most_warm_ups ? order.samples / 4 : most_warm_ups;
    order.warm_ups += order.warm_ups == 0;
    return order;
}
