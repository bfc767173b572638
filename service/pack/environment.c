#include "base/error.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool set_number(const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return setenv(name, text, 1) == 0;
}

enum covey_status pack_set_environment(struct pack *pack, struct covey_error *error)
{
    const Covey__V1__LocalFlare *flare = pack->flare;
    bool set = set_number(WORKER_SIZE_VARIABLE, flare->workers_total) &&
               set_number(WORKER_NODES_VARIABLE, flare->n_nodes) &&
               set_number(WORKER_NODE_RANK_VARIABLE, flare->node_index);
    /* The strings stay where they are as long as the process. */
    for (size_t i = 0; set && i < flare->n_environment; i++)
        set = putenv(flare->environment[i]) == 0;
    return set ? COVEY_OK : covey_error_set_errno(error, errno, "cannot set the environment");
}

bool pack_environment_is_late(const struct pack *pack)
{
    static const char *const early[] = {"LD_",           "GLIBC_TUNABLES=", "MALLOC_",
                                        "ASAN_OPTIONS=", "UBSAN_OPTIONS=",  "LSAN_OPTIONS=",
                                        "TSAN_OPTIONS="};
    for (size_t i = 0; i < pack->flare->n_environment; i++) {
        for (size_t k = 0; k < sizeof(early) / sizeof(*early); k++) {
            if (strncmp(pack->flare->environment[i], early[k], strlen(early[k])) == 0)
                return true;
        }
    }
    return false;
}

bool pack_set_worker_environment(const struct pack *pack, uint32_t index)
{
    const Covey__V1__LocalFlare *flare = pack->flare;
    uint64_t before = 0;
    for (size_t i = 0; i < flare->n_packs && flare->packs[i]->id != pack->here.id; i++) {
        if (flare->packs[i]->node_index == flare->node_index)
            before += flare->packs[i]->workers;
    }
    return set_number(WORKER_RANK_VARIABLE, pack->here.first_rank + index) &&
           set_number(WORKER_LOCAL_RANK_VARIABLE, before + index);
}
