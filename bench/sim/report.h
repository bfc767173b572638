/* What a run of a trace amounts to. The measures are defined in docs/simulator.md. */
#ifndef BENCH_SIM_REPORT_H
#define BENCH_SIM_REPORT_H

#include "bench/sim/engine.h"

#include <stdio.h>

struct sim_spread {
    double mean, p50, p90, p99, max;
};

struct sim_report {
    const char *policy;
    uint64_t done, refused, given_up;
    double makespan_s;         /* from the first submission to the last end */
    double utilisation;        /* over the makespan */
    double utilisation_loaded; /* until the last submission */
    double held_idle;          /* share of the slot-seconds of the makespan */
    double fragmentation;
    double fairness;
    struct sim_spread wait_s;
    struct sim_spread slowdown;
    double pairs_inside[SIM_LEVELS]; /* of all ordered rank pairs of all gangs */
    double jobs_inside[SIM_LEVELS];  /* the mean over the gangs of more than one worker */
    uint64_t partial_holds, timeouts, deadlocks;
};

/* What was simulated, said before the reports. */
struct sim_subject {
    const char *source; /* "generator", or the file's name */
    uint64_t seed;
    double hold_s;
    const struct sim_trace *trace;
    const struct sim_shape *shape;
};

/* Sums up a run that has ended. ENOMEM. */
enum covey_status sim_report_fill(const struct sim_run *run, const char *policy,
                                  struct sim_report *report) COVEY_MUST_USE;

/* Waits in seconds of the jobs that were not refused, sorted, for their owner to free; *count of
 * them. ENOMEM. */
enum covey_status sim_report_waits(const struct sim_run *run, double **waits_s,
                                   uint32_t *count) COVEY_MUST_USE;

/* Of sorted figures the one at ceil(share * count); 0 where there are none. */
double sim_percentile(const double *sorted, uint32_t count, double share);

/* Jain's index of values that are not negative: 1 where all are equal, 1/count where one has all.
 * 1 for none. */
double sim_jain(const double *values, uint32_t count);

/* One JSON object and a newline. The same reports give the same bytes. */
void sim_report_json(FILE *out, const struct sim_subject *subject, const struct sim_report *reports,
                     uint32_t count);
void sim_report_text(FILE *out, const struct sim_subject *subject, const struct sim_report *reports,
                     uint32_t count);

#endif
