/*
 * How the log of a flare lies in its file: pieces of what workers wrote, in the order in which they
 * came, each as a header and its text. A piece says how far the log of its pack went with it, so
 * that the file alone tells a controller that was restarted what it has. Pure: no I/O.
 */
#ifndef SERVICE_CONTROLLER_LOG_RECORD_H
#define SERVICE_CONTROLLER_LOG_RECORD_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the byte order of the machine: the file does not leave it. */
struct log_record {
    uint32_t magic;
    uint32_t text_bytes;
    uint32_t rank;
    uint32_t pack;
    uint32_t attempt; /* of the flare: each has logs of packs of its own */
    uint16_t stream;
    uint16_t flags;
    int64_t wall_ns;
    uint64_t end; /* of the log of its pack, with this piece */
};

#define LOG_RECORD_MAGIC 0x31676f6cU /* "log1" */

/* The line is the controller's own, and the last: nothing more is kept. */
#define LOG_RECORD_CUT 1U
/* The line is the controller's own. */
#define LOG_RECORD_MARK 2U

/*
 * Looks at have_bytes of a file from the beginning of a record on. *need_bytes is its length, or
 * that of a header where there are not even so many: more than have_bytes means that it is not
 * whole. EPROTO: it is no record.
 */
enum covey_status log_record_look(const void *bytes, size_t have_bytes, struct log_record *record,
                                  size_t *need_bytes) COVEY_MUST_USE;

#endif
