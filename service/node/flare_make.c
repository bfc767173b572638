/*
 * PREPARE: code, then the host with its arena, then the packs with their workers. Everything that
 * is slow has been done before, where warm processes are at hand.
 */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/common/memfd.h"
#include "service/node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Where the controller does not say how long it waits. */
#define PREPARE_TIMEOUT_NS (20 * COVEY_NS_PER_S)

/* Of the time that the controller waits: a pack says first where its code hangs, then the agent
 * says what is missing, then it is too late to say anything. */
#define LOAD_SHARE(timeout_ns)   ((timeout_ns) / 10 * 8)
#define ANSWER_SHARE(timeout_ns) ((timeout_ns) / 10 * 9)

/* A pack that does not answer is still in the code that it loads. */
static void describe_packs(const struct node_flare *flare, char *text, size_t size_bytes)
{
    char where[96];
    covey_list_for_each (node, &flare->packs) {
        const struct node_child *pack = covey_container_of(node, struct node_child, node);
        if (!pack->asked || pack->ready)
            continue;
        child_describe_wait(pack, where, sizeof(where));
        (void)covey_text_print(text, size_bytes, "pack %u, which loads the code, and is %s",
                               pack->pack_id, where);
        return;
    }
    (void)covey_text_print(text, size_bytes, "the packs");
}

static void on_timeout(uv_timer_t *timer)
{
    struct node_flare *flare = timer->data;
    char what[160];
    char message[256];
    if (flare->state > FLARE_PACKS)
        return;
    if (flare->state == FLARE_PACKS)
        describe_packs(flare, what, sizeof(what));
    else
        (void)snprintf(what, sizeof(what), "%s",
                       flare->state == FLARE_HOST ? "the host"
                       : flare->code_fd < 0       ? "the code"
                                                  : "the standard input");
    (void)snprintf(message, sizeof(message), "not ready within %lld ms: %s",
                   (long long)(ANSWER_SHARE(flare->timeout_ns) / COVEY_NS_PER_MS), what);
    flare_withdraw(flare, "ETIMEOUT", message, -1);
}

/* One memfd of the parameters of one pack. index: of its first worker among this node's. */
static enum covey_status make_parameters(struct node_child *pack, const Covey__V1__Prepare *prepare,
                                         size_t index)
{
    size_t count = prepare->shared_parameter ? 1 : pack->workers;
    struct iovec *parts = covey_calloc(count, sizeof(*parts));
    pack->parameter_bytes = covey_calloc(count, sizeof(*pack->parameter_bytes));
    if (!parts || !pack->parameter_bytes) {
        free(parts);
        return COVEY_ENOMEM;
    }
    size_t first = prepare->shared_parameter ? 0 : index;
    for (size_t i = 0; i < count && first + i < prepare->n_parameters; i++) {
        parts[i] =
            (struct iovec){prepare->parameters[first + i].data, prepare->parameters[first + i].len};
        pack->parameter_bytes[i] = prepare->parameters[first + i].len;
    }
    pack->parameter_count = count;
    enum covey_status status =
        memfd_create_sealed("covey-parameters", parts, count, &pack->parameters_fd);
    free(parts);
    return status;
}

static enum covey_status take(struct node_flare *flare, enum child_role role,
                              const char *socket_name, struct node_child **child,
                              struct covey_error *error)
{
    enum covey_status status = warm_take(flare->agent, role, child, error);
    if (status)
        return status;
    (*child)->flare = flare;
    flare->children++;
    status = child_rename(*child, socket_name);
    return status ? covey_error_set(error, status, "cannot name a socket %s", socket_name)
                  : COVEY_OK;
}

static enum covey_status take_pack(struct node_flare *flare, const Covey__V1__LocalPack *text,
                                   const Covey__V1__Prepare *prepare, size_t index,
                                   struct covey_error *error)
{
    char name[64];
    struct node_child *pack = NULL;
    (void)snprintf(name, sizeof(name), "%s.pack-%u", flare->text->flare_id, text->id);
    enum covey_status status = take(flare, CHILD_PACK, name, &pack, error);
    if (pack) {
        covey_list_push_back(&flare->packs, &pack->node);
        pack->pack_id = text->id;
        pack->first_rank = text->first_rank;
        pack->workers = text->workers;
    }
    if (status)
        return status;
    status = make_parameters(pack, prepare, index);
    return status ? covey_error_set(error, status, "no memory for the parameters") : COVEY_OK;
}

enum covey_status flare_take_processes(struct node_flare *flare, const Covey__V1__Prepare *prepare,
                                       struct covey_error *error)
{
    const Covey__V1__LocalFlare *text = flare->text;
    char name[64];
    size_t index = 0;
    if (prepare->shared_parameter ? prepare->n_parameters > 1
                                  : prepare->n_parameters != flare->worker_count)
        return covey_error_set(error, COVEY_EINVAL, "%zu parameters came for %u workers",
                               prepare->n_parameters, flare->worker_count);
    (void)snprintf(name, sizeof(name), "%s.host", text->flare_id);
    enum covey_status status = take(flare, CHILD_HOST, name, &flare->host, error);
    for (size_t i = 0; i < text->n_packs && !status; i++) {
        if (text->packs[i]->node_index != text->node_index)
            continue;
        status = take_pack(flare, text->packs[i], prepare, index, error);
        index += text->packs[i]->workers;
    }
    return status;
}

