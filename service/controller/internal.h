/* What the files of the controller's core share. */
#ifndef SERVICE_CONTROLLER_INTERNAL_H
#define SERVICE_CONTROLLER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "scheduler/scheduler.h"
#include "service/common/envelope.h"
#include "service/controller/controller.h"
#include "service/controller/flare_states.h"
#include "service/controller/history.h"
#include "service/controller/logs.h"
#include "service/controller/node_states.h"

#define SECRET_BYTES 32

struct controller_node {
    char *name;
    char *identity;
    char *drain_reason; /* "": not drained */
    char *data_address;
    char *version;
    Covey__V1__Capacity *capacity;
    enum node_state state;
    uint64_t epoch;
    uint64_t sequence;      /* of the last report of this registration */
    uint64_t acknowledged;  /* of this registration */
    uint64_t repeats_until; /* reports that it has still to repeat; 0: it has not */
    uint32_t sched_id;
    bool in_sched;
    int64_t heard_ns;
    int64_t suspect_until_ns; /* silent: lost if it still is then; 0: it is not suspected */
    int64_t seen_wall_ns;
    int64_t drain_until_wall_ns;  /* 0: drained for ever, or not at all */
    int64_t drain_at_ns;          /* when what runs there has to leave */
    int64_t down_at_ns;           /* when lost, and until it has settled after its return */
    int64_t settled_at_ns;        /* when connected: it is really back then */
    uint64_t refusals;            /* reports that could not be taken */
    int64_t forget_at_ns;         /* when down */
    struct controller_link *link; /* NULL: not connected */
    bool broken;                  /* sending failed: it is lost in the next turn */
    struct covey_list shares;     /* of share.node_link */
};

enum share_state {
    SHARE_NEW,       /* nothing was sent */
    SHARE_PREPARING, /* PREPARE was sent, or may have been */
    SHARE_READY,     /* Prepared came */
    SHARE_STARTED,   /* START was sent */
    SHARE_GONE       /* nothing of it is left there */
};

/* A flare's part on one node. */
struct share {
    struct covey_list node_link;
    struct flare *flare;
    struct controller_node *node;
    enum share_state state;
    bool stop_sent; /* then FlareGone is its answer, and nothing else ends it */
    bool missing;   /* the agent has it no more, and may still say how it ended */
    bool refusal_told;
    uint32_t first_rank;
    uint32_t workers;
    char *host_address;
};

/* A rank whose end other nodes have not been told. */
struct ended_peer {
    uint32_t rank;
    bool succeeded;
    const struct share *origin;
    char *reason;
};

/* A flare that has not ended. */
struct flare {
    char id[ULID_BYTES];
    char tenant[64];
    enum flare_state state;
    enum flare_state outcome;         /* once ENDING */
    uint64_t sequence;                /* of its last event */
    flare_message *view;              /* what its events have made of it */
    Covey__V1__FlareRequest *request; /* less parameters, and options but the time limit */
    struct shared_definition *shared;
    const definition_message *definition; /* the shared one */
    uint64_t kept_bytes;                  /* in the journal for it, until it ends */
    uint32_t workers_started;
    uint32_t workers_ended;
    uint32_t attempts; /* to prepare it since it was queued or restarted */
    bool rolling_back;
    bool code_at_fault; /* the roll-back ends in failure */
    int64_t prepare_by_ns;
    int64_t limit_at_ns;
    int64_t notice_ns;  /* between SIGTERM and SIGKILL; 0: the controller's stop grace */
    int64_t stop_at_ns; /* when those left are stopped */
    int64_t gone_by_ns; /* when Stop is repeated */
    char *stop_reason;
    failure_message *cause; /* owned: what was behind the failure that was told first, or NULL */
    struct share *shares;
    uint32_t share_count;
    struct ended_peer *ended_peers;
    size_t ended_peer_count;
    int64_t usage_due_ns; /* when nodes may be asked again what its workers use */
    uint8_t secret[SECRET_BYTES];
    struct covey_list active_link; /* on controller.active while it has shares */
    struct covey_list news_link;   /* on controller.news while peers are to be told */
    struct covey_list held_link;   /* on controller.held while PREPARE, START or Stop waits */
    bool stop_held;
    int64_t held_grace_ns; /* of the Stop that waits */
};

