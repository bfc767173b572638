/* Filling in errors; the codes themselves are public, in covey/status.h. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "covey/status.h"

/* The gRPC status code (0..16) that a status maps to; 2 (UNKNOWN) for a value that is not one. */
int covey_status_grpc(enum covey_status status);

/* The status that an errno value maps to; COVEY_EIO where nothing closer fits. */
enum covey_status covey_status_from_errno(int error_number);

/* Fills *error (which may be NULL) and returns status, so that a caller can return the call's
 * value. The message may hold what somebody wrote in a file: control characters become '?'. */
enum covey_status covey_error_set(struct covey_error *error, enum covey_status status,
                                  const char *format, ...) COVEY_PRINTF(3, 4);

/* As covey_error_set, with the status mapped from an errno value and ": <its text>" added to the
 * message. */
enum covey_status covey_error_set_errno(struct covey_error *error, int error_number,
                                        const char *format, ...) COVEY_PRINTF(3, 4);

/* What follows an error of starting a process or thread: the limit that it may have come of, where
 * it says no more than "try again". */
void covey_error_add_limit(struct covey_error *error);

#endif
