/* A flare's code: what it must be, and loading it. */
#ifndef SERVICE_PACK_CODE_H
#define SERVICE_PACK_CODE_H

#include "covey/worker.h"

#include <stdbool.h>

typedef int (*code_entry)(struct covey_ctx *ctx);

/* Whether it looks for libraries beside itself ($ORIGIN). */
bool code_wants_neighbours(int fd);

/*
 * Checks that the file is a shared object for this machine, loads it and finds covey_work. path:
 * where the same content lies, to be loaded from there, or NULL. EINVAL with a message that says
 * what it is instead. It stays loaded for the life of the process.
 */
enum covey_status code_load(int fd, const char *path, code_entry *entry,
                            struct covey_error *error) COVEY_MUST_USE;

/* Checks that the file is a program for this machine, or a script, and executable. */
enum covey_status code_check_program(int fd, struct covey_error *error) COVEY_MUST_USE;

/* Whether the file at the path, if there is one, has the same content. */
bool code_is_at(const char *path, int fd);

/* The threads of this process, as /proc shows them; 1 where it does not. */
unsigned code_count_threads(void);

#endif