struct journal_record;

struct journal_list {
    struct journal_record *first;
    struct journal_record *last;
};

/* See journal.c. */
struct journal {
    struct journal_list records; /* that are not written, in order */
    struct journal_list refused; /* acceptances that could not be written */
    size_t length_bytes;         /* of the records */
    bool urgent;                 /* somebody waits for one of them */
    int64_t oldest_ns;           /* when the first of them came */
    int64_t written_ns;          /* when the last write was */
    int64_t retry_ns;            /* full: when it is tried again; COVEY_NEVER_NS: it is not */
    int64_t window_ns;           /* when the window began in which records are counted */
    uint32_t window_records;
    int64_t busy_until_ns; /* until then a window is one write */
};

struct shared_definition;

/* What flares that have not ended take, of one tenant or of all. */
struct allowance {
    uint64_t flares;
    uint64_t bytes;
};

struct controller {
    struct store *store;
    struct sched *sched;
    struct logs *logs;
    struct controller_limits limits;
    struct controller_clock clock;
    char **topology; /* the labels that make its levels, from the top */
    size_t topology_count;
    void (*on_news)(const char *flare, enum controller_news news, void *data);
    void (*on_accepted)(const char *flare, const struct covey_error *error, void *data);
    void *data;
    struct ulid_source ids;
    struct covey_map flares;      /* that have not ended, by id */
    struct covey_map nodes;       /* by name */
    struct covey_map allowances;  /* struct allowance, by tenant */
    struct allowance allowed;     /* all of them */
    struct covey_map definitions; /* struct shared_definition, of flares that have not ended */
    struct history history;       /* of definitions */
    struct covey_list active;
    struct covey_list news;
    struct covey_list ended; /* flares to be freed at the end of the turn */
    struct journal journal;
    struct covey_list held;    /* flares whose nodes are told when what waits is written */
    int64_t retention_ns;      /* when the next clean-up is due */
    int64_t retention_step_ns; /* the same, where more is kept than may be */
    bool place;                /* something changed that may let a flare start */
    bool draining;
    bool refuse_append; /* a fault point: the next append fails */
};

static inline int64_t now_of(const struct controller *controller)
{
    return controller->clock.now_ns(controller->clock.data);
}

static inline int64_t wall_of(const struct controller *controller)
{
    return controller->clock.wall_ns(controller->clock.data);
}

/* The scheduler's clock is the wall's: a flare's place in the queue is when it was accepted, also
 * after a restart. */
static inline int64_t sched_now_of(const struct controller *controller)
{
    return wall_of(controller);
}

/* ---- flare.c ---- */

/* A flare in state NONE from what a call or the journal says; takes request and definition also
 * when it fails (NULL: no memory). */
struct flare *flare_create(struct controller *controller, const char *id, const char *tenant,
                           Covey__V1__FlareRequest *take_request,
                           definition_message *take_definition);
void flare_destroy(struct flare *flare);

/* Lets go of what is of no use in memory once it is accepted. */
void flare_slim(struct flare *flare);

/* Makes an event's delta part of the flare: what both a transition and its replay do. */
enum covey_status flare_apply(struct flare *flare, enum flare_event event, enum flare_state state,
                              int64_t at_ns, const flare_message *delta);

/* The view alone, for flares that are only shown. */
enum covey_status flare_apply_view(flare_message *view, enum flare_event event,
                                   enum flare_state state, int64_t at_ns,
                                   const flare_message *delta);

/* The options as resolved from request, definition and defaults; NULL: no memory. */
options_message *flare_resolve_options(const Covey__V1__FlareRequest *request,
                                       const definition_message *definition,
                                       const struct controller_limits *limits);
