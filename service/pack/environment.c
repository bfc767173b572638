#include "base/error.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

static bool enter(const char *folder)
{
    return *folder && chdir(folder) == 0 && setenv("PWD", folder, 1) == 0;
}

enum covey_status pack_enter_folder(const struct pack *pack, struct covey_error *error)
{
    const Covey__V1__LocalFlare *flare = pack->flare;
    if (enter(flare->working_folder))
        return COVEY_OK;
    if (flare->working_folder_must_exist)
        return covey_error_set(
            error, COVEY_EPRECONDITION, "the workers cannot start in %s on node %s: %s",
            flare->working_folder, flare->nodes[flare->node_index], strerror(errno));
    enum covey_status status = covey_make_dirs(flare->own_folder, 0700, error);
    if (status)
        return status;
    return enter(flare->own_folder)
               ? COVEY_OK
               : covey_error_set_errno(error, errno, "the workers cannot start in %s",
                                       flare->own_folder);
}

void pack_allow_core_dumps(void)
{
    /* Not the arena, which is shared: its pages are many, and most are not there. */
    static const char filter[] = "0x31";
    struct rlimit limit;
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, filter, sizeof(filter) - 1) < 0)
        log_warn("core dumps hold the arena, too error=\"%s\"", strerror(errno));
    covey_close(&fd);
    if (getrlimit(RLIMIT_CORE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_CORE, &limit);
}

/* Each opens it anew: they read from the beginning, each at its own pace. */
bool pack_place_stdin(const struct pack *pack, uint32_t index)
{
    char path[32] = "/dev/null";
    bool reads = pack->flare->stdin_to == COVEY__V1__STANDARD_INPUT__STANDARD_INPUT_ALL ||
                 (pack->flare->stdin_to == COVEY__V1__STANDARD_INPUT__STANDARD_INPUT_FIRST &&
                  pack->here.first_rank + index == 0);
    if (reads)
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", pack->fds[PACK_FD_STDIN]);
    int input = open(path, O_RDONLY | O_CLOEXEC);
    bool placed = input >= 0 && dup2(input, STDIN_FILENO) == STDIN_FILENO;
    if (input != STDIN_FILENO)
        covey_close(&input);
    return placed;
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
