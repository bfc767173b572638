#include "bench/sim/trace.h"

#include "base/memory.h"

#include <stdlib.h>

enum covey_status sim_trace_add(struct sim_trace *trace, const struct sim_job *job)
{
    if (trace->count == SIM_JOBS_MAX)
        return COVEY_ELIMIT;
    if (trace->count == trace->room) {
        uint32_t room = trace->room ? 2 * trace->room : 256;
        struct sim_job *jobs = covey_reallocarray(trace->jobs, room, sizeof(*jobs));
        if (!jobs)
            return COVEY_ENOMEM;
        trace->jobs = jobs;
        trace->room = room;
    }
    trace->jobs[trace->count++] = *job;
    return COVEY_OK;
}

/* Merges two neighbouring ordered runs, the left one first among equals. */
static void merge(struct sim_job *jobs, struct sim_job *scratch, uint32_t left, uint32_t count)
{
    for (uint32_t i = 0; i < left; i++)
        scratch[i] = jobs[i];
    uint32_t from_left = 0;
    uint32_t from_right = left;
    for (uint32_t i = 0; from_left < left; i++) {
        bool right = from_right < count && jobs[from_right].submit_s < scratch[from_left].submit_s;
        jobs[i] = right ? jobs[from_right++] : scratch[from_left++];
    }
}

static void sort(struct sim_job *jobs, struct sim_job *scratch, uint32_t count)
{
    if (count < 2)
        return;
    uint32_t left = count / 2;
    sort(jobs, scratch, left);
    sort(jobs + left, scratch, count - left);
    if (jobs[left].submit_s < jobs[left - 1].submit_s)
        merge(jobs, scratch, left, count);
}

enum covey_status sim_trace_sort(struct sim_trace *trace)
{
    struct sim_job *scratch = covey_reallocarray(NULL, trace->count / 2 + 1, sizeof(*scratch));
    if (!scratch)
        return COVEY_ENOMEM;
    sort(trace->jobs, scratch, trace->count);
    free(scratch);
    return COVEY_OK;
}

void sim_trace_free(struct sim_trace *trace)
{
    free(trace->jobs);
    *trace = (struct sim_trace){0};
}
