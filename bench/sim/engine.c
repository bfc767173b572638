#include "bench/sim/engine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the same time, in this order. */
enum event_kind { EVENT_END, EVENT_WAKE };

struct sim_event {
    int64_t time_ns;
    enum event_kind kind;
    uint32_t job;
    uint32_t ticket;
};

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns;
    if (a->kind != b->kind)
        return a->kind < b->kind;
    return a->job != b->job ? a->job < b->job : a->ticket < b->ticket;
}

static enum covey_status push_event(struct sim_run *run, struct sim_event event,
                                    struct covey_error *error)
{
    if (run->event_count == run->event_room) {
        size_t room = run->event_room ? 2 * run->event_room : 256;
        struct sim_event *events = covey_reallocarray(run->events, room, sizeof(*events));
        if (!events)
            return covey_error_set(error, COVEY_ENOMEM, "no memory for %zu events", room);
        run->events = events;
        run->event_room = room;
    }
    size_t place = run->event_count++;
    for (; place > 0 && earlier(&event, &run->events[(place - 1) / 2]); place = (place - 1) / 2)
        run->events[place] = run->events[(place - 1) / 2];
    run->events[place] = event;
    return COVEY_OK;
}

static struct sim_event pop_event(struct sim_run *run)
{
    struct sim_event first = run->events[0];
    struct sim_event last = run->events[--run->event_count];
    size_t place = 0;
    for (size_t child = 1; child < run->event_count; child = 2 * place + 1) {
        if (child + 1 < run->event_count && earlier(&run->events[child + 1], &run->events[child]))
            child++;
        if (!earlier(&run->events[child], &last))
            break;
        run->events[place] = run->events[child];
        place = child;
    }
    if (run->event_count)
        run->events[place] = last;
    return first;
}

static int64_t submit_ns(const struct sim_run *run, uint32_t job)
{
    return run->trace->jobs[job].submit_s * COVEY_NS_PER_S;
}

enum covey_status sim_run_start(struct sim_run *run, uint32_t job, const struct sim_chunk *chunks,
                                uint32_t count, struct covey_error *error)
{
    struct sim_outcome *outcome = &run->outcomes[job];
    if (outcome->state != SIM_WAITING)
        return covey_error_set(error, COVEY_EINTERNAL, "job %u was started and does not wait", job);
    int64_t run_ns = run->trace->jobs[job].run_s * COVEY_NS_PER_S;
    if (run->now_ns > INT64_MAX - run_ns)
        return covey_error_set(error, COVEY_ELIMIT, "the trace runs for more than 292 years");
    sim_machine_pairs(&run->machine, chunks, count, outcome->inside);
    outcome->state = SIM_RUNNING;
    outcome->start_ns = run->now_ns;
    run->running += run->trace->jobs[job].workers;
    return push_event(run, (struct sim_event){run->now_ns + run_ns, EVENT_END, job, 0}, error);
}

void sim_run_give_up(struct sim_run *run, uint32_t job)
{
    run->outcomes[job].state = SIM_GIVEN_UP;
    run->outcomes[job].end_ns = run->now_ns;
}

enum covey_status sim_run_wake(struct sim_run *run, int64_t time_ns, uint32_t job, uint32_t ticket,
                               struct covey_error *error)
{
    return push_event(run, (struct sim_event){time_ns, EVENT_WAKE, job, ticket}, error);
}

struct sched_request sim_run_request(const struct sim_run *run, uint32_t job, char *id,
                                     char *tenant)
{
    const struct sim_job *known = &run->trace->jobs[job];
    (void)snprintf(id, SCHED_ID_BYTES, "j%" PRIu32, job);
    (void)snprintf(tenant, SCHED_ID_BYTES, "t%" PRIu32, known->tenant);
    return (struct sched_request){
        .flare = id,
        .workers = known->workers,
        .tenant = tenant,
        .limit_ns = known->limit_s * COVEY_NS_PER_S,
        .submit_ns = submit_ns(run, job),
    };
}

enum covey_status sim_run_compare(const struct sim_run *run, uint32_t node,
                                  struct covey_error *error)
{
    struct sched_node_info info;
    enum covey_status status = sched_node_get(run->machine.sched, node, &info);
    if (status)
        return covey_error_set(error, COVEY_EINTERNAL, "the scheduler knows no node %u", node);
    if (info.claimed.amount[SCHED_SLOTS] == run->machine.used[node])
        return COVEY_OK;
    return covey_error_set(error, COVEY_EINTERNAL,
                           "node %u has %" PRIu64 " slots claimed in the scheduler, and %u in use",
                           node, info.claimed.amount[SCHED_SLOTS], run->machine.used[node]);
}

