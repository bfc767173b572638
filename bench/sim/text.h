/* Files as archives keep them: plain or gzip's. */
#ifndef BENCH_SIM_TEXT_H
#define BENCH_SIM_TEXT_H

#include "base/buffer.h"

/*
 * Reads a file into an empty buffer, unpacked where it is gzip's. What is in the buffer is the
 * caller's to free, after a failure too. EINVAL: a gzip file that is damaged or cut off. ELIMIT:
 * more than limit_bytes, packed or unpacked. ENOMEM, and as covey_file_read.
 */
enum covey_status sim_text_read(const char *path, size_t limit_bytes, struct covey_buffer *text,
                                struct covey_error *error) COVEY_MUST_USE;

#endif
