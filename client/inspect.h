/* Code in files. */
#ifndef CLIENT_INSPECT_H
#define CLIENT_INSPECT_H

#include "covey/client.h"

#include <stdint.h>

/* Opens a file of code, looking at it as covey_code_inspect does. The descriptor is the caller's;
 * -1 after a failure. */
enum covey_status client_code_open(const char *file, int *fd, uint64_t *length_bytes,
                                   enum covey_code_kind *kind,
                                   struct covey_error *error) COVEY_MUST_USE;

#endif
