/*
 * Files as a full disk, a loss of power, an editor or an enemy leave them: made of a sound one, the
 * same ones in each run.
 */
#ifndef TESTS_UNIT_FILES_SPOIL_H
#define TESTS_UNIT_FILES_SPOIL_H

#include "covey/status.h"

#include <stddef.h>

/* Reads a file; a refusal is an error with a message. */
typedef enum covey_status (*spoil_reader)(const char *path, struct covey_error *error);

/*
 * Gives the reader what becomes of the text: cut after each byte, each byte changed, numbers that
 * are huge, nothing, a comment, NULs, bytes of no character, a folder, a pipe that nobody writes
 * to, a file that is not there. The reader may take or refuse each; it may not crash or hang, and
 * what it says when it refuses is one line of text with the path in it.
 */
void spoil_all(const char *sound, size_t length_bytes, spoil_reader read);

#endif
