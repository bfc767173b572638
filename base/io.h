/* Whole reads and writes, files and folders, and descriptors handed over unix sockets. Thread-safe.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/buffer.h"
#include "covey/status.h"

#include <stddef.h>
#include <sys/types.h>

/* Reads exactly length_bytes, or fails: EIO with errno set, EPROTO where the input ends early. */
enum covey_status covey_read_full(int fd, void *bytes, size_t length_bytes) COVEY_MUST_USE;

/* Writes all of it, or fails with the status of errno. */
enum covey_status covey_write_full(int fd, const void *bytes, size_t length_bytes) COVEY_MUST_USE;

/* Appends a whole file to *contents, also a pipe's, which is empty where nobody writes to it;
 * ELIMIT where it is longer than limit_bytes. On failure the length of *contents is as before. */
enum covey_status covey_file_read(const char *path, size_t limit_bytes,
                                  struct covey_buffer *contents,
                                  struct covey_error *error) COVEY_MUST_USE;

/* Whether covey_file_write could write there, as far as that can be known before: the folder takes
 * a new file, and path is no folder. Nothing is left behind. */
enum covey_status covey_file_check_write(const char *path,
                                         struct covey_error *error) COVEY_MUST_USE;

/* As covey_file_read into an empty buffer, with a NUL behind it: for text that is read as a string.
 * EINVAL, with the line, where there is a NUL in it: what follows would not be seen. */
enum covey_status covey_text_file_read(const char *path, size_t limit_bytes,
                                       struct covey_buffer *contents,
                                       struct covey_error *error) COVEY_MUST_USE;

/* Replaces path by a temporary file and rename: a reader sees the old contents or the new, never a
 * part. A link stays one, and what it leads to is replaced; a device or pipe is written as it is.
 */
enum covey_status covey_file_write(const char *path, const void *bytes, size_t length_bytes,
                                   mode_t mode, struct covey_error *error) COVEY_MUST_USE;

/* mkdir -p: every missing folder of path is made with this mode. EINVAL on an empty path, EEXISTS
 * where path is there and is no folder. */
enum covey_status covey_make_dirs(const char *path, mode_t mode,
                                  struct covey_error *error) COVEY_MUST_USE;

/*
 * rm -rf that follows no symbolic link and opens up folders whose mode forbids it; any depth. A
 * path that is not there is success. On failure everything else is removed, and the status is that
 * of the first thing that could not be.
 */
enum covey_status covey_remove_tree(const char *path) COVEY_MUST_USE;

#define COVEY_IO_MAX_FDS 64

/*
 * Sends one record with descriptors on a SOCK_SEQPACKET socket. The descriptors stay the caller's.
 * EINVAL on an empty record, which would read as the end of the connection, or on too many of them.
 * EAGAIN where the socket is non-blocking and full; EUNAVAILABLE where the peer is gone.
 */
enum covey_status covey_send_fds(int socket, const void *bytes, size_t length_bytes, const int *fds,
                                 size_t fd_count) COVEY_MUST_USE;

/*
 * Receives one record. On success *length_bytes is its length (0: the peer closed) and
 * fds[0..*fd_count) are new, close-on-exec and the caller's. A record longer than size_bytes, or
 * with more than COVEY_IO_MAX_FDS descriptors, is EPROTO, and its descriptors are closed. EAGAIN
 * where nothing is there. What a peer has said before it closed comes first, however it closed.
 */
enum covey_status covey_receive_fds(int socket, void *bytes, size_t size_bytes,
                                    size_t *length_bytes, int fds[COVEY_IO_MAX_FDS],
                                    size_t *fd_count) COVEY_MUST_USE;

/* Closes a descriptor that is not -1, and makes it -1. errno is preserved. */
void covey_close(int *fd);

/*
 * Checks that a file that holds a secret may be read and written by nobody but its owner, and read
 * by its group at most. EACCES with the remedy; the errors of stat(2).
 */
enum covey_status covey_check_secret_file(const char *path,
                                          struct covey_error *error) COVEY_MUST_USE;

/*
 * Raises this process's soft limit of descriptors to the hard one. For programs that have thousands
 * of connections and do not call select(); whoever they execute inherits it.
 */
void covey_raise_fd_limit(void);

#endif
