/* A flare's description: reading it, and what it may say. */
#include "base/error.h"
#include "service/common/local.h"
#include "service/common/memfd.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define FLARE_LIMIT_BYTES ((size_t)4 << 20)

bool local_flare_id_valid(const char *id)
{
    size_t length = strlen(id);
    return length >= 1 && length <= 26 &&
           strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") == length;
}

const Covey__V1__LocalPack *local_flare_pack(const Covey__V1__LocalFlare *flare, uint32_t id)
{
    for (size_t i = 0; i < flare->n_packs; i++) {
        if (flare->packs[i]->id == id)
            return flare->packs[i];
    }
    return NULL;
}

static enum covey_status check_packs(const Covey__V1__LocalFlare *flare, struct covey_error *error)
{
    uint64_t rank = 0;
    bool here = false;
    for (size_t i = 0; i < flare->n_packs; i++) {
        const Covey__V1__LocalPack *pack = flare->packs[i];
        if (pack->id != i || pack->first_rank != rank || pack->workers == 0)
            return covey_error_set(error, COVEY_EINVAL,
                                   "pack %zu of the flare does not follow the one before it", i);
        if (pack->node_index >= flare->n_nodes)
            return covey_error_set(error, COVEY_EINVAL, "pack %zu is on no node of the flare", i);
        if (pack->n_cpus % pack->workers != 0)
            return covey_error_set(error, COVEY_EINVAL, "pack %zu has %zu cpus for %u workers", i,
                                   pack->n_cpus, pack->workers);
        for (size_t k = 0; k < pack->n_cpus; k++)
            if (pack->cpus[k] >= CPU_SETSIZE)
                return covey_error_set(error, COVEY_EINVAL, "pack %zu has a cpu %u", i,
                                       pack->cpus[k]);
        rank += pack->workers;
        here = here || pack->node_index == flare->node_index;
    }
    if (rank != flare->workers_total)
        return covey_error_set(error, COVEY_EINVAL, "the packs have %llu workers, the flare has %u",
                               (unsigned long long)rank, flare->workers_total);
    if (!here)
        return covey_error_set(error, COVEY_EINVAL, "no pack of the flare is on this node");
    for (size_t i = 0; i < flare->n_packs; i++)
        if (flare->packs[i]->workers > LOCAL_PACK_WORKERS)
            return covey_error_set(error, COVEY_ELIMIT,
                                   "pack %zu would have %u workers, and a pack has at most %u: "
                                   "choose homogeneous packing and a smaller granularity",
                                   i, flare->packs[i]->workers, LOCAL_PACK_WORKERS);
    return COVEY_OK;
}

enum covey_status local_flare_check(const Covey__V1__LocalFlare *flare, struct covey_error *error)
{
    if (!local_flare_id_valid(flare->flare_id))
        return covey_error_set(error, COVEY_EINVAL, "the flare's id is not valid");
    if (flare->workers_total == 0 || flare->workers_total > LOCAL_MAX_WORKERS)
        return covey_error_set(error, COVEY_ELIMIT, "a flare has 1 to %u workers, not %u",
                               LOCAL_MAX_WORKERS, flare->workers_total);
    if (flare->n_nodes > LOCAL_MAX_NODES)
        return covey_error_set(error, COVEY_ELIMIT, "a flare has at most %u nodes, not %zu",
                               LOCAL_MAX_NODES, flare->n_nodes);
    if (flare->code_kind != COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT &&
        flare->code_kind != COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE)
        return covey_error_set(error, COVEY_EINVAL, "the kind of code %u is not known",
                               flare->code_kind);
    if (flare->worker_kind != COVEY__V1__WORKER_KIND__WORKER_KIND_PROCESS &&
        flare->worker_kind != COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD)
        return covey_error_set(error, COVEY_EINVAL, "the kind of worker %u is not known",
                               flare->worker_kind);
    if (flare->worker_kind == COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD &&
        flare->code_kind != COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT)
        return covey_error_set(error, COVEY_EINVAL,
                               "workers can be threads only where the code is a shared object");
    return check_packs(flare, error);
}

enum covey_status local_flare_read(int fd, Covey__V1__LocalFlare **flare, struct covey_error *error)
{
    void *bytes;
    size_t length_bytes;
    *flare = NULL;
    enum covey_status status = memfd_map(fd, FLARE_LIMIT_BYTES, &bytes, &length_bytes);
    if (status)
        return covey_error_set(error, status, "the flare's description cannot be read");
    *flare = covey__v1__local_flare__unpack(NULL, length_bytes, bytes);
    memfd_unmap(bytes, length_bytes);
    if (!*flare)
        return covey_error_set(error, COVEY_EPROTO, "the flare's description is malformed");
    status = local_flare_check(*flare, error);
    if (status) {
        local_flare_free(*flare);
        *flare = NULL;
    }
    return status;
}

void local_flare_free(Covey__V1__LocalFlare *flare)
{
    if (flare)
        covey__v1__local_flare__free_unpacked(flare, NULL);
}

void local_describe_end(char *text, size_t size_bytes, uint32_t signal, uint32_t exit_status)
{
    if (signal)
        (void)snprintf(text, size_bytes, "killed by signal %u (%s)", signal,
                       strsignal((int)signal));
    else
        (void)snprintf(text, size_bytes, "exited with status %u", exit_status);
}
