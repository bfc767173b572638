/*
 * The scheduler: where the workers of a flare go, and in which order flares get there.
 *
 * A pure library: no input or output, no threads, no log, no clock; the same events give the same
 * answers. One thread at a time per struct sched. Place, plan and explain are one code path.
 *
 * A flare is QUEUED by sched_submit, its whole gang is RESERVED by sched_next, COMMITTED by
 * sched_commit once it runs, and forgotten by sched_release. Nothing ever holds a part of a gang:
 * a reservation takes every node's share or none.
 *
 * Cost, for n nodes, k of them used, p packs and l levels: placing is O(n l + k log n + p) for the
 * pack words, O(n log n + p) for the spread words and for limits of nodes that packing exceeds;
 * releasing is O(k). Submitting in order of time is O(n), for the check that it can ever be placed,
 * or O(1) where one like it was asked about since the nodes changed; planning and explaining add
 * O(queue). One allocation of O(k + p + cpus) per placement, none on a release.
 */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_ID_BYTES    65 /* of a flare's id, with its NUL */
#define SCHED_NAME_BYTES  256
#define SCHED_WORKERS_MAX (1U << 20)
#define SCHED_TEXT_BYTES  COVEY_ERROR_MESSAGE_BYTES

/* What a node has and a worker needs, dimension by dimension. */
enum sched_dimension {
    SCHED_SLOTS,
    SCHED_MEMORY_BYTES,
    SCHED_MILLI_CPUS, /* whole cpus, multiples of 1000, are given out one by one */
    SCHED_GPUS,
    SCHED_NAMED, /* the first of those that sched_resource names */
    SCHED_DIMENSIONS = SCHED_NAMED + 4
};

struct sched_vector {
    uint64_t amount[SCHED_DIMENSIONS];
};

#define SCHED_LEVELS_MAX 6    /* of the topology above the node */
#define SCHED_CPUS_MAX   1024 /* of a node */
#define SCHED_NUMA_MAX   32   /* of a node */

struct sched;

/* Makes a scheduler with no nodes and an empty queue. *sched is NULL after ENOMEM. */
enum covey_status sched_create(struct sched **sched) COVEY_MUST_USE;

/* Forgets everything; NULL is accepted. What was borrowed from it is gone. */
void sched_destroy(struct sched *sched);

/*
 * The dimension of a named resource ("fpga"), given to it at its first use. EINVAL: a name that is
 * empty or too long. ELIMIT: SCHED_DIMENSIONS - SCHED_NAMED names are in use. ENOMEM.
 */
enum covey_status sched_resource(struct sched *sched, const char *name,
                                 enum sched_dimension *dimension) COVEY_MUST_USE;

/* "slots", "memory", "cpus", "gpus" or the name of a named resource. */
const char *sched_dimension_name(const struct sched *sched, enum sched_dimension dimension);

/*
 * The label keys that make the levels of the topology, from the top down ("zone", "rack"). Nodes
 * keep their claims. A node without a label is in the domain of the empty value. EINVAL: more than
 * SCHED_LEVELS_MAX, a key twice, empty or too long. ENOMEM. Nothing changed after a failure.
 */
enum covey_status sched_set_topology(struct sched *sched, const char *const *keys,
                                     uint32_t count) COVEY_MUST_USE;

/* ---- nodes ---- */

enum sched_node_state {
    SCHED_NODE_UP,
    SCHED_NODE_DRAINING, /* keeps its claims, takes no new ones */
    SCHED_NODE_DOWN      /* as draining, but nobody expects its claims to end by themselves */
};

struct sched_label {
    const char *key;
    const char *value;
};

/* The facts of a node, as its agent and the configuration tell them. Everything is copied. */
struct sched_node_facts {
    const char *name;
    uint64_t epoch;
    struct sched_vector capacity;
    const struct sched_label *labels; /* no key twice */
    uint32_t label_count;
    const struct sched_label *taints; /* only gangs that tolerate all of them are placed here */
    uint32_t taint_count;
    const uint16_t *cpus;       /* ids of its cpus, below SCHED_CPUS_MAX, no id twice */
    const uint8_t *numa_of_cpu; /* for each of them, below SCHED_NUMA_MAX; NULL: all 0 */
    uint32_t cpu_count;         /* 0: whole cpus are counted, not given out; else the capacity is
                                   at most 1000 for each */
    const char *machine; /* nodes of one machine share its memory and its cpus, however much each
                            has by itself; NULL: a machine of its own */
    uint64_t machine_memory_bytes; /* of the whole machine; at least what each of its nodes has */
};

