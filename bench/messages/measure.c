#include "bench/messages/measure.h"

#include "bench/messages/openmpi.h"
#include "bench/messages/ucx.h"
#include "bench/program.h"

#include <stdio.h>
#include <unistd.h>

int messages_check_peers(const struct settings *settings)
{
    if (settings->peers[PEER_OPENMPI] && openmpi_check())
        return -1;
    return settings->peers[PEER_UCX] ? ucx_check() : 0;
}

/* A line on a terminal that changes; NULL wipes it away. */
static void progress(const struct row *row, const char *who)
{
    char name[row_name_bytes];
    if (!isatty(STDERR_FILENO))
        return;
    if (!who) {
        fputs("\r\033[K", stderr);
        return;
    }
    row_name(row, name);
    fprintf(stderr, "\r\033[K%s: run %d of %d, %s", name, row->runs + 1, row->settings->runs, who);
}

static int run_peer(enum peer peer, const struct row *row, const struct limits *limits,
                    struct outcome *outcome)
{
    const struct settings *settings = row->settings;
    if (!settings->peers[peer])
        return 0;
    progress(row, peer_names[peer]);
    /* Whatever Covey does, peers copy: they have nothing else. */
    struct order copying = row->order;
    copying.owned = false;
    if (peer == PEER_OPENMPI)
        return openmpi_run(settings, &copying, outcome);
    if (peer == PEER_UCX)
        return ucx_run(settings, &copying, outcome);
    double ns = limit_of_order(limits, &row->order, settings->workers);
    return ns > 0 ? bench_series_add(&outcome->call, ns) : 0;
}

static int run_round(struct ours *ours, struct row *row, const struct limits *limits)
{
    struct outcome covey = {0}, peers[PEERS] = {0};
    progress(row, "covey");
    row->order.seed = fresh_seed();
    int failed = ours_run(ours, row->settings, &row->order, &covey);
    for (int peer = 0; peer < PEERS && !failed; peer++)
        failed = bench_interrupted() || run_peer((enum peer)peer, row, limits, &peers[peer]);
    if (!failed)
        failed = row_add(row, &covey, peers, limits);
    outcome_free(&covey);
    for (int peer = 0; peer < PEERS; peer++)
        outcome_free(&peers[peer]);
    return failed;
}

int messages_measure(struct ours *ours, struct row *row)
{
    int patience = row->settings->runs + 3, failed = 0;
    while (!failed && !row_is_valid(row) && row->disturbed < patience) {
        struct limits limits;
        progress(row, "limit");
        if (bench_interrupted() || limits_measure(row->order.bytes, &limits))
            failed = -1;
        else if (limit_is_as_before(row->order.bytes, &limits))
            failed = run_round(ours, row, &limits);
        else
            row->disturbed++;
    }
    progress(row, NULL);
    if (bench_interrupted())
        fprintf(stderr, "covey-bench: interrupted\n");
    return failed;
}
