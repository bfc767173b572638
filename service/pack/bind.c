/* The cpus that a pack's workers are bound to. */
#include "base/error.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <sched.h>

/* The cpus of one worker; *count is 0 where it is not bound. local_flare_check has seen that they
 * are as many for each. */
static const uint32_t *cpus_of(const struct pack *pack, uint32_t index, size_t *count)
{
    *count = pack->here.n_cpus / pack->here.workers;
    return pack->here.cpus + index * *count;
}

enum covey_status pack_check_cpus(const struct pack *pack, int32_t *rank, struct covey_error *error)
{
    cpu_set_t allowed;
    if (pack->here.n_cpus == 0)
        return COVEY_OK;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return covey_error_set_errno(error, errno, "cannot ask which cpus there are");
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        size_t count;
        const uint32_t *cpus = cpus_of(pack, i, &count);
        for (size_t k = 0; k < count; k++) {
            if (CPU_ISSET(cpus[k], &allowed))
                continue;
            *rank = (int32_t)(pack->here.first_rank + i);
            return covey_error_set(error, COVEY_EUNAVAILABLE,
                                   "rank %d is to be bound to cpu %u, which is not there, or not "
                                   "for this node's agent",
                                   *rank, cpus[k]);
        }
    }
    return COVEY_OK;
}

enum covey_status pack_bind(const struct pack *pack, uint32_t index)
{
    size_t count;
    const uint32_t *cpus = cpus_of(pack, index, &count);
    cpu_set_t set;
    if (count == 0)
        return COVEY_OK;
    CPU_ZERO(&set);
    for (size_t k = 0; k < count; k++)
        CPU_SET(cpus[k], &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? COVEY_OK : covey_status_from_errno(errno);
}
