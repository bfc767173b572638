#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int64_t remaining = -1;

void covey_memory_fail_after(int64_t successes)
{
    atomic_store(&remaining, successes);
}

static bool allowed(void)
{
    int64_t left = atomic_load_explicit(&remaining, memory_order_relaxed);
    if (left < 0)
        return true;
    while (left > 0) {
        if (atomic_compare_exchange_weak(&remaining, &left, left - 1))
            return true;
    }
    errno = ENOMEM;
    return false;
}

void *covey_malloc(size_t size_bytes)
{
    return allowed() ? malloc(size_bytes ? size_bytes : 1) : NULL;
}

void *covey_calloc(size_t count, size_t size_bytes)
{
    return allowed() ? calloc(count ? count : 1, size_bytes ? size_bytes : 1) : NULL;
}

void *covey_realloc(void *old, size_t size_bytes)
{
    return allowed() ? realloc(old, size_bytes ? size_bytes : 1) : NULL;
}

void *covey_reallocarray(void *old, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return covey_realloc(old, total);
}

char *covey_strdup(const char *text)
{
    return covey_memdup(text, strlen(text) + 1);
}

void *covey_memdup(const void *bytes, size_t size_bytes)
{
    void *copy = covey_malloc(size_bytes);
    if (copy && size_bytes)
        memcpy(copy, bytes, size_bytes);
    return copy;
}

char *covey_asprintf(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (allowed() && vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return text;
}
