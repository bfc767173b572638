/*
 * Memory through which goes what the code writes in the pack's own process. The pack may die with
 * that code at any moment, and what it had read from a pipe would be gone with it. So bytes only
 * move: from the pipe to the memory by one call of the kernel, and there they stay. The agent has
 * the reading end, too, and shares its position: it moves it to what it has been told of, and reads
 * from there on when the pack is gone. So nothing is lost, and nothing comes twice. One thread.
 */
#ifndef SERVICE_PACK_SPOOL_H
#define SERVICE_PACK_SPOOL_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool {
    bool is_open;
    int write_fd;     /* its position is the end of what was written */
    int read_fd;      /* its position is the agent's */
    uint64_t read_at; /* the pack's own */
    uint64_t passed;  /* as much of it has become lines of the log */
    uint64_t freed;   /* as much of it is no memory any more */
};

/* New and empty. The code's errno where the kernel has no such memory. */
enum covey_status spool_open(struct spool *spool) COVEY_MUST_USE;
/* The memory that a descriptor already writes to. */
enum covey_status spool_adopt(struct spool *spool, int fd) COVEY_MUST_USE;
void spool_close(struct spool *spool);

/* Moves what a pipe holds, at most that much: how much; 0: it has ended; -1 with errno as read().
 */
ssize_t spool_take(struct spool *spool, int pipe_fd, size_t most_bytes);
/* As read() from where the last one ended. */
ssize_t spool_read(struct spool *spool, void *bytes, size_t most_bytes);
/* What was written and not read. */
size_t spool_unread(const struct spool *spool);

#endif
