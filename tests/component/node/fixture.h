/*
 * A controller for tests: serves covey.v1.Node and covey.v1.Blobs as told, on a unix socket, to
 * real covey-node processes, and keeps everything they say. One thread; everything happens inside
 * the functions of this header.
 */
#ifndef TESTS_COMPONENT_NODE_FIXTURE_H
#define TESTS_COMPONENT_NODE_FIXTURE_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/io.h"
#include "covey/v1/node.pb-c.h"
#include "rpc/rpc.h"
#include "tests/harness/harness.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <uv.h>

#define FIXTURE_NODES 3
#define FIXTURE_SAID  20000
/* For what must come: no promise, only the end of a test that would not end. */
#define FIXTURE_LONG_NS (120 * COVEY_NS_PER_S)

/* One message of a node, kept. */
struct said {
    int node;
    int64_t at_ns;
    Covey__V1__AttachRequest *message;
};

struct fixture_node {
    struct fixture *fixture;
    char name[8];
    char state_dir[128];
    char runtime_dir[128];
    pid_t pid;
    int lifeline; /* our end; -1: none */
    struct rpc_call *call;
    uint64_t epoch;
    uint64_t acknowledged;
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick;
    struct rpc_server *server;
    char address[160];
    struct fixture_node nodes[FIXTURE_NODES];
    struct said said[FIXTURE_SAID];
    size_t said_count;
    size_t looked_from; /* messages before it are another flare's past */
    bool withhold_acknowledgements;
    bool withhold_log; /* logs are not acknowledged */
    bool pause_reading;
    const char *unknown_flare; /* named as unknown to whoever registers */
    unsigned refusals;
    bool refuse;  /* answers a registration with UNAUTHENTICATED */
    bool dismiss; /* ends a stream right after its registration */
    uid_t run_as; /* 0: as the test */
    unsigned blob_calls;
    bool stopped;
};

/* Starts the controller. One at a time. */
struct fixture *fixture_create(void);
/* Ends nodes and controller; nothing of them is left, or the test fails. */
void fixture_destroy(struct fixture *fixture);

/* Executes covey-node number i with more arguments (NULL-ended; may be NULL) and "KEY=value" more
 * of environment (may be NULL). */
void fixture_spawn(struct fixture *fixture, int i, const char *const *arguments,
                   const char *environment);
/* Spawns, and waits until it has registered and its warm processes are there. */
void fixture_start_node(struct fixture *fixture, int i, const char *const *arguments,
                        const char *environment);
/* Waits until the node's process has ended; its wait status, or -1. */
int fixture_reap(struct fixture *fixture, int i, int64_t timeout_ns);

/* Runs the loop until condition(data) or the time is over; the condition's last value. */
bool fixture_until(struct fixture *fixture, bool (*condition)(struct fixture *fixture, void *data),
                   void *data, int64_t timeout_ns);

/* What a flare of a test is like. Packs are given in rank order. */
struct flare_plan {
    const char *id;
    const char *code; /* a file */
    Covey__V1__CodeKind code_kind;
    Covey__V1__WorkerKind worker_kind;
    const char *parameter; /* shared */
    size_t pack_count;
    struct {
        int node;
        uint32_t workers;
    } packs[8];
    uint64_t max_result_bytes; /* 0: 1 MiB */
    const char *argument;      /* of an executable; may be NULL */
    const char *sha256;        /* instead of the code's, to be wrong */
};

/* An id of this program alone: another copy of it may run beside. Valid until it is asked for as
 * many more as a program has flares. */
const char *fixture_own_id(const char *id);

uint32_t plan_workers(const struct flare_plan *plan);
/* Sends Prepare to every node of the plan. */
void fixture_prepare(struct fixture *fixture, const struct flare_plan *plan);
/* Waits for Prepared of every node, then sends Start. */
bool fixture_start_flare(struct fixture *fixture, const struct flare_plan *plan);
/* Both. False where a node failed. */
bool fixture_run(struct fixture *fixture, const struct flare_plan *plan);
void fixture_stop_flare(struct fixture *fixture, const struct flare_plan *plan, int64_t grace_ns);
/* Waits for FlareGone of every node of the plan. */
bool fixture_gone(struct fixture *fixture, const struct flare_plan *plan, int64_t timeout_ns);
void fixture_tell_peers_ended(struct fixture *fixture, int node, const char *flare_id,
                              uint32_t rank, const char *reason);

/* Sends one body of AttachResponse as bytes that nobody has looked at. */
void fixture_send_raw(struct fixture *fixture, int node, uint32_t body, const void *bytes,
                      size_t length_bytes);
void fixture_send_refused(struct fixture *fixture, int node, uint64_t sequence, const char *reason);

/* The n-th (from 0) message of a kind about a flare, from any node, or NULL. */
const struct said *fixture_find(struct fixture *fixture, Covey__V1__AttachRequest__BodyCase kind,
                                const char *flare_id, size_t n);
/* As fixture_find, waiting for it. */
const struct said *fixture_wait(struct fixture *fixture, Covey__V1__AttachRequest__BodyCase kind,
                                const char *flare_id, size_t n, int64_t timeout_ns);
/* The newest WorkerEnded of a rank, or NULL; waits. */
const Covey__V1__WorkerEnded *fixture_wait_ended(struct fixture *fixture, const char *flare_id,
                                                 uint32_t rank, int64_t timeout_ns);
/* Waits until this many workers of a flare have ended. */
bool fixture_wait_all_ended(struct fixture *fixture, const char *flare_id, uint32_t count,
                            int64_t timeout_ns);
/* Waits until this many workers of a flare have started. */
bool fixture_wait_started(struct fixture *fixture, const char *flare_id, uint32_t count,
                          int64_t timeout_ns);
/* A worker's pid, as Prepared says; 0: unknown. */
pid_t fixture_pid(struct fixture *fixture, const char *flare_id, uint32_t rank);
/* A result, put together; freed by the caller. */
struct covey_buffer fixture_result(struct fixture *fixture, const char *flare_id, uint32_t rank);
/* The lines of a flare's log, each counted as often as it was said at another offset. */
size_t fixture_log_lines(struct fixture *fixture, const char *flare_id);
/* True where some line of the log of a rank contains the text. */
bool fixture_logged(struct fixture *fixture, const char *flare_id, uint32_t rank, const char *text);

/* True when no process of a flare, and no file in the runtime folders with its name, is left; waits
 * up to 1 s of a machine at rest. */
bool fixture_nothing_left(struct fixture *fixture, const char *flare_id);
/* The same, however long it takes; false after FIXTURE_LONG_NS. */
bool fixture_nothing_left_at_last(struct fixture *fixture, const char *flare_id);
#endif