uint32_t flare_worker_count(const Covey__V1__FlareRequest *request);
struct flare *flare_find(const struct controller *controller, const char *id);
worker_message *flare_worker(const struct flare *flare, uint32_t rank);
static inline bool worker_has_ended(const worker_message *worker)
{
    return worker->state >= COVEY__V1__WORKER_STATE__WORKER_STATE_DONE;
}

/* ---- placing.c: options as the scheduler takes them, placements as the API shows them ---- */

#define PLACING_TERMS_MAX  16
#define PLACING_WORD_BYTES 63

/* What a request to the scheduler is about; borrowed. */
struct placed {
    const char *id;
    const char *tenant;
    const options_message *options; /* resolved */
    uint32_t workers;
    int64_t submit_ns;
    int64_t expected_ns; /* of estimate_expected_ns */
    bool accepted;       /* before now */
};

struct placing {
    struct sched_request request;
    struct sched_term selector[PLACING_TERMS_MAX];
    struct sched_label tolerations[PLACING_TERMS_MAX];
    char *texts[2 * PLACING_TERMS_MAX];
    size_t text_count;
};

struct placed placing_of(struct controller *controller, const struct flare *flare);
/* Fills *placing, which borrows from what it is of and stays where it is; placing_free.
 * EUNPLACEABLE: a resource that no node has declared. ENOMEM. Nothing is to be freed after a
 * failure. */
enum covey_status placing_make(const struct controller *controller, const struct placed *of,
                               struct placing *placing, struct covey_error *error);
void placing_free(struct placing *placing);
/* Whether selector and tolerations can be read. EINVAL, ENOMEM. */
enum covey_status placing_check_terms(const options_message *options, struct covey_error *error);
/* The dimension of a resource that a node has declared; false where none has. */
bool placing_dimension(const struct sched *sched, const char *name,
                       enum sched_dimension *dimension);
/* Owned packs. *packs is NULL after ENOMEM. */
enum covey_status placing_show_packs(const struct controller *controller,
                                     const struct sched_placement *placement, pack_message ***packs,
                                     size_t *count);
void placing_free_packs(pack_message **packs, size_t count);
/* Owned; NULL: no memory. */
Covey__V1__PlacementCost *placing_show_cost(const struct controller *controller,
                                            const struct sched_cost *cost);

/* ---- estimate.c ---- */

/* How long a flare is likely to hold its place: the time limit that its request or definition
 * gives, else as long as its definition mostly has; COVEY_NEVER_NS where neither is known. The
 * controller's own limit says nothing about it. */
int64_t estimate_expected_ns(struct controller *controller, const char *tenant,
                             const Covey__V1__FlareRequest *request,
                             const definition_message *definition);
/* Begins to find out how long a request would have to wait, or a flare that is queued. As
 * sched_outlook_begin. */
enum covey_status estimate_begin(struct controller *controller, const struct sched_request *request,
                                 const char *flare, struct controller_estimate **estimate,
                                 struct covey_error *error);
/* Remembers how long a flare that has ended has held its place. */
void estimate_learn(struct controller *controller, const flare_message *view);
/* The same for what has ended of the journal's newest flares. */
void estimate_replay(struct controller *controller);

/* ---- transition.c: the one function that changes a flare ---- */

/*
 * Looks the event up, journals it and applies it. delta (may be NULL) is what changes; it stays the
 * caller's. *applied is false where the table says that the event is ignored. What the caller does
 * because of it waits until journal_is_written, and where the journal is full nothing changes; but
 * where `must` is set the event happens anyway, and is written when there is room again.
 */
struct transition {
    enum flare_event event;
    const flare_message *delta;
    const char *message;
    bool must;
};
enum covey_status flare_transition(struct controller *controller, struct flare *flare,
                                   const struct transition *transition, bool *applied,
                                   struct covey_error *error);

/* As flare_transition with `must`; true where it was applied. */
bool flare_must(struct controller *controller, struct flare *flare, enum flare_event event,
                const flare_message *delta, const char *message);

/* The accepted event of a new flare, with the flare's row and the parameters in its request, which
 * are nowhere else; all wait in the journal afterwards, and *shown is an owned copy of the flare.
 * After a failure the flare is of no use. */
