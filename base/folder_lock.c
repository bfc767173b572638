#include "base/folder_lock.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

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

/* A disk that is full, or a folder that is read-only, is told of when something must be written. */
static void sign(int fd)
{
    char text[64];
    int length = snprintf(text, sizeof text, "%ld %" PRIu64 "\n", (long)getpid(),
                          covey_process_start_time(getpid()));
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)length, 0);
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
    else
        sign(fd);
    *lock_fd = fd;
    return status;
}

bool covey_folder_owner(const char *folder, struct covey_process_id *owner)
{
    char text[64] = "";
    char *rest;
    char *path = covey_asprintf("%s/lock", folder);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        *text = '\0';
    covey_close(&fd);
    free(path);
    owner->pid = (pid_t)strtol(text, &rest, 10);
    owner->start_time = strtoull(rest, NULL, 10);
    return owner->pid > 0 && owner->start_time != 0 &&
           covey_process_start_time(owner->pid) == owner->start_time;
}
