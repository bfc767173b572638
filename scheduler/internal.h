/* What the files of the scheduler share. Nothing outside this folder includes it. */
#ifndef SCHEDULER_INTERNAL_H
#define SCHEDULER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "scheduler/scheduler.h"

/* An interned string: equal ones are one object. */
struct sched_name {
    uint32_t references;
    char text[];
};

struct sched_tag {
    struct sched_name *key;
    struct sched_name *value; /* NULL where none matters */
};

/* One term of a selector, or a toleration. */
struct sched_rule {
    struct sched_tag tag;
    enum sched_operator wanted; /* of a term */
};

/* Which nodes a gang may use. Shared by reference, never changed. */
struct sched_filter {
    uint32_t references;
    uint32_t term_count;
    uint32_t toleration_count;
    struct sched_rule rules[]; /* terms, then tolerations */
};

/* A request, checked and reduced to what placing needs. A copy borrows the filter. */
struct sched_shape {
    struct sched_filter *filter; /* NULL: any label, no taint; one reference, until cleared */
    struct sched_vector worker;
    uint32_t workers;
    uint32_t unit;       /* workers that stay together; the last unit may be smaller, unless: */
    bool unit_is_pack;   /* every unit is whole, and a pack of its own */
    bool unit_is_alone;  /* no two units on a node */
    bool spread;         /* balance; else fewest nodes */
    uint32_t node_limit; /* UINT32_MAX: none */
};

#define SCHED_CPU_WORDS (SCHED_CPUS_MAX / 64)

struct sched_cpu {
    uint16_t id;
    uint8_t numa;
};

/* What a node is, apart from its numbers. */
struct sched_traits {
    uint32_t label_count;
    uint32_t taint_count;
    uint32_t cpu_count;
    struct sched_cpu *cpus;  /* by NUMA node, then id */
    struct sched_tag tags[]; /* labels, then taints */
};

/* A sum over nodes; it has room for any. */
__extension__ typedef unsigned __int128 sched_sum;

struct sched_totals {
    sched_sum free[SCHED_DIMENSIONS]; /* now, on the nodes that are up, whoever may use them */
    sched_sum capacity[SCHED_DIMENSIONS];
    uint64_t freed;  /* grows when something may fit that did not before */
    uint64_t claims; /* grows when what is claimed changes */
};

/* What was found out about a shape. */
struct sched_verdict {
    struct sched_shape shape;
    uint64_t version; /* of the cluster; 0: nothing yet */
    bool possible;    /* on the nodes that were up then, empty */
    bool asked_known; /* `possible_known` was found out, too: on all nodes, empty and up */
    bool possible_known;
    /* It did not fit until then, when totals.freed was this, beside these promises. */
    int64_t refused_until_ns;
    uint64_t refused_freed;
    uint64_t refused_signature;
};

#define SCHED_VERDICTS 64 /* a power of two */

struct sched_machine; /* machine.h */

/* A node that a gang may use. */
struct sched_candidate {
    uint32_t node;
    uint32_t position; /* of the node in the topology's order */
    uint32_t room;     /* workers it has room for */
    uint32_t fit;      /* the same, or 0 while it is left out */
    uint32_t taken;    /* workers it is given */
    uint32_t next;     /* the next candidate of its machine, while that is surveyed */
};

/* How good a part of a placement is, compared in the order of the fields; parts add up. */
struct sched_score {
    uint64_t together[SCHED_LEVELS_MAX + 1]; /* level by level, then nodes: the sum of the squares
                                                of what each domain holds; more is better */
    uint64_t nodes;                          /* fewer is better */
    uint64_t leftover;                       /* workers they have room for still; less is better */
};

/* A domain of the topology; the root is one, too. */
struct sched_domain {
    uint32_t first; /* its children: domains of the level below, or positions of nodes */
    uint32_t end;
    /* What the last survey found in it. */
    uint32_t candidates;
    uint32_t candidates_end;
    uint64_t units;          /* it has room for */
    uint64_t workers;        /* scratch of sorting: it would take */
    uint32_t odd;            /* the largest room of a node that is no whole unit */
    uint32_t roomiest;       /* the largest room of a node */
    struct sched_score full; /* with all its units taken */
};