struct sched_node_info {
    const char *name; /* borrowed until the node is removed */
    uint64_t epoch;
    enum sched_node_state state;
    struct sched_vector capacity;
    struct sched_vector claimed;
    uint32_t claims;             /* flares that hold a share of it */
    uint32_t machine_nodes;      /* on its machine, itself too */
    struct sched_vector machine; /* memory and cpus that these share */
    struct sched_vector machine_claimed;
};

/*
 * Adds a node, up, or updates the one of this name: its facts replace the old ones, its state and
 * claims stay. *node is its id, small, and the same until it is removed; then it may be given to
 * another, and a placement that lost it still has the number. A capacity below what is claimed is
 * accepted: nothing new is placed there until enough was released.
 *
 * EINVAL: a name (of the node or machine) that is empty or too long, a label or cpu twice, a number
 * out of range.
 * EPRECONDITION: an epoch older than the one known, which is a message from a predecessor. ENOMEM.
 * *node and the scheduler are untouched after a failure.
 */
enum covey_status sched_node_set(struct sched *sched, const struct sched_node_facts *facts,
                                 uint32_t *node, struct covey_error *error) COVEY_MUST_USE;

/* ENOTFOUND: no such node. */
enum covey_status sched_node_set_state(struct sched *sched, uint32_t node,
                                       enum sched_node_state state) COVEY_MUST_USE;

/*
 * The node is lost: takes it down and frees one claim on it, writing the id of the flare that held
 * it. Call until it returns false, which is when nothing is claimed there any more: each claim is
 * freed, and each flare named, exactly once. The flares keep their shares of other nodes until they
 * are released. Other calls may come in between.
 */
bool sched_node_lose(struct sched *sched, uint32_t node, char flare[SCHED_ID_BYTES]);

/* Forgets a node. ENOTFOUND; EPRECONDITION where something is claimed there. */
enum covey_status sched_node_remove(struct sched *sched, uint32_t node) COVEY_MUST_USE;

/* Fills *info. ENOTFOUND, with *info untouched. */
enum covey_status sched_node_get(const struct sched *sched, uint32_t node,
                                 struct sched_node_info *info) COVEY_MUST_USE;

/* The id of a node by its name. ENOTFOUND, with *node untouched. */
enum covey_status sched_node_find(const struct sched *sched, const char *name,
                                  uint32_t *node) COVEY_MUST_USE;

/* Every id that is in use is below this number. */
uint32_t sched_node_limit(const struct sched *sched);

/* ---- policy ---- */

struct sched_policy {
    bool backfill;         /* else the first gang that has to wait holds back all behind it */
    uint32_t reservations; /* gangs that wait and are promised a start; with backfill, at least 1 */
    uint32_t window;       /* gangs looked at in one call of sched_next; at least 1 */
    bool fair;             /* tenants of one priority share alike; else first come, first served */
    int64_t age_ns; /* who has waited this long goes first, whatever its priority; 0: never */
};

#define SCHED_POLICY_DEFAULT                                                                       \
    ((struct sched_policy){.backfill = true,                                                       \
                           .reservations = 8,                                                      \
                           .window = 256,                                                          \
                           .fair = true,                                                           \
                           .age_ns = 600 * INT64_C(1000000000)})

/* From the next call of sched_next on. SCHED_POLICY_DEFAULT until then. */
void sched_set_policy(struct sched *sched, const struct sched_policy *policy);

/* What a tenant may hold at a time, and its part where tenants compete. */
struct sched_quota {
    uint32_t weight;          /* of its share; 0 means 1 */
    struct sched_vector most; /* of each dimension; 0: no limit */
    uint32_t gangs;           /* reserved and running; 0: no limit */
};

/* Tenants that were never set have weight 1 and no limits. EINVAL: a name that is too long. ENOMEM.
 */
enum covey_status sched_set_tenant(struct sched *sched, const char *name,
                                   const struct sched_quota *quota) COVEY_MUST_USE;

/* Every tenant is as if it had never been set. */
void sched_forget_tenants(struct sched *sched);

/* ---- requests ---- */

/*
 * Packing works in units: of g workers (mixed, homogeneous), of one (heterogeneous). A unit never
 * crosses nodes.
 */
enum sched_packing {
    SCHED_PACKING_MIXED,         /* units on one node merge into one pack; the last unit holds what
                                    is left when g does not divide the workers */
    SCHED_PACKING_HETEROGENEOUS, /* packs as large as the nodes allow: one per node */
    SCHED_PACKING_HOMOGENEOUS    /* each unit is a pack, of exactly g */
};

