#include "base/log_file.h"

#include "base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path that a descriptor was opened by, as long as it still names the same file. */
static bool find_path(int fd, const struct stat *info, char path[PATH_MAX])
{
    char link[64];
    struct stat named;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 3);
    if (length <= 0 || length >= PATH_MAX - 3)
        return false;
    path[length] = '\0';
    return stat(path, &named) == 0 && named.st_dev == info->st_dev && named.st_ino == info->st_ino;
}

static bool copy(const char *from_path, const char *to_path, off_t length)
{
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    int to = open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool done = from >= 0 && to >= 0;
    while (done && length > 0) {
        ssize_t sent = sendfile(to, from, NULL, (size_t)length);
        done = sent > 0;
        length -= sent;
    }
    covey_close(&from);
    covey_close(&to);
    return done;
}

void covey_log_file_bound(int fd, uint64_t limit_bytes)
{
    struct stat info;
    char path[PATH_MAX];
    char older[PATH_MAX + 2];
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || !(flags & O_APPEND) || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size <= limit_bytes || !find_path(fd, &info, path))
        return;
    (void)snprintf(older, sizeof older, "%s.1", path);
    /* Where the disk is full the newest goes rather than the disk's last room. */
    if (!copy(path, older, info.st_size))
        (void)unlink(older);
    if (ftruncate(fd, 0) != 0) {
        /* it grows on, and is tried again */
    }
}
