/*
 * libcovey: deploy code, start flares, follow them. docs/client-library.md is the tutorial.
 *
 * Two ways to use a client, which may be mixed:
 *  - blocking: covey_client_flare() and the like return when the answer is there;
 *  - event-driven: covey_client_flare_start() and the like return at once; when covey_client_fd()
 *    is readable, covey_client_process() runs the callbacks of what has happened.
 *
 * Threads: a client belongs to one thread at a time. Callbacks come from covey_client_process or
 * from a blocking call on the same client, never from the call that started the operation. A
 * blocking call from within a callback is refused with EPRECONDITION.
 *
 * Errors: a call returns an enum covey_status and, where error is not NULL, fills in the sentence
 * for a person: the server's own where the server refused. What every call may return beside what
 * its comment says: EUNAVAILABLE (the controller cannot be reached), ETIMEOUT, EUNAUTHENTICATED,
 * EACCES, EINVAL (an argument, or the server says so), ENOMEM, EPROTO (a malformed answer),
 * EUNIMPLEMENTED (an older controller). After a failure out-parameters are NULL.
 *
 * Time: timeout_ns is how long a call may take; 0 takes the client's, a negative value means for
 * ever. Watching, logs and results have no limit of their own unless one is given.
 */
#ifndef COVEY_CLIENT_H
#define COVEY_CLIENT_H

#include "covey/client_types.h"
#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covey_client;
struct covey_operation;

/* ---- the client ---- */

struct covey_client_options {
    const char *server;           /* "unix:/path" or "host:port" */
    const char *token;            /* who the user is, beyond a unix socket; may be NULL */
    bool tls;                     /* encrypt; the files below are PEM and may be NULL */
    const char *ca_file;          /* whom to trust */
    const char *certificate_file; /* this client's own, with its key; both or neither */
    const char *key_file;         /* refused (EACCES) where others may read it */
    const char *server_name; /* expected in the server's certificate; NULL: the host of server */
    bool allow_plaintext;    /* without TLS beyond loopback and unix sockets */
    bool json;               /* fill in the json members */
    int64_t timeout_ns;      /* of a call that gives none; 30 s */
    int64_t reconnect_ns;    /* how long a watch tries to come back after a lost connection; 60 s */
};

/* Defaults: everything 0 but the two times. */
COVEY_API void covey_client_options_init(struct covey_client_options *options);

/*
 * Creates a client; options are copied. It connects with the first call, and again whenever the
 * connection was lost. EINVAL: server is no address. Never blocks.
 */
COVEY_API enum covey_status covey_client_create(const struct covey_client_options *options,
                                                struct covey_client **client,
                                                struct covey_error *error) COVEY_MUST_USE;

/* Ends what is under way (its callbacks come with ECANCELLED) and frees the client. NULL is
 * harmless. Not from a callback. */
COVEY_API void covey_client_destroy(struct covey_client *client);

/* Readable when covey_client_process has something to do. Owned by the client; only for polling. */
COVEY_API int covey_client_fd(const struct covey_client *client);

/* Runs what is ready, callbacks included; never waits. EPRECONDITION from within a callback. */
COVEY_API enum covey_status covey_client_process(struct covey_client *client) COVEY_MUST_USE;

/* ---- event-driven use ---- */

/* How an operation ended. One of the pointers is set where status is OK; see the call that started
 * it. All is borrowed until the callback returns. */
struct covey_reply {
    enum covey_status status;
    const struct covey_error *error; /* never NULL */
    const struct covey_definition *definition;
    const struct covey_definition_list *definitions;
    const struct covey_flare *flare;
    const struct covey_flare_list *flares;
    const struct covey_plan *plan;
    const struct covey_explanation *explanation;
    const struct covey_node *node;
    const struct covey_node_list *nodes;
    const struct covey_blob_list *blobs;
    const struct covey_server_info *server_info;
};

/*
 * What happens to an operation. on_done comes exactly once, last, whatever happened (not where the
 * starting call itself failed); the operation is gone when it returns. The others belong to the
 * streams that name them and may be NULL.
 */
struct covey_callbacks {
    void (*on_done)(void *data, const struct covey_reply *reply);
    /* Watch. Either may be NULL: an event comes without a flare where the state stays. */
    void (*on_event)(void *data, const struct covey_event *event, const struct covey_flare *flare);
    void (*on_log)(void *data, const struct covey_log_line *line);
    void (*on_result)(void *data, const struct covey_result_piece *piece);
    /* Watch and logs: the connection is lost (reason says why), the operation goes on by itself. */
    void (*on_reconnect)(void *data, const char *reason);
    void *data;
};

