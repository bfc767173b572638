/* The policies that place whole gangs: those of the library, and a plain first-fit. */
#include "bench/sim/engine.h"

#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A gang starts on the nodes of a placement. */
static enum covey_status begin(struct sim_run *run, uint32_t job,
                               const struct sched_placement *placement, struct covey_error *error)
{
    struct sim_chunk *chunks = covey_reallocarray(NULL, placement->pack_count, sizeof(*chunks));
    if (!chunks)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for %u packs",
                               placement->pack_count);
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; i < placement->pack_count; i++) {
        chunks[i] = (struct sim_chunk){placement->packs[i].node, placement->packs[i].workers};
        sim_machine_take(&run->machine, chunks[i]);
    }
    for (uint32_t i = 0; i < placement->pack_count && !status; i++)
        status = sim_run_compare(run, chunks[i].node, error);
    if (!status)
        status = sim_run_start(run, job, chunks, placement->pack_count, error);
    free(chunks);
    return status;
}

static enum covey_status gang_ended(struct sim_run *run, uint32_t job, struct covey_error *error)
{
    char id[SCHED_ID_BYTES];
    (void)snprintf(id, sizeof(id), "j%" PRIu32, job);
    const struct sched_placement *placement = sched_placement_of(run->machine.sched, id);
    if (!placement)
        return covey_error_set(error, COVEY_EINTERNAL, "the scheduler has no place for job %u",
                               job);
    for (uint32_t i = 0; i < placement->pack_count; i++)
        sim_machine_give(&run->machine,
                         (struct sim_chunk){placement->packs[i].node, placement->packs[i].workers});
    enum covey_status status = sched_release(run->machine.sched, id);
    if (status)
        return covey_error_set(error, COVEY_EINTERNAL, "job %u cannot be released: %s", job,
                               covey_status_text(status));
    return COVEY_OK;
}

/* ---- the library ---- */

static enum covey_status covey_open(struct sim_run *run, struct covey_error *error)
{
    (void)run; /* it is as it should be */
    (void)error;
    return COVEY_OK;
}

static enum covey_status fifo_open(struct sim_run *run, struct covey_error *error)
{
    (void)error;
    struct sched_policy policy = SCHED_POLICY_DEFAULT;
    policy.backfill = false;
    policy.fair = false;
    policy.age_ns = 0;
    sched_set_policy(run->machine.sched, &policy);
    return COVEY_OK;
}

static void library_close(struct sim_run *run)
{
    (void)run;
}

static enum covey_status library_arrive(struct sim_run *run, uint32_t job,
                                        struct covey_error *error)
{
    char id[SCHED_ID_BYTES], tenant[SCHED_ID_BYTES];
    const struct sched_request request = sim_run_request(run, job, id, tenant);
    return sched_submit(run->machine.sched, &request, error);
}

static enum covey_status library_pass(struct sim_run *run, struct covey_error *error)
{
    for (;;) {
        const struct sched_placement *placement;
        enum covey_status status = sched_next(run->machine.sched, run->now_ns, &placement);
        if (status)
            return covey_error_set(error, status, "no memory for a placement");
        if (!placement)
            return COVEY_OK;
        status = sched_commit(run->machine.sched, placement->flare);
        if (status)
            return covey_error_set(error, COVEY_EINTERNAL, "%s cannot be committed: %s",
                                   placement->flare, covey_status_text(status));
        uint32_t job = (uint32_t)strtoul(placement->flare + 1, NULL, 10);
        status = begin(run, job, placement, error);
        if (status)
            return status;
    }
}

const struct sim_policy sim_policy_covey = {
    .name = "covey",
    .summary = "the scheduler as it is by default",
    .open = covey_open,
    .arrive = library_arrive,
    .ended = gang_ended,
    .pass = library_pass,
    .close = library_close,
};

const struct sim_policy sim_policy_fifo = {
    .name = "fifo",
    .summary = "the scheduler's placing, first come first served",
    .open = fifo_open,
    .arrive = library_arrive,
    .ended = gang_ended,
    .pass = library_pass,
    .close = library_close,
};

/* ---- first fit: first come first served, on the nodes in their order ---- */

struct first_fit {
    uint32_t *queue; /* jobs in order of arrival */
    uint32_t head;
    uint32_t tail;
    struct sched_pack *packs; /* room for every node */
};

static void first_fit_close(struct sim_run *run)
{
    struct first_fit *data = run->policy_data;
    free(data->queue);
    free(data->packs);
    free(data);
    run->policy_data = NULL;
}

static enum covey_status first_fit_open(struct sim_run *run, struct covey_error *error)
{
    struct first_fit *data = covey_calloc(1, sizeof(*data));
    run->policy_data = data;
    if (data) {
        data->queue = covey_reallocarray(NULL, run->trace->count + 1, sizeof(*data->queue));
        data->packs = covey_reallocarray(NULL, run->machine.shape.nodes, sizeof(*data->packs));
        if (data->queue && data->packs)
            return COVEY_OK;
        first_fit_close(run);
    }
    return covey_error_set(error, COVEY_ENOMEM, "no memory for first-fit");
}

static enum covey_status first_fit_arrive(struct sim_run *run, uint32_t job,
                                          struct covey_error *error)
{
    (void)error;
    struct first_fit *data = run->policy_data;
    data->queue[data->tail++] = job;
    return COVEY_OK;
}

static uint32_t fill(const struct sim_machine *machine, uint32_t workers, struct sched_pack *packs)
{
    uint32_t count = 0;
    uint32_t rank = 0;
    for (uint32_t node = 0; rank < workers; node++) {
        uint32_t room = machine->shape.cores - machine->used[node];
        uint32_t taken = room < workers - rank ? room : workers - rank;
        if (taken == 0)
            continue;
        packs[count] = (struct sched_pack){count, node, rank, taken};
        count++;
        rank += taken;
    }
    return count;
}

static enum covey_status first_fit_pass(struct sim_run *run, struct covey_error *error)
{
    struct first_fit *data = run->policy_data;
    for (; data->head < data->tail; data->head++) {
        uint32_t job = data->queue[data->head];
        uint32_t workers = run->trace->jobs[job].workers;
        if (workers > run->machine.slots - run->machine.occupied)
            return COVEY_OK;
        uint32_t count = fill(&run->machine, workers, data->packs);
        char id[SCHED_ID_BYTES], tenant[SCHED_ID_BYTES];
        const struct sched_request request = sim_run_request(run, job, id, tenant);
        enum covey_status status = sched_restore(run->machine.sched, &request, data->packs, count,
                                                 NULL, run->now_ns, error);
        if (!status)
            status = begin(run, job, sched_placement_of(run->machine.sched, id), error);
        if (status)
            return status;
    }
    return COVEY_OK;
}

const struct sim_policy sim_policy_first_fit = {
    .name = "first-fit",
    .summary = "first come first served, whole gangs on the first nodes with room",
    .open = first_fit_open,
    .arrive = first_fit_arrive,
    .ended = gang_ended,
    .pass = first_fit_pass,
    .close = first_fit_close,
};

const struct sim_policy *const sim_policies[] = {&sim_policy_covey, &sim_policy_fifo,
                                                 &sim_policy_first_fit, &sim_policy_faas, NULL};
