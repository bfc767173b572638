/*
 * The controller's core: flares, nodes, the journal and the scheduler put together. No loop, no
 * sockets, no clock of its own: calls and agents' messages come in, messages to agents and news for
 * watchers go out, time is what the clock given says. Everything belongs to one thread.
 *
 * Whoever drives it calls controller_turn after each batch of inputs and when
 * controller_deadline_ns has come.
 */
#ifndef SERVICE_CONTROLLER_CONTROLLER_H
#define SERVICE_CONTROLLER_CONTROLLER_H

#include "covey/v1/covey.pb-c.h"
#include "covey/v1/node.pb-c.h"
#include "service/controller/messages.h"
#include "service/controller/ulid.h"
#include "service/store/store.h"

struct controller;

struct controller_clock {
    int64_t (*now_ns)(void *data);  /* monotonic */
    int64_t (*wall_ns)(void *data); /* since 1970 */
    void *data;
};

struct controller_limits {
    uint64_t max_workers;
    uint64_t max_parameter_bytes; /* of one worker */
    uint64_t max_result_bytes;    /* of one worker */
    uint64_t max_log_bytes;       /* of one flare */
    uint64_t max_blob_bytes;
    uint64_t max_message_bytes;
    uint64_t max_queued;       /* flares that have not ended; nobody may take what is left */
    uint64_t max_queued_bytes; /* of their requests, parameters and all */
    int64_t max_time_limit_ns;
    int64_t heartbeat_ns;
    uint64_t heartbeats_missed;
    int64_t node_grace_ns; /* from lost to down */
    int64_t prepare_timeout_ns;
    uint64_t prepare_attempts; /* before a flare fails for want of a node that can prepare it */
    int64_t stop_grace_ns;     /* between SIGTERM and SIGKILL */
    int64_t failure_grace_ns;  /* default of the option */
    int64_t keep_flares_ns;    /* after their end */
    uint64_t keep_count;       /* of ended flares */
    uint64_t keep_bytes;       /* of ended flares, with their events, results and logs */
    int64_t keep_blobs_ns;     /* that no definition names */
    int64_t keep_nodes_ns;     /* that are down */
    int64_t age_limit_ns;      /* who waited this long goes first; 0: never */
    uint64_t preemption;       /* flares may be stopped for those of higher priority */
    int64_t preempt_grace_ns;  /* between SIGTERM and SIGKILL of such a one */
};

/* The defaults; docs/configuration.md lists them. */
void controller_limits_init(struct controller_limits *limits);

/* Who calls. */
struct controller_identity {
    char tenant[64];
    bool is_operator; /* sees every tenant's flares, and nodes */
};

enum controller_news {
    CONTROLLER_NEWS_EVENT, /* events are in the journal */
    CONTROLLER_NEWS_LOG    /* log lines came */
};

struct controller_options {
    struct controller_limits limits;
    struct controller_clock clock;
    char *const *topology; /* labels of nodes that make its levels, from the top; copied */
    size_t topology_count;
    /* Something happened to a flare; called inside of other calls, so it only makes a note. */
    void (*on_news)(const char *flare, enum controller_news news, void *data);
    /* A flare that controller_submit has taken is in the journal, or (error is not NULL) could not
     * be written and is forgotten. Called as on_news is. */
    void (*on_accepted)(const char *flare, const struct covey_error *error, void *data);
    void *data;
};

