#include "base/folder_lock.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#define WAIT_NS (5 * COVEY_NS_PER_S)
#define NAP_NS  (10 * COVEY_NS_PER_MS)

static enum covey_status wait_for_lock(int fd, const char *path, struct covey_error *error)
{
    int64_t deadline_ns = covey_now_ns() + WAIT_NS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return covey_error_set_errno(error, errno, "cannot lock %s", path);
        if (covey_now_ns() >= deadline_ns)
            return COVEY_EEXISTS;
        (void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    return COVEY_OK;
}

enum covey_status covey_folder_lock(const char *folder, int *lock_fd, struct covey_error *error)
{
    char *path = covey_asprintf("%s/lock", folder);
    if (!path)
        return covey_error_set(error, COVEY_ENOMEM, "no memory to lock %s", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum covey_status status = fd < 0 ? covey_error_set_errno(error, errno, "cannot open %s", path)
                                      : wait_for_lock(fd, path, error);
    free(path);
    if (status)
        covey_close(&fd);
    *lock_fd = fd;
    return status;
}
