#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[PATH_MAX + 128];

static const char *fail(const char *path, const char *what)
{
    snprintf(why, sizeof(why), "%s: %s", path, what);
    return why;
}

static const char *part_path(const char *folder, int rank, bool written, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, written ? "%s/_part-%05d.incomplete" : "%s/part-%05d",
                          folder, rank);
    return length < 0 || length >= PATH_MAX ? fail(folder, "its name is too long") : NULL;
}

const char *output_prepare(const char *folder)
{
    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return fail(folder, strerror(errno));
    DIR *entries = opendir(folder);
    if (!entries)
        return fail(folder, strerror(errno));
    const char *found = NULL;
    for (struct dirent *entry; !found && (entry = readdir(entries));) {
        if (entry->d_name[0] != '.' && entry->d_name[0] != '_') {
            snprintf(why, sizeof(why), "%s is not empty, it holds %s: name a new folder", folder,
                     entry->d_name);
            found = why;
        }
    }
    closedir(entries);
    return found;
}

static bool write_all(int fd, const char *bytes, size_t length_bytes)
{
    while (length_bytes > 0) {
        ssize_t written = write(fd, bytes, length_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        length_bytes -= (size_t)written;
    }
    return true;
}

const char *output_write(const char *folder, int rank, const void *bytes, size_t length_bytes)
{
    char path[PATH_MAX];
    if (part_path(folder, rank, true, path))
        return why;
    /* Where nodes do not share the folder, nobody has made it here. */
    (void)mkdir(folder, 0777);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail(path, strerror(errno));
    bool written = write_all(fd, bytes, length_bytes);
    const char *failed = written ? NULL : fail(path, strerror(errno));
    if (close(fd) < 0 && !failed)
        failed = fail(path, strerror(errno));
    return failed;
}

const char *output_finish(const char *folder, int rank)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (part_path(folder, rank, true, from) || part_path(folder, rank, false, to))
        return why;
    if (access(to, F_OK) == 0)
        return fail(to, "is there already, of another sort: name a new folder");
    return rename(from, to) < 0 ? fail(to, strerror(errno)) : NULL;
}

void output_discard(const char *folder, int rank)
{
    char path[PATH_MAX];
    if (!part_path(folder, rank, true, path))
        (void)unlink(path);
}
