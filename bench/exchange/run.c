/* The calls that are measured, by operation. */
#include "bench/exchange/activity.h"

static int run_latency(struct activity *activity)
{
    bool first = activity_counts(activity);
    for (size_t i = 0; i < activity->out.count; i++) {
        struct block *out = &activity->out.blocks[i], *in = &activity->in.blocks[i];
        if (first && talk_send(activity->talk, out, activity->partner))
            return -1;
        if (talk_receive(activity->talk, in, activity->partner))
            return -1;
        if (!first && talk_send(activity->talk, out, activity->partner))
            return -1;
    }
    return 0;
}

/* Windows of messages one way, each answered by an empty message. */
static int run_windows(struct activity *activity)
{
    char nothing;
    struct block answer = {.bytes = &nothing};
    struct talk *talk = activity->talk;
    size_t window = activity->order->window;
    int partner = activity->partner;
    for (size_t i = 0; i < activity->order->rounds; i++) {
        if (activity_counts(activity)) {
            if (talk_send_all(talk, activity->out.blocks + i * window, window, partner) ||
                talk_receive(talk, &answer, partner))
                return -1;
        } else if (talk_receive_all(talk, activity->in.blocks + i * window, window, partner) ||
                   talk_send(talk, &answer, partner)) {
            return -1;
        }
    }
    return 0;
}

static int run_barrier(struct activity *activity)
{
    for (uint64_t i = 0; i < activity->order->window; i++) {
        if (talk_barrier(activity->talk))
            return -1;
    }
    return 0;
}

static int run_bcast(struct activity *activity)
{
    return talk_bcast(activity->talk,
                      activity->rank == 0 ? activity->out.blocks : activity->in.blocks);
}

int activity_run(struct activity *activity)
{
    struct talk *talk = activity->talk;
    const char *out = activity->out.memory;
    char *in = activity->in.memory;
    size_t bytes = activity->order->bytes, numbers = bytes / sizeof(double);
    switch (activity->order->operation) {
    case OPERATION_LATENCY:
        return run_latency(activity);
    case OPERATION_RATE:
    case OPERATION_BANDWIDTH:
        return run_windows(activity);
    case OPERATION_BARRIER:
        return run_barrier(activity);
    case OPERATION_BCAST:
        return run_bcast(activity);
    case OPERATION_REDUCE:
        return talk_reduce(talk, (const double *)(const void *)out, (double *)(void *)in, numbers);
    case OPERATION_ALLREDUCE:
        return talk_allreduce(talk, (const double *)(const void *)out, (double *)(void *)in,
                              numbers);
    case OPERATION_GATHER:
        return talk_gather(talk, out, bytes, in);
    case OPERATION_SCATTER:
        return talk_scatter(talk, out, bytes, in);
    case OPERATION_ALLGATHER:
        return talk_allgather(talk, out, bytes, in);
    case OPERATION_ALLTOALL:
        return talk_alltoall(talk, out, bytes, in);
    default:
        return -1;
    }
}
