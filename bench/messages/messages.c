/* covey-bench latency, rate, bandwidth, barrier, bcast, ...: messages, beside what people use
 * instead. */
#include "bench/bench.h"
#include "bench/messages/compare.h"
#include "bench/messages/measure.h"
#include "bench/messages/report.h"

#include <stdio.h>

static int measure_all(struct ours *ours, const struct settings *settings,
                       const struct machine *machine)
{
    int status = BENCH_OK;
    report_begin(settings, machine);
    for (size_t i = 0; i < settings->sizes.count && status != BENCH_FAILED; i++) {
        struct row row;
        row_init(&row, settings, settings->sizes.bytes[i]);
        if (messages_measure(ours, &row)) {
            status = BENCH_FAILED;
        } else {
            report_row(&row, machine);
            fflush(stdout);
            if (!row_is_valid(&row))
                status = BENCH_DISTURBED;
        }
        row_free(&row);
    }
    return status;
}

int bench_messages(int argc, char **argv)
{
    struct settings settings;
    struct machine machine;
    struct ours ours;
    settings_read(argc, argv, &settings);
    machine_read(&machine);
    struct past past;
    if (settings.compare && compare_find(settings.compare, "", "", &past) < 0)
        return BENCH_BAD_INPUT;
    if (messages_check_peers(&settings))
        return BENCH_FAILED;
    int status =
        ours_open(&ours, &settings) ? BENCH_FAILED : measure_all(&ours, &settings, &machine);
    ours_close(&ours);
    if (status == BENCH_DISTURBED)
        fprintf(stderr, "covey-bench: machine disturbed: its own limits differ from those of the "
                        "last runs; do it again\n");
    return status;
}
