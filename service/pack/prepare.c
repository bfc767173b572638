/* From a warm pack to workers that wait at the gate. */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/common/stamp.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Low descriptors are where a worker gets its own. */
#define FIRST_KEPT_FD 16

static enum covey_status take_descriptors(struct pack *pack, struct local_record *record,
                                          struct covey_error *error)
{
    if (record->fd_count != PACK_FDS)
        return covey_error_set(error, COVEY_EPROTO, "a pack needs %d descriptors, not %zu",
                               PACK_FDS, record->fd_count);
    for (size_t i = 0; i < PACK_FDS; i++) {
        int fd = local_take_fd(record, i);
        int *kept = &pack->fds[pack_fd_of_record(i)];
        *kept = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_KEPT_FD);
        covey_close(&fd);
        if (*kept < 0)
            return covey_error_set_errno(error, errno, "cannot keep a descriptor");
    }
    return COVEY_OK;
}

/* The lengths must lie within the memory of parameters, which cannot change. */
static enum covey_status check_parameters(struct pack *pack, const Covey__V1__PackPrepare *prepare,
                                          struct covey_error *error)
{
    struct stat facts;
    uint64_t total = 0;
    size_t expected = pack->flare->shared_parameter ? 1 : pack->here.workers;
    if (prepare->n_parameter_bytes != expected)
        return covey_error_set(error, COVEY_EPROTO, "%zu parameters for %zu workers",
                               prepare->n_parameter_bytes, expected);
    if (fstat(pack->fds[PACK_FD_PARAMETERS], &facts) < 0 ||
        !(fcntl(pack->fds[PACK_FD_PARAMETERS], F_GET_SEALS) & F_SEAL_SHRINK))
        return covey_error_set(error, COVEY_EPROTO, "the parameters are not in sealed memory");
    for (size_t i = 0; i < expected; i++) {
        if (__builtin_add_overflow(total, prepare->parameter_bytes[i], &total) ||
            total > (uint64_t)facts.st_size)
            return covey_error_set(error, COVEY_EPROTO, "the parameters exceed their memory");
    }
    pack->parameter_bytes =
        covey_memdup(prepare->parameter_bytes, expected * sizeof(*pack->parameter_bytes));
    pack->parameter_count = expected;
    return pack->parameter_bytes ? COVEY_OK : covey_error_set(error, COVEY_ENOMEM, "no memory");
}

struct worker_setup pack_worker_setup(const struct pack *pack, uint32_t index, int control_fd)
{
    struct worker_setup setup = {
        .magic = WORKER_SETUP_MAGIC,
        .version = WORKER_SETUP_VERSION,
        .rank = pack->here.first_rank + index,
        .timeout_ns = pack->flare->communication_timeout_ns,
        .result_limit_bytes = pack->flare->max_result_bytes,
        .arena_fd = pack->fds[PACK_FD_ARENA],
        .host_event_fd = pack->fds[PACK_FD_EVENT],
        .lifeline_fd = pack->lifeline.fd,
        .params_fd = pack->fds[PACK_FD_PARAMETERS],
        .control_fd = control_fd,
    };
    size_t mine = pack->flare->shared_parameter ? 0 : index;
    for (size_t i = 0; i < mine; i++)
        setup.param_offset += pack->parameter_bytes[i];
    setup.param_length = pack->parameter_bytes[mine];
    return setup;
}

static enum covey_status read_flare(struct pack *pack, const Covey__V1__PackPrepare *prepare,
                                    struct covey_error *error)
{
    enum covey_status status = local_flare_read(pack->fds[PACK_FD_FLARE], &pack->flare, error);
    if (status)
        return status;
    const Covey__V1__LocalPack *here = local_flare_pack(pack->flare, prepare->pack_id);
    if (!here || here->node_index != pack->flare->node_index)
        return covey_error_set(error, COVEY_EPROTO, "pack %u is not on this node",
                               prepare->pack_id);
    pack->here = *here;
    status = stamp_flare(pack->flare->flare_id);
    if (status)
        return covey_error_set(error, status, "the environment has no room for the flare's id");
    (void)snprintf(pack->socket_name, sizeof(pack->socket_name), "%s.pack-%u",
                   pack->flare->flare_id, here->id);
    if (pack->flare->core_dumps)
        pack_allow_core_dumps();
    status = pack_set_environment(pack, error);
    /* A pack that begins again is there. */
    if (!status && pack->life == PACK_LIFE_FIRST)
        status = pack_enter_folder(pack, error);
    return status;
}

static enum covey_status map_arena(struct pack *pack, struct covey_error *error)
{
    enum covey_status status = arena_map(pack->fds[PACK_FD_ARENA], &pack->arena, error);
    if (status)
        return status;
    status = arena_set_host_event(pack->arena, pack->fds[PACK_FD_EVENT]);
    if (status)
        return covey_error_set(error, status, "the host's event cannot be used");
    if (strcmp(arena_flare_id(pack->arena), pack->flare->flare_id) != 0 ||
        arena_worker_count(pack->arena) != pack->flare->workers_total ||
        arena_node(pack->arena) != pack->flare->node_index)
        return covey_error_set(error, COVEY_EPROTO, "the arena is another flare's");
    return COVEY_OK;
}