void flare_prepare(struct node *agent, const Covey__V1__Prepare *prepare)
{
    struct covey_error error = {0};
    if (agent->stopping || covey_map_get(&agent->flares, prepare->flare_id)) {
        log_warn("a flare is not prepared: it is here already, or the node is stopping flare=%s",
                 prepare->flare_id);
        return;
    }
    struct node_flare *flare = flare_new(agent);
    if (!flare) {
        log_error("no memory for a flare flare=%s", prepare->flare_id);
        return;
    }
    flare->received_ns = covey_now_ns();
    flare->timeout_ns = node_duration_ns(prepare->timeout, PREPARE_TIMEOUT_NS);
    enum covey_status status = flare_describe(flare, prepare, &error);
    if (!status && (flare_make_workers(flare) != COVEY_OK ||
                    covey_map_set(&agent->flares, prepare->flare_id, flare) != COVEY_OK))
        status = covey_error_set(&error, COVEY_ENOMEM, "no memory for the flare");
    if (status) {
        flare_refuse(flare, prepare->flare_id, &error);
        return;
    }
    if (covey_fault(COVEY_FAULT_NODE_PREPARE))
        status = covey_error_set(&error, COVEY_EIO, "fault node_prepare");
    if (!status)
        status = flare_take_processes(flare, prepare, &error);
    if (status) {
        flare_withdraw(flare, covey_status_name(status), error.message, -1);
        return;
    }
    (void)uv_timer_start(&flare->timer, on_timeout,
                         (uint64_t)(ANSWER_SHARE(flare->timeout_ns) / COVEY_NS_PER_MS), 0);
    fetch_code(flare);
}

/* False where it has not come; the flare is withdrawn then. */
static bool has_come(struct node_flare *flare, const char *what, enum covey_status status,
                     const char *message)
{
    char text[COVEY_ERROR_MESSAGE_BYTES];
    if (flare->state != FLARE_FETCHING)
        return false;
    if (!status)
        return true;
    (void)covey_text_print(text, sizeof(text), "%s of definition %s cannot be had: %s", what,
                           flare->text->definition, message);
    flare_withdraw(flare, covey_status_name(status), text, -1);
    return false;
}

static void all_fetched(struct node_flare *flare)
{
    flare->state = FLARE_HOST;
    flare->code_ns = covey_now_ns();
    flare_go_on(flare);
}

void flare_code_ready(struct node_flare *flare, enum covey_status status, const char *message)
{
    if (!has_come(flare, "the code", status, message))
        return;
    if (*flare->stdin_sha256)
        fetch_stdin(flare);
    else
        all_fetched(flare);
}

void flare_stdin_ready(struct node_flare *flare, enum covey_status status, const char *message)
{
    if (has_come(flare, "the standard input", status, message))
        all_fetched(flare);
}

/* One that is gone is withdrawn from by its end, which also says how it came. */
static void unreachable(struct node_flare *flare, struct node_child *child,
                        enum covey_status status)
{
    if (status == COVEY_EUNAVAILABLE)
        child_kill(child);
    else if (status)
        flare_withdraw(flare, covey_status_name(status), "a process cannot be reached", -1);
}

/* One end of each pack's lifeline. */
static enum covey_status send_lifelines(struct node_flare *flare)
{
    uint32_t ids[COVEY_IO_MAX_FDS];
    int fds[COVEY_IO_MAX_FDS];
    size_t count = 0;
    Covey__V1__HostLifelines lifelines = COVEY__V1__HOST_LIFELINES__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    enum covey_status status = COVEY_OK;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_LIFELINES;
    message.host_lifelines = &lifelines;
    lifelines.pack_ids = ids;
    covey_list_for_each (node, &flare->packs) {
        struct node_child *pack = covey_container_of(node, struct node_child, node);
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
            status = covey_status_from_errno(errno);
            break;
        }
        pack->lifeline_fd = ends[1];
        ids[count] = pack->pack_id;
        fds[count++] = ends[0];
        if (count < COVEY_IO_MAX_FDS && node->next != &flare->packs)
            continue;
        lifelines.n_pack_ids = count;
        status = peer_send(&flare->host->peer, &message, fds, count);
        while (count > 0)
            covey_close(&fds[--count]);
        if (status)
            break;
    }
    while (count > 0)
        covey_close(&fds[--count]);
    return status;
}