enum covey_status flare_accept(struct controller *controller, struct flare *flare,
                               const Covey__V1__FlareRequest *request, options_message *options,
                               flare_message **shown, struct covey_error *error);

/* ---- allowance.c ---- */

/* Whether a caller may have one more flare, for which so much is kept. ELIMIT. */
enum covey_status allowance_check(const struct controller *controller,
                                  const struct controller_identity *caller, uint64_t bytes,
                                  struct covey_error *error);
/* Counts a flare until allowance_return, which has to follow. ENOMEM: it is not counted. */
enum covey_status allowance_take(struct controller *controller, struct flare *flare,
                                 uint64_t bytes);
void allowance_return(struct controller *controller, const struct flare *flare);
void allowance_clear(struct controller *controller);

/* ---- shared.c ---- */

/* A reference on a tenant's definition, made from the message where there is none. NULL: no memory,
 * or no message. */
struct shared_definition *shared_take(struct controller *controller, const char *tenant,
                                      definition_message *take_message);
const definition_message *shared_message(const struct shared_definition *shared);
/* NULL is accepted. */
void shared_give_back(struct shared_definition *shared);

/* ---- journal.c: what is not written yet ---- */

/* When an event is to be in the journal. */
enum journal_need {
    JOURNAL_SOME_TIME, /* nothing waits for it */
    JOURNAL_SOON,      /* users wait for it */
    JOURNAL_BEFORE     /* something is done because of it, which waits until it is written; refused
                        * where the journal is full */
};

void journal_init(struct controller *controller);
void journal_clear(struct controller *controller);
/* Adds a copy of an event. EUNAVAILABLE, ENOMEM. */
enum covey_status journal_append(struct controller *controller, const char *flare,
                                 const struct store_event *event, enum journal_need need,
                                 struct covey_error *error);
/* Adds a copy of a new flare with its first event. on_accepted or journal_next_refused follows.
 * ENOSPACE, ENOMEM. */
enum covey_status journal_accept(struct controller *controller, const struct store_flare *flare,
                                 const struct store_event *event, struct covey_error *error);
/* Somebody waits for what was added. */
void journal_hurry(struct controller *controller);
/* Nothing waits to be written. */
bool journal_is_written(const struct controller *controller);
/* The last write failed: only what leads towards an end is taken. */
bool journal_is_full(const struct controller *controller);
/* When journal_write is due. */
int64_t journal_deadline_ns(const struct controller *controller);
/* Writes what waits now; tells watchers. */
void journal_write(struct controller *controller);
/* The same for who is going to read the journal, unless it is full. */
void journal_settle(struct controller *controller);
/* Gives the id of a flare whose acceptance could not be written, and why; false: there is none. */
bool journal_next_refused(struct controller *controller, char id[ULID_BYTES],
                          struct covey_error *error);

/* ---- gang.c ---- */

/* Starts what the scheduler lets start. */
void gang_place(struct controller *controller);
/* Nodes are told of it when what waits is in the journal. */
void gang_hold(struct controller *controller, struct flare *flare);
/* What waited is in the journal: nodes are told what was placed, started or stopped. */
void gang_release(struct controller *controller);
/* The shares of a placed flare, from its view's packs. */
enum covey_status gang_make_shares(struct controller *controller, struct flare *flare);
/* Queues a flare that was accepted before, at its old place. */
enum covey_status gang_queue(struct controller *controller, const struct flare *flare,
                             struct covey_error *error);
void gang_prepared(struct controller *controller, struct share *share);
/* Begins to undo an attempt. failure says why; code_at_fault decides between queue and failure. */
void gang_roll_back(struct controller *controller, struct flare *flare,
                    const failure_message *failure, bool code_at_fault);
/* Requeues a flare that is rolling back once nothing of it is left. */
void gang_rolled_back(struct controller *controller, struct flare *flare);
/* Nothing of it is left on any node. */
bool gang_is_gone(const struct flare *flare);
struct share *gang_share(const struct flare *flare, const struct controller_node *node);
enum covey_status gang_send_start(struct controller *controller, struct share *share);