enum sched_placing {
    SCHED_PLACING_PACK,         /* least communication across the topology, then fewest nodes */
    SCHED_PLACING_SPREAD,       /* balanced over the domains of each level, then over as many of
                                   their nodes as can be */
    SCHED_PLACING_STRICT_PACK,  /* one node, or not at all */
    SCHED_PLACING_STRICT_SPREAD /* a node for each unit, or not at all */
};

enum sched_operator {
    SCHED_EQUAL,     /* the label has this value */
    SCHED_NOT_EQUAL, /* it has another, or the node has no such label */
    SCHED_EXISTS,    /* value is not looked at */
    SCHED_ABSENT
};

struct sched_term {
    const char *key;
    enum sched_operator operator;
    const char *value;
};

struct sched_request {
    const char *flare;          /* 1..SCHED_ID_BYTES-1 bytes; copied, as all strings here */
    uint32_t workers;           /* 1..SCHED_WORKERS_MAX */
    struct sched_vector worker; /* what each needs; 0 slots mean 1 */
    enum sched_packing packing;
    uint32_t granularity; /* g; 0: chosen (1) where packing is not homogeneous */
    enum sched_placing placing;
    const struct sched_term *selector; /* all must hold of a node */
    uint32_t selector_count;
    const struct sched_label *tolerations; /* taints of this key and value; value NULL: of any */
    uint32_t toleration_count;
    uint32_t max_packs;  /* 0: no limit */
    uint32_t max_nodes;  /* 0: no limit */
    int32_t priority;    /* higher goes first */
    const char *tenant;  /* NULL: "" */
    bool preemptible;    /* may be ended for a gang of higher priority */
    bool waits;          /* for nodes to come, where those that are known could never hold it */
    int64_t limit_ns;    /* it has ended this long after its start; 0: nobody knows */
    int64_t expected_ns; /* how long it is likely to run, for forecasts: promises trust limits
                            alone; 0: its limit; COVEY_NEVER_NS: nobody knows */
    int64_t submit_ns;   /* the queue's order; equal times: order of the calls */
};

#define SCHED_CPU_NONE UINT16_MAX

struct sched_pack {
    uint32_t id; /* its index in the placement */
    uint32_t node;
    uint32_t first_rank;
    uint32_t workers;
};

/* What a placement costs. Levels from the top of the topology to the NUMA nodes within a node. */
struct sched_cost {
    uint32_t levels;                         /* of the topology, plus 2: node and NUMA node */
    uint64_t crossing[SCHED_LEVELS_MAX + 2]; /* ordered rank pairs that cross each level */
    uint32_t nodes;
};

/* Where a gang goes. Ranks rise through the packs; the packs of a node are neighbours, and so are
 * the nodes of a domain of the topology. */
struct sched_placement {
    const char *flare;
    uint32_t workers;
    uint32_t node_count;
    uint32_t pack_count;
    const struct sched_pack *packs;
    struct sched_cost cost;
    /* The cpus of each worker, by rank, cpus_each for each; NULL where none are given out.
     * SCHED_CPU_NONE for workers on a node that gives none out. */
    const uint16_t *cpus;
    uint32_t cpus_each;
    int64_t submit_ns;
    int64_t placed_ns; /* reserved then */
};

/* ---- why not ---- */

enum sched_reason_kind {
    SCHED_REASON_NONE,       /* it fits now, and is next */
    SCHED_REASON_BEHIND,     /* it fits now, others are ahead of it */
    SCHED_REASON_PROMISED,   /* it would fit now, but is in the way of one that was promised it */
    SCHED_REASON_QUOTA,      /* its tenant holds as much as it may, or would hold more */
    SCHED_REASON_NO_NODES,   /* no node is up; `never`: none is known */
    SCHED_REASON_NO_MATCH,   /* no such node is selected, with taints that are tolerated */
    SCHED_REASON_CAPACITY,   /* not enough of a dimension, all nodes together */
    SCHED_REASON_FRAGMENTED, /* enough in sum, but in pieces smaller than a worker or a unit */
    SCHED_REASON_FEW_NODES,  /* strict spread asks for more nodes than have room */
    SCHED_REASON_NODE_LIMIT  /* would fit on more nodes than the request allows */
};