static void ask_host(struct node_flare *flare)
{
    const struct node_options *options = &flare->agent->options;
    Covey__V1__HostPrepare prepare = COVEY__V1__HOST_PREPARE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_PREPARE;
    message.host_prepare = &prepare;
    prepare.secret.data = flare->secret;
    prepare.secret.len = flare->secret_bytes;
    if (flare->text->n_nodes > 1) {
        prepare.bind_address = (char *)(uintptr_t)options->data_address;
        prepare.port_first = options->port_first;
        prepare.port_last = options->port_last;
        prepare.network = (char *)(uintptr_t)options->network;
    }
    flare->host->asked = true;
    enum covey_status status = peer_send(&flare->host->peer, &message, &flare->text_fd, 1);
    if (!status)
        status = send_lifelines(flare);
    explicit_bzero(flare->secret, sizeof(flare->secret));
    unreachable(flare, flare->host, status);
}

static enum covey_status ask_pack(struct node_flare *flare, struct node_child *pack)
{
    Covey__V1__PackPrepare prepare = COVEY__V1__PACK_PREPARE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    int input = flare->stdin_fd >= 0 ? flare->stdin_fd : open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int fds[] = {flare->text_fd,
                       flare->arena_fd,
                       flare->event_fd,
                       pack->parameters_fd,
                       flare->code_fd,
                       pack->lifeline_fd,
                       input};
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_PREPARE;
    message.pack_prepare = &prepare;
    prepare.pack_id = pack->pack_id;
    prepare.load_timeout_ns = flare->received_ns + LOAD_SHARE(flare->timeout_ns) - covey_now_ns();
    prepare.parameter_bytes = pack->parameter_bytes;
    prepare.n_parameter_bytes = pack->parameter_count;
    pack->asked = true;
    enum covey_status status = peer_send(&pack->peer, &message, fds, sizeof(fds) / sizeof(*fds));
    if (flare->stdin_fd < 0)
        covey_close(&input);
    covey_close(&pack->parameters_fd);
    covey_close(&pack->lifeline_fd);
    return status;
}

/* Those that are warm; the others follow when they are. */
static void ask_packs(struct node_flare *flare)
{
    covey_list_for_each (node, &flare->packs) {
        struct node_child *pack = covey_container_of(node, struct node_child, node);
        if (pack->asked || pack->state != CHILD_USED)
            continue;
        enum covey_status status = ask_pack(flare, pack);
        unreachable(flare, pack, status);
        if (flare->state != FLARE_PACKS)
            return;
    }
}

static void tell_prepared(struct node_flare *flare)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__Prepared prepared = COVEY__V1__PREPARED__INIT;
    Covey__V1__Worker *workers = covey_calloc(flare->worker_count, sizeof(*workers));
    Covey__V1__Worker **pointers = covey_calloc(flare->worker_count, sizeof(Covey__V1__Worker *));
    if (!workers || !pointers) {
        free(workers);
        free(pointers);
        flare_withdraw(flare, "ENOMEM", "no memory", -1);
        return;
    }
    for (uint32_t i = 0; i < flare->worker_count; i++) {
        Google__Protobuf__Timestamp unused[2];
        flare_fill_worker(flare, &flare->workers[i], &workers[i], &unused[0], &unused[1]);
        workers[i].started_at = workers[i].ended_at = NULL;
        pointers[i] = &workers[i];
    }
    flare->state = FLARE_READY;
    flare->prepared = true;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_PREPARED;
    request.prepared = &prepared;
    prepared.flare_id = flare->text->flare_id;
    prepared.host_address = flare->host_address;
    prepared.workers = pointers;
    prepared.n_workers = flare->worker_count;
    outbox_add(flare->agent, &request, -1, 0);
    free(workers);
    free(pointers);
}

void flare_go_on(struct node_flare *flare)
{
    if (flare->state == FLARE_HOST && flare->host->state == CHILD_USED && !flare->host->asked)
        ask_host(flare);
    if (flare->state == FLARE_HOST && flare->arena_fd >= 0) {
        flare->state = FLARE_PACKS;
        flare->host_ns = covey_now_ns();
    }
    if (flare->state == FLARE_PACKS)
        ask_packs(flare);
    if (flare->state != FLARE_PACKS || flare->packs_ready < flare->pack_count)
        return;
    (void)uv_timer_stop(&flare->timer);
    covey_close(&flare->arena_fd);
    covey_close(&flare->event_fd);
    covey_close(&flare->code_fd);
    covey_close(&flare->stdin_fd);
    if (covey_fault(COVEY_FAULT_NODE_READY)) {
        flare_withdraw(flare, "EIO", "fault node_ready", -1);
        return;
    }
    log_debug("prepared flare=%s workers=%u code_us=%lld host_us=%lld packs_us=%lld",
              flare->text->flare_id, flare->worker_count,
              (long long)(flare->code_ns - flare->received_ns) / COVEY_NS_PER_US,
              (long long)(flare->host_ns - flare->code_ns) / COVEY_NS_PER_US,
              (long long)(covey_now_ns() - flare->host_ns) / COVEY_NS_PER_US);
    tell_prepared(flare);
}
