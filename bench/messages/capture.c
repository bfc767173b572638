#include "bench/messages/capture.h"

#include "bench/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char *read_all(int fd)
{
    struct stat info;
    if (fstat(fd, &info) < 0)
        return NULL;
    size_t size = (size_t)info.st_size;
    char *text = malloc(size + 1);
    if (!text || pread(fd, text, size, 0) != (ssize_t)size) {
        free(text);
        return NULL;
    }
    text[size] = 0;
    return text;
}

char *capture(const char *const *arguments, char *const *environment)
{
    char path[32];
    int fd = memfd_create("covey-bench", MFD_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "covey-bench: no memory for output: %s\n", strerror(errno));
        return NULL;
    }
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
    int status = bench_command_into(path, arguments, environment, NULL);
    char *text = status == 0 ? read_all(fd) : NULL;
    if (status > 0)
        fprintf(stderr, "covey-bench: %s ended with status %d\n", arguments[0], status);
    close(fd);
    return text;
}
