/*
 * Keeping the write-ahead log short. The syncing thread moves it into the database over a
 * connection of its own, beside the loop's writes; but the log begins again from its start only
 * where nothing was written since it was moved whole. So once it is long and little is left to
 * move, the loop puts off what it can while the thread moves the rest and begins the log again with
 * a write of its own, which syncs the new header. Readers do not hold it up: none outlives the call
 * that made it.
 *
 * Where all that is not fast enough the loop does it itself, and waits: the log is never longer
 * than LIMIT_FRAMES and one write.
 */
#include "base/io.h"
#include "base/memory.h"
#include "service/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOVE_FRAMES  1024  /* 4 MiB that are not moved yet are worth a move */
#define LONG_FRAMES  4096  /* 16 MiB: then the log begins again... */
#define LEFT_FRAMES  6144  /* ...where at most this much, 24 MiB, is left to move */
#define LIMIT_FRAMES 12288 /* 48 MiB */
#define KEEP_BYTES   "16777216"
#define BOUND_TRIES  2000 /* of a millisecond */

static int on_commit(void *data, sqlite3 *database, const char *name, int pages)
{
    (void)database;
    (void)name;
    ((struct store *)data)->log.frames = (uint32_t)pages;
    return SQLITE_OK;
}

enum covey_status store_log_open(struct store *store)
{
    (void)sqlite3_wal_hook(store->database, on_commit, store);
    int result =
        sqlite3_exec(store->database, "PRAGMA journal_size_limit=" KEEP_BYTES, NULL, NULL, NULL);
    return result == SQLITE_OK ? COVEY_OK : COVEY_ENOMEM;
}

void store_log_close(struct store *store)
{
    (void)sqlite3_close(store->log.mover);
    store->log.mover = NULL;
    covey_close(&store->log.fd);
}

static uint32_t frames_left(const struct store_log *log)
{
    return log->frames > log->moved_frames ? log->frames - log->moved_frames : log->frames;
}

void store_log_plan(struct store *store)
{
    struct store_log *log = &store->log;
    log->begin_again = log->frames >= LONG_FRAMES && frames_left(log) < LEFT_FRAMES;
    log->move = log->begin_again || frames_left(log) >= MOVE_FRAMES;
    log->result_frames = log->moved_frames;
}

void store_log_done(struct store *store)
{
    store->log.moved_frames = store->log.result_frames;
    store->log.move = false;
    store->log.begin_again = false;
}

bool store_is_moving(const struct store *store)
{
    return store->log.begin_again;
}

/* ---- on the syncing thread ---- */

/* A descriptor of our own: closing one on the database itself would drop SQLite's locks on it, but
 * nothing is locked in the log. */
static enum covey_status sync_file(struct store *store)
{
    if (store->log.fd < 0) {
        char *path = covey_asprintf("%s-wal", store->path);
        if (!path)
            return COVEY_ENOMEM;
        store->log.fd = open(path, O_RDONLY | O_CLOEXEC);
        free(path);
        if (store->log.fd < 0)
            return errno == ENOENT ? COVEY_OK : COVEY_EIO;
    }
    return fdatasync(store->log.fd) == 0 ? COVEY_OK : COVEY_EIO;
}

/* A connection that has read nothing does not know that there is a log, and would move nothing. */
static int open_mover(struct store *store)
{
    if (store->log.mover)
        return SQLITE_OK;
    int result = sqlite3_open_v2(store->path, &store->log.mover,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(store->log.mover,
                              "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                              "PRAGMA journal_size_limit=" KEEP_BYTES ";"
                              "SELECT count(*) FROM sqlite_schema;",
                              NULL, NULL, NULL);
    if (result != SQLITE_OK) {
        (void)sqlite3_close(store->log.mover);
        store->log.mover = NULL;
    }
    return result;
}

/* Where another write comes first this one is refused, and the log begins again another time. */
static int begin_again(struct store *store)
{
    int result = sqlite3_exec(store->log.mover, store->log.begin_sql, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        store->log.result_frames = 0;
    return result == SQLITE_BUSY ? SQLITE_OK : result;
}

static enum covey_status move(struct store *store)
{
    int frames = 0;
    int moved = 0;
    int result = open_mover(store);
    if (result == SQLITE_OK)
        result = sqlite3_wal_checkpoint_v2(store->log.mover, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                           &frames, &moved);
    if (result == SQLITE_BUSY)
        return COVEY_OK; /* the loop does it */
    if (result == SQLITE_OK && frames < 0)
        return COVEY_EIO;
    if (result == SQLITE_OK) {
        store->log.result_frames = (uint32_t)moved;
        if (store->log.begin_again && moved == frames)
            result = begin_again(store);
    }
    return result == SQLITE_OK ? COVEY_OK : store_status_of(store->log.mover, result);
}

enum covey_status store_log_sync(struct store *store)
{
    enum covey_status status = sync_file(store);
    return status || !store->log.move ? status : move(store);
}

/* ---- on the loop ---- */

void store_log_bound(struct store *store)
{
    if (store->log.frames <= LIMIT_FRAMES)
        return;
    const struct timespec pause = {0, 1000000};
    int result = SQLITE_BUSY;
    for (int i = 0; i < BOUND_TRIES && result == SQLITE_BUSY; i++) {
        result =
            sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        if (result == SQLITE_BUSY)
            (void)nanosleep(&pause, NULL);
    }
    if (result == SQLITE_OK)
        store->log.frames = store->log.moved_frames = 0;
}