/* ---- ending.c ---- */

/* Decides the outcome, once: later calls change nothing. failure may be NULL for FINISHING. The
 * workers in lost (may be NULL) are gone with it. */
void ending_begin(struct controller *controller, struct flare *flare, enum flare_event event,
                  const failure_message *failure, const struct share *lost);
/* Tells every node that has something of it to end it, once what came before is in the journal. */
void ending_stop(struct controller *controller, struct flare *flare, int64_t grace_ns);
void ending_share_gone(struct controller *controller, struct share *share);
/* Tells the other nodes about ranks that ended. */
void ending_note_peer(struct controller *controller, const struct share *origin, uint32_t rank,
                      bool succeeded, const char *reason);
/* Ends a flare of which nothing is left. */
void ending_check(struct controller *controller, struct flare *flare);
void ending_tell_peers(struct controller *controller);
/* Whether a failure is what was behind the one that a flare is failing of. */
bool ending_is_behind(const struct flare *flare, const failure_message *failure);
/* Forgets whose end other nodes have not been told. */
void ending_forget_peers(struct flare *flare);

/* ---- usage.c ---- */

/* Makes what a node has told a part of the view. EPROTO: of ranks that are not its own. ENOMEM. */
enum covey_status usage_take(const struct share *share, const Covey__V1__Measured *measured,
                             struct covey_error *error);

/* ---- restart.c ---- */

/* Stops all of a flare to start it again; false where it has used up its restarts, or has ended.
 * Something of it is left on a node, or the caller goes on to say that a share is gone. */
bool restart_begin(struct controller *controller, struct flare *flare,
                   const failure_message *failure);
/* What a node's, a host's or an operator's doing has broken is started again, or fails. The workers
 * in lost (may be NULL) are gone with it. */
void restart_or_fail(struct controller *controller, struct flare *flare,
                     const failure_message *failure, const struct share *lost);
/* The same for what has to leave: it is cancelled where it has no restart left. Its workers have
 * notice_ns between SIGTERM and SIGKILL. */
void restart_or_cancel(struct controller *controller, struct flare *flare,
                       const failure_message *failure, int64_t notice_ns);
/* A worker failed: restarts its flare where a node of it is lost. */
bool restart_for_lost_node(struct controller *controller, struct flare *flare,
                           const failure_message *failure);

/* ---- preempt.c ---- */

/* Stops flares that are in the way of one of higher priority. */
void preempt_run(struct controller *controller);

/* ---- node.c ---- */

struct controller_node *node_find(const struct controller *controller, const char *name);
struct controller_node *node_create(struct controller *controller, const char *name);
void node_destroy(struct controller_node *node);
/* Looks the event up, journals it and applies it. */
enum covey_status node_transition(struct controller *controller, struct controller_node *node,
                                  enum node_event event, struct covey_error *error);
/* Sends. Where the stream is over the node is lost in the next turn; ELIMIT and ENOMEM concern the
 * message alone. EUNAVAILABLE: it is not connected. */
enum covey_status node_send(struct controller *controller, struct controller_node *node,
                            const Covey__V1__AttachResponse *message);
void node_lose(struct controller *controller, struct controller_node *node, const char *why);
/* Loses a connected node and ends its stream. */
void node_break(struct controller *controller, struct controller_node *node, const char *why);
void node_expire(struct controller *controller, struct controller_node *node);
/* Removes a node that is down and holds nothing. */
void node_forget(struct controller *controller, struct controller_node *node);
void node_acknowledge(struct controller *controller, struct controller_node *node);
enum covey_status node_update_sched(struct controller *controller, struct controller_node *node,
                                    struct covey_error *error);

/* ---- drain.c ---- */

/* Sets the deadline of a drain by the wall clock, as when it was read from the journal. */
void drain_resume(const struct controller *controller, struct controller_node *node);
/* The deadline has come: what runs there is restarted elsewhere, or cancelled. */
void drain_expire(struct controller *controller, struct controller_node *node);

