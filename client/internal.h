/*
 * A client, and its operations: the calls of one thing that the user asked for, one after the other
 * or again after a lost connection.
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include "base/list.h"
#include "client/result.h"
#include "covey/client.h"
#include "rpc/rpc.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct covey_client {
    uv_loop_t loop;
    struct rpc_channel *channel;
    struct covey_list operations;
    int poll_fd;  /* the loop's descriptor and timer_fd */
    int timer_fd; /* when the loop's next timer is due */
    int64_t timeout_ns;
    int64_t reconnect_ns;
    bool json;
    bool answered; /* the server has answered a call of this client */
    bool inside;   /* in the loop: callbacks are being run */
    bool closing;
};

/* Runs the loop once, waiting for something to happen or not. */
void client_run(struct covey_client *client, uv_run_mode mode);

/* Sets timer_fd by the loop; after anything that starts or stops timers outside of client_run. */
void client_arm(struct covey_client *client);

struct waiter;

/* How one call of an operation is followed. */
struct operation_stage {
    const char *path; /* "/covey.v1.Covey/Flare" */
    const ProtobufCMessageDescriptor *response;
    enum covey_status precondition; /* what FAILED_PRECONDITION means here */
    bool sends_stream;              /* on_writable sends, and half-closes at the end */
    void (*on_message)(struct covey_operation *operation, const ProtobufCMessage *message);
    void (*on_writable)(struct covey_operation *operation);
    /* error->status is OK at the good end. Goes on with another call, or finishes. */
    void (*on_end)(struct covey_operation *operation, const struct covey_error *error);
};

struct operation_kind {
    size_t size_bytes;   /* of the struct that begins with the covey_operation */
    size_t reply_offset; /* of the reply's member that points to the result; 0: none */
    void (*release)(struct covey_operation *operation); /* what the struct owns; may be NULL */
};

struct covey_operation {
    struct covey_client *client;
    struct covey_list link;
    const struct operation_kind *kind;
    const struct operation_stage *stage;
    struct covey_callbacks callbacks;
    struct waiter *waiter; /* of a blocking call, instead of on_done */
    struct rpc_call *call; /* under way, or NULL */
    uv_timer_t timer;
    int64_t deadline_ns;
    struct client_result *result;
    bool cancelled;
    bool paused;
    bool broken; /* stopped by us: failure says why */
    struct covey_error failure;
    client_converter *convert; /* unary operations */
};

/* Makes an operation of a kind, zeroed beyond the base. Without a call under way it must be
 * discarded. */
enum covey_status operation_create(struct covey_client *client, const struct operation_kind *kind,
                                   const struct covey_start *start,
                                   struct covey_operation **operation, struct covey_error *error);
void operation_discard(struct covey_operation *operation);

/* Starts the call of a stage with its request, which stays the caller's; NULL for a stream of them,
 * which starts with on_writable. */
enum covey_status operation_call(struct covey_operation *operation,
                                 const struct operation_stage *stage,
                                 const ProtobufCMessage *request, struct covey_error *error);

/* Ends the operation: on_done, then it is gone. Only from the loop. */
void operation_finish(struct covey_operation *operation, const struct covey_error *error);

/* Stops the call under way, whose stage's on_end then gets this error. Only from the loop. */
void operation_break(struct covey_operation *operation, enum covey_status status,
                     const char *message);

/* Keeps a converted message as the operation's result, in place of an earlier one. */
void operation_keep(struct covey_operation *operation, client_converter *convert,
                    const ProtobufCMessage *message);

/* The status that a gRPC code stands for. */
enum covey_status client_status_from_code(enum rpc_code code);

/* ---- blocking calls: begin, start the operation, then wait for it ---- */

struct blocking {
    struct covey_start start;
    struct covey_operation *operation;
};

/* EPRECONDITION from within a callback. */
enum covey_status blocking_begin(struct covey_client *client, int64_t timeout_ns,
                                 struct blocking *blocking, struct covey_error *error);

/* Runs the client until the operation has ended. result (may be NULL) is then the caller's. */
enum covey_status blocking_wait(struct blocking *blocking, struct client_result **result,
                                struct covey_error *error);

/* ---- streams that come back after a lost connection ---- */

struct resume {
    void (*again)(struct covey_operation *operation); /* makes the call anew */
    int64_t lost_at_ns;                               /* 0: connected */
    int64_t wait_ns;
};

/* A message came: the connection is there. */
void resume_reset(struct resume *resume);

/* The call has ended with an error. Calls again later, or finishes the operation. */
void resume_or_finish(struct covey_operation *operation, struct resume *resume,
                      const struct covey_error *error);

#endif