/* How to start an operation; callbacks are copied. operation (may be NULL) receives it. */
struct covey_start {
    struct covey_callbacks callbacks;
    int64_t timeout_ns;
    struct covey_operation **operation;
};

/* Ends an operation; on_done follows with ECANCELLED. What the server did stays done. */
COVEY_API void covey_operation_cancel(struct covey_operation *operation);

/*
 * Stops and restarts what an operation brings, for a user who cannot take more now: the rest of
 * what has just come is still given, then the server waits. A paused operation that the server has
 * ended is done when it is resumed. Does not nest; harmless where it is so already.
 */
COVEY_API void covey_operation_pause(struct covey_operation *operation);
COVEY_API void covey_operation_resume(struct covey_operation *operation);

/* ---- code and definitions ---- */

/*
 * Looks at a file as a node will: its kind. ENOTFOUND, EACCES; EINVAL, with the remedy, where it is
 * neither an ELF file nor a script, is for another machine, is a shared object without
 * covey_work(), or a program without permission to execute.
 */
COVEY_API enum covey_status covey_code_inspect(const char *file, enum covey_code_kind *kind,
                                               struct covey_error *error) COVEY_MUST_USE;

/*
 * Puts the file's content where the controller does not have it yet, and stores the definition.
 * Reads the file while it runs. Errors as of covey_code_inspect, too. Frees: covey_definition_free.
 */
