/*
 * The group commit. A commit in WAL mode with synchronous=NORMAL is a write without fsync; here a
 * thread of its own syncs the write-ahead log through another descriptor, and when it has grown
 * moves it into the database over another connection, so that the loop never waits for the disk.
 */
#include "base/io.h"
#include "base/memory.h"
#include "service/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool store_dirty(const struct store *store)
{
    return store->dirty;
}

void store_sync_file(struct store *store, int take_fd)
{
    store->dirty = true;
    if (store->new_file_count == STORE_SYNC_FILES) {
        (void)fdatasync(take_fd);
        (void)close(take_fd);
        return;
    }
    store->new_files[store->new_file_count++] = take_fd;
}

void store_sync_begin(struct store *store)
{
    store->dirty = false;
    store->checkpoint = store->large_wal;
    memcpy(store->syncing_files, store->new_files, sizeof store->new_files);
    store->syncing_file_count = store->new_file_count;
    store->new_file_count = 0;
}

/* A descriptor of our own: closing one on the database itself would drop SQLite's locks on it, but
 * nothing is locked in the log. */
static enum covey_status sync_log(struct store *store)
{
    if (store->wal_fd < 0) {
        char *path = covey_asprintf("%s-wal", store->path);
        if (!path)
            return COVEY_ENOMEM;
        store->wal_fd = open(path, O_RDONLY | O_CLOEXEC);
        free(path);
        if (store->wal_fd < 0)
            return errno == ENOENT ? COVEY_OK : COVEY_EIO;
    }
    return fdatasync(store->wal_fd) == 0 ? COVEY_OK : COVEY_EIO;
}

static enum covey_status checkpoint(struct store *store)
{
    sqlite3 *database = NULL;
    int result =
        sqlite3_open_v2(store->path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    (void)sqlite3_close(database);
    return result == SQLITE_OK || result == SQLITE_BUSY ? COVEY_OK : COVEY_EIO;
}

enum covey_status store_sync(struct store *store)
{
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; i < store->syncing_file_count; i++) {
        if (fdatasync(store->syncing_files[i]) != 0)
            status = COVEY_EIO;
        covey_close(&store->syncing_files[i]);
    }
    enum covey_status log_status = sync_log(store);
    if (!status)
        status = log_status;
    if (!status && store->checkpoint)
        status = checkpoint(store);
    return status;
}

void store_sync_done(struct store *store, enum covey_status status)
{
    if (status)
        store->dirty = true;
}
