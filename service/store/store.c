/* Opening and closing: the folder, its lock, the database and its statements. */
#include "base/error.h"
#include "base/folder_lock.h"
#include "base/io.h"
#include "base/memory.h"
#include "service/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const statement_texts[] = {
#define STORE_STATEMENT_TEXT(id, sql) [STORE_##id] = (sql),
    STORE_STATEMENT_MAP(STORE_STATEMENT_TEXT)
#undef STORE_STATEMENT_TEXT
};

static enum covey_status lock_folder(struct store *store, struct covey_error *error)
{
    enum covey_status status = covey_folder_lock(store->folder, &store->lock_fd, error);
    if (status != COVEY_EEXISTS)
        return status;
    return covey_error_set(error, status,
                           "another controller uses the state folder %s: stop it, or give another "
                           "--state-dir",
                           store->folder);
}

static enum covey_status make_folders(const char *folder, struct covey_error *error)
{
    static const char *const names[] = {"blobs", "results", "logs", "tmp"};
    enum covey_status status = covey_make_dirs(folder, 0700, error);
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++) {
        char *path = covey_asprintf("%s/%s", folder, names[i]);
        if (!path)
            return covey_error_set(error, COVEY_ENOMEM, "no memory to open the store");
        /* What an earlier process was writing is of no use. */
        if (strcmp(names[i], "tmp") == 0 && (status = covey_remove_tree(path)) != COVEY_OK)
            status = covey_error_set(error, status, "cannot empty %s", path);
        if (!status)
            status = covey_make_dirs(path, 0700, error);
        free(path);
    }
    return status;
}

static enum covey_status open_database(struct store *store, struct covey_error *error)
{
    int result =
        sqlite3_open_v2(store->path, &store->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(store->database,
                              "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                              "PRAGMA trusted_schema=OFF;",
                              NULL, NULL, NULL);
    if (result != SQLITE_OK)
        return store_fail(store, result, "open the database", error);
    (void)sqlite3_busy_timeout(store->database, 2000);
    enum covey_status status = store_log_open(store);
    if (status)
        return covey_error_set(error, status, "no memory to open the store");
    status = store_migrate(store, error);
    for (int i = 0; !status && i < STORE_STATEMENTS; i++) {
        result = sqlite3_prepare_v3(store->database, statement_texts[i], -1,
                                    SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (result != SQLITE_OK)
            status = store_fail(store, result, "prepare a statement", error);
    }
    return status;
}

static void close_database(struct store *store)
{
    for (int i = 0; i < STORE_STATEMENTS; i++) {
        (void)sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    store_kept_clear(store);
    store_log_close(store);
    (void)sqlite3_close(store->database);
    store->database = NULL;
}

static enum covey_status open_journal(struct store *store, struct covey_error *error)
{
    enum covey_status status = open_database(store, error);
    return status ? status : store_kept_load(store, error);
}

/* SQLite makes a small file anew whenever it opens a log: on a full disk there is a reserve. */
static enum covey_status open_with_reserve(struct store *store, struct covey_error *error)
{
    enum covey_status status = open_journal(store, error);
    if (status == COVEY_ENOSPACE && store_reserve_use(store)) {
        close_database(store);
        status = open_journal(store, error);
    }
    store_reserve_keep(store);
    return status;
}

enum covey_status store_open(const char *folder, struct store **store, struct covey_error *error)
{
    *store = NULL;
    struct store *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory to open the store");
    made->lock_fd = -1;
    made->log.fd = -1;
    made->folder = covey_strdup(folder);
    made->path = covey_asprintf("%s/journal.db", folder);
    enum covey_status status =
        made->folder && made->path ? covey_make_dirs(folder, 0700, error) : COVEY_ENOMEM;
    if (!status)
        status = lock_folder(made, error);
    if (!status)
        status = make_folders(folder, error);
    if (!status)
        status = open_with_reserve(made, error);
    if (!status)
        status = store_blobs_check(made, error);
    if (status) {
        store_close(made);
        return status;
    }
    *store = made;
    return COVEY_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->database && store->dirty) {
        store_sync_begin(store);
        store_sync_done(store, store_sync(store));
    }
    for (size_t i = 0; i < store->new_file_count; i++)
        covey_close(&store->new_files[i]);
    close_database(store);
    covey_close(&store->lock_fd);
    free(store->path);
    free(store->folder);
    free(store);
}

const char *store_folder(const struct store *store)
{
    return store->folder;
}
