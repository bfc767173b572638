/*
 * The group commit. A commit in WAL mode with synchronous=NORMAL is a write without fsync; here a
 * thread of its own syncs what was written, so that the loop never waits for the disk.
 */
#include "base/io.h"
#include "service/store/internal.h"

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
    store_log_plan(store);
    memcpy(store->syncing_files, store->new_files, sizeof store->new_files);
    store->syncing_file_count = store->new_file_count;
    store->new_file_count = 0;
}

/* Blobs come before the log that names them. */
enum covey_status store_sync(struct store *store)
{
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; i < store->syncing_file_count; i++) {
        if (fdatasync(store->syncing_files[i]) != 0)
            status = COVEY_EIO;
        covey_close(&store->syncing_files[i]);
    }
    store->syncing_file_count = 0;
    enum covey_status log_status = store_log_sync(store);
    return status ? status : log_status;
}

void store_sync_done(struct store *store, enum covey_status status)
{
    store_log_done(store);
    if (status)
        store->dirty = true;
}
