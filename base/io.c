#include "base/io.h"

#include "base/error.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum covey_status covey_read_full(int fd, void *bytes, size_t length_bytes)
{
    char *at = bytes;
    while (length_bytes > 0) {
        ssize_t got = read(fd, at, length_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return COVEY_EIO;
        if (got == 0)
            return COVEY_EPROTO;
        at += got;
        length_bytes -= (size_t)got;
    }
    return COVEY_OK;
}

enum covey_status covey_write_full(int fd, const void *bytes, size_t length_bytes)
{
    const char *at = bytes;
    while (length_bytes > 0) {
        ssize_t put = write(fd, at, length_bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return covey_status_from_errno(errno);
        at += put;
        length_bytes -= (size_t)put;
    }
    return COVEY_OK;
}

static enum covey_status read_to_end(int fd, size_t limit_bytes, struct covey_buffer *contents)
{
    size_t start = contents->length_bytes;
    for (;;) {
        enum covey_status status = covey_buffer_reserve(contents, 65536);
        if (status)
            return status;
        ssize_t got = read(fd, contents->data + contents->length_bytes, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return covey_status_from_errno(errno);
        if (got == 0)
            return COVEY_OK;
        contents->length_bytes += (size_t)got;
        if (contents->length_bytes - start > limit_bytes)
            return COVEY_ELIMIT;
    }
}

enum covey_status covey_file_read(const char *path, size_t limit_bytes,
                                  struct covey_buffer *contents, struct covey_error *error)
{
    /* A pipe that nobody writes to is empty, and not waited for; one that somebody does is read. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return covey_error_set_errno(error, errno, "cannot open %s", path);
    (void)fcntl(fd, F_SETFL, O_RDONLY);
    size_t start = contents->length_bytes;
    enum covey_status status = read_to_end(fd, limit_bytes, contents);
    if (status == COVEY_ELIMIT)
        covey_error_set(error, status, "%s is longer than %zu bytes", path, limit_bytes);
    else if (status)
        covey_error_set_errno(error, errno, "cannot read %s", path);
    if (status)
        contents->length_bytes = start;
    close(fd);
    return status;
}

enum covey_status covey_text_file_read(const char *path, size_t limit_bytes,
                                       struct covey_buffer *contents, struct covey_error *error)
{
    enum covey_status status = covey_file_read(path, limit_bytes, contents, error);
    if (!status && (status = covey_buffer_append(contents, "", 1)) != COVEY_OK)
        (void)covey_error_set(error, status, "no memory for %s", path);
    if (status)
        return status;
    unsigned line = 1;
    for (size_t i = 0; i + 1 < contents->length_bytes; i++) {
        line += contents->data[i] == '\n';
        if (contents->data[i] == '\0')
            return covey_error_set(error, COVEY_EINVAL, "%s:%u: there is a NUL in this line", path,
                                   line);
    }
    return COVEY_OK;
}

/* What is no file is written, and stays what it is. */
static enum covey_status write_in_place(const char *path, const void *bytes, size_t length_bytes,
                                        struct covey_error *error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return covey_error_set_errno(error, errno, "cannot open %s", path);
    int failed = covey_write_full(fd, bytes, length_bytes) != COVEY_OK ? errno : 0;
    if (close(fd) < 0 && !failed)
        failed = errno;
    return failed ? covey_error_set_errno(error, failed, "cannot write %s", path) : COVEY_OK;
}

/* Where a file is written: what a link leads to, and a temporary beside it, or -1 in *fd for what
 * is no file. */
struct target {
    const char *path;
    char linked[PATH_MAX];
    char temporary[PATH_MAX];
    int fd;
};

static enum covey_status open_target(const char *path, struct target *target,
                                     struct covey_error *error)
{
    struct stat facts;
    target->path = path;
    target->fd = -1;
    /* A link stays one: what it leads to is replaced. */
    if (lstat(path, &facts) == 0 && S_ISLNK(facts.st_mode) && realpath(path, target->linked))
        target->path = target->linked;
    if (stat(target->path, &facts) == 0 && S_ISDIR(facts.st_mode))
        return covey_error_set_errno(error, EISDIR, "cannot write %s", path);
    if (stat(target->path, &facts) == 0 && !S_ISREG(facts.st_mode))
        return COVEY_OK;
    int length = snprintf(target->temporary, sizeof(target->temporary), "%s.XXXXXX", target->path);
    if (length < 0 || (size_t)length >= sizeof(target->temporary))
        return covey_error_set(error, COVEY_EINVAL, "path too long: %s", path);
    target->fd = mkostemp(target->temporary, O_CLOEXEC);
    if (target->fd < 0)
        return covey_error_set_errno(error, errno, "cannot create %s", target->temporary);
    return COVEY_OK;
}

enum covey_status covey_file_check_write(const char *path, struct covey_error *error)
{
    struct target target;
    enum covey_status status = open_target(path, &target, error);
    if (!status && target.fd < 0)
        return access(target.path, W_OK) == 0
                   ? COVEY_OK
                   : covey_error_set_errno(error, errno, "cannot write %s", path);
    if (!status)
        (void)unlink(target.temporary);
    covey_close(&target.fd);
    return status;
}

enum covey_status covey_file_write(const char *path, const void *bytes, size_t length_bytes,
                                   mode_t mode, struct covey_error *error)
{
    struct target target;
    enum covey_status status = open_target(path, &target, error);
    if (status || target.fd < 0)
        return status ? status : write_in_place(target.path, bytes, length_bytes, error);
    int failed = 0;
    if (covey_write_full(target.fd, bytes, length_bytes) != COVEY_OK || fchmod(target.fd, mode) < 0)
        failed = errno;
    /* Some file systems say only here that the space has run out. */
    if (close(target.fd) < 0 && !failed)
        failed = errno;
    if (!failed && rename(target.temporary, target.path) < 0)
        failed = errno;
    if (!failed)
        return COVEY_OK;
    unlink(target.temporary);
    return covey_error_set_errno(error, failed, "cannot write %s", path);
}

enum covey_status covey_make_dirs(const char *path, mode_t mode, struct covey_error *error)
{
    char partial[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0)
        return covey_error_set(error, COVEY_EINVAL, "a folder needs a name");
    if (length >= sizeof(partial))
        return covey_error_set(error, COVEY_EINVAL, "path too long: %s", path);
    memcpy(partial, path, length + 1);
    for (char *slash = partial + 1;; slash++) {
        if (*slash != '/' && *slash != '\0')
            continue;
        char ended = *slash;
        *slash = '\0';
        if (mkdir(partial, mode) < 0 && errno != EEXIST)
            return covey_error_set_errno(error, errno, "cannot create the folder %s", partial);
        if (ended == '\0')
            break;
        *slash = ended;
    }
    struct stat info;
    if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
        return covey_error_set(error, COVEY_EEXISTS, "%s is there and is not a folder", path);
    return COVEY_OK;
}

/* Folders nested deeper are moved up before they are emptied: a tree may be deeper than a process
 * may have descriptors open. */
enum { removal_depth = 32 };

struct removal {
    int top;
    unsigned long moved;
    bool again;
    int error; /* the first errno met, or 0 */
};

static void note_error(struct removal *removal)
{
    if (!removal->error)
        removal->error = errno;
}

/* Opens a folder so that its entries can be removed, whatever mode its owner left it in. */
static int open_folder(int parent, const char *name)
{
    const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, O_RDONLY | flags);
    if (fd < 0 && errno == EACCES) {
        int locked = openat(parent, name, O_PATH | flags);
        if (locked < 0)
            return -1;
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", locked);
        if (chmod(path, S_IRWXU) == 0)
            fd = openat(parent, name, O_RDONLY | flags);
        covey_close(&locked);
    }
    struct stat info;
    if (fd >= 0 && fstat(fd, &info) == 0 && (info.st_mode & S_IRWXU) != S_IRWXU)
        (void)fchmod(fd, S_IRWXU); /* where it fails, so does the removal, and says why */
    return fd;
}

static void move_up(int parent, const char *name, struct removal *removal)
{
    for (;;) {
        char target[64];
        (void)snprintf(target, sizeof(target), ".removed-%lu", removal->moved++);
        if (renameat(parent, name, removal->top, target) == 0) {
            removal->again = true;
            return;
        }
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) {
            note_error(removal);
            return;
        }
    }
}

static void empty_folder(int fd, int depth, struct removal *removal);

static void remove_at(int parent, const char *name, int depth, struct removal *removal)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    if (errno != EISDIR) {
        note_error(removal);
        return;
    }
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return;
    if (depth == removal_depth) {
        move_up(parent, name, removal);
        return;
    }
    int fd = open_folder(parent, name);
    if (fd < 0) {
        note_error(removal);
        return;
    }
    empty_folder(fd, depth + 1, removal);
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        note_error(removal);
}

/* Takes fd. */
static void empty_folder(int fd, int depth, struct removal *removal)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        note_error(removal);
        covey_close(&fd);
        return;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_at(fd, entry->d_name, depth, removal);
    }
    closedir(folder);
}

