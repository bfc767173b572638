/* The file behind the log, kept short. */
#ifndef BASE_LOG_FILE_H
#define BASE_LOG_FILE_H

#include <stdint.h>

/*
 * Where fd is a regular file open for appending and longer than limit_bytes, moves what is in it to
 * the file PATH.1, whose older contents go, and empties it in place, so that other processes that
 * append to it go on in it. What they append meanwhile may be lost. Does nothing for pipes, sockets
 * and terminals, and where the disk does not let it.
 */
void covey_log_file_bound(int fd, uint64_t limit_bytes);

#endif
