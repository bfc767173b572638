#include "worker/context.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "worker/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORLD_ID UINT64_C(4)

enum covey_status context_comm_create(struct covey_ctx *ctx, uint64_t id, const uint32_t *ranks,
                                      uint32_t size, struct covey_comm **out)
{
    struct covey_comm *comm = covey_calloc(1, sizeof(*comm));
    if (!comm)
        return context_fail(ctx, COVEY_ENOMEM, "out of memory");
    enum covey_status status = comm_create(ctx->engine, id, ranks, size, &comm->core);
    if (status) {
        free(comm);
        return status;
    }
    comm->ctx = ctx;
    covey_list_push_back(&ctx->comms, &comm->link);
    *out = comm;
    return COVEY_OK;
}

static enum covey_status make_world(struct covey_ctx *ctx)
{
    uint32_t count = arena_worker_count(ctx->arena);
    struct arena_pack pack = arena_pack(ctx->arena, arena_pack_of(ctx->arena, ctx->rank));
    uint32_t *ranks = covey_calloc(count, sizeof(*ranks));
    if (!ranks)
        return COVEY_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        ranks[i] = i;
    enum covey_status status = context_comm_create(ctx, WORLD_ID, ranks, count, &ctx->world);
    if (!status) {
        uint64_t id = comm_child_id(ctx->world->core, UINT64_MAX, pack.first_rank);
        status =
            context_comm_create(ctx, id, ranks + pack.first_rank, pack.worker_count, &ctx->pack);
    }
    free(ranks);
    return status;
}

static enum covey_status map_param(struct covey_ctx *ctx, const struct worker_setup *setup,
                                   struct covey_error *error)
{
    ctx->param = "";
    if (setup->param_length == 0)
        return COVEY_OK;
    struct stat info;
    if (setup->params_fd < 0 || fstat(setup->params_fd, &info))
        return covey_error_set(error, COVEY_EPROTO, "worker: no memory of parameters");
    uint64_t size = (uint64_t)info.st_size;
    if (setup->param_offset > size || setup->param_length > size - setup->param_offset)
        return covey_error_set(error, COVEY_EPROTO, "worker: the parameter is not in its memory");
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = setup->param_offset / page * page;
    ctx->params_bytes = setup->param_offset + setup->param_length - from;
    void *map =
        mmap(NULL, ctx->params_bytes, PROT_READ, MAP_PRIVATE, setup->params_fd, (off_t)from);
    if (map == MAP_FAILED)
        return covey_error_set_errno(error, errno, "worker: cannot map the parameter");
    ctx->params = map;
    ctx->param = (const char *)map + (setup->param_offset - from);
    ctx->param_bytes = setup->param_length;
    return COVEY_OK;
}

static enum covey_status open_arena(struct covey_ctx *ctx, const struct worker_setup *setup,
                                    struct covey_error *error)
{
    enum covey_status status = arena_map(setup->arena_fd, &ctx->arena, error);
    if (status)
        return status;
    status = arena_set_host_event(ctx->arena, setup->host_event_fd);
    if (status)
        return covey_error_set(error, status, "worker: the host's event");
    if (engine_create(ctx->arena, setup->rank, setup->timeout_ns, &ctx->engine))
        return covey_error_set(error, COVEY_EPROTO, "worker: rank %u is not of this node",
                               setup->rank);
    return COVEY_OK;
}

enum covey_status covey_worker_create(const struct worker_setup *setup, struct covey_ctx **out,
                                      struct covey_error *error)
{
    if (setup->magic != WORKER_SETUP_MAGIC)
        return covey_error_set(error, COVEY_EPROTO, "worker: the setup is no setup");
    if (setup->version != WORKER_SETUP_VERSION)
        return covey_error_set(error, COVEY_EVERSION, "worker: setup version %u, this is %u",
                               setup->version, WORKER_SETUP_VERSION);
    struct covey_ctx *ctx = covey_calloc(1, sizeof(*ctx));
    if (!ctx)
        return covey_error_set(error, COVEY_ENOMEM, "worker: out of memory");
    covey_list_init(&ctx->comms);
    covey_list_init(&ctx->bufs);
    ctx->rank = setup->rank;
    ctx->result_limit_bytes = setup->result_limit_bytes;
    ctx->control_fd = fcntl(setup->control_fd, F_DUPFD_CLOEXEC, 3);
    ctx->lifeline_fd = -1;
    if (setup->lifeline_fd >= 0)
        ctx->lifeline_fd = fcntl(setup->lifeline_fd, F_DUPFD_CLOEXEC, 3);
    enum covey_status status = COVEY_OK;
    if (ctx->control_fd < 0 || (setup->lifeline_fd >= 0 && ctx->lifeline_fd < 0))
        status = covey_error_set_errno(error, errno, "worker: the pack's sockets");
    if (!status)
        status = open_arena(ctx, setup, error);
    if (!status)
        status = map_param(ctx, setup, error);
    if (!status && make_world(ctx))
        status = covey_error_set(error, COVEY_ENOMEM, "worker: out of memory");
    if (status) {
        covey_detach(ctx);
        return status;
    }
    *out = ctx;
    return COVEY_OK;
}

static enum covey_status tell(struct covey_ctx *ctx, enum worker_record_kind kind, uint64_t length,
                              int fd)
{
    struct worker_record record = {
        .kind = kind, .rank = ctx->rank, .wall_ns = covey_wall_ns(), .length = length};
    return covey_send_fds(ctx->control_fd, &record, sizeof(record), &fd, fd >= 0 ? 1 : 0);
}

