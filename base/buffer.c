#include "base/buffer.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum covey_status covey_buffer_reserve(struct covey_buffer *buffer, size_t more_bytes)
{
    size_t needed;
    if (__builtin_add_overflow(buffer->length_bytes, more_bytes, &needed) || needed > PTRDIFF_MAX)
        return COVEY_ENOMEM;
    if (needed <= buffer->capacity_bytes)
        return COVEY_OK;
    size_t doubled = buffer->capacity_bytes * 2;
    size_t capacity = needed > doubled ? needed : doubled;
    if (capacity < 64)
        capacity = 64;
    uint8_t *data = covey_realloc(buffer->data, capacity);
    if (!data)
        return COVEY_ENOMEM;
    buffer->data = data;
    buffer->capacity_bytes = capacity;
    return COVEY_OK;
}

enum covey_status covey_buffer_append(struct covey_buffer *buffer, const void *bytes,
                                      size_t length_bytes)
{
    enum covey_status status = covey_buffer_reserve(buffer, length_bytes);
    if (status)
        return status;
    if (length_bytes)
        memcpy(buffer->data + buffer->length_bytes, bytes, length_bytes);
    buffer->length_bytes += length_bytes;
    return COVEY_OK;
}

enum covey_status covey_buffer_printf(struct covey_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return COVEY_EINVAL;
    enum covey_status status = covey_buffer_reserve(buffer, (size_t)length + 1);
    if (status)
        return status;
    va_start(arguments, format);
    (void)vsnprintf((char *)buffer->data + buffer->length_bytes, (size_t)length + 1, format,
                    arguments);
    va_end(arguments);
    buffer->length_bytes += (size_t)length;
    return COVEY_OK;
}

void covey_buffer_consume(struct covey_buffer *buffer, size_t length_bytes)
{
    if (length_bytes >= buffer->length_bytes) {
        buffer->length_bytes = 0;
        return;
    }
    buffer->length_bytes -= length_bytes;
    memmove(buffer->data, buffer->data + length_bytes, buffer->length_bytes);
}

void covey_buffer_free(struct covey_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct covey_buffer){0};
}
