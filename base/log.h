/*
 * The log of a process: one line per record on standard error,
 *     2026-01-31T12:00:00.123Z level program: a lowercase sentence key=value key="two words"
 * written with a single write(2), so that lines of several processes never mix.
 *
 * The level comes from COVEY_LOG (error, warn, info, debug; default info) or covey_log_init.
 * Thread-safe. base, proto and scheduler do not log: they return errors.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "covey/status.h"

#include <stdbool.h>
#include <stdint.h>

enum covey_log_level { COVEY_LOG_ERROR, COVEY_LOG_WARN, COVEY_LOG_INFO, COVEY_LOG_DEBUG };

/* Names the program in each line (borrowed for ever) and reads COVEY_LOG. Optional; call before
 * threads start. */
void covey_log_init(const char *program);

/* Where records go; standard error at first. Call before threads start. */
void covey_log_set_fd(int fd);

/* Keeps the log, where it is a file that is appended to, below about this length, and one older
 * file as long beside it (base/log_file.h). One process of those that share a file. Call before
 * threads start. */
void covey_log_keep_below(uint64_t limit_bytes);

/* Sets the level; anything above it is dropped. */
void covey_log_set_level(enum covey_log_level level);

/* Parses a level's name. False, with *level untouched, when it is none. */
bool covey_log_parse_level(const char *name, enum covey_log_level *level);

/* True where a record of this level would be written. */
bool covey_log_enabled(enum covey_log_level level);

/* Writes one record; a newline or control character in it is written as '?'. errno is preserved. */
void covey_log(enum covey_log_level level, const char *format, ...) COVEY_PRINTF(2, 3);

#define log_error(...) covey_log(COVEY_LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  covey_log(COVEY_LOG_WARN, __VA_ARGS__)
#define log_info(...)  covey_log(COVEY_LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (covey_log_enabled(COVEY_LOG_DEBUG))                                                    \
            covey_log(COVEY_LOG_DEBUG, __VA_ARGS__);                                               \
    } while (0)

/*
 * Keeps the text of the last error, ended by NUL, at the start of a file too, for whoever must say
 * why this process ended. The descriptor is borrowed; -1 ends that, and is what a process calls
 * that was forked and lets others have its descriptors. One thread, before others log.
 */
void covey_log_keep_error(int fd);

/*
 * A limit for records that somebody else can cause as often as he likes: each such place has one,
 * all zero at first. COVEY_LOG_BURST records in COVEY_LOG_BURST_NS, the others are counted. One
 * thread at a time.
 */
#define COVEY_LOG_BURST    10
#define COVEY_LOG_BURST_NS INT64_C(10000000000)

struct covey_log_limit {
    int64_t start_ns; /* of the present burst */
    uint32_t written; /* in it */
    uint64_t unsaid;  /* not written since the last one that was */
};

/* True where the record may be written; *unsaid is how many before it were not. now_ns as
 * covey_now_ns() counts. */
bool covey_log_allow(struct covey_log_limit *limit, int64_t now_ns, uint64_t *unsaid);

#endif