struct sched_topology {
    struct sched_name *keys[SCHED_LEVELS_MAX];
    uint32_t levels;
    uint32_t node_count;
    struct sched_node **order;    /* the nodes, those of each domain together; by id within */
    struct sched_domain *domains; /* level by level: the root, then those of keys[0], ... */
    struct sched_domain **sorted; /* scratch, one for each domain */
    size_t domain_room;
    uint32_t level_first[SCHED_LEVELS_MAX + 2]; /* index of each level's first; where all end */
    bool stale; /* the order has changed since the domains were made */
};

struct sched_node {
    uint32_t id;
    uint32_t position; /* in the topology's order, when that is fresh */
    uint32_t claims;
    enum sched_node_state state;
    bool tainted; /* as the traits say */
    struct sched_traits *traits;
    struct sched_totals *totals; /* of all nodes */
    struct sched_vector capacity;
    struct sched_vector claimed;
    const struct sched_name *path[SCHED_LEVELS_MAX]; /* its domains' values; NULL: the empty one */
    uint64_t epoch;
    uint64_t restore_stamp;     /* the restoration that last used it */
    struct covey_list shares;   /* of sched_share.link */
    struct covey_list promises; /* of sched_promise_share.link */
    const uint64_t *walk;       /* the scheduler's */
    char *name;
    struct sched_machine *machine;
    struct covey_list on_machine;
    uint64_t machine_memory_bytes;
    uint32_t cpus_own; /* that are taken by gangs of this node */
};

struct sched_tenant {
    char *name;
    struct sched_quota quota;
    bool configured;     /* stays without flares */
    uint32_t references; /* of lines */
    struct sched_vector claimed;
    uint32_t gangs;
    uint64_t walk;               /* in which virtual was set */
    struct sched_vector virtual; /* what it would hold if all that were met so far had started */
};

/* The flares of one tenant and priority that are queued, in their order. */
struct sched_line {
    struct sched_tenant *tenant;
    int32_t priority;
    uint32_t references;      /* of flares */
    struct covey_list flares; /* of sched_flare.in_line */
    struct covey_list *at;    /* of a walk: the next */
};

/* A start that a flare which waits was promised, and where. */
struct sched_promise_share {
    struct covey_list link; /* in the node's list */
    struct sched_node *node;
    const struct sched_promise *promise;
    uint32_t workers;
};

struct sched_promise {
    struct covey_list link; /* in the scheduler's list */
    struct sched_flare *flare;
    int64_t start_ns;
    int64_t until_ns;
    bool holds;         /* what is free there is kept for it from now on */
    uint64_t walk;      /* it counts in this walk */
    uint64_t freed;     /* made when totals.freed was this, */
    uint64_t signature; /* and these promises were before it */
    uint32_t count;
    struct sched_promise_share shares[];
};

/* When a gang ends, and the sum of what it and those that end before it hold. */
struct sched_end {
    int64_t at_ns;
    struct sched_vector freed;
};

/* A way through the queue, in the order in which flares may start. */
struct sched_walk {
    struct sched *sched;
    int64_t now_ns;
    struct covey_list *aged; /* the next of the whole queue, while all are aged */
    bool in_lines;
    size_t first_line; /* of the present priority */
    size_t end_line;
    uint32_t looks; /* at lines and flares, by what they cost */
};

/* What a flare holds of one node. */
struct sched_share {
    struct covey_list link; /* in the node's list */
    struct sched_flare *flare;
    struct sched_node *node; /* NULL once freed */
    uint32_t first_rank;
    uint32_t workers;
};

/* A placement and its claims, in one allocation. */
struct sched_gang {
    struct sched_placement placement;
    struct sched_pack *packs;
    uint16_t *cpus;              /* as the placement's */
    struct sched_share shares[]; /* one for each node */
};

