/* What the kernel tells of a process. */
#include "base/io.h"
#include "service/node/node.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

bool proc_read(uint32_t pid, const char *file, char *text, size_t size_bytes)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%u/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size_bytes - 1) : -1;
    covey_close(&fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}
