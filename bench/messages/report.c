#include "bench/messages/report.h"

#include "bench/messages/compare.h"

#include <inttypes.h>
#include <stdio.h>

/* In the row's unit: of the medians of runs, from least to most; p99 is what 99 of 100 samples are
 * no worse than. */
struct figures {
    double median, p10, p90, p99;
};

static struct figures figures_of(const struct row *row, const struct contender *contender)
{
    const struct bench_series *runs = &contender->medians;
    bool more = row_more_is_better(row);
    return (struct figures){
        .median = row_value(row, bench_series_median(runs)),
        .p10 = row_value(row, bench_series_percentile(runs, more ? 0.9 : 0.1)),
        .p90 = row_value(row, bench_series_percentile(runs, more ? 0.1 : 0.9)),
        .p99 = row_value(row, bench_series_percentile(&contender->all.call, 0.99)),
    };
}

static double barrier_us(const struct contender *contender)
{
    return bench_series_median(&contender->all.barrier) / 1e3;
}

static double limit_ns(const struct row *row, enum limit limit)
{
    return bench_series_median(&row->limits[limit]);
}

static struct span span_of(const struct bench_series *series)
{
    return (struct span){bench_series_median(series), bench_series_percentile(series, 0.1),
                         bench_series_percentile(series, 0.9)};
}

/* What a row of before has to say; false where there is none that counts. Ratios to a peer are
 * compared where both have them: they depend less on the day. */
static bool compare_row(const struct row *row, int peer, struct past *past, enum verdict *verdict)
{
    char name[row_name_bytes];
    row_name(row, name);
    const char *peer_name = peer < PEERS ? peer_names[peer] : "";
    if (!row->settings->compare || !row_is_valid(row) ||
        compare_find(row->settings->compare, name, peer_name, past) != 1 || !past->valid)
        return false;
    struct figures figures = figures_of(row, &row->ours);
    struct span now = {figures.median, figures.p10, figures.p90};
    bool more = row_more_is_better(row);
    const struct span *before = &past->value;
    if (peer < PEERS && past->ratio.median > 0) {
        now = span_of(&row->peers[peer].ratios);
        before = &past->ratio;
        more = true;
    }
    *verdict = compare_spans(before, &now, more);
    return true;
}

/* ---- JSON ---- */

static void json_figures(const char *prefix, const struct figures *figures)
{
    printf(",\"%svalue\":%.6g,\"%sp99\":%.6g,\"%sspread\":{\"p10\":%.6g,\"p90\":%.6g}", prefix,
           figures->median, prefix, figures->p99, prefix, figures->p10, figures->p90);
}

static void json_peer(const struct row *row, int peer)
{
    if (peer == PEERS) {
        printf(",\"ratio\":null");
        return;
    }
    const struct contender *contender = &row->peers[peer];
    const struct bench_series *ratios = &contender->ratios;
    struct figures figures = figures_of(row, contender);
    json_figures("peer_", &figures);
    printf(",\"ratio\":{\"median\":%.4g,\"p10\":%.4g,\"p90\":%.4g}", bench_series_median(ratios),
           bench_series_percentile(ratios, 0.1), bench_series_percentile(ratios, 0.9));
    if (contender->all.barrier.count)
        printf(",\"peer_barrier_us\":%.4g", barrier_us(contender));
}

static void json_line(const struct row *row, const struct machine *machine, int peer)
{
    const struct settings *settings = row->settings;
    char name[row_name_bytes];
    row_name(row, name);
    printf("{\"name\":\"%s\",\"peer\":", name);
    if (peer < PEERS)
        printf("\"%s\"", peer_names[peer]);
    else
        printf("null");
    struct figures figures = figures_of(row, &row->ours);
    json_figures("", &figures);
    printf(",\"unit\":\"%s\"", row_unit(row));
    json_peer(row, peer);
    if (settings->owned)
        printf(",\"read_value\":%.6g", row_value(row, bench_series_median(&row->ours.reads)));
    printf(",\"runs\":%d,\"samples\":%" PRIu64 ",\"valid\":%s,\"disturbed\":%d", row->runs,
           row->order.samples, row_is_valid(row) ? "true" : "false", row->disturbed);
    printf(",\"operation\":\"%s\",\"bytes\":%" PRIu64 ",\"workers\":%d,\"nodes\":%d,"
           "\"worker\":\"%s\",\"owned\":%s,\"protocol\":\"%s\"",
           operation_names[settings->operation], row->order.bytes, settings->workers,
           settings->nodes, settings->threads ? "thread" : "process",
           settings->owned ? "true" : "false", settings->once ? "once" : "warm");
    if (row->ours.all.barrier.count)
        printf(",\"barrier_us\":%.4g", barrier_us(&row->ours));
    printf(",\"limit_ns\":{");
    for (int limit = 0; limit < LIMITS; limit++)
        printf("%s\"%s\":%.4g", limit ? "," : "", limit_names[limit],
               limit_ns(row, (enum limit)limit));
    printf("}");
    struct past past;
    enum verdict verdict;
    if (compare_row(row, peer, &past, &verdict))
        printf(",\"before\":{\"value\":%.6g,\"verdict\":\"%s\"}", past.value.median,
               verdict_names[verdict]);
    printf(",\"machine\":{\"processor\":\"%s\",\"cores\":%ld,\"memory_gib\":%.1f,\"kernel\":\"%s\","
           "\"load\":%.2f}}\n",
           machine->processor, machine->cores, machine->memory_gib, machine->kernel, machine->load);
}

