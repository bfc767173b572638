/* The generator of traces. The distributions are explained in docs/simulator.md. */
#include "bench/sim/random.h"
#include "bench/sim/trace.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static const double power_of_two_share = 0.75;
static const double short_share = 0.8, short_mean_s = 30, long_mean_s = 600;
static const double exact_limit_share = 0.1, least_accuracy = 0.05;
static const int64_t run_max_s = 86400, limit_step_s = 60;
static const double mean_burst = 8;

enum stream { STREAM_WORKERS, STREAM_RUN, STREAM_LIMIT, STREAM_TENANT, STREAM_ARRIVAL, STREAMS };

uint32_t sim_draw_workers(struct sim_random *random, uint32_t max_workers)
{
    double exponent = sim_random_unit(random) * log2((double)max_workers + 1);
    bool rounded = sim_random_unit(random) < power_of_two_share;
    uint32_t workers = (uint32_t)exp2(exponent);
    if (rounded) {
        workers = (uint32_t)1 << (uint32_t)lround(exponent);
        if (workers > max_workers)
            workers = (uint32_t)1 << (uint32_t)log2(max_workers);
    }
    return workers < max_workers ? workers : max_workers;
}

int64_t sim_draw_run_s(struct sim_random *random)
{
    bool is_short = sim_random_unit(random) < short_share;
    double run_s = ceil(sim_random_exponential(random, is_short ? short_mean_s : long_mean_s));
    return run_s < (double)run_max_s ? (int64_t)run_s : run_max_s;
}

int64_t sim_draw_limit_s(struct sim_random *random, int64_t run_s)
{
    bool exact = sim_random_unit(random) < exact_limit_share;
    double accuracy = least_accuracy + (1 - least_accuracy) * sim_random_unit(random);
    if (exact)
        return run_s;
    int64_t steps = (int64_t)ceil((double)run_s / accuracy / (double)limit_step_s);
    return steps * limit_step_s;
}

void sim_zipf_fill(double *cumulative, uint32_t tenants)
{
    double sum = 0;
    for (uint32_t i = 0; i < tenants; i++)
        cumulative[i] = sum += 1.0 / (i + 1);
    for (uint32_t i = 0; i < tenants; i++)
        cumulative[i] /= sum;
}

uint32_t sim_draw_tenant(struct sim_random *random, const double *cumulative, uint32_t tenants)
{
    double share = sim_random_unit(random);
    uint32_t low = 0;
    uint32_t high = tenants - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (share < cumulative[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low + 1;
}

/* Draws every job; arrivals[i] is when it comes, in units that are still to be chosen. */
static enum covey_status draw(const struct sim_workload *workload, struct sim_trace *trace,
                              double *arrivals, double *zipf)
{
    struct sim_random streams[STREAMS];
    for (uint64_t i = 0; i < STREAMS; i++)
        streams[i] = sim_random_create(workload->seed, i);
    sim_zipf_fill(zipf, workload->tenants);
    double time = 0;
    uint32_t tenant = 0;
    for (uint32_t i = 0; i < workload->jobs; i++) {
        bool first = !workload->bursty ||
                     sim_random_unit(&streams[STREAM_ARRIVAL]) < 1 / mean_burst || i == 0;
        if (first) {
            time += sim_random_exponential(&streams[STREAM_ARRIVAL], 1);
            tenant = sim_draw_tenant(&streams[STREAM_TENANT], zipf, workload->tenants);
        }
        arrivals[i] = time;
        struct sim_job job = {
            .run_s = sim_draw_run_s(&streams[STREAM_RUN]),
            .workers = sim_draw_workers(&streams[STREAM_WORKERS], workload->max_workers),
            .tenant = tenant,
        };
        job.limit_s = sim_draw_limit_s(&streams[STREAM_LIMIT], job.run_s);
        enum covey_status status = sim_trace_add(trace, &job);
        if (status)
            return status;
    }
    return COVEY_OK;
}

/* Stretches the arrivals so that the load is what was asked for. */
static enum covey_status stretch(const struct sim_workload *workload, struct sim_trace *trace,
                                 const double *arrivals, struct covey_error *error)
{
    double work = 0;
    for (uint32_t i = 0; i < trace->count; i++)
        work += (double)trace->jobs[i].run_s * trace->jobs[i].workers;
    double span_s = work / workload->load / workload->slots;
    if (span_s > (double)SIM_SUBMIT_MAX_S)
        return covey_error_set(error, COVEY_ELIMIT,
                               "at a load of %g the trace would take %g seconds, more than %lld",
                               workload->load, span_s, SIM_SUBMIT_MAX_S);
    double last = arrivals[trace->count - 1];
    for (uint32_t i = 0; i < trace->count; i++)
        trace->jobs[i].submit_s = (int64_t)(arrivals[i] / last * span_s);
    return COVEY_OK;
}

enum covey_status sim_trace_generate(const struct sim_workload *workload, struct sim_trace *trace,
                                     struct covey_error *error)
{
    double *arrivals = covey_reallocarray(NULL, workload->jobs, sizeof(*arrivals));
    double *zipf = covey_reallocarray(NULL, workload->tenants, sizeof(*zipf));
    enum covey_status status =
        arrivals && zipf ? draw(workload, trace, arrivals, zipf) : COVEY_ENOMEM;
    if (status)
        covey_error_set(error, status, "no room for %u jobs", workload->jobs);
    else
        status = stretch(workload, trace, arrivals, error);
    free(zipf);
    free(arrivals);
    return status;
}
