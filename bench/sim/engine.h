/*
 * Virtual time: jobs arrive, a policy starts them, they end. The engine orders the events and keeps
 * the accounts; a policy decides only what starts where. Nothing here reads a clock.
 */
#ifndef BENCH_SIM_ENGINE_H
#define BENCH_SIM_ENGINE_H

#include "bench/sim/machine.h"
#include "bench/sim/trace.h"

enum sim_state {
    SIM_COMING,
    SIM_WAITING,
    SIM_RUNNING,
    SIM_DONE,
    SIM_REFUSED, /* larger than the machine */
    SIM_GIVEN_UP /* by a policy that tries a bounded number of times */
};

struct sim_outcome {
    enum sim_state state;
    int64_t start_ns; /* running and done only */
    int64_t end_ns;   /* done and given up only */
    double inside[SIM_LEVELS];
};

/* Slots that were busy from a time on. */
struct sim_sample {
    int64_t time_ns;
    uint64_t running;
};

/* Slot-seconds. */
struct sim_integrals {
    double running; /* of workers whose whole gang runs */
    double idle;    /* of workers that wait for others of their gang */
    double free;
    double open; /* of the free ones, those on nodes in use */
};

struct sim_event;

struct sim_run {
    const struct sim_trace *trace;
    struct sim_machine machine;
    int64_t hold_ns; /* how long a worker may wait for its gang */
    uint64_t seed;
    void *policy_data;
    struct sim_outcome *outcomes; /* one for each job */
    int64_t now_ns;
    uint64_t running; /* slots */
    struct sim_integrals until_now;
    struct sim_integrals until_last_submit;
    struct sim_sample *samples;
    size_t sample_count;
    size_t sample_room;
    struct sim_event *events; /* a heap, the next first */
    size_t event_count;
    size_t event_room;
    uint64_t partial_holds; /* attempts that held a part of a gang past the moment they began */
    uint64_t timeouts;      /* of them, those that ended without a start */
    uint64_t deadlocks;     /* times when nothing ran and all slots were held */
};

/* Each may fail with a message; the run is over then. */
struct sim_policy {
    const char *name;
    const char *summary;
    enum covey_status (*open)(struct sim_run *run, struct covey_error *error);
    /* The job waits from now on. */
    enum covey_status (*arrive)(struct sim_run *run, uint32_t job, struct covey_error *error);
    /* The job has ended: what it holds is to be given back. */
    enum covey_status (*ended)(struct sim_run *run, uint32_t job, struct covey_error *error);
    /* A time that was asked for by sim_run_wake has come; NULL where the policy asks for none. */
    enum covey_status (*woken)(struct sim_run *run, uint32_t job, uint32_t ticket,
                               struct covey_error *error);
    /* All that happens now has happened: starts what can start. */
    enum covey_status (*pass)(struct sim_run *run, struct covey_error *error);
    void (*close)(struct sim_run *run);
};

/* In the order of the report, ended by NULL. */
extern const struct sim_policy *const sim_policies[];
extern const struct sim_policy sim_policy_covey, sim_policy_fifo, sim_policy_first_fit,
    sim_policy_faas;

/*
 * Runs a trace to its end. EINTERNAL: the policy or the scheduler is wrong, as when jobs are left
 * that nothing will start, or the scheduler's claims are not those counted here. ELIMIT: the time
 * does not fit 292 years. ENOMEM. Destroy the run also after a failure.
 */
enum covey_status sim_run_trace(struct sim_run *run, const struct sim_policy *policy,
                                const struct sim_trace *trace, const struct sim_shape *shape,
                                struct covey_error *error) COVEY_MUST_USE;
void sim_run_destroy(struct sim_run *run);

/* ---- for policies ---- */

/* The gang runs from now on, on slots that were taken; it ends by itself. */
enum covey_status sim_run_start(struct sim_run *run, uint32_t job, const struct sim_chunk *chunks,
                                uint32_t count, struct covey_error *error) COVEY_MUST_USE;

/* The job is not tried again. */
void sim_run_give_up(struct sim_run *run, uint32_t job);

/* Calls the policy's woken at a time to come. */
enum covey_status sim_run_wake(struct sim_run *run, int64_t time_ns, uint32_t job, uint32_t ticket,
                               struct covey_error *error) COVEY_MUST_USE;

/* What a job asks of the scheduler; id is its flare's, the caller's, SCHED_ID_BYTES long. */
struct sched_request sim_run_request(const struct sim_run *run, uint32_t job, char *id,
                                     char *tenant);

/* EINTERNAL where the scheduler has another number of slots claimed on a node than is counted here.
 */
enum covey_status sim_run_compare(const struct sim_run *run, uint32_t node,
                                  struct covey_error *error) COVEY_MUST_USE;

#endif
