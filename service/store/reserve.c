/* Room that is only used to start on a full disk: a file that holds nothing. */
#include "base/io.h"
#include "service/store/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define RESERVE_BYTES (256 << 10)

static void path_of(const struct store *store, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/reserve", store->folder);
}

void store_reserve_keep(struct store *store)
{
    char path[PATH_MAX];
    path_of(store, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
        (void)unlink(path);
    covey_close(&fd);
}

bool store_reserve_use(struct store *store)
{
    char path[PATH_MAX];
    path_of(store, path);
    return unlink(path) == 0;
}
