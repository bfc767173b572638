/*
 * Sizes and times as people write them: one grammar for flags, files and the environment of every
 * program (covey(7) describes it).
 *
 *   SIZE = NUMBER [B | K | M | G | T | P, each also with iB]    powers of 1024; no unit: bytes
 *   TIME = NUMBER [ns | us | ms | s | m | min | h | d]          no unit: seconds
 *
 * NUMBER is decimal and may have a fraction: "1.5G". Sizes may be written in lower case.
 */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H

#include "covey/status.h"

#include <stdint.h>

/* For messages: what a text should have been. */
#define COVEY_SIZE_EXAMPLES "a size such as 4096, 512M, 2G or 2GiB"
#define COVEY_TIME_EXAMPLES "a time such as 250ms, 30s, 5m, 24h or 7d"

/* The bytes of a size, rounded down. EINVAL, with the result untouched, for a text that is none or
 * has more than 64 bits. */
enum covey_status covey_parse_size(const char *text, uint64_t *bytes) COVEY_MUST_USE;

/* The nanoseconds of a time, as above; at most INT64_MAX. */
enum covey_status covey_parse_time(const char *text, int64_t *duration_ns) COVEY_MUST_USE;

#endif
