/*
 * One worker at a time, as a platform for functions places them: each worker of each waiting job
 * asks for a slot for itself, and the jobs get them in turn. A worker that has one holds it, idle,
 * until all of its job are there. Nobody coordinates, so jobs can hold parts that together fill the
 * machine; what ends that is the time that a worker may wait. Its job then gives everything back
 * and tries again after a random time, which doubles with each attempt, and is given up after
 * attempts_max of them.
 */
#include "bench/sim/engine.h"
#include "bench/sim/random.h"

#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { attempts_max = 10 };

struct faas_job {
    struct sim_chunk *chunks; /* what it holds */
    uint32_t chunk_count;
    uint32_t chunk_room;
    uint32_t claimed; /* chunks that the scheduler knows */
    uint32_t claims;  /* and its flares that hold them */
    uint32_t held;    /* workers */
    uint32_t attempts;
    uint32_t ticket;         /* of the wake-up that is not out of date */
    bool touched;            /* got workers in this pass */
    uint32_t previous, next; /* of those that wait */
};

struct faas {
    struct sim_random random;
    struct faas_job *jobs;
    uint32_t *touched;
    struct sched_pack *packs; /* scratch: what a job got in a pass, at most once a node */
    uint32_t touched_count;
    uint32_t turn;  /* the waiting job that gets the next slot; NOBODY */
    uint32_t first; /* no node before it has room */
};

#define NOBODY UINT32_MAX

static void faas_close(struct sim_run *run)
{
    struct faas *data = run->policy_data;
    for (uint32_t i = 0; data->jobs && i < run->trace->count; i++)
        free(data->jobs[i].chunks);
    free(data->jobs);
    free(data->touched);
    free(data->packs);
    free(data);
    run->policy_data = NULL;
}

static enum covey_status faas_open(struct sim_run *run, struct covey_error *error)
{
    static const uint64_t stream = 100;
    struct faas *data = covey_calloc(1, sizeof(*data));
    run->policy_data = data;
    if (data) {
        data->random = sim_random_create(run->seed, stream);
        data->turn = NOBODY;
        data->jobs = covey_calloc(run->trace->count + 1, sizeof(*data->jobs));
        data->touched = covey_reallocarray(NULL, run->trace->count + 1, sizeof(*data->touched));
        data->packs = covey_reallocarray(NULL, run->machine.shape.nodes, sizeof(*data->packs));
        if (data->jobs && data->touched && data->packs)
            return COVEY_OK;
        faas_close(run);
    }
    return covey_error_set(error, COVEY_ENOMEM, "no memory for faas");
}

/* The waiting jobs are a ring; a new one gets its turn last. */
static void enter(struct faas *data, uint32_t job)
{
    struct faas_job *known = &data->jobs[job];
    if (data->turn == NOBODY) {
        known->previous = known->next = job;
        data->turn = job;
        return;
    }
    known->next = data->turn;
    known->previous = data->jobs[data->turn].previous;
    data->jobs[known->previous].next = job;
    data->jobs[known->next].previous = job;
}

static void leave(struct faas *data, uint32_t job)
{
    const struct faas_job *known = &data->jobs[job];
    data->jobs[known->previous].next = known->next;
    data->jobs[known->next].previous = known->previous;
    if (data->turn == job)
        data->turn = known->next == job ? NOBODY : known->next;
}

static enum covey_status faas_arrive(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    (void)error;
    enter(run->policy_data, job);
    return COVEY_OK;
}

/* To the scheduler, what a job gets at one time is a flare of its own. */
static void claim_id(char id[SCHED_ID_BYTES], uint32_t job, uint32_t claim)
{
    (void)snprintf(id, SCHED_ID_BYTES, "j%" PRIu32 ".%" PRIu32, job, claim);
}

static enum covey_status claim(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    struct faas *data = run->policy_data;
    struct faas_job *known = &data->jobs[job];
    char id[SCHED_ID_BYTES], tenant[SCHED_ID_BYTES];
    struct sched_request request = sim_run_request(run, job, id, tenant);
    claim_id(id, job, known->claims);
    request.workers = 0;
    uint32_t count = known->chunk_count - known->claimed;
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_chunk *chunk = &known->chunks[known->claimed + i];
        data->packs[i] = (struct sched_pack){i, chunk->node, request.workers, chunk->workers};
        request.workers += chunk->workers;
    }
    enum covey_status status =
        sched_restore(run->machine.sched, &request, data->packs, count, NULL, run->now_ns, error);
    if (status)
        return status;
    known->claims++;
    known->claimed = known->chunk_count;
    return COVEY_OK;
}