/* ---- CSV ---- */

static void csv_line(const struct row *row, int peer)
{
    const struct settings *settings = row->settings;
    struct figures ours = figures_of(row, &row->ours), theirs = {0};
    const struct bench_series none = {0}, *ratios = &none;
    if (peer < PEERS) {
        theirs = figures_of(row, &row->peers[peer]);
        ratios = &row->peers[peer].ratios;
    }
    printf("%s,%" PRIu64
           ",%d,%d,%s,%s,%s,%s,%.6g,%.6g,%.6g,%.6g,%.6g,%s,%.6g,%.4g,%.4g,%.4g,%d,%s\n",
           operation_names[settings->operation], row->order.bytes, settings->workers,
           settings->nodes, settings->threads ? "thread" : "process",
           settings->owned ? "owned" : "copying", settings->once ? "once" : "warm",
           peer < PEERS ? peer_names[peer] : "", ours.median, ours.p10, ours.p90, ours.p99,
           row_value(row, bench_series_median(&row->ours.reads)), row_unit(row), theirs.median,
           bench_series_median(ratios), bench_series_percentile(ratios, 0.1),
           bench_series_percentile(ratios, 0.9), row->runs, row_is_valid(row) ? "true" : "false");
}

/* ---- for people ---- */

static void text_figures(const char *size, const char *who, const struct figures *figures)
{
    printf("  %-10s %-10s %11.4g %11.4g %11.4g %11.4g", size, who, figures->median, figures->p99,
           figures->p10, figures->p90);
}

/* Ends a line with it. */
static void text_verdict(const struct row *row, int peer)
{
    struct past past;
    enum verdict verdict;
    if (compare_row(row, peer, &past, &verdict))
        printf("  before %.4g: %s", past.value.median, verdict_names[verdict]);
    putchar('\n');
}

static void text_notes(const struct row *row)
{
    const struct settings *settings = row->settings;
    if (settings->owned)
        printf("  %-10s %-10s %11.4g  until every byte was read\n", "", "",
               row_value(row, bench_series_median(&row->ours.reads)));
    if (row->ours.all.barrier.count && row->order.operation != OPERATION_BARRIER)
        printf("  %-10s %-10s a barrier is before each sample: %.3g us\n", "", "",
               barrier_us(&row->ours));
    if (!row_is_valid(row))
        printf("  %-10s %-10s machine disturbed: %d rounds of %d count\n", "", "", row->runs,
               settings->runs);
    if (settings->peers[PEER_LIMIT])
        printf("  %-10s %-10s mailbox %.3g us, copy %.3g GB/s, page fault %.3g us, fork %.3g us\n",
               "", "limit", limit_ns(row, LIMIT_MAILBOX) / 1e3,
               (double)limit_copied_bytes(row->order.bytes) / limit_ns(row, LIMIT_COPY),
               limit_ns(row, LIMIT_FAULT) / 1e3, limit_ns(row, LIMIT_FORK) / 1e3);
}

static void text_row(const struct row *row)
{
    char size[size_text_bytes] = "";
    if (row->runs == 0) {
        printf("  %-10s %-10s machine disturbed: no round counts\n", "", "");
        return;
    }
    struct figures figures = figures_of(row, &row->ours);
    if (row->order.operation != OPERATION_BARRIER)
        size_write(row->order.bytes, size);
    text_figures(size, "covey", &figures);
    text_verdict(row, PEERS);
    for (int peer = 0; peer < PEERS; peer++) {
        const struct bench_series *ratios = &row->peers[peer].ratios;
        if (ratios->count == 0)
            continue;
        figures = figures_of(row, &row->peers[peer]);
        text_figures("", peer_names[peer], &figures);
        printf("  ratio %.3g (%.3g..%.3g)", bench_series_median(ratios),
               bench_series_percentile(ratios, 0.1), bench_series_percentile(ratios, 0.9));
        text_verdict(row, peer);
    }
    text_notes(row);
}

void report_begin(const struct settings *settings, const struct machine *machine)
{
    const struct row row = {.settings = settings, .order.operation = settings->operation};
    if (settings->json)
        return;
    if (settings->csv) {
        puts("operation,bytes,workers,nodes,worker,memory,protocol,peer,value,p10,p90,p99,read_"
             "value,"
             "unit,peer_value,ratio,ratio_p10,ratio_p90,runs,valid");
        return;
    }
    printf("%s: %d %s on %d node%s, %s, %s; %s, %s is better\n%s, %ld cores, %.0f GiB, %s, load "
           "%.1f\n",
           operation_names[settings->operation], settings->workers,
           settings->threads ? "threads" : "processes", settings->nodes,
           settings->nodes == 1 ? "" : "s", settings->owned ? "owned" : "copying",
           settings->once ? "once" : "warm", row_unit(&row),
           row_more_is_better(&row) ? "more" : "less", machine->processor, machine->cores,
           machine->memory_gib, machine->kernel, machine->load);
    printf("  %-10s %-10s %11s %11s %11s %11s\n", "", "", "median", "p99", "p10", "p90");
}

void report_row(const struct row *row, const struct machine *machine)
{
    const struct settings *settings = row->settings;
    bool alone = true;
    if (!settings->json && !settings->csv) {
        text_row(row);
        return;
    }
    for (int peer = 0; peer <= PEERS; peer++) {
        if (peer < PEERS ? row->peers[peer].ratios.count == 0 : !alone)
            continue;
        alone = false;
        if (settings->json)
            json_line(row, machine, peer);
        else
            csv_line(row, peer);
    }
}