enum covey_status covey_remove_tree(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return COVEY_OK;
    if (errno != EISDIR)
        return covey_status_from_errno(errno);
    struct removal removal = {.top = open_folder(AT_FDCWD, path)};
    if (removal.top < 0)
        return covey_status_from_errno(errno);
    do {
        removal.again = false;
        int fd = openat(removal.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            note_error(&removal);
        else
            empty_folder(fd, 0, &removal);
    } while (removal.again);
    covey_close(&removal.top);
    if (!removal.error && rmdir(path) < 0 && errno != ENOENT)
        note_error(&removal);
    return covey_status_from_errno(removal.error);
}

union control {
    char bytes[CMSG_SPACE(sizeof(int) * COVEY_IO_MAX_FDS)];
    struct cmsghdr align;
};

enum covey_status covey_send_fds(int socket, const void *bytes, size_t length_bytes, const int *fds,
                                 size_t fd_count)
{
    union control control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length_bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > COVEY_IO_MAX_FDS || length_bytes == 0)
        return COVEY_EINVAL;
    if (fd_count > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 ? COVEY_OK : covey_status_from_errno(errno);
}

static size_t take_fds(struct msghdr *message, int fds[COVEY_IO_MAX_FDS])
{
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (count < COVEY_IO_MAX_FDS)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

/* That the peer closed with something unread is told once, before what it has said. */
static ssize_t receive_on(int socket, struct msghdr *message)
{
    bool reset = false;
    for (;;) {
        ssize_t got = recvmsg(socket, message, MSG_CMSG_CLOEXEC);
        if (got >= 0 || (errno != EINTR && (errno != ECONNRESET || reset)))
            return got;
        reset |= errno == ECONNRESET;
    }
}

enum covey_status covey_receive_fds(int socket, void *bytes, size_t size_bytes,
                                    size_t *length_bytes, int fds[COVEY_IO_MAX_FDS],
                                    size_t *fd_count)
{
    union control control;
    struct iovec part = {.iov_base = bytes, .iov_len = size_bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    *length_bytes = 0;
    *fd_count = 0;
    ssize_t got = receive_on(socket, &message);
    if (got < 0)
        return covey_status_from_errno(errno);
    size_t count = take_fds(&message, fds);
    /* A record without bytes that carries descriptors would read as the end of the connection. */
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || (got == 0 && count > 0)) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return COVEY_EPROTO;
    }
    *length_bytes = (size_t)got;
    *fd_count = count;
    return COVEY_OK;
}

void covey_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

void covey_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

enum covey_status covey_check_secret_file(const char *path, struct covey_error *error)
{
    struct stat facts;
    if (stat(path, &facts) != 0)
        return covey_error_set_errno(error, errno, "cannot read %s", path);
    if (facts.st_mode & (S_IRWXO | S_IWGRP))
        return covey_error_set(error, COVEY_EACCES,
                               "%s holds a secret and others may read or write it: chmod 600 it",
                               path);
    return COVEY_OK;
}
