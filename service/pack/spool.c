#include "service/pack/spool.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Low descriptors are where a worker gets its own. */
#define FIRST_KEPT_FD 16

/* What the agent has been told of is given back in such parts. */
#define FREE_BYTES ((uint64_t)1 << 20)

/* A description of its own, with a position of its own. */
static int open_for_reading(int memory)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    int low = open(path, O_RDONLY | O_CLOEXEC);
    int fd = low >= 0 ? fcntl(low, F_DUPFD_CLOEXEC, FIRST_KEPT_FD) : -1;
    covey_close(&low);
    return fd;
}

enum covey_status spool_adopt(struct spool *spool, int fd)
{
    struct spool found = {.is_open = true};
    found.write_fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_KEPT_FD);
    found.read_fd = found.write_fd >= 0 ? open_for_reading(found.write_fd) : -1;
    if (found.read_fd < 0) {
        enum covey_status status = covey_status_from_errno(errno);
        covey_close(&found.write_fd);
        return status;
    }
    spool_close(spool);
    *spool = found;
    return COVEY_OK;
}

enum covey_status spool_open(struct spool *spool)
{
    int memory = memfd_create("covey-output", MFD_CLOEXEC);
    enum covey_status status =
        memory >= 0 ? spool_adopt(spool, memory) : covey_status_from_errno(errno);
    covey_close(&memory);
    return status;
}

void spool_close(struct spool *spool)
{
    if (spool->is_open) {
        covey_close(&spool->write_fd);
        covey_close(&spool->read_fd);
    }
    *spool = (struct spool){0};
}

static void give_back(struct spool *spool)
{
    off_t told = lseek(spool->read_fd, 0, SEEK_CUR);
    if (told < 0 || (uint64_t)told > spool->passed || (uint64_t)told < spool->freed + FREE_BYTES)
        return;
    if (fallocate(spool->write_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)spool->freed,
                  told - (off_t)spool->freed) == 0)
        spool->freed = (uint64_t)told;
}

ssize_t spool_take(struct spool *spool, int pipe_fd, size_t most_bytes)
{
    give_back(spool);
    return splice(pipe_fd, NULL, spool->write_fd, NULL, most_bytes, SPLICE_F_NONBLOCK);
}

ssize_t spool_read(struct spool *spool, void *bytes, size_t most_bytes)
{
    ssize_t got = pread(spool->read_fd, bytes, most_bytes, (off_t)spool->read_at);
    if (got > 0)
        spool->read_at += (uint64_t)got;
    return got;
}

size_t spool_unread(const struct spool *spool)
{
    struct stat facts;
    return spool->is_open && fstat(spool->read_fd, &facts) == 0 &&
                   (uint64_t)facts.st_size > spool->read_at
               ? (size_t)((uint64_t)facts.st_size - spool->read_at)
               : 0;
}