struct sched_reason {
    enum sched_reason_kind kind;
    /* Not even when everything running has ended: on the nodes that are up, or on all that are
     * known, whatever their state. What follows is then about those nodes, empty. */
    bool absent;
    bool never;                     /* means `absent`, too */
    bool waits;                     /* absent or never, it stays in the queue until nodes come */
    enum sched_dimension dimension; /* the one that runs out first; of QUOTA: the one at its limit,
                                       or SCHED_DIMENSIONS for gangs */
    const char *dimension_name;     /* borrowed from the scheduler */
    uint64_t asked;                 /* of that dimension, by all workers */
    uint64_t available;             /* of it, on those nodes; free unless `absent` */
    uint32_t workers;               /* asked for */
    uint32_t unit;                  /* workers that must stay together */
    uint32_t fitting;               /* the most workers, no more than asked, that would fit */
    uint32_t largest;               /* workers that fit on the roomiest node, no more than asked */
    uint32_t node_limit;            /* nodes the request may use; 0: no limit */
    uint32_t nodes_counted;         /* those that this is about */
    uint32_t nodes_up;
    uint32_t nodes_draining;
    uint32_t nodes_down;
    uint32_t nodes_unmatched;     /* not selected, or with taints that are not tolerated: of those
                                     that are up, or of all where `never` */
    uint32_t nodes_too_small;     /* of them, matched, with no room for one unit */
    uint32_t ahead;               /* flares ahead of it in the queue */
    bool ahead_at_least;          /* there may be more: so many were looked at */
    char blocker[SCHED_ID_BYTES]; /* PROMISED: to whom; else the first ahead of it; or empty */
    /* When it starts, if what runs ends by its limits; 0: no promise. For the first in order it
     * never gets later; the others give way to those ahead of them. */
    int64_t promised_ns;
    bool promise_is_expected; /* the limit that decides it is what its gang is expected to run */
};

/* One sentence for a person, without a full stop; empty for SCHED_REASON_NONE. Returns text. */
const char *sched_reason_text(const struct sched_reason *reason, char text[SCHED_TEXT_BYTES]);

/* ---- the queue ---- */

/*
 * Queues a flare behind all that were submitted no later.
 *
 * EINVAL: a request that contradicts itself. EEXISTS: this flare is known already. EUNPLACEABLE: it
 * would not fit if all nodes that are known were up and empty, and it does not wait for others; or
 * its tenant may never hold it. ENOMEM. The message names the remedy, and the scheduler is
 * untouched after a failure.
 */
enum covey_status sched_submit(struct sched *sched, const struct sched_request *request,
                               struct covey_error *error) COVEY_MUST_USE;

/* As sched_submit for a flare that was accepted before (a restart's replay): never EUNPLACEABLE. */
enum covey_status sched_resubmit(struct sched *sched, const struct sched_request *request,
                                 struct covey_error *error) COVEY_MUST_USE;

/* Takes a flare out of the queue. ENOTFOUND: it is not queued. */
enum covey_status sched_cancel(struct sched *sched, const char *flare) COVEY_MUST_USE;

/*
 * Takes the next flare that can start from the queue and reserves its whole gang. *placement is
 * NULL where none can.
 *
 * The order: those that have waited for age_ns, by time of submission; then by priority; then,
 * where the policy is fair, by what their tenants hold and would hold of what there is; then by
 * time. The first that cannot start are promised a time, and those behind start only where that
 * breaks no promise. Who is over its quota, or could not start even if the nodes that are up were
 * empty, is passed over, and stays.
 *
 * *placement is borrowed until the flare is released or rolled back. ENOMEM: no flare changed.
 */
enum covey_status sched_next(struct sched *sched, int64_t now_ns,
                             const struct sched_placement **placement) COVEY_MUST_USE;

/*
 * Names running gangs to end so that the first flare in order that has to wait can start: whole
 * ones, preemptible, of lower priority; the lowest and youngest first, and none that is not needed.
 * They are expected to have ended within grace_ns, and are named once. *count is 0 where nothing
 * is to be done, or where even that would not help; at most room are named.
 */
enum covey_status sched_preempt(struct sched *sched, int64_t now_ns, int64_t grace_ns,
                                char (*victims)[SCHED_ID_BYTES], uint32_t room,
                                uint32_t *count) COVEY_MUST_USE;

/* What another wish would give now. */
struct sched_alternative {
    enum sched_placing placing;
    enum sched_packing packing;
    uint32_t granularity;
    struct sched_cost cost;
    uint32_t packs;
};

/* What would happen to a request now. */
struct sched_plan {
    struct sched_placement *placement; /* NULL where it does not fit now; flare is borrowed */
    struct sched_reason reason;
    struct sched_alternative alternatives[8]; /* other than what was asked for, that fit now */
    uint32_t alternative_count;
};

/*
 * Plans a request without queueing or reserving anything: where it would go if it were next, and
 * what is in its way. Refuses what sched_submit refuses, in the same words, but for EEXISTS. *plan
 * is emptied after a failure; free it with sched_plan_clear.
 */
enum covey_status sched_plan(struct sched *sched, const struct sched_request *request,
                             int64_t now_ns, struct sched_plan *plan,
                             struct covey_error *error) COVEY_MUST_USE;

