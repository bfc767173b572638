/* Files of results and logs: bytes that a journal row only counts. */
#include "base/error.h"
#include "base/io.h"
#include "service/store/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Ids are the controller's own: 26 letters and digits. */
static void result_path(struct store *store, const char *flare, uint32_t rank, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/results/%s/%u", store->folder, flare, rank);
}

static void log_path(struct store *store, const char *flare, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/logs/%s", store->folder, flare);
}

static int open_result(struct store *store, const char *flare, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/results/%s", store->folder, flare);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return -1;
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static enum covey_status write_at(int fd, uint64_t offset, const void *bytes, size_t length_bytes)
{
    const char *next = bytes;
    while (length_bytes > 0) {
        ssize_t written = pwrite(fd, next, length_bytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return COVEY_EIO;
        next += written;
        offset += (uint64_t)written;
        length_bytes -= (size_t)written;
    }
    return COVEY_OK;
}

enum covey_status store_result_write(struct store *store, const char *flare, uint32_t rank,
                                     uint64_t offset, const void *bytes, size_t length_bytes,
                                     uint64_t limit_bytes, struct covey_error *error)
{
    if (offset > limit_bytes || length_bytes > limit_bytes - offset)
        return covey_error_set(error, COVEY_ELIMIT,
                               "the result of rank %u is over the limit of %llu bytes", rank,
                               (unsigned long long)limit_bytes);
    char path[PATH_MAX];
    result_path(store, flare, rank, path);
    int fd = open_result(store, flare, path);
    enum covey_status status = COVEY_OK;
    if (fd < 0 || write_at(fd, offset, bytes, length_bytes) != COVEY_OK)
        status = covey_error_set_errno(error, errno, "cannot write %s", path);
    covey_close(&fd);
    return status;
}

static enum covey_status read_at(const char *path, uint64_t offset, void *bytes, size_t size_bytes,
                                 size_t *length_bytes)
{
    *length_bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? COVEY_OK : covey_status_from_errno(errno);
    ssize_t got;
    do {
        got = pread(fd, bytes, size_bytes, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    enum covey_status status = got < 0 ? covey_status_from_errno(errno) : COVEY_OK;
    if (got > 0)
        *length_bytes = (size_t)got;
    covey_close(&fd);
    return status;
}

enum covey_status store_result_read(struct store *store, const char *flare, uint32_t rank,
                                    uint64_t offset, void *bytes, size_t size_bytes,
                                    size_t *length_bytes)
{
    char path[PATH_MAX];
    result_path(store, flare, rank, path);
    return read_at(path, offset, bytes, size_bytes, length_bytes);
}

/* All of it, from the offset on; errno says why not. */
static bool write_parts(int fd, uint64_t offset, struct iovec *parts, size_t count)
{
    while (count > 0) {
        ssize_t written = pwritev(fd, parts, (int)count, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        offset += (uint64_t)written;
        for (size_t left = (size_t)written; count > 0; parts++, count--) {
            if (left < parts->iov_len) {
                parts->iov_base = (char *)parts->iov_base + left;
                parts->iov_len -= left;
                break;
            }
            left -= parts->iov_len;
        }
    }
    return true;
}

enum covey_status store_log_write(struct store *store, const char *flare, uint64_t offset,
                                  struct iovec *parts, size_t count, struct covey_error *error)
{
    char path[PATH_MAX];
    log_path(store, flare, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    enum covey_status status = COVEY_OK;
    if (fd < 0 || !write_parts(fd, offset, parts, count)) {
        status = covey_error_set_errno(error, errno, "cannot write %s", path);
        /* Only whole records stay. */
        if (fd >= 0 && ftruncate(fd, (off_t)offset) != 0)
            status = covey_error_set_errno(error, errno, "cannot shorten %s", path);
    }
    covey_close(&fd);
    return status;
}

enum covey_status store_log_cut(struct store *store, const char *flare, uint64_t size_bytes,
                                struct covey_error *error)
{
    char path[PATH_MAX];
    log_path(store, flare, path);
    if (truncate(path, (off_t)size_bytes) != 0)
        return covey_error_set_errno(error, errno, "cannot shorten %s", path);
    return COVEY_OK;
}

enum covey_status store_log_read(struct store *store, const char *flare, uint64_t offset,
                                 void *bytes, size_t size_bytes, size_t *length_bytes)
{
    char path[PATH_MAX];
    log_path(store, flare, path);
    return read_at(path, offset, bytes, size_bytes, length_bytes);
}

uint64_t store_log_size(struct store *store, const char *flare)
{
    char path[PATH_MAX];
    struct stat info;
    log_path(store, flare, path);
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

uint64_t store_spool_bytes(struct store *store, const char *flare)
{
    uint64_t sum = store_log_size(store, flare);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/results/%s", store->folder, flare);
    DIR *folder = opendir(path);
    if (!folder)
        return sum;
    struct stat info;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            sum += (uint64_t)info.st_size;
    (void)closedir(folder);
    return sum;
}

enum covey_status store_spool_remove(struct store *store, const char *flare,
                                     struct covey_error *error)
{
    char path[PATH_MAX];
    log_path(store, flare, path);
    if (unlink(path) != 0 && errno != ENOENT)
        return covey_error_set_errno(error, errno, "cannot remove %s", path);
    return store_results_remove(store, flare, error);
}

enum covey_status store_results_remove(struct store *store, const char *flare,
                                       struct covey_error *error)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/results/%s", store->folder, flare);
    enum covey_status status = covey_remove_tree(path);
    if (status)
        return covey_error_set(error, status, "cannot remove %s", path);
    return COVEY_OK;
}