/* Gives back all that a job holds. */
static enum covey_status drop(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    struct faas *data = run->policy_data;
    struct faas_job *known = &data->jobs[job];
    for (uint32_t i = 0; i < known->claims; i++) {
        char id[SCHED_ID_BYTES];
        claim_id(id, job, i);
        enum covey_status status = sched_release(run->machine.sched, id);
        if (status)
            return covey_error_set(error, COVEY_EINTERNAL, "%s cannot be released: %s", id,
                                   covey_status_text(status));
    }
    for (uint32_t i = 0; i < known->chunk_count; i++) {
        sim_machine_give(&run->machine, known->chunks[i]);
        if (known->chunks[i].node < data->first)
            data->first = known->chunks[i].node;
    }
    known->chunk_count = known->claimed = known->claims = known->held = 0;
    return COVEY_OK;
}

static enum covey_status faas_ended(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    return drop(run, job, error);
}

static enum covey_status faas_woken(struct sim_run *run, uint32_t job, uint32_t ticket,
                                    struct covey_error *error)
{
    struct faas *data = run->policy_data;
    struct faas_job *known = &data->jobs[job];
    if (ticket != known->ticket)
        return COVEY_OK;
    if (known->held == 0) { /* it has waited long enough to try again */
        enter(data, job);
        return COVEY_OK;
    }
    run->timeouts++;
    leave(data, job);
    enum covey_status status = drop(run, job, error);
    if (status)
        return status;
    if (++known->attempts == attempts_max) {
        sim_run_give_up(run, job);
        return COVEY_OK;
    }
    double longest_ns = (double)run->hold_ns * (double)(1U << (known->attempts - 1));
    int64_t wait_ns = (int64_t)(sim_random_unit(&data->random) * longest_ns) + 1;
    return sim_run_wake(run, run->now_ns + wait_ns, job, ++known->ticket, error);
}

static enum covey_status add_worker(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    struct faas *data = run->policy_data;
    struct faas_job *known = &data->jobs[job];
    while (run->machine.used[data->first] == run->machine.shape.cores)
        data->first++;
    sim_machine_take(&run->machine, (struct sim_chunk){data->first, 1});
    known->held++;
    if (!known->touched) {
        known->touched = true;
        data->touched[data->touched_count++] = job;
    }
    if (known->claimed < known->chunk_count &&
        known->chunks[known->chunk_count - 1].node == data->first) {
        known->chunks[known->chunk_count - 1].workers++;
        return COVEY_OK;
    }
    if (known->chunk_count == known->chunk_room) {
        uint32_t room = known->chunk_room ? 2 * known->chunk_room : 4;
        struct sim_chunk *chunks = covey_reallocarray(known->chunks, room, sizeof(*chunks));
        if (!chunks)
            return covey_error_set(error, COVEY_ENOMEM, "no memory for %u workers", room);
        known->chunks = chunks;
        known->chunk_room = room;
    }
    known->chunks[known->chunk_count++] = (struct sim_chunk){data->first, 1};
    return COVEY_OK;
}

/* After the slots are given out: the scheduler hears of it, whole gangs run, others begin to hold.
 */
static enum covey_status settle(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    struct faas *data = run->policy_data;
    struct faas_job *known = &data->jobs[job];
    known->touched = false;
    bool began = known->claimed == 0;
    enum covey_status status = claim(run, job, error);
    if (!status && known->held == run->trace->jobs[job].workers) {
        known->ticket++; /* nobody needs to wake it */
        status = sim_run_start(run, job, known->chunks, known->chunk_count, error);
    } else if (!status && began) {
        run->partial_holds++;
        status = sim_run_wake(run, run->now_ns + run->hold_ns, job, ++known->ticket, error);
    }
    return status;
}

/* The scheduler has heard of everything now: it must count as is counted here. */
static enum covey_status compare_touched(const struct sim_run *run, struct covey_error *error)
{
    const struct faas *data = run->policy_data;
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; i < data->touched_count && !status; i++) {
        const struct faas_job *known = &data->jobs[data->touched[i]];
        status = sim_run_compare(run, known->chunks[known->chunk_count - 1].node, error);
    }
    return status;
}

static enum covey_status faas_pass(struct sim_run *run, struct covey_error *error)
{
    struct faas *data = run->policy_data;
    enum covey_status status = COVEY_OK;
    bool moved = false;
    while (!status && data->turn != NOBODY && run->machine.occupied < run->machine.slots) {
        uint32_t job = data->turn;
        status = add_worker(run, job, error);
        moved = true;
        data->turn = data->jobs[job].next;
        if (data->jobs[job].held == run->trace->jobs[job].workers)
            leave(data, job);
    }
    for (uint32_t i = 0; i < data->touched_count && !status; i++)
        status = settle(run, data->touched[i], error);
    if (!status)
        status = compare_touched(run, error);
    data->touched_count = 0;
    if (moved && run->running == 0 && run->machine.occupied == run->machine.slots)
        run->deadlocks++;
    return status;
}

const struct sim_policy sim_policy_faas = {
    .name = "faas",
    .summary = "each worker by itself on the first free slot, no gangs",
    .open = faas_open,
    .arrive = faas_arrive,
    .ended = faas_ended,
    .woken = faas_woken,
    .pass = faas_pass,
    .close = faas_close,
};
