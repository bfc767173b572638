/*
 * Allocation with a seam: a test can make the n-th allocation of the process fail and so sweep
 * every failure path. Results are freed with free(). NULL on failure, errno ENOMEM. Thread-safe.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *covey_malloc(size_t size_bytes) __attribute__((malloc));
void *covey_calloc(size_t count, size_t size_bytes) __attribute__((malloc));
void *covey_realloc(void *old, size_t size_bytes);
/* realloc of count * size_bytes with the product checked. */
void *covey_reallocarray(void *old, size_t count, size_t size_bytes);
char *covey_strdup(const char *text) __attribute__((malloc));
void *covey_memdup(const void *bytes, size_t size_bytes) __attribute__((malloc));
/* A formatted string. */
char *covey_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc));

/*
 * For tests: the allocation after `successes` more succeeds no longer, nor any that follows.
 * A negative value (the default) turns the seam off.
 */
void covey_memory_fail_after(int64_t successes);

#endif