void sched_plan_clear(struct sched_plan *plan);

/* Why a queued flare has not started. ENOTFOUND: it is not queued. */
enum covey_status sched_explain(struct sched *sched, const char *flare, int64_t now_ns,
                                struct sched_reason *reason) COVEY_MUST_USE;

/* Why there is no forecast. */
enum sched_unknown {
    SCHED_UNKNOWN_NOTHING, /* there is one */
    SCHED_UNKNOWN_NODES,   /* it waits for nodes */
    SCHED_UNKNOWN_ENDS,    /* nobody knows when those end that are before it */
    SCHED_UNKNOWN_FAR      /* too much is before it */
};

/* When something starts, if nothing else comes and what runs ends as expected. */
struct sched_forecast {
    int64_t start_ns;                  /* COVEY_NEVER_NS: not known */
    enum sched_unknown unknown;        /* why */
    char after[SCHED_ID_BYTES];        /* the gang whose end makes the room; empty: none */
    struct sched_placement *placement; /* NULL: not known; node ids as now, flare is borrowed */
};

/*
 * Lets time pass in a copy of the scheduler until the request, queued now behind all others, or the
 * queued flare (request NULL), has a place. Free with sched_forecast_clear. Refuses as sched_plan;
 * ENOTFOUND: the flare is not queued.
 */
enum covey_status sched_forecast(struct sched *sched, const struct sched_request *request,
                                 const char *flare, int64_t now_ns, struct sched_forecast *forecast,
                                 struct covey_error *error) COVEY_MUST_USE;

void sched_forecast_clear(struct sched_forecast *forecast);

/* A forecast that is made bit by bit, for whoever has other things to do meanwhile: what happens to
 * the scheduler after the beginning is not in it. */
struct sched_outlook;

/* As sched_forecast, which says the errors. O(nodes, gangs that hold something, and of those that
 * wait the first few hundred). *outlook is NULL after a failure. */
enum covey_status sched_outlook_begin(struct sched *sched, const struct sched_request *request,
                                      const char *flare, int64_t now_ns,
                                      struct sched_outlook **outlook,
                                      struct covey_error *error) COVEY_MUST_USE;

/* One bit, as long as a call of sched_next. *done: that was all. ENOMEM. */
enum covey_status sched_outlook_step(struct sched_outlook *outlook, bool *done,
                                     struct covey_error *error) COVEY_MUST_USE;

/* Frees it (NULL is accepted). *forecast (may be NULL) gets what was found; its placement's flare
 * is not set. */
void sched_outlook_end(struct sched_outlook *outlook, struct sched_forecast *forecast);

/* Flares in the queue. */
uint32_t sched_queue_length(const struct sched *sched);

/* ---- gangs ---- */

/* The gang runs. ENOTFOUND: unknown flare; EPRECONDITION: it is not reserved. */
enum covey_status sched_commit(struct sched *sched, const char *flare) COVEY_MUST_USE;

/* A reserved gang did not start: frees its claims and queues it again, at its old place. ENOTFOUND,
 * EPRECONDITION as sched_commit. */
enum covey_status sched_rollback(struct sched *sched, const char *flare) COVEY_MUST_USE;

/* Frees what a reserved or committed flare still holds and forgets it. ENOTFOUND: it holds nothing
 * (unknown, released before, or only queued). */
enum covey_status sched_release(struct sched *sched, const char *flare) COVEY_MUST_USE;

/* Frees a flare's share of one node. ENOTFOUND: it holds none there, or no more. The flare stays
 * known until sched_release. */
enum covey_status sched_release_node(struct sched *sched, const char *flare,
                                     uint32_t node) COVEY_MUST_USE;

/*
 * Claims a placement that is known to run, as after a restart; nodes of any state are accepted. The
 * flare is then committed. cpus are those of its placement then; NULL: others are given to it.
 *
 * EINVAL: the request contradicts itself, or packs is not a placement of it. EEXISTS. ENOTFOUND: a
 * node is unknown. EPRECONDITION: it does not fit, or a cpu is not free. ENOMEM. Nothing is claimed
 * after a failure.
 */
enum covey_status sched_restore(struct sched *sched, const struct sched_request *request,
                                const struct sched_pack *packs, uint32_t pack_count,
                                const uint16_t *cpus, int64_t now_ns,
                                struct covey_error *error) COVEY_MUST_USE;

/* The placement of a reserved or committed flare, borrowed as from sched_next; NULL where there is
 * none. */
const struct sched_placement *sched_placement_of(const struct sched *sched, const char *flare);

#endif
