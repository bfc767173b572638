/* What the public handles are made of. Internal to the workers' library. */
#ifndef WORKER_CONTEXT_H
#define WORKER_CONTEXT_H

#include "base/list.h"
#include "covey/worker.h"
#include "transport/core/comm.h"

struct covey_comm {
    struct covey_list link; /* in the context's list */
    struct covey_ctx *ctx;
    struct comm *core;
};

struct covey_request {
    struct request core;
};

struct covey_buf {
    struct covey_list link;
    struct covey_ctx *ctx;
    struct descriptor_block block;
};

struct covey_ctx {
    struct arena *arena;
    struct engine *engine;
    uint32_t rank;
    int control_fd;
    int lifeline_fd; /* -1: none. Open while the arena is mapped */
    uint64_t result_limit_bytes;
    void *params; /* the mapped memory that holds the parameter; NULL: none */
    size_t params_bytes;
    const void *param;
    size_t param_bytes;
    struct covey_list comms;
    struct covey_list bufs;
    struct covey_comm *world;
    struct covey_comm *pack;
};

/* Makes a communicator of the context. Its text is set on failure. */
enum covey_status context_comm_create(struct covey_ctx *ctx, uint64_t id, const uint32_t *ranks,
                                      uint32_t size, struct covey_comm **comm) COVEY_MUST_USE;

/* A handle for a block that this worker holds, taken over; on ENOMEM it is released. */
enum covey_status context_buf_create(struct covey_ctx *ctx, const struct descriptor_block *block,
                                     struct covey_buf **buf) COVEY_MUST_USE;

/* Sets the text of what a request failed with; returns status. */
enum covey_status context_explain(const struct request *request,
                                  enum covey_status status) COVEY_MUST_USE;

/* The text of the last failure becomes this; returns status. */
#define context_fail(ctx, ...) engine_fail((ctx)->engine, __VA_ARGS__)

#endif
