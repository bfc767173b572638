#include "base/io.h"

#include "base/error.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return covey_error_set_errno(error, errno, "cannot open %s", path);
    enum covey_status status = read_to_end(fd, limit_bytes, contents);
    if (status == COVEY_ELIMIT)
        covey_error_set(error, status, "%s is longer than %zu bytes", path, limit_bytes);
    else if (status)
        covey_error_set_errno(error, errno, "cannot read %s", path);
    close(fd);
    return status;
}

enum covey_status covey_file_write(const char *path, const void *bytes, size_t length_bytes,
                                   mode_t mode, struct covey_error *error)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return covey_error_set(error, COVEY_EINVAL, "path too long: %s", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return covey_error_set_errno(error, errno, "cannot create %s", temporary);
    enum covey_status status = covey_write_full(fd, bytes, length_bytes);
    if (status == COVEY_OK && (fchmod(fd, mode) < 0 || rename(temporary, path) < 0))
        status = covey_status_from_errno(errno);
    if (status) {
        covey_error_set_errno(error, errno, "cannot write %s", path);
        unlink(temporary);
    }
    close(fd);
    return status;
}

enum covey_status covey_make_dirs(const char *path, mode_t mode, struct covey_error *error)
{
    char partial[PATH_MAX];
    if (strlen(path) >= sizeof(partial))
        return covey_error_set(error, COVEY_EINVAL, "path too long: %s", path);
    strcpy(partial, path);
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

static int remove_at(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return -1;
    }
    int failed = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        failed |= remove_at(fd, entry->d_name);
    }
    closedir(folder);
    if (!failed && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        failed = -1;
    return failed;
}

enum covey_status covey_remove_tree(const char *path)
{
    return remove_at(AT_FDCWD, path) == 0 ? COVEY_OK : covey_status_from_errno(errno);
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
    if (fd_count > COVEY_IO_MAX_FDS)
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
    if (sent >= 0)
        return COVEY_OK;
    return errno == EAGAIN ? COVEY_EAGAIN : covey_status_from_errno(errno);
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
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? COVEY_EAGAIN : covey_status_from_errno(errno);
    size_t count = take_fds(&message, fds);
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
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