/* Time goes on. */
static void advance(struct sim_run *run, int64_t now_ns)
{
    double seconds = (double)(now_ns - run->now_ns) / (double)COVEY_NS_PER_S;
    const struct sim_machine *machine = &run->machine;
    run->until_now.running += (double)run->running * seconds;
    run->until_now.idle += (double)(machine->occupied - run->running) * seconds;
    run->until_now.free += (double)(machine->slots - machine->occupied) * seconds;
    run->until_now.open += (double)machine->open * seconds;
    run->now_ns = now_ns;
}

static enum covey_status add_sample(struct sim_run *run, struct covey_error *error)
{
    if (run->sample_count && run->samples[run->sample_count - 1].running == run->running)
        return COVEY_OK;
    if (run->sample_count == run->sample_room) {
        size_t room = run->sample_room ? 2 * run->sample_room : 256;
        struct sim_sample *samples = covey_reallocarray(run->samples, room, sizeof(*samples));
        if (!samples)
            return covey_error_set(error, COVEY_ENOMEM, "no memory for %zu samples", room);
        run->samples = samples;
        run->sample_room = room;
    }
    run->samples[run->sample_count++] = (struct sim_sample){run->now_ns, run->running};
    return COVEY_OK;
}

static enum covey_status handle_event(struct sim_run *run, const struct sim_policy *policy,
                                      struct sim_event event, struct covey_error *error)
{
    if (event.kind == EVENT_WAKE)
        return policy->woken(run, event.job, event.ticket, error);
    run->outcomes[event.job].state = SIM_DONE;
    run->outcomes[event.job].end_ns = run->now_ns;
    run->running -= run->trace->jobs[event.job].workers;
    return policy->ended(run, event.job, error);
}

static enum covey_status arrive(struct sim_run *run, const struct sim_policy *policy, uint32_t job,
                                struct covey_error *error)
{
    if (run->trace->jobs[job].workers > run->machine.slots) {
        run->outcomes[job].state = SIM_REFUSED;
        return COVEY_OK;
    }
    run->outcomes[job].state = SIM_WAITING;
    return policy->arrive(run, job, error);
}

/* All that happens at one time, ends first, and then what can start. */
static enum covey_status step(struct sim_run *run, const struct sim_policy *policy,
                              uint32_t *arrived, struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    while (!status && run->event_count && run->events[0].time_ns == run->now_ns)
        status = handle_event(run, policy, pop_event(run), error);
    for (; !status && *arrived < run->trace->count && submit_ns(run, *arrived) == run->now_ns;
         ++*arrived)
        status = arrive(run, policy, *arrived, error);
    if (!status)
        status = policy->pass(run, error);
    return status ? status : add_sample(run, error);
}

static enum covey_status check_end(const struct sim_run *run, struct covey_error *error)
{
    for (uint32_t i = 0; i < run->trace->count; i++) {
        enum sim_state state = run->outcomes[i].state;
        if (state == SIM_COMING || state == SIM_WAITING || state == SIM_RUNNING)
            return covey_error_set(error, COVEY_EINTERNAL,
                                   "nothing happens any more, and job %u has not ended", i);
    }
    for (uint32_t node = 0; node < run->machine.shape.nodes; node++) {
        if (run->machine.used[node])
            return covey_error_set(error, COVEY_EINTERNAL,
                                   "all jobs have ended, and %u slots of node %u are in use",
                                   run->machine.used[node], node);
        enum covey_status status = sim_run_compare(run, node, error);
        if (status)
            return status;
    }
    return COVEY_OK;
}

static enum covey_status run_events(struct sim_run *run, const struct sim_policy *policy,
                                    struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    uint32_t arrived = 0;
    run->now_ns = run->trace->count ? submit_ns(run, 0) : 0;
    while (!status && (arrived < run->trace->count || run->event_count)) {
        int64_t next_ns = run->event_count ? run->events[0].time_ns : COVEY_NEVER_NS;
        if (arrived < run->trace->count && submit_ns(run, arrived) < next_ns)
            next_ns = submit_ns(run, arrived);
        advance(run, next_ns);
        bool last = arrived < run->trace->count && submit_ns(run, run->trace->count - 1) == next_ns;
        if (last)
            run->until_last_submit = run->until_now;
        status = step(run, policy, &arrived, error);
    }
    return status ? status : check_end(run, error);
}

enum covey_status sim_run_trace(struct sim_run *run, const struct sim_policy *policy,
                                const struct sim_trace *trace, const struct sim_shape *shape,
                                struct covey_error *error)
{
    run->trace = trace;
    run->outcomes = covey_calloc(trace->count ? trace->count : 1, sizeof(*run->outcomes));
    enum covey_status status = sim_machine_create(shape, &run->machine, error);
    if (!status && !run->outcomes)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for %u jobs", trace->count);
    if (status)
        return status;
    status = policy->open(run, error);
    if (status)
        return status;
    status = run_events(run, policy, error);
    policy->close(run);
    return status;
}

void sim_run_destroy(struct sim_run *run)
{
    sim_machine_destroy(&run->machine);
    free(run->outcomes);
    free(run->samples);
    free(run->events);
    *run = (struct sim_run){0};
}
