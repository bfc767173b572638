/* Ids of flares: 26 characters of Crockford's base 32 that sort by the time they were made. */
#ifndef SERVICE_CONTROLLER_ULID_H
#define SERVICE_CONTROLLER_ULID_H

#include <stdbool.h>
#include <stdint.h>

#define ULID_BYTES 27 /* with the NUL */

/* Remembers the last id, so that two of one millisecond still sort as they were made. {0} to
 * start. */
struct ulid_source {
    uint64_t millisecond;
    uint8_t random[10];
};

/* Makes an id. False where the system gives no random bytes. */
bool ulid_make(struct ulid_source *source, int64_t wall_ns, char id[ULID_BYTES]);

/* 26 characters of the alphabet, in upper case. */
bool ulid_is_valid(const char *id);

#endif
