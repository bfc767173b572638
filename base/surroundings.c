#include "base/surroundings.h"

#include "base/error.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAST_STACK_KIB 512U
#define LEAST_FILES     32U
#define LEAST_FILE_KIB  16384U

static enum covey_status denied(const char *call, struct covey_error *error)
{
    return covey_error_set(error, COVEY_EPRECONDITION,
                           "the system call %s fails here (%s): if this is a container, its "
                           "seccomp profile is older than Covey needs: update the engine, or let "
                           "the profile pass the call",
                           call, strerror(errno));
}

static enum covey_status check_calls(struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int failed = errno;
    if (pidfd < 0 && (failed == EPERM || failed == ENOSYS))
        return denied("pidfd_open", error);
    if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0)
        status = denied("pidfd_send_signal", error);
    covey_close(&pidfd);
    int memory = memfd_create("covey-check", MFD_CLOEXEC);
    failed = errno;
    if (!status && memory < 0 && (failed == EPERM || failed == ENOSYS))
        status = denied("memfd_create", error);
    covey_close(&memory);
    return status;
}

/* Raises a soft limit to `wanted` where the hard one allows it; false where it stays below. */
static bool has_limit(int which, rlim_t wanted, rlim_t *left)
{
    struct rlimit limit;
    if (getrlimit(which, &limit) < 0)
        return true;
    if (limit.rlim_cur < wanted && limit.rlim_max >= wanted) {
        limit.rlim_cur = wanted;
        (void)setrlimit(which, &limit);
    }
    *left = limit.rlim_cur;
    return limit.rlim_cur >= wanted;
}

enum covey_status covey_surroundings_check(struct covey_error *error)
{
    rlim_t left = 0;
    if (!has_limit(RLIMIT_STACK, (rlim_t)LEAST_STACK_KIB * 1024, &left))
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "the stack limit is %llu KiB, Covey needs %u: raise it (ulimit -s)",
                               (unsigned long long)left / 1024, LEAST_STACK_KIB);
    if (!has_limit(RLIMIT_NOFILE, LEAST_FILES, &left))
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "the limit of open files is %llu, Covey needs %u: raise it "
                               "(ulimit -n)",
                               (unsigned long long)left, LEAST_FILES);
    struct rlimit file;
    if (getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur / 1024 < LEAST_FILE_KIB)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "files may have %llu KiB, Covey needs %u: raise the limit "
                               "(ulimit -f)",
                               (unsigned long long)file.rlim_cur / 1024, LEAST_FILE_KIB);
    return check_calls(error);
}

/* Where /proc cannot be read either: as many as there can be. */
static void close_by_number(unsigned first, unsigned last)
{
    struct rlimit limit = {.rlim_cur = 65536};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
        (void)close((int)fd);
}

void covey_close_range(unsigned first, unsigned last)
{
    if (first > last || close_range(first, last, 0) == 0)
        return;
    DIR *open_ones = opendir("/proc/self/fd");
    if (!open_ones) {
        close_by_number(first, last);
        return;
    }
    for (struct dirent *entry; (entry = readdir(open_ones));) {
        unsigned fd = (unsigned)strtoul(entry->d_name, NULL, 10);
        if (*entry->d_name == '.' || fd < first || fd > last || (int)fd == dirfd(open_ones))
            continue;
        (void)close((int)fd);
        rewinddir(open_ones); /* closing has changed what it lists */
    }
    (void)closedir(open_ones);
}

void covey_close_others(int keep, int keep_too)
{
    int low = keep < keep_too ? keep : keep_too;
    int high = keep < keep_too ? keep_too : keep;
    unsigned next = STDERR_FILENO + 1;
    for (int i = 0; i < 2; i++) {
        int kept = i == 0 ? low : high;
        if (kept < (int)next)
            continue;
        covey_close_range(next, (unsigned)kept - 1);
        next = (unsigned)kept + 1;
    }
    covey_close_range(next, ~0U);
}