enum covey_status covey_worker_enter(struct covey_ctx *ctx, int64_t deadline_ns)
{
    enum covey_status status = arena_wait_gate(ctx->arena, deadline_ns);
    if (status)
        return context_fail(ctx, status, "the flare was not started");
    arena_mark_running(ctx->arena, ctx->rank);
    status = tell(ctx, WORKER_RECORD_STARTED, 0, -1);
    return status ? context_fail(ctx, status, "the pack is gone") : COVEY_OK;
}

void covey_worker_leave(struct covey_ctx *ctx)
{
    covey_detach(ctx);
}

static void free_bufs(struct covey_ctx *ctx)
{
    covey_list_for_each_safe (node, after, &ctx->bufs) {
        struct covey_buf *buf = (struct covey_buf *)node;
        memory_release(&ctx->engine->memory, &buf->block);
        free(buf);
    }
}

void covey_detach(struct covey_ctx *ctx)
{
    if (!ctx)
        return;
    if (ctx->engine)
        engine_flush(ctx->engine, covey_deadline_ns(covey_now_ns(), ctx->engine->timeout_ns));
    covey_list_for_each_safe (node, after, &ctx->comms) {
        comm_destroy(((struct covey_comm *)node)->core);
        free((struct covey_comm *)node);
    }
    if (ctx->engine)
        free_bufs(ctx);
    engine_destroy(ctx->engine);
    arena_destroy(ctx->arena);
    covey_close(&ctx->lifeline_fd);
    if (ctx->params)
        munmap(ctx->params, ctx->params_bytes);
    covey_close(&ctx->control_fd);
    free(ctx);
}

int covey_rank(const struct covey_ctx *ctx)
{
    return (int)ctx->rank;
}

int covey_size(const struct covey_ctx *ctx)
{
    return (int)arena_worker_count(ctx->arena);
}

int covey_pack_id(const struct covey_ctx *ctx)
{
    return (int)arena_pack_of(ctx->arena, ctx->rank);
}

int covey_pack_size(const struct covey_ctx *ctx)
{
    return (int)arena_pack(ctx->arena, arena_pack_of(ctx->arena, ctx->rank)).worker_count;
}

int covey_pack_count(const struct covey_ctx *ctx)
{
    return (int)arena_pack_count(ctx->arena);
}

static bool is_rank(const struct covey_ctx *ctx, int rank)
{
    return rank >= 0 && (uint32_t)rank < arena_worker_count(ctx->arena);
}

int covey_pack_of(const struct covey_ctx *ctx, int rank)
{
    return is_rank(ctx, rank) ? (int)arena_pack_of(ctx->arena, (uint32_t)rank) : -1;
}

bool covey_is_pack_leader(const struct covey_ctx *ctx)
{
    return arena_pack(ctx->arena, arena_pack_of(ctx->arena, ctx->rank)).first_rank == ctx->rank;
}

int covey_node_count(const struct covey_ctx *ctx)
{
    return (int)arena_node_count(ctx->arena);
}

int covey_node_of(const struct covey_ctx *ctx, int rank)
{
    return is_rank(ctx, rank) ? (int)arena_node_of(ctx->arena, (uint32_t)rank) : -1;
}

const char *covey_flare_id(const struct covey_ctx *ctx)
{
    return arena_flare_id(ctx->arena);
}

const void *covey_param(const struct covey_ctx *ctx, size_t *length_bytes)
{
    *length_bytes = ctx->param_bytes;
    return ctx->param;
}

static enum covey_status fill_result(int fd, const void *bytes, size_t length_bytes)
{
    enum covey_status status = covey_write_full(fd, bytes, length_bytes);
    if (!status && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        status = covey_status_from_errno(errno);
    return status;
}

enum covey_status covey_set_result(struct covey_ctx *ctx, const void *bytes, size_t length_bytes)
{
    if (!bytes && length_bytes > 0)
        return context_fail(ctx, COVEY_EINVAL, "set_result: no bytes");
    if (length_bytes > ctx->result_limit_bytes)
        return context_fail(ctx, COVEY_ELIMIT, "set_result: %zu bytes, the limit is %llu",
                            length_bytes, (unsigned long long)ctx->result_limit_bytes);
    int fd = memfd_create("covey-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return context_fail(ctx, COVEY_ENOMEM, "set_result: %s", strerror(errno));
    enum covey_status status = fill_result(fd, bytes, length_bytes);
    if (!status)
        status = tell(ctx, WORKER_RECORD_RESULT, length_bytes, fd);
    covey_close(&fd);
    return status ? context_fail(ctx, status, "set_result: %s", covey_status_text(status))
                  : COVEY_OK;
}

void covey_logf(struct covey_ctx *ctx, const char *format, ...)
{
    (void)ctx;
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not see the va_start above */
    int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t end = (size_t)length < sizeof(line) - 1 ? (size_t)length : sizeof(line) - 2;
    line[end] = '\n';
    enum covey_status status = covey_write_full(STDERR_FILENO, line, end + 1);
    (void)status; /* a log that cannot be written cannot say so */
}

const char *covey_error_text(const struct covey_ctx *ctx)
{
    return ctx->engine->text;
}

struct covey_comm *covey_world(struct covey_ctx *ctx)
{
    return ctx->world;
}

struct covey_comm *covey_pack_comm(struct covey_ctx *ctx)
{
    return ctx->pack;
}
