#include "bench/messages/row.h"

#include <stdio.h>

void row_init(struct row *row, const struct settings *settings, uint64_t bytes)
{
    *row = (struct row){.settings = settings, .order = settings_order(settings, bytes)};
}

static int add_run(struct contender *contender, const struct outcome *run)
{
    if (outcome_add(&contender->all, run) ||
        bench_series_add(&contender->medians, bench_series_median(&run->call)))
        return -1;
    return run->read.count ? bench_series_add(&contender->reads, bench_series_median(&run->read))
                           : 0;
}

int row_add(struct row *row, const struct outcome *ours, const struct outcome peers[PEERS],
            const struct limits *limits)
{
    if (add_run(&row->ours, ours))
        return -1;
    double median = bench_series_median(&ours->call);
    for (int peer = 0; peer < PEERS; peer++) {
        if (peers[peer].call.count == 0)
            continue;
        double ratio = bench_series_median(&peers[peer].call) / median;
        if (add_run(&row->peers[peer], &peers[peer]) ||
            bench_series_add(&row->peers[peer].ratios, ratio))
            return -1;
    }
    for (int limit = 0; limit < LIMITS; limit++) {
        if (bench_series_add(&row->limits[limit], limits->ns[limit]))
            return -1;
    }
    row->runs++;
    return 0;
}

bool row_is_valid(const struct row *row)
{
    return row->runs == row->settings->runs;
}

static void free_contender(struct contender *contender)
{
    outcome_free(&contender->all);
    bench_series_free(&contender->medians);
    bench_series_free(&contender->reads);
    bench_series_free(&contender->ratios);
}

void row_free(struct row *row)
{
    free_contender(&row->ours);
    for (int peer = 0; peer < PEERS; peer++)
        free_contender(&row->peers[peer]);
    for (int limit = 0; limit < LIMITS; limit++)
        bench_series_free(&row->limits[limit]);
}

void row_name(const struct row *row, char *text)
{
    char size[size_text_bytes];
    const struct settings *settings = row->settings;
    size_write(row->order.bytes, size);
    bool bytes = settings->operation != OPERATION_BARRIER;
    snprintf(text, row_name_bytes, "%s%s%s, %d %s on %d node%s, %s, %s",
             operation_names[settings->operation], bytes ? " " : "", bytes ? size : "",
             settings->workers, settings->threads ? "threads" : "processes", settings->nodes,
             settings->nodes == 1 ? "" : "s", settings->owned ? "owned" : "copying",
             settings->once ? "once" : "warm");
}

const char *row_unit(const struct row *row)
{
    switch (row->order.operation) {
    case OPERATION_RATE:
        return "M/s";
    case OPERATION_BANDWIDTH:
        return "GB/s";
    default:
        return "us";
    }
}

bool row_more_is_better(const struct row *row)
{
    return row->order.operation == OPERATION_RATE || row->order.operation == OPERATION_BANDWIDTH;
}

double row_value(const struct row *row, double ns)
{
    double items = order_items(&row->order, row->settings->workers);
    if (ns <= 0)
        return 0;
    switch (row->order.operation) {
    case OPERATION_RATE:
        return items * 1e3 / ns;
    case OPERATION_BANDWIDTH:
        return items * (double)row->order.bytes / ns;
    default:
        return ns / items / 1e3;
    }
}