/* Threads that the code has made: none of them would be in a worker that is forked. */
static unsigned count_lost_threads(const struct pack *pack)
{
    unsigned threads = code_count_threads();
    bool forks = pack->flare->worker_kind == COVEY__V1__WORKER_KIND__WORKER_KIND_PROCESS;
    return forks && threads > pack->own_threads ? threads - pack->own_threads : 0;
}

/* What the code has said so far, it says once more. */
static enum covey_status begin_again(struct pack *pack, const local_message *prepare,
                                     enum pack_life life, struct covey_error *error)
{
    pack_own_redirect(pack);
    return pack_begin_again(pack, prepare, life, error);
}

static enum covey_status load_object(struct pack *pack, const local_message *prepare,
                                     struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    if (pack->life == PACK_LIFE_FIRST && pack_environment_is_late(pack))
        return begin_again(pack, prepare, PACK_LIFE_AGAIN, error);
    pack->own[0].rank = pack->own[1].rank = pack->here.first_rank;
    if (pack->life == PACK_LIFE_FIRST)
        pack_own_redirect(pack);
    else
        pack_own_adopt(pack);
    if (pack->life != PACK_LIFE_UNLOADED) {
        pack_watch_load(pack, prepare->pack_prepare->load_timeout_ns, pack_fail);
        status = code_load(pack->fds[PACK_FD_CODE], pack_code_path(pack), &pack->entry, error);
        pack_unwatch_load();
    }
    unsigned lost = status ? 0 : count_lost_threads(pack);
    if (lost > 0 && pack->life != PACK_LIFE_UNLOADED)
        return begin_again(pack, prepare, PACK_LIFE_UNLOADED, error);
    pack_own_read(pack);
    if (lost > 0)
        status =
            covey_error_set(error, COVEY_EPRECONDITION,
                            "what LD_PRELOAD names made %u thread%s while it was loaded, which "
                            "a fork would lose; use --worker thread or an executable",
                            lost, lost == 1 ? "" : "s");
    return status;
}

static enum covey_status load_code(struct pack *pack, const local_message *prepare,
                                   struct covey_error *error)
{
    if (covey_fault(COVEY_FAULT_PACK_LOAD))
        return covey_error_set(error, COVEY_EIO, "fault pack_load");
    pack->is_object = pack->flare->code_kind == COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT;
    int code = pack->fds[PACK_FD_CODE];
    /* A shared object that is written over would change in its workers' memory. */
    pack->in_place = (!pack->is_object || code_wants_neighbours(code)) &&
                     code_is_at(pack->flare->code_path, code);
    if (pack->is_object)
        return load_object(pack, prepare, error);
    return code_check_program(code, error);
}

static enum covey_status make_workers(struct pack *pack, int32_t *rank, struct covey_error *error)
{
    bool threads = pack->flare->worker_kind == COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    pack->workers = covey_calloc(pack->here.workers, sizeof(*pack->workers));
    if (!pack->workers)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for %u workers", pack->here.workers);
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        struct pack_worker *worker = &pack->workers[i];
        worker->rank = pack->here.first_rank + i;
        worker->pack = pack;
        worker->result_fd = worker->control.fd = -1;
        for (uint32_t k = 0; k < 2; k++) {
            worker->outputs[k] =
                (struct pack_output){.source = {.fd = -1, .ready = pack_output_ready},
                                     .pack = pack,
                                     .rank = worker->rank,
                                     .stream = k + 1};
            covey_list_init(&worker->outputs[k].queued);
        }
    }
    if (threads)
        return pack_make_threads(pack, error);
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        *rank = (int32_t)pack->workers[i].rank;
        enum covey_status status = pack_fork(pack, &pack->workers[i], error);
        if (status)
            return status;
        pack->running++;
    }
    return COVEY_OK;
}

static enum covey_status prepare_all(struct pack *pack, struct local_record *record, int32_t *rank,
                                     struct covey_error *error)
{
    const Covey__V1__PackPrepare *prepare = record->message->pack_prepare;
    enum covey_status status = take_descriptors(pack, record, error);
    if (!status)
        status = read_flare(pack, prepare, error);
    if (!status)
        status = check_parameters(pack, prepare, error);
    if (!status)
        status = pack_check_cpus(pack, rank, error);
    if (!status)
        status = map_arena(pack, error);
    if (!status)
        status = load_code(pack, record->message, error);
    if (status)
        return status;
    pack->lifeline =
        (struct pack_source){.fd = pack->fds[PACK_FD_LIFELINE], .ready = pack_lifeline_ready};
    pack->fds[PACK_FD_LIFELINE] = -1;
    status = pack_watch(pack, &pack->lifeline, EPOLLIN | EPOLLRDHUP);
    if (status)
        return covey_error_set(error, status, "cannot watch the host");
    return make_workers(pack, rank, error);
}

void pack_prepare(struct pack *pack, struct local_record *record)
{
    struct covey_error error = {0};
    int32_t rank = -1;
    if (pack->flare) {
        log_error("the agent wants to prepare a pack that is in use flare=%s",
                  pack->flare->flare_id);
        return;
    }
    enum covey_status status = prepare_all(pack, record, &rank, &error);
    if (status) {
        pack_log_say(pack);
        pack_fail(pack, &error, rank);
        pack_kill_all(pack);
        pack->finished = true;
        return;
    }
    pack->prepared = true;
    pack_tell_ready(pack);
}