enum sched_flare_state { SCHED_FLARE_QUEUED, SCHED_FLARE_RESERVED, SCHED_FLARE_COMMITTED };

struct sched_flare {
    struct sched *sched;
    char id[SCHED_ID_BYTES];
    enum sched_flare_state state;
    int32_t priority;
    int64_t submit_ns;
    uint64_t sequence; /* breaks ties of submit_ns */
    struct sched_shape shape;
    int64_t limit_ns;    /* how long it may run; 0: nobody knows */
    int64_t ends_ns;     /* of a gang: it has ended then; COVEY_NEVER_NS: nobody knows */
    int64_t expected_ns; /* how long it is likely to run; COVEY_NEVER_NS: nobody knows */
    bool preemptible;
    bool ending;                /* it was named by sched_preempt */
    uint64_t numbering;         /* the last that met it... */
    uint32_t ahead;             /* ...after so many others */
    uint64_t hopeless_at;       /* the cluster's version that could not hold it even when empty */
    uint64_t refused_freed;     /* it did not fit when totals.freed was this, */
    uint64_t refused_signature; /* and these promises were before it; 0: whatever they are */
    struct sched_promise *promise; /* NULL: none */
    struct sched_line *line;
    struct covey_list in_line; /* in the line */
    struct covey_list link;    /* in the queue, or among those that hold claims */
    struct sched_gang *gang;   /* NULL while queued */
};

/* Where flares are in the order, as long as nothing changes it. */
struct sched_numbering {
    uint64_t number;
    uint64_t changes; /* as of these */
    uint64_t version;
    int64_t from_ns;
    int64_t until_ns; /* one has waited too long then */
    uint32_t count;   /* that were met, and could start */
    char first[SCHED_ID_BYTES];
};

struct sched {
    struct sched_node **nodes; /* by id; NULL: not in use */
    uint32_t node_limit;
    uint32_t node_room;  /* of nodes and candidates */
    uint32_t first_hole; /* no id below it is free */
    uint64_t version;    /* grows when what the cluster could hold changes; never 0 */
    uint64_t submissions;
    uint64_t restorations;
    struct covey_map names;    /* name -> sched_node */
    struct covey_map interned; /* text -> sched_name */
    struct sched_name *resources[SCHED_DIMENSIONS - SCHED_NAMED];
    struct covey_map flares; /* id -> sched_flare */
    struct covey_list queue; /* by time of submission */
    uint32_t queued;
    struct covey_list holders; /* flares with a gang */
    struct sched_policy policy;
    struct covey_map tenants;  /* name -> sched_tenant */
    struct sched_line **lines; /* by falling priority */
    size_t line_count;
    size_t line_room;
    struct covey_list promises; /* of sched_promise.link */
    uint64_t walks;             /* the number of the last */
    uint64_t changes;           /* of the queue, and of what tenants hold */
    struct sched_numbering numbering;
    struct sched_end *ends; /* when gangs end, rising; as of ends_claims */
    size_t end_count;
    size_t end_room;
    uint64_t ends_claims;
    struct sched_topology topology;
    struct sched_totals totals;
    struct sched_verdict verdicts[SCHED_VERDICTS];
    struct sched_candidate *candidates; /* scratch, room for every node */
    uint32_t *numbers;                  /* scratch, room for every node */
    struct sched_candidate **sharers;   /* scratch, room for every node */
    struct covey_map machines;          /* name -> sched_machine */
    struct covey_list offering;         /* machines of several nodes in a survey */
};

/* Whose room is counted. */
enum sched_basis {
    SCHED_BASIS_EMPTY, /* what a node has when nothing runs */
    SCHED_BASIS_KNOWN, /* the same, of nodes in any state */
    SCHED_BASIS_NOW,   /* what is free now, and stays free until until_ns */
    SCHED_BASIS_THEN   /* what is free at from_ns, when what runs has ended by its limit, till
                          until_ns */
};

struct sched_view {
    enum sched_basis basis;
    int64_t from_ns;  /* of NOW: the present */
    int64_t until_ns; /* COVEY_NEVER_NS: for good */
    bool promised;    /* what was promised in the last walk is left out */
};

