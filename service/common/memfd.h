/* Bytes that are handed to another process: memfds that nobody can change any more. */
#ifndef SERVICE_COMMON_MEMFD_H
#define SERVICE_COMMON_MEMFD_H

#include "covey/status.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Makes a sealed memfd (close-on-exec) of the parts one after the other. Errors: those of errno. */
enum covey_status memfd_create_sealed(const char *name, const struct iovec *parts, size_t count,
                                      int *fd) COVEY_MUST_USE;

/* Makes a memfd (close-on-exec) of the first bytes of a file, to which more can be written, until
 * memfd_seal, which closes it where it fails. Errors: those of errno. */
enum covey_status memfd_begin(const char *name, int from, uint64_t length_bytes,
                              int *fd) COVEY_MUST_USE;
enum covey_status memfd_seal(int *fd) COVEY_MUST_USE;

/* Makes a sealed memfd of what a file holds, which can be executed wherever the file lies. Errors:
 * those of errno. */
enum covey_status memfd_copy_file(const char *name, int from, int *fd) COVEY_MUST_USE;

/*
 * Maps a memfd read-only. EPROTO where it is none, or not sealed against writing and shrinking;
 * ELIMIT where it is longer than limit_bytes. An empty one gives a pointer that is not NULL and a
 * length of 0. Ended by memfd_unmap. The descriptor stays the caller's.
 */
enum covey_status memfd_map(int fd, size_t limit_bytes, void **bytes,
                            size_t *length_bytes) COVEY_MUST_USE;
void memfd_unmap(void *bytes, size_t length_bytes);

#endif
