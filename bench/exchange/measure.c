#include "bench/exchange/measure.h"

#include "bench/exchange/activity.h"

#include <float.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum { barrier_samples = 20, barriers_each = 5 };

/* Nanoseconds of this machine's monotonic clock, by sample. */
struct times {
    double *start;
    double *called;
    double *read;
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int create_times(struct times *times, size_t count)
{
    times->start = calloc(3 * count, sizeof(double));
    if (!times->start) {
        fprintf(stderr, "covey-bench: out of memory\n");
        return -1;
    }
    times->called = times->start + count;
    times->read = times->called + count;
    return 0;
}

/* One sample; it is kept where i is not negative. */
static int take_sample(struct activity *activity, struct times *times, int64_t i)
{
    uint64_t call = (uint64_t)i + activity->order->warm_ups;
    if (activity_rewrite(activity, call) || talk_barrier(activity->talk))
        return -1;
    double start = now_ns();
    if (activity_run(activity))
        return -1;
    double called = now_ns();
    activity_read(activity);
    double read = now_ns();
    activity_check(activity, call);
    if (i < 0)
        return 0;
    times->start[i] = start;
    times->called[i] = called;
    times->read[i] = read;
    return 0;
}

static int print_series(struct talk *talk, FILE *out, const char *name, const double *times,
                        size_t count)
{
    for (size_t i = 0; talk_rank(talk) == 0 && i < count; i++)
        fprintf(out, "%s %.1f\n", name, times[i]);
    return 0;
}

/* From the first start to the last end. */
static int span(struct talk *talk, const double *start, double *end, size_t count)
{
    if (talk_extremes(talk, end, count, true))
        return -1;
    for (size_t i = 0; i < count; i++)
        end[i] -= start[i];
    return 0;
}

static int tell_times(const struct activity *activity, struct times *times, FILE *out)
{
    struct talk *talk = activity->talk;
    const struct order *order = activity->order;
    size_t count = order->samples;
    bool counts = activity_counts(activity);
    for (size_t i = 0; i < count; i++) {
        double longest = counts ? times->called[i] - times->start[i] : 0;
        times->start[i] = counts ? times->start[i] : DBL_MAX;
        if (!order->once)
            times->called[i] = longest;
        else if (!counts)
            times->called[i] = 0;
    }
    if (talk_extremes(talk, times->start, count, false))
        return -1;
    int failed = order->once ? span(talk, times->start, times->called, count)
                             : talk_extremes(talk, times->called, count, true);
    if (failed || print_series(talk, out, "call", times->called, count))
        return -1;
    if (!order->owned)
        return 0;
    if (span(talk, times->start, times->read, count))
        return -1;
    return print_series(talk, out, "read", times->read, count);
}

static int tell_wrong(const struct activity *activity, FILE *out)
{
    double mine = (double)activity->wrong, all;
    if (talk_reduce(activity->talk, &mine, &all, 1))
        return -1;
    if (activity->rank == 0)
        fprintf(out, "wrong %.0f\n", all);
    return 0;
}

static int measure_barriers(struct talk *talk, FILE *out)
{
    double times[barrier_samples];
    for (int i = 0; i < barrier_samples; i++) {
        double start = now_ns();
        for (int k = 0; k < barriers_each; k++) {
            if (talk_barrier(talk))
                return -1;
        }
        times[i] = (now_ns() - start) / barriers_each;
    }
    return print_series(talk, out, "barrier", times, barrier_samples);
}

int measure_order(struct talk *talk, const struct order *order, FILE *out)
{
    struct activity activity;
    struct times times = {0};
    int failed = activity_create(talk, order, &activity) || create_times(&times, order->samples);
    if (!failed && !order->once)
        failed = measure_barriers(talk, out);
    for (int64_t i = -(int64_t)order->warm_ups; !failed && i < (int64_t)order->samples; i++)
        failed = take_sample(&activity, &times, i);
    if (!failed)
        failed = tell_times(&activity, &times, out) || tell_wrong(&activity, out);
    activity_destroy(&activity);
    free(times.start);
    return failed ? -1 : 0;
}
