/*
 * How a pack makes workers, and what workers tell their pack. Internal to Covey: packs and
 * libcovey-worker are of the same build; WORKER_SETUP_VERSION catches the case that they are not.
 *
 * A forked worker: the pack fills in struct worker_setup, forks, and the child calls
 *     covey_worker_create, covey_worker_enter, covey_work, then covey_worker_leave and exits.
 * A worker thread does the same in its thread, without exiting. An exec'd worker finds a
 * SOCK_SEQPACKET socket in COVEY_WORKER_FD on which the pack has put the same record
 * (worker_setup_send), and COVEY_RANK; covey_attach does the rest.
 *
 * Records from worker to pack travel on the control socket, SOCK_SEQPACKET; worker threads may
 * share one, each record names its rank.
 */
#ifndef WORKER_SETUP_H
#define WORKER_SETUP_H

#include "covey/status.h"
#include "covey/worker.h"

#include <stdint.h>

#define WORKER_SETUP_MAGIC   0x59455643u
#define WORKER_SETUP_VERSION 2u

#define WORKER_FD_VARIABLE   "COVEY_WORKER_FD"
#define WORKER_RANK_VARIABLE "COVEY_RANK"

/* For programs that ask the environment: workers of the flare, the worker's number among those of
 * its node, the number of its node, and how many nodes the flare has. The first and the last two
 * are the same for a pack. */
#define WORKER_SIZE_VARIABLE       "COVEY_SIZE"
#define WORKER_LOCAL_RANK_VARIABLE "COVEY_LOCAL_RANK"
#define WORKER_NODE_RANK_VARIABLE  "COVEY_NODE_RANK"
#define WORKER_NODES_VARIABLE      "COVEY_NODES"

struct worker_setup {
    uint32_t magic;
    uint32_t version;
    uint32_t rank;
    uint32_t reserved;
    int64_t timeout_ns; /* of communication; negative: none */
    uint64_t result_limit_bytes;
    uint64_t param_offset; /* of this worker's parameter in the memory of parameters */
    uint64_t param_length;
    /* Descriptors; in a record on a socket they travel beside it, and these only say by their sign
     * which. They stay the caller's: the context makes its own. */
    int32_t arena_fd;
    int32_t host_event_fd;
    /* The pack's end of its lifeline, -1: none. Whoever uses the arena keeps it open, so that the
     * host sees the pack's end only when nobody of it can write there any more. */
    int32_t lifeline_fd;
    int32_t params_fd; /* a memfd, or any file; -1 where there is no parameter */
    int32_t control_fd;
};

/* Puts the record on the socket of an exec'd worker, which then receives its descriptors
 * (control_fd is not sent: that socket is the control socket). Thread-safe. As covey_send_fds. */
enum covey_status worker_setup_send(int socket, const struct worker_setup *setup) COVEY_MUST_USE;

/* What a worker tells its pack. */
enum worker_record_kind {
    WORKER_RECORD_STARTED = 1, /* it enters user code now */
    WORKER_RECORD_RESULT,      /* with one descriptor: a sealed memfd of length bytes. The last one
                                  counts */
};

struct worker_record {
    uint32_t kind;
    uint32_t rank;
    int64_t wall_ns; /* when, by the wall clock */
    uint64_t length; /* of the result */
};

/*
 * Makes the context of one worker: maps the arena and the parameter. Several may live in one
 * process. EPROTO where the setup is not sound, ENOMEM, EIO.
 */
COVEY_API enum covey_status covey_worker_create(const struct worker_setup *setup,
                                                struct covey_ctx **ctx,
                                                struct covey_error *error) COVEY_MUST_USE;

/*
 * Waits for the start gate, marks the rank running and sends the STARTED record. ECANCELLED where
 * the flare was called off, ETIMEOUT, EUNAVAILABLE where the pack is gone.
 */
COVEY_API enum covey_status covey_worker_enter(struct covey_ctx *ctx,
                                               int64_t deadline_ns) COVEY_MUST_USE;

/* Delivers what the worker has sent and is still queued (until the communication timeout), and
 * frees the context. Marking the rank as ended is the pack's. covey_detach is the same. */
COVEY_API void covey_worker_leave(struct covey_ctx *ctx);

#endif
