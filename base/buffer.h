/* A growable run of bytes. Owned by whoever holds the struct; {0} is empty. One thread at a time.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "covey/status.h"

#include <stddef.h>
#include <stdint.h>

struct covey_buffer {
    uint8_t *data;
    size_t length_bytes;
    size_t capacity_bytes;
};

/* Makes room for `more` bytes after length_bytes. ENOMEM leaves the buffer as it was. */
enum covey_status covey_buffer_reserve(struct covey_buffer *buffer,
                                       size_t more_bytes) COVEY_MUST_USE;

/* Appends bytes; bytes may be NULL where the length is 0. */
enum covey_status covey_buffer_append(struct covey_buffer *buffer, const void *bytes,
                                      size_t length_bytes) COVEY_MUST_USE;

/* Appends formatted text, without its NUL (one is kept after the end, so data is a C string). */
enum covey_status covey_buffer_printf(struct covey_buffer *buffer, const char *format, ...)
    COVEY_PRINTF(2, 3) COVEY_MUST_USE;

/* Drops the first bytes and moves the rest to the front. */
void covey_buffer_consume(struct covey_buffer *buffer, size_t length_bytes);

/* Frees the memory; the buffer is then empty. */
void covey_buffer_free(struct covey_buffer *buffer);

#endif