extern const struct sched_view sched_view_empty;
extern const struct sched_view sched_view_known;
extern const struct sched_view sched_view_now; /* whatever was promised */

/* request.c */

/* Checks a request. EINVAL, ENOMEM with a message; *shape is then undefined. */
enum covey_status sched_shape_of(struct sched *sched, const struct sched_request *request,
                                 struct sched_shape *shape, struct covey_error *error);
/* Drops what a shape owns; a flare's goes with the flare. */
void sched_shape_clear(struct sched *sched, struct sched_shape *shape);

/* names.c */

/* One reference to the interned form of a text. ENOMEM. */
enum covey_status sched_name_take(struct sched *sched, const char *text, struct sched_name **taken);
/* Drops a reference; NULL is accepted. */
void sched_name_drop(struct sched *sched, struct sched_name *name);
/* The same for a pair; value may be NULL. *tag is empty after ENOMEM. */
enum covey_status sched_tag_take(struct sched *sched, const char *key, const char *value,
                                 struct sched_tag *tag);
void sched_tag_drop(struct sched *sched, struct sched_tag *tag);
/* At the very end, when nothing else refers to names. */
void sched_names_destroy(struct sched *sched);

/* filter.c */

/* The filter of a request; NULL where it has none. EINVAL, ENOMEM. */
enum covey_status sched_filter_create(struct sched *sched, const struct sched_request *request,
                                      struct sched_filter **filter, struct covey_error *error);
/* The same filter, with the names of another scheduler. ENOMEM. */
enum covey_status sched_filter_copy(struct sched *sched, const struct sched_filter *filter,
                                    struct sched_filter **copy);
/* Both accept NULL. */
struct sched_filter *sched_filter_ref(struct sched_filter *filter);
void sched_filter_unref(struct sched *sched, struct sched_filter *filter);
bool sched_filter_equal(const struct sched_filter *a, const struct sched_filter *b);
/* True where the labels of a node are selected and its taints tolerated. */
bool sched_filter_admits(const struct sched_filter *filter, const struct sched_node *node);

/* Nothing runs in such a view. */
static inline bool sched_view_is_empty(const struct sched_view *view)
{
    return view->basis == SCHED_BASIS_EMPTY || view->basis == SCHED_BASIS_KNOWN;
}

/* The state of a node lets it take gangs in a view. */
static inline bool sched_node_counts(const struct sched_node *node, const struct sched_view *view)
{
    return node->state == SCHED_NODE_UP || view->basis == SCHED_BASIS_KNOWN;
}

/* Its filter does, too. The quick answer first: a survey asks it of every node. */
static inline bool sched_node_open(const struct sched_node *node, const struct sched_view *view,
                                   const struct sched_filter *filter)
{
    if (!sched_node_counts(node, view))
        return false;
    return filter || node->tainted ? sched_filter_admits(filter, node) : true;
}

/* traits.c */

/* EINVAL where facts contradict themselves. */
enum covey_status sched_traits_check(const struct sched_node_facts *facts,
                                     struct covey_error *error);
/* Of checked facts. NULL: no memory. */
struct sched_traits *sched_traits_create(struct sched *sched, const struct sched_node_facts *facts);
void sched_traits_destroy(struct sched *sched, struct sched_traits *traits);
/* The value of a label, or NULL. */
const struct sched_name *sched_label_of(const struct sched_traits *traits,
                                        const struct sched_name *key);

static inline const struct sched_tag *sched_taints(const struct sched_traits *traits)
{
    return traits->tags + traits->label_count;
}

/* Sets of cpus, SCHED_CPU_WORDS long. */
static inline bool sched_cpu_test(const uint64_t *set, uint16_t cpu)
{
    return set[cpu / 64] >> (cpu % 64) & 1;
}