COVEY_API enum covey_status covey_client_deploy(struct covey_client *client,
                                                const struct covey_deployment *deployment,
                                                int64_t timeout_ns,
                                                struct covey_definition **definition,
                                                struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_deploy_start(struct covey_client *client,
                                                      const struct covey_deployment *deployment,
                                                      const struct covey_start *start,
                                                      struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_definition_free(struct covey_definition *definition);

/* The newest version of each definition, by name. Frees: covey_definition_list_free. */
COVEY_API enum covey_status
covey_client_list_definitions(struct covey_client *client, int64_t timeout_ns,
                              struct covey_definition_list **definitions,
                              struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_list_definitions_start(struct covey_client *client, const struct covey_start *start,
                                    struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_definition_list_free(struct covey_definition_list *definitions);

/* One definition; version 0 is the newest. ENOTFOUND. */
COVEY_API enum covey_status covey_client_get_definition(struct covey_client *client,
                                                        const char *name, uint32_t version,
                                                        int64_t timeout_ns,
                                                        struct covey_definition **definition,
                                                        struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_get_definition_start(struct covey_client *client, const char *name, uint32_t version,
                                  const struct covey_start *start,
                                  struct covey_error *error) COVEY_MUST_USE;

/* Deletes every version of it; flares that were accepted go on. ENOTFOUND. */
COVEY_API enum covey_status
covey_client_delete_definition(struct covey_client *client, const char *name, int64_t timeout_ns,
                               struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_delete_definition_start(struct covey_client *client, const char *name,
                                     const struct covey_start *start,
                                     struct covey_error *error) COVEY_MUST_USE;

/*
 * Puts what a regular file holds, from its beginning, where the controller does not have it yet.
 * sha256 is its digest, as soon as this returns. EINVAL for an empty one, ELIMIT, EIO. The
 * descriptor is borrowed until the end.
 */
COVEY_API enum covey_status covey_client_put_blob(struct covey_client *client, int fd,
                                                  int64_t timeout_ns,
                                                  char sha256[COVEY_SHA256_BYTES],
                                                  struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_put_blob_start(struct covey_client *client, int fd,
                                                        char sha256[COVEY_SHA256_BYTES],
                                                        const struct covey_start *start,
                                                        struct covey_error *error) COVEY_MUST_USE;

/* Which of these blobs the controller has. Frees: covey_blob_list_free. */
COVEY_API enum covey_status covey_client_stat_blobs(struct covey_client *client,
                                                    const char *const *sha256, size_t count,
                                                    int64_t timeout_ns,
                                                    struct covey_blob_list **blobs,
                                                    struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_stat_blobs_start(struct covey_client *client,
                                                          const char *const *sha256, size_t count,
                                                          const struct covey_start *start,
                                                          struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_blob_list_free(struct covey_blob_list *blobs);

/* ---- flares ---- */

/*
 * Starts a flare of code that is not deployed: it is put where the controller does not have it,
 * belongs to this flare alone, and goes with it. The request names no definition. Errors are those
 * of covey_client_deploy and covey_client_flare, as is the reply (flare).
 */
COVEY_API enum covey_status covey_client_run(struct covey_client *client,
                                             const struct covey_deployment *deployment,
                                             const struct covey_flare_request *request,
                                             int64_t timeout_ns, struct covey_flare **flare,
                                             struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_run_start(struct covey_client *client,
                                                   const struct covey_deployment *deployment,
                                                   const struct covey_flare_request *request,
                                                   const struct covey_start *start,
                                                   struct covey_error *error) COVEY_MUST_USE;

/*
 * Starts a flare: journalled when this returns. ENOTFOUND: no such definition. EUNPLACEABLE: it can
 * never be placed on this cluster. Not repeated by itself: give an idempotency key and repeat it
 * after EUNAVAILABLE or ETIMEOUT. Frees: covey_flare_free.
 */
COVEY_API enum covey_status covey_client_flare(struct covey_client *client,
                                               const struct covey_flare_request *request,
                                               int64_t timeout_ns, struct covey_flare **flare,
                                               struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_flare_start(struct covey_client *client,
                                                     const struct covey_flare_request *request,
                                                     const struct covey_start *start,
                                                     struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_flare_free(struct covey_flare *flare);

/*
 * Keeps a flare that a callback was lent (not one inside a list) beyond the callback. Freed by
 * covey_flare_free, after which nothing of it may be used; on the thread of its client.
 */
COVEY_API struct covey_flare *covey_flare_keep(const struct covey_flare *flare);

/* One flare, with its workers. ENOTFOUND. */
COVEY_API enum covey_status covey_client_get_flare(struct covey_client *client, const char *id,
                                                   int64_t timeout_ns, struct covey_flare **flare,
                                                   struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_get_flare_start(struct covey_client *client,
                                                         const char *id,
                                                         const struct covey_start *start,
                                                         struct covey_error *error) COVEY_MUST_USE;

/*
 * As covey_client_get_flare, and asks its nodes what its workers use. The flare has what they told
 * last; what they tell now is there in the next one, a moment later.
 */
COVEY_API enum covey_status covey_client_measure_flare(struct covey_client *client, const char *id,
                                                       int64_t timeout_ns,
                                                       struct covey_flare **flare,
                                                       struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_measure_flare_start(struct covey_client *client, const char *id,
                                 const struct covey_start *start,
                                 struct covey_error *error) COVEY_MUST_USE;

/* A page of flares, newest first. filter may be NULL. Frees: covey_flare_list_free. */
COVEY_API enum covey_status covey_client_list_flares(struct covey_client *client,
                                                     const struct covey_flare_filter *filter,
                                                     int64_t timeout_ns,
                                                     struct covey_flare_list **flares,
                                                     struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_list_flares_start(struct covey_client *client, const struct covey_flare_filter *filter,
                               const struct covey_start *start,
                               struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_flare_list_free(struct covey_flare_list *flares);

/* Ends a flare; one that has ended already stays as it is. reason may be NULL. ENOTFOUND. */
COVEY_API enum covey_status covey_client_cancel_flare(struct covey_client *client, const char *id,
                                                      const char *reason, int64_t timeout_ns,
                                                      struct covey_flare **flare,
                                                      struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_cancel_flare_start(struct covey_client *client, const char *id, const char *reason,
                                const struct covey_start *start,
                                struct covey_error *error) COVEY_MUST_USE;

/* Where a flare would go now. Frees: covey_plan_free. */
COVEY_API enum covey_status covey_client_plan_flare(struct covey_client *client,
                                                    const struct covey_flare_request *request,
                                                    int64_t timeout_ns, struct covey_plan **plan,
                                                    struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_plan_flare_start(struct covey_client *client,
                                                          const struct covey_flare_request *request,
                                                          const struct covey_start *start,
                                                          struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_plan_free(struct covey_plan *plan);

/* Why a flare is where it is. ENOTFOUND. Frees: covey_explanation_free. */
COVEY_API enum covey_status covey_client_explain_flare(struct covey_client *client, const char *id,
                                                       int64_t timeout_ns,
                                                       struct covey_explanation **explanation,
                                                       struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_explain_flare_start(struct covey_client *client, const char *id,
                                 const struct covey_start *start,
                                 struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_explanation_free(struct covey_explanation *explanation);

/* ---- following a flare ---- */

/*
 * Its events from a sequence number on (0: from the start) to on_event, each exactly once and in
 * order, until it has ended: then on_done, whose reply holds the flare as last seen. A lost
 * connection is taken up again where it broke. ENOTFOUND.
 */
COVEY_API enum covey_status covey_client_watch_start(struct covey_client *client, const char *id,
                                                     uint64_t from_sequence,
                                                     const struct covey_start *start,
                                                     struct covey_error *error) COVEY_MUST_USE;

/* Waits until a flare has ended, and brings it with its workers, whatever its end: OK also for a
 * failed one. */
COVEY_API enum covey_status covey_client_wait(struct covey_client *client, const char *id,
                                              int64_t timeout_ns, struct covey_flare **flare,
                                              struct covey_error *error) COVEY_MUST_USE;

/* The ranks that logs and results are wanted of; count 0: all. */
struct covey_ranks {
    const uint32_t *ranks;
    size_t count;
};

/*
 * What its workers wrote, by line, to on_log. follow: until it has ended, otherwise what is there.
 * A lost connection is taken up again after the last line. ENOTFOUND.
 */
COVEY_API enum covey_status covey_client_logs_start(struct covey_client *client, const char *id,
                                                    struct covey_ranks ranks, bool follow,
                                                    const struct covey_start *start,
                                                    struct covey_error *error) COVEY_MUST_USE;

/* As covey_client_logs_start, returning at its end. callbacks' on_log and data are used. */
COVEY_API enum covey_status covey_client_logs(struct covey_client *client, const char *id,
                                              struct covey_ranks ranks, bool follow,
                                              int64_t timeout_ns,
                                              const struct covey_callbacks *callbacks,
                                              struct covey_error *error) COVEY_MUST_USE;

/* The results of a flare that has ended, in pieces, to on_result. EPRECONDITION: it has not. */
COVEY_API enum covey_status covey_client_results_start(struct covey_client *client, const char *id,
                                                       struct covey_ranks ranks,
                                                       const struct covey_start *start,
                                                       struct covey_error *error) COVEY_MUST_USE;

/* The results as wholes. ELIMIT where they are longer than limit_bytes together. Frees:
 * covey_result_list_free. */
COVEY_API enum covey_status covey_client_results(struct covey_client *client, const char *id,
                                                 struct covey_ranks ranks, size_t limit_bytes,
                                                 int64_t timeout_ns,
                                                 struct covey_result_list **results,
                                                 struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_result_list_free(struct covey_result_list *results);

/* ---- the cluster ---- */

/* The nodes. Frees: covey_node_list_free. */
COVEY_API enum covey_status covey_client_list_nodes(struct covey_client *client, int64_t timeout_ns,
                                                    struct covey_node_list **nodes,
                                                    struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_list_nodes_start(struct covey_client *client,
                                                          const struct covey_start *start,
                                                          struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_node_list_free(struct covey_node_list *nodes);

/* Takes a node out of placement or, where drain is NULL, puts it back. ENOTFOUND. Frees:
 * covey_node_free. */
COVEY_API enum covey_status covey_client_drain_node(struct covey_client *client, const char *name,
                                                    const struct covey_drain *drain,
                                                    int64_t timeout_ns, struct covey_node **node,
                                                    struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status covey_client_drain_node_start(struct covey_client *client,
                                                          const char *name,
                                                          const struct covey_drain *drain,
                                                          const struct covey_start *start,
                                                          struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_node_free(struct covey_node *node);

/* Version and limits of the controller. Frees: covey_server_info_free. */
COVEY_API enum covey_status covey_client_server_info(struct covey_client *client,
                                                     int64_t timeout_ns,
                                                     struct covey_server_info **info,
                                                     struct covey_error *error) COVEY_MUST_USE;
COVEY_API enum covey_status
covey_client_server_info_start(struct covey_client *client, const struct covey_start *start,
                               struct covey_error *error) COVEY_MUST_USE;
COVEY_API void covey_server_info_free(struct covey_server_info *info);

/* ---- names ---- */

/* "SUCCEEDED", "UP", "DONE", as in JSON; "UNKNOWN" for a value that is none. Static storage.
 * Thread-safe. */
COVEY_API const char *covey_flare_state_name(enum covey_flare_state state);
COVEY_API const char *covey_worker_state_name(enum covey_worker_state state);
COVEY_API const char *covey_node_state_name(enum covey_node_state state);
COVEY_API const char *covey_reason_kind_name(enum covey_reason_kind kind);
COVEY_API const char *covey_code_kind_name(enum covey_code_kind kind);

/* Whether a state is one of the four ends. Thread-safe. */
COVEY_API bool covey_flare_state_ended(enum covey_flare_state state);

/* The library's version: "0.1.0". Static storage. Thread-safe. */
COVEY_API const char *covey_client_version(void);

#ifdef __cplusplus
}
#endif

#endif
