#include "base/surroundings.h"

#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
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

size_t covey_limit_text(int error_number, char *text, size_t size_bytes)
{
    static const struct {
        int error_number;
        int which;
        rlim_t unit;
        const char *what;
        const char *shown;
    } rows[] = {
        {EMFILE, RLIMIT_NOFILE, 1, "open files", " (ulimit -n)"},
        {EAGAIN, RLIMIT_NPROC, 1, "this user's processes", " (ulimit -u)"},
        {ENOMEM, RLIMIT_AS, 1024, "addresses", " KiB (ulimit -v)"},
        {EFBIG, RLIMIT_FSIZE, 1024, "a file", " KiB (ulimit -f)"},
    };
    struct rlimit limit;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].error_number != error_number || getrlimit(rows[i].which, &limit) < 0 ||
            limit.rlim_cur == RLIM_INFINITY)
            continue;
        return covey_text_print(text, size_bytes, "the limit of %s is %llu%s", rows[i].what,
                                (unsigned long long)(limit.rlim_cur / rows[i].unit), rows[i].shown);
    }
    return 0;
}

#define THREADS_MOST 16

static void *wait_for_gate(void *data)
{
    pthread_mutex_t *gate = data;
    (void)pthread_mutex_lock(gate);
    (void)pthread_mutex_unlock(gate);
    return NULL;
}

enum covey_status covey_threads_check(unsigned count, struct covey_error *error)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS_MOST];
    unsigned made = 0;
    int failed = 0;
    (void)pthread_mutex_lock(&gate);
    while (made < count && made < THREADS_MOST && !failed) {
        failed = pthread_create(&threads[made], NULL, wait_for_gate, &gate);
        made += failed ? 0 : 1;
    }
    (void)pthread_mutex_unlock(&gate);
    for (unsigned i = 0; i < made; i++)
        (void)pthread_join(threads[i], NULL);
    if (!failed)
        return COVEY_OK;
    enum covey_status status = covey_error_set_errno(error, failed, "cannot start a thread");
    covey_error_add_limit(error);
    return status;
}

/* What starts and watches processes is done by it; the boot's id tells a node from another. */
static enum covey_status check_proc(struct covey_error *error)
{
    if (access("/proc/self/exe", F_OK) < 0)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "/proc is not mounted here, and Covey starts and watches processes "
                               "by it: mount -t proc proc /proc");
    if (access("/proc/sys/kernel/random/boot_id", R_OK) < 0)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "/proc is mounted with subset=pid here, and Covey needs "
                               "/proc/sys/kernel/random/boot_id of it, too: mount all of it");
    return COVEY_OK;
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
    enum covey_status status = check_proc(error);
    return status ? status : check_calls(error);
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
