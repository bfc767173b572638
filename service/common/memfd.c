#include "service/common/memfd.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#define COPY_BYTES ((size_t)1 << 30)

static char nothing;

enum covey_status memfd_seal(int *fd)
{
    enum covey_status status = COVEY_OK;
    if (fcntl(*fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0) {
        status = covey_status_from_errno(errno);
        covey_close(fd);
    }
    return status;
}

/* Seals what was made, or closes it. */
static enum covey_status finish(enum covey_status status, int *fd)
{
    if (!status)
        return memfd_seal(fd);
    covey_close(fd);
    return status;
}

enum covey_status memfd_create_sealed(const char *name, const struct iovec *parts, size_t count,
                                      int *fd)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return covey_status_from_errno(errno);
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = covey_write_full(*fd, parts[i].iov_base, parts[i].iov_len);
    return finish(status, fd);
}

enum covey_status memfd_begin(const char *name, int from, uint64_t length_bytes, int *fd)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return covey_status_from_errno(errno);
    off_t offset = 0;
    ssize_t sent = 1;
    while (sent != 0 && (uint64_t)offset < length_bytes) {
        uint64_t left = length_bytes - (uint64_t)offset;
        sent = sendfile(*fd, from, &offset, left < COPY_BYTES ? (size_t)left : COPY_BYTES);
        if (sent < 0 && errno != EINTR) {
            enum covey_status status = covey_status_from_errno(errno);
            covey_close(fd);
            return status;
        }
    }
    return COVEY_OK;
}

enum covey_status memfd_copy_file(const char *name, int from, int *fd)
{
    enum covey_status status = memfd_begin(name, from, INT64_MAX, fd);
    return status ? status : memfd_seal(fd);
}

enum covey_status memfd_map(int fd, size_t limit_bytes, void **bytes, size_t *length_bytes)
{
    struct stat facts;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &facts) < 0 || facts.st_size < 0)
        return COVEY_EPROTO;
    if ((uint64_t)facts.st_size > limit_bytes)
        return COVEY_ELIMIT;
    *length_bytes = (size_t)facts.st_size;
    *bytes = &nothing;
    if (*length_bytes == 0)
        return COVEY_OK;
    *bytes = mmap(NULL, *length_bytes, PROT_READ, MAP_SHARED, fd, 0);
    return *bytes == MAP_FAILED ? covey_status_from_errno(errno) : COVEY_OK;
}

void memfd_unmap(void *bytes, size_t length_bytes)
{
    if (length_bytes > 0)
        (void)munmap(bytes, length_bytes);
}
