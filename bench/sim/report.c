#include "bench/sim/report.h"

#include "base/clock.h"
#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* A job shorter than this counts as this long in its slowdown, or the shortest would drown all. */
static const double shortest_s = 10;

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

double sim_percentile(const double *sorted, uint32_t count, double share)
{
    if (count == 0)
        return 0;
    double place = ceil(share * count);
    return sorted[place < 1 ? 0 : (uint32_t)place - 1];
}

double sim_jain(const double *values, uint32_t count)
{
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += values[i];
        squares += values[i] * values[i];
    }
    return squares > 0 ? sum * sum / count / squares : 1;
}

static bool counts(const struct sim_outcome *outcome)
{
    return outcome->state == SIM_DONE || outcome->state == SIM_GIVEN_UP;
}

/* Of a job that was given up: until then. */
static double wait_of(const struct sim_run *run, uint32_t job)
{
    const struct sim_outcome *outcome = &run->outcomes[job];
    int64_t until_ns = outcome->state == SIM_DONE ? outcome->start_ns : outcome->end_ns;
    int64_t submit_ns = run->trace->jobs[job].submit_s * COVEY_NS_PER_S;
    return (double)(until_ns - submit_ns) / (double)COVEY_NS_PER_S;
}

static double slowdown_of(const struct sim_run *run, uint32_t job)
{
    double run_s = (double)run->trace->jobs[job].run_s;
    double slowdown = (wait_of(run, job) + run_s) / fmax(run_s, shortest_s);
    return fmax(slowdown, 1);
}

static enum covey_status gather(const struct sim_run *run,
                                double (*value)(const struct sim_run *, uint32_t), double **values,
                                uint32_t *count)
{
    *count = 0;
    *values = covey_reallocarray(NULL, run->trace->count + 1, sizeof(**values));
    if (!*values)
        return COVEY_ENOMEM;
    for (uint32_t job = 0; job < run->trace->count; job++) {
        if (counts(&run->outcomes[job]))
            (*values)[(*count)++] = value(run, job);
    }
    qsort(*values, *count, sizeof(**values), compare);
    return COVEY_OK;
}

enum covey_status sim_report_waits(const struct sim_run *run, double **waits_s, uint32_t *count)
{
    return gather(run, wait_of, waits_s, count);
}

static enum covey_status fill_spread(const struct sim_run *run,
                                     double (*value)(const struct sim_run *, uint32_t),
                                     struct sim_spread *spread)
{
    double *values;
    uint32_t count;
    enum covey_status status = gather(run, value, &values, &count);
    if (status)
        return status;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += values[i];
    *spread = (struct sim_spread){
        .mean = count ? sum / count : 0,
        .p50 = sim_percentile(values, count, 0.5),
        .p90 = sim_percentile(values, count, 0.9),
        .p99 = sim_percentile(values, count, 0.99),
        .max = count ? values[count - 1] : 0,
    };
    free(values);
    return COVEY_OK;
}

struct tenant_slowdown {
    uint32_t tenant;
    uint32_t job;
    double slowdown;
};

static int compare_tenants(const void *a, const void *b)
{
    const struct tenant_slowdown *left = a, *right = b;
    if (left->tenant != right->tenant)
        return left->tenant < right->tenant ? -1 : 1;
    return (left->job > right->job) - (left->job < right->job);
}

/* The means, one for each tenant, of slowdowns in the order of the tenants. */
static uint32_t average(const struct tenant_slowdown *slowdowns, uint32_t count, double *means)
{
    uint32_t tenants = 0;
    for (uint32_t i = 0; i < count; tenants++) {
        double sum = 0;
        uint32_t first = i;
        for (; i < count && slowdowns[i].tenant == slowdowns[first].tenant; i++)
            sum += slowdowns[i].slowdown;
        means[tenants] = sum / (i - first);
    }
    return tenants;
}

static enum covey_status fill_fairness(const struct sim_run *run, struct sim_report *report)
{
    size_t room = (size_t)run->trace->count + 1;
    struct tenant_slowdown *slowdowns = covey_reallocarray(NULL, room, sizeof(*slowdowns));
    double *means = covey_reallocarray(NULL, room, sizeof(*means));
    enum covey_status status = slowdowns && means ? COVEY_OK : COVEY_ENOMEM;
    if (!status) {
        uint32_t count = 0;
        for (uint32_t job = 0; job < run->trace->count; job++) {
            if (counts(&run->outcomes[job]))
                slowdowns[count++] = (struct tenant_slowdown){run->trace->jobs[job].tenant, job,
                                                              slowdown_of(run, job)};
        }
        qsort(slowdowns, count, sizeof(*slowdowns), compare_tenants);
        report->fairness = sim_jain(means, average(slowdowns, count, means));
    }
    free(means);
    free(slowdowns);
    return status;
}

static void fill_locality(const struct sim_run *run, struct sim_report *report)
{
    double pairs = 0, gangs = 0;
    for (uint32_t job = 0; job < run->trace->count; job++) {
        double workers = run->trace->jobs[job].workers;
        if (run->outcomes[job].state != SIM_DONE || workers < 2)
            continue;
        double all = workers * (workers - 1);
        pairs += all;
        gangs++;
        for (enum sim_level level = 0; level < SIM_LEVELS; level++) {
            report->pairs_inside[level] += run->outcomes[job].inside[level];
            report->jobs_inside[level] += run->outcomes[job].inside[level] / all;
        }
    }
    for (enum sim_level level = 0; level < SIM_LEVELS; level++) {
        report->pairs_inside[level] = gangs > 0 ? report->pairs_inside[level] / pairs : 1;
        report->jobs_inside[level] = gangs > 0 ? report->jobs_inside[level] / gangs : 1;
    }
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void fill_shares(const struct sim_run *run, struct sim_report *report)
{
    double slots = (double)run->machine.slots;
    const struct sim_trace *trace = run->trace;
    if (trace->count == 0)
        return;
    int64_t first_s = trace->jobs[0].submit_s;
    int64_t last_ns = first_s * COVEY_NS_PER_S;
    for (uint32_t job = 0; job < trace->count; job++) {
        if (run->outcomes[job].end_ns > last_ns)
            last_ns = run->outcomes[job].end_ns;
    }
    report->makespan_s = (double)(last_ns - first_s * COVEY_NS_PER_S) / (double)COVEY_NS_PER_S;
    double loaded_s = (double)(trace->jobs[trace->count - 1].submit_s - first_s);
    double all = slots * report->makespan_s;
    report->utilisation = share(run->until_now.running, all);
    report->utilisation_loaded = share(run->until_last_submit.running, slots * loaded_s);
    report->held_idle = share(run->until_now.idle, all);
    report->fragmentation = share(run->until_now.open, run->until_now.free);
}

enum covey_status sim_report_fill(const struct sim_run *run, const char *policy,
                                  struct sim_report *report)
{
    *report = (struct sim_report){
        .policy = policy,
        .partial_holds = run->partial_holds,
        .timeouts = run->timeouts,
        .deadlocks = run->deadlocks,
    };
    for (uint32_t job = 0; job < run->trace->count; job++) {
        enum sim_state state = run->outcomes[job].state;
        report->done += state == SIM_DONE;
        report->refused += state == SIM_REFUSED;
        report->given_up += state == SIM_GIVEN_UP;
    }
    fill_shares(run, report);
    fill_locality(run, report);
    enum covey_status status = fill_spread(run, wait_of, &report->wait_s);
    if (!status)
        status = fill_spread(run, slowdown_of, &report->slowdown);
    return status ? status : fill_fairness(run, report);
}