/* Replays the journal (borrowed for the controller's life). */
enum covey_status controller_create(struct store *store, const struct controller_options *options,
                                    struct controller **controller,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Sets what tenants may hold by a file (docs/configuration.md); those that are not in it are as if
 * they had never been set. EINVAL names the line; what can be wrong with a file. Nothing has
 * changed after a failure, but for ENOMEM. */
enum covey_status controller_read_tenants(struct controller *controller, const char *path,
                                          struct covey_error *error) COVEY_MUST_USE;

/* Forgets everything in memory; flares that run go on on their nodes. NULL is accepted. */
void controller_destroy(struct controller *controller);

/* Does what is due: deadlines, placement, news to nodes. */
void controller_turn(struct controller *controller);

/* Writes what waits for the journal, where that is due, and tells who waited for it; a part of the
 * turn. */
void controller_write(struct controller *controller);

/* When controller_turn is due next without any input; COVEY_NEVER_NS: not at all. */
int64_t controller_deadline_ns(const struct controller *controller);

const struct controller_limits *controller_limits(const struct controller *controller);

/* The flares' logs, for those who read them. */
struct logs;
struct logs *controller_logs(struct controller *controller);

/* No new flares are accepted, none is placed any more and agents are sent away: the program ends.
 */
void controller_drain(struct controller *controller);

/* ---- calls of users; each fills *error with the sentence for the user ---- */

/* *flare is the accepted one, owned by the caller (message_free). It is in the journal, and its
 * caller may be told, when on_accepted says so; one that was accepted before, with the same
 * idempotency key, is there already (*accepted). */
enum covey_status controller_submit(struct controller *controller,
                                    const struct controller_identity *caller,
                                    const Covey__V1__FlareRequest *request, flare_message **flare,
                                    bool *accepted, struct covey_error *error) COVEY_MUST_USE;

enum covey_status controller_cancel(struct controller *controller,
                                    const struct controller_identity *caller, const char *id,
                                    const char *reason, flare_message **flare,
                                    struct covey_error *error) COVEY_MUST_USE;

/* One flare, with its workers or without. */
enum covey_status controller_get(struct controller *controller,
                                 const struct controller_identity *caller, const char *id,
                                 bool with_workers, flare_message **flare,
                                 struct covey_error *error) COVEY_MUST_USE;

/* Asks the nodes of a flare that runs what its workers use: what they tell is in later views. */
void controller_measure(struct controller *controller, const char *id);

/*
 * Answers that take long are made step by step, each of some hundred microseconds: a step is called
 * until it says *done, and only then is there an answer. What is begun is ended, also after a
 * failure of a step; ends accept NULL.
 */

/* One flare, with its workers. The answer is borrowed; that of a flare which lives only until
 * anything else is called. */
struct controller_viewing;
enum covey_status controller_view(struct controller *controller,
                                  const struct controller_identity *caller, const char *id,
                                  struct controller_viewing **viewing,
                                  struct covey_error *error) COVEY_MUST_USE;
enum covey_status controller_viewing_step(struct controller_viewing *viewing, bool *done,
                                          struct covey_error *error) COVEY_MUST_USE;
flare_message *controller_viewing_answer(struct controller_viewing *viewing);
void controller_viewing_end(struct controller_viewing *viewing);

/* A page of flares. request is borrowed until the end, and so is the answer. A page is shorter than
 * was asked for where the message would be too long. */
struct controller_listing;
enum covey_status controller_list(struct controller *controller,
                                  const struct controller_identity *caller,
                                  const Covey__V1__ListFlaresRequest *request,
                                  struct controller_listing **listing,
                                  struct covey_error *error) COVEY_MUST_USE;
enum covey_status controller_listing_step(struct controller_listing *listing, bool *done,
                                          struct covey_error *error) COVEY_MUST_USE;
const Covey__V1__ListFlaresResponse *
controller_listing_answer(const struct controller_listing *listing);
void controller_listing_end(struct controller_listing *listing);

/* How long something would have to wait: take sets one of the two owned fields. ENOMEM. */
struct controller_estimate;
enum covey_status controller_estimate_step(struct controller_estimate *estimate, bool *done,
                                           struct covey_error *error) COVEY_MUST_USE;
enum covey_status controller_estimate_take(struct controller_estimate *estimate,
                                           Google__Protobuf__Duration **wait,
                                           char **none) COVEY_MUST_USE;
void controller_estimate_end(struct controller_estimate *estimate);

/* Fills *response but for the estimate; controller_plan_clear. *estimate is NULL where there is
 * nothing to be estimated. */
enum covey_status
controller_plan(struct controller *controller, const struct controller_identity *caller,
                const Covey__V1__FlareRequest *request, Covey__V1__PlanFlareResponse *response,
                struct controller_estimate **estimate, struct covey_error *error) COVEY_MUST_USE;
void controller_plan_clear(Covey__V1__PlanFlareResponse *response);

/* *response is owned (message_free), and lacks the estimate; NULL after a failure. *estimate as of
 * controller_plan. */
enum covey_status controller_explain(struct controller *controller,
                                     const struct controller_identity *caller, const char *id,
                                     Covey__V1__ExplainFlareResponse **response,
                                     struct controller_estimate **estimate,
                                     struct covey_error *error) COVEY_MUST_USE;

/* The caller may see this flare, and whether its last event is in the journal. ENOTFOUND
 * otherwise. */
enum covey_status controller_find(struct controller *controller,
                                  const struct controller_identity *caller, const char *id,
                                  bool *ended, struct covey_error *error) COVEY_MUST_USE;

/* Owned definition, as stored. */
enum covey_status controller_deploy(struct controller *controller,
                                    const struct controller_identity *caller,
                                    const definition_message *definition,
                                    definition_message **stored,
                                    struct covey_error *error) COVEY_MUST_USE;
/* version 0: the newest. */
enum covey_status controller_definition(struct controller *controller,
                                        const struct controller_identity *caller, const char *name,
                                        uint32_t version, definition_message **definition,
                                        struct covey_error *error) COVEY_MUST_USE;

/* ---- nodes ---- */

struct controller_node;

/* The stream to one agent. Borrowed from attach until it is closed or detached. */
struct controller_link {
    /* Queues a message; a failure means that the stream is over. */
    enum covey_status (*send)(struct controller_link *link, const Covey__V1__AttachResponse *out);
    /* Ends the stream; it is not used any more. */
    void (*close)(struct controller_link *link, enum covey_status status, const char *message);
};

/*
 * A Register came, of one who may be an agent. On success Registered was sent and *node is valid
 * until the link is closed.
 */
enum covey_status controller_attach(struct controller *controller, struct controller_link *link,
                                    const Covey__V1__Register *registration,
                                    struct controller_node **node,
                                    struct covey_error *error) COVEY_MUST_USE;

/* A later message. One that cannot be taken costs itself alone; after an error, which is about the
 * stream, the caller ends that with it and calls controller_detach. */
enum covey_status controller_receive(struct controller *controller, struct controller_node *node,
                                     const Covey__V1__AttachRequest *message,
                                     struct covey_error *error) COVEY_MUST_USE;

/* A later message that could not be decoded, in wire form; why is EPROTO or ELIMIT. The rest as for
 * controller_receive. */
enum covey_status controller_receive_bad(struct controller *controller,
                                         struct controller_node *node, const uint8_t *bytes,
                                         size_t length_bytes, enum covey_status why,
                                         struct covey_error *error) COVEY_MUST_USE;

/* The stream is over: the node is lost at once. Not after close. */
void controller_detach(struct controller *controller, struct controller_node *node,
                       const char *why);

/* How a node is drained. */
struct controller_drain {
    const char *reason;  /* not empty */
    int64_t deadline_ns; /* what runs has this long; COVEY_NEVER_NS: as long as it likes */
};

/* drain NULL: puts it back. ENOTFOUND, with the names there are; EINVAL. */
enum covey_status controller_drain_node(struct controller *controller, const char *name,
                                        const struct controller_drain *drain,
                                        struct covey_error *error) COVEY_MUST_USE;

/* An owned NodeInfo (message_free); NULL: no such node, or no memory. */
Covey__V1__NodeInfo *controller_node_info(struct controller *controller, const char *name);
/* An array of owned NodeInfo; ENOMEM. */
enum covey_status controller_nodes(struct controller *controller, Covey__V1__NodeInfo ***nodes,
                                   size_t *count) COVEY_MUST_USE;

#endif
