/*
 * Traces: what is submitted when. Made by the generator or read from a file in the Standard
 * Workload Format. Times are whole seconds, as that format has them, so a trace that is written
 * and read back is the same.
 */
#ifndef BENCH_SIM_TRACE_H
#define BENCH_SIM_TRACE_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_SUBMIT_MAX_S 1000000000LL /* 31 years after the trace's beginning */
#define SIM_RUN_MAX_S    100000000LL  /* 3 years */
#define SIM_JOBS_MAX     10000000U

struct sim_job {
    int64_t submit_s;
    int64_t run_s;   /* at least 1, unless the limit cuts it */
    int64_t limit_s; /* 0: nobody knows; else the job has ended then */
    uint32_t workers;
    uint32_t tenant;
};

/* What of a file was not taken as it stands, one sentence for each kind. */
#define SIM_NOTES_MAX 8
struct sim_note {
    char text[256]; /* the first such place, printable */
    uint32_t count; /* such places in all */
};

/* {0} is empty; the memory is the owner's: sim_trace_free. */
struct sim_trace {
    struct sim_job *jobs; /* by submit_s */
    uint32_t count;
    uint32_t room;
    uint32_t skipped; /* lines of a file that are of jobs that never ran */
    uint32_t nodes;   /* of the machine that the file tells of; 0: it does not */
    uint32_t slots;   /* of it, in all; 0: it does not tell */
    struct sim_note notes[SIM_NOTES_MAX]; /* those with a count */
};

/* Appends a job. ENOMEM; ELIMIT past SIM_JOBS_MAX. */
enum covey_status sim_trace_add(struct sim_trace *trace, const struct sim_job *job) COVEY_MUST_USE;

/* Orders the jobs by time of submission; those of the same time stay in their order. ENOMEM. */
enum covey_status sim_trace_sort(struct sim_trace *trace) COVEY_MUST_USE;

void sim_trace_free(struct sim_trace *trace);

/* What the generator makes; docs/simulator.md has the distributions. */
struct sim_workload {
    uint64_t seed;
    uint32_t jobs;
    double load;          /* the work submitted, over what the slots could do until the last job */
    uint32_t slots;       /* of the cluster */
    uint32_t max_workers; /* of a job */
    uint32_t tenants;
    bool bursty; /* else one job at a time */
};

/* ENOMEM; ELIMIT where the load is so low that the trace is longer than SIM_SUBMIT_MAX_S. */
enum covey_status sim_trace_generate(const struct sim_workload *workload, struct sim_trace *trace,
                                     struct covey_error *error) COVEY_MUST_USE;

/* The single draws of the generator. */
struct sim_random;
uint32_t sim_draw_workers(struct sim_random *random, uint32_t max_workers);
int64_t sim_draw_run_s(struct sim_random *random);
int64_t sim_draw_limit_s(struct sim_random *random, int64_t run_s);
/* Of tenants 1..tenants, by cumulative shares as sim_zipf_fill makes them. */
uint32_t sim_draw_tenant(struct sim_random *random, const double *cumulative, uint32_t tenants);
void sim_zipf_fill(double *cumulative, uint32_t tenants);

/*
 * Reads the text of a file in the Standard Workload Format, version 2.2, and appends its jobs.
 * name is for messages. What can be played is played: a line that is no job is left out, further
 * columns are passed over, missing ones are unknown, parts of a second are dropped, a header that
 * says no number says nothing; each with a note. A job that never ran (no run time or no
 * processors) is skipped and counted. Submit times that begin more than a year late, as Unix times
 * do, are counted from the first. Without MaxProcs, the processors are as many as MaxNodes. A trace
 * without one job is no error here. ENOMEM; ELIMIT past SIM_JOBS_MAX.
 */
enum covey_status sim_swf_read(const char *name, const char *text, size_t length_bytes,
                               struct sim_trace *trace, struct covey_error *error) COVEY_MUST_USE;

/* Writes a trace in that format. Failures are the stream's. */
void sim_swf_write(FILE *out, const struct sim_trace *trace, uint32_t nodes, uint32_t cores);

#endif