/* ---- node_refusals.c ---- */

/* Sets a report aside: tells the agent, and marks the flare that it is about or, where that cannot
 * go on without it, undoes, restarts or fails it. */
void node_refuse_report(struct controller *controller, struct controller_node *node,
                        const struct envelope *envelope, const char *reason);

/* ---- node_return.c: what a registering agent says it runs, against what is known ---- */

/* Fills unknown with ids (borrowed from the registration) that must end there. */
enum covey_status node_reconcile(struct controller *controller, struct controller_node *node,
                                 const Covey__V1__Register *registration, char **unknown,
                                 size_t *unknown_count);
/* After a report: where it was the last that the agent had to repeat, what is missing is settled.
 */
void node_repeated(struct controller *controller, struct controller_node *node);
/* After Registered was sent: repeats what the agent may have missed. */
void node_resume(struct controller *controller, struct controller_node *node);

/* ---- submit.c ---- */

/* Forgets flares whose acceptance could not be written, and says so. */
void submit_refuse(struct controller *controller);

/* ---- validate.c ---- */

/* Checks a request against limits; *definition is the one it names, owned. */
enum covey_status validate_request(struct controller *controller,
                                   const struct controller_identity *caller,
                                   const Covey__V1__FlareRequest *request,
                                   definition_message **definition, struct covey_error *error);
enum covey_status validate_definition(const struct controller *controller,
                                      const definition_message *definition,
                                      struct covey_error *error);
/* Fills in what the controller knows of a checked definition. EPRECONDITION: its code is not there.
 */
enum covey_status validate_complete(struct controller *controller,
                                    const struct controller_identity *caller,
                                    definition_message *definition, struct covey_error *error);

/* ---- views.c ---- */

bool views_may_see(const struct controller_identity *caller, const char *tenant);
enum covey_status views_not_found(const char *id, struct covey_error *error);
void views_clear_workers(flare_message *view);
/* A live flare with its place in the queue, borrowed from it but for the reason why it waits, which
 * views_shown_clear frees. ENOMEM: nothing is to be freed. */
enum covey_status views_show_live(struct controller *controller, const struct flare *flare,
                                  flare_message *shown);
void views_shown_clear(flare_message *shown);
/* The same, owned. */
enum covey_status views_copy_live(struct controller *controller, const struct flare *flare,
                                  bool with_workers, flare_message **view);

/* ---- views.c, replay.c, tick.c, retention.c ---- */

/* The accepted flare of an idempotency key; NULL where there is none. */
enum covey_status views_by_key(struct controller *controller, const char *tenant, const char *key,
                               flare_message **flare, struct covey_error *error);
enum covey_status replay_journal(struct controller *controller, struct covey_error *error);
/* The view of a row, as long as it is made from its events. */
struct view_making {
    struct flare *flare; /* NULL: none is being made */
    uint64_t next_sequence;
    uint32_t left; /* of the events that may be applied */
    enum covey_status status;
};
/* EIO: the row is damaged. What is begun is taken or abandoned. */
enum covey_status replay_begin(struct controller *controller, const struct store_flare *row,
                               struct view_making *making, struct covey_error *error);
/* Applies so many events at most. EIO: one is damaged. */
enum covey_status replay_some(struct controller *controller, struct view_making *making,
                              uint32_t events, bool *done, struct covey_error *error);
/* The view, owned. */
flare_message *replay_take(struct view_making *making);
void replay_abandon(struct view_making *making);
/* Builds a view from a row and its events, at once. */
enum covey_status replay_view(struct controller *controller, const struct store_flare *row,
                              flare_message **view, struct covey_error *error);
/* A node that has said nothing for so long is lost, and one that has stayed so long is back. */
int64_t tick_silence_ns(const struct controller *controller);
void tick_run(struct controller *controller);
int64_t tick_deadline_ns(const struct controller *controller);
void retention_run(struct controller *controller);
int64_t retention_deadline_ns(const struct controller *controller);

#endif