static inline void sched_cpu_set(uint64_t *set, uint16_t cpu)
{
    set[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static inline void sched_cpu_clear(uint64_t *set, uint16_t cpu)
{
    set[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

/* nodes.c */

/* The node of an id, or NULL. */
struct sched_node *sched_node_of(const struct sched *sched, uint32_t node);
/* What a node has in a view, each dimension. Every question of room is answered from this. */
void sched_node_room(const struct sched_node *node, const struct sched_view *view,
                     struct sched_vector *room);
/* What a node has of one dimension. */
uint64_t sched_node_has(const struct sched_node *node, const struct sched_view *view,
                        enum sched_dimension dimension);
/* The workers that fit on a node, state and units aside; by what it has itself, and with what its
 * machine has. */
uint32_t sched_node_fit_alone(const struct sched_node *node, const struct sched_view *view,
                              const struct sched_vector *worker);
uint32_t sched_node_fit(const struct sched_node *node, const struct sched_view *view,
                        const struct sched_vector *worker);
void sched_nodes_destroy(struct sched *sched);

/* topology.c */

/* Makes room for so many nodes and levels. ENOMEM: as before. */
enum covey_status sched_topology_reserve(struct sched_topology *topology, uint32_t nodes,
                                         uint32_t levels);
/* A node with traits comes, goes, or has got others (the old ones still exist). */
void sched_topology_enter(struct sched_topology *topology, struct sched_node *node);
void sched_topology_leave(struct sched_topology *topology, const struct sched_node *node);
void sched_topology_move(struct sched_topology *topology, struct sched_node *node);
/* Makes the domains and the positions of nodes anew where the order has changed. */
void sched_topology_refresh(struct sched_topology *topology);
/* True where two nodes are in one domain of a level; 0 is the root. */
bool sched_same_domain(const struct sched_node *a, const struct sched_node *b, uint32_t level);
void sched_topology_destroy(struct sched *sched);

/* placement.c */

/* What is to be shared out: whole units, and the workers of a smaller last one. */
struct sched_rest {
    uint32_t units;
    uint32_t odd;
};

/* A gang to be placed on the candidates of the last survey. */
struct sched_placer {
    const struct sched_shape *shape;
    struct sched_topology *topology;
    struct sched_candidate *candidates; /* those of a domain together */
    uint32_t count;
    uint32_t *numbers; /* scratch, room for each candidate */
};

/* The most workers of this shape that the candidates hold; may reorder them, and then another
 * survey has to come before placing. */
uint64_t sched_room(const struct sched_shape *shape, struct sched_candidate *candidates,
                    uint32_t count);
/* Sets `taken` of the candidates of the last survey, which have the room for it all together,
 * moves those used to the front in the order of the topology, and returns how many. */
uint32_t sched_distribute(struct sched *sched, const struct sched_shape *shape, uint32_t count);
/* Adds up what the candidates in a domain have room for, anew. */
void sched_roll_up(const struct sched_placer *placer, uint32_t level, struct sched_domain *domain);
/* Places what fits into a domain as close together as can be, if commit; tells how good that is. */
void sched_pack(const struct sched_placer *placer, uint32_t level, struct sched_domain *domain,
                struct sched_rest rest, bool commit, struct sched_score *score);
bool sched_better(const struct sched_score *a, const struct sched_score *b);
int sched_by_position(const void *left, const void *right);

/* spread.c: balances over the domains of each level, from the top, then over their nodes. */
void sched_spread(const struct sched_placer *placer);

/* limit.c: leaves nodes out. */

/* As sched_pack of everything into the root, on no more nodes than the shape allows. */
void sched_pack_limited(const struct sched_placer *placer);
/* Leaves all but so many nodes out, from all domains alike where that leaves room enough. */
void sched_limit_spread(const struct sched_placer *placer);

/* possible.c */

/* Take a node out of the sums before its state, capacity or claims change, and in afterwards. */
void sched_totals_leave(struct sched_node *node);
void sched_totals_enter(struct sched_node *node);
/* What is claimed of a machine, or who is on it, has changed. */
void sched_totals_refresh(struct sched_machine *machine);
/* False where the free sums alone rule a gang out now. */
bool sched_totals_allow(const struct sched *sched, const struct sched_shape *shape);
/* True where a gang would fit if the nodes that are up, or all that are known, were empty. */
bool sched_possible(struct sched *sched, const struct sched_shape *shape);
bool sched_possible_known(struct sched *sched, const struct sched_shape *shape);
/* True where what is known says that the shape does not fit from now until then, beside promises of
 * this signature. */
bool sched_is_refused(struct sched *sched, const struct sched_shape *shape, uint64_t signature,
                      int64_t until_ns);
/* Remembers that it does not. */
void sched_refuse(struct sched *sched, const struct sched_shape *shape, uint64_t signature,
                  int64_t until_ns);
void sched_verdicts_clear(struct sched *sched);

/* cost.c: of nodes in the order of the topology; NUMA nodes as if a node was one. */
void sched_cost_of(const struct sched_topology *topology, const struct sched_candidate *used,
                   uint32_t count, uint32_t workers, struct sched_cost *cost);

/* cores.c */

/* The whole cpus a worker asks for; 0: none, or a share of one. */
uint32_t sched_cpus_each(const struct sched_shape *shape);
/* Picks free cpus of a node for workers for which it has room; SCHED_CPU_NONE where it gives none
 * out. They are held, so that no other share is given them, until sched_cores_hold says otherwise;
 * nothing is claimed. */
void sched_cores_pick(struct sched_node *node, uint32_t workers, uint32_t each, uint16_t *cpus);
/* EPRECONDITION where these are not free cpus of the node, or one is given twice. */
enum covey_status sched_cores_check(const struct sched_node *node, const uint16_t *cpus,
                                    uint32_t count, struct covey_error *error);
/* Holds cpus while a gang is made, or no more. */
void sched_cores_hold(const struct sched_node *node, const uint16_t *cpus, uint32_t count,
                      bool hold);
/* Claims or frees the cpus of a share. */
void sched_cores_mark(struct sched_share *share, bool taken);
/* The sum of the squares of the workers on each NUMA node. */
uint64_t sched_cores_together(const struct sched_node *node, const uint16_t *cpus, uint32_t workers,
                              uint32_t each);

/* gang.c */

/* Fills the scratch with the nodes a gang may use; returns how many. */
uint32_t sched_survey(struct sched *sched, const struct sched_shape *shape,
                      const struct sched_view *view);
/* Makes the gang that fits a view, with nothing claimed yet; NULL where none does. ENOMEM. Cpus are
 * given out in a view of now only. */
enum covey_status sched_gang_place(struct sched *sched, const struct sched_shape *shape,
                                   const struct sched_view *view, struct sched_gang **gang);
/* Makes a gang of given packs. As sched_restore. */
enum covey_status sched_gang_restore(struct sched *sched, const struct sched_shape *shape,
                                     const struct sched_pack *packs, uint32_t pack_count,
                                     const uint16_t *cpus, struct sched_gang **gang,
                                     struct covey_error *error);
/* A copy of a flare's gang for another scheduler, with nothing claimed yet. NULL: no memory. */
struct sched_gang *sched_gang_copy(const struct sched *to, const struct sched_flare *flare,
                                   const uint32_t *node_of);
/* Claims every share for the flare, which then owns the gang. Cannot fail. */
void sched_gang_claim(struct sched_gang *gang, struct sched_flare *flare);
/* Frees what is still claimed, and the gang; the flare has none then. */
void sched_gang_free(struct sched_flare *flare);
/* Frees one share; one that was freed before is left alone. */
void sched_share_free(struct sched_share *share);

/* flare.c */

/* The flare of an id, or NULL. */
struct sched_flare *sched_flare_of(const struct sched *sched, const char *id);
/* Checks that a request is sound and its flare new. EINVAL, EEXISTS, ENOMEM: no shape to clear. */
enum covey_status sched_admit(struct sched *sched, const struct sched_request *request,
                              struct sched_shape *shape, struct covey_error *error);
/* Makes a flare and enters it; not queued yet. It owns what the shape owns, which stays the
 * caller's where there is no memory: NULL. */
struct sched_flare *sched_flare_create(struct sched *sched, const struct sched_request *request,
                                       const struct sched_shape *shape);
/* Forgets a flare that is not queued, with its claims. */
void sched_flare_destroy(struct sched *sched, struct sched_flare *flare);

/* queue.c */

/* Puts a flare where its time of submission says. */
void sched_enqueue(struct sched *sched, struct sched_flare *flare);
void sched_dequeue(struct sched *sched, struct sched_flare *flare);
/* Refuses what can never start. EUNPLACEABLE. */
enum covey_status sched_check(struct sched *sched, const struct sched_request *request,
                              const struct sched_shape *shape, struct covey_error *error);
/* True for the earlier of two. */
bool sched_before(const struct sched_flare *a, const struct sched_flare *b);

/* tenants.c */

/* A reference to the line of a tenant and priority. NULL: no memory. */
struct sched_line *sched_line_take(struct sched *sched, const char *tenant, int32_t priority);
void sched_line_drop(struct sched *sched, struct sched_line *line);
void sched_tenants_destroy(struct sched *sched);
/* Adds workers of a flare to what its tenant holds, or takes them off. */
void sched_tenant_claim(const struct sched_flare *flare, uint32_t workers, bool claim);
/* The tenant of a name, or NULL. */
struct sched_tenant *sched_tenant_of(const struct sched *sched, const char *name);
/* True where the tenant may hold a gang of this shape beside what it holds; never: even alone. */
bool sched_quota_allows(const struct sched_tenant *tenant, const struct sched_shape *shape,
                        bool alone, enum sched_dimension *dimension);

/* order.c: how many are ahead of a queued flare; false: no fewer than that. */
bool sched_ahead_of(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                    uint32_t *ahead);

/* walk.c */

void sched_walk_start(struct sched_walk *walk, struct sched *sched, int64_t now_ns);
/* The next in the order, or NULL. */
struct sched_flare *sched_walk_next(struct sched_walk *walk);
/* What it would hold counts for its tenant in what follows. */
void sched_walk_take(struct sched_walk *walk, const struct sched_flare *flare);

/* promise.c */

/* Promises the earliest start that breaks no promise of this walk, and counts from then on in it.
 * ENOMEM. */
enum covey_status sched_promise(struct sched *sched, struct sched_flare *flare, int64_t now_ns,
                                uint64_t signature);
/* NULL is accepted. */
void sched_promise_drop(struct sched_promise *promise);
/* Drops those that do not count in the last walk, or all. */
void sched_promises_drop(struct sched *sched, bool all);
/* Those that counted in a walk do in the last, which only looked. */
void sched_promises_keep(struct sched *sched, uint64_t walks);
/* As sched_withhold, of all nodes of a machine. */
void sched_withhold_machine(const struct sched_machine *machine, const struct sched_view *view,
                            struct sched_vector *room);
/* Lowers room by what is promised of a node in a view. */
void sched_withhold(const struct sched_node *node, const struct sched_view *view,
                    struct sched_vector *room);

/* clone.c: a copy that behaves as the original would; node_of[id] is a node's id in it, and the
 * caller's to free. Of those that wait only the first in order are in it, up to queue_max, and
 * `also` (NULL: no other). ENOMEM. */
enum covey_status sched_clone(struct sched *from, int64_t now_ns, uint32_t queue_max,
                              const struct sched_flare *also, struct sched **to,
                              uint32_t **node_of);

/* nodes.c: what is claimed by flares that have not ended by then. */
void sched_claimed_beyond(const struct sched_node *node, int64_t then_ns,
                          struct sched_vector *claimed);

/* promise.c: true where what a gang is expected to run decides when this promise begins, not a
 * limit beyond it. */
bool sched_promise_is_expected(const struct sched *sched, const struct sched_promise *promise);

/* reason.c: says why a shape has no place now, or never; kind NONE where it has. Whatever was
 * promised is seen as free. */
void sched_diagnose(struct sched *sched, const struct sched_shape *shape,
                    struct sched_reason *reason);

#endif
