/* Running prepared statements, and what an SQLite result means. */
#include "base/error.h"
#include "service/store/internal.h"

#include <errno.h>

enum covey_status store_status_of(sqlite3 *database, int result)
{
    int number = sqlite3_system_errno(database);
    if (number == 0)
        number = errno; /* SQLite has cleared its own by rolling back */
    switch (result & 0xff) {
    case SQLITE_FULL:
        return COVEY_ENOSPACE;
    case SQLITE_NOMEM:
        return COVEY_ENOMEM;
    case SQLITE_CONSTRAINT:
        return COVEY_EEXISTS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return COVEY_EPROTO;
    case SQLITE_IOERR:
        return number == ENOSPC || number == EFBIG || number == EDQUOT ? COVEY_ENOSPACE : COVEY_EIO;
    default:
        return COVEY_EIO;
    }
}

enum covey_status store_fail(struct store *store, int result, const char *action,
                             struct covey_error *error)
{
    enum covey_status status = store_status_of(store->database, result);
    const char *text = sqlite3_errmsg(store->database);
    if (status == COVEY_EPROTO)
        return covey_error_set(error, status,
                               "the journal %s is damaged (%s): restore it from a copy, or move it "
                               "away to start empty",
                               store->path, text);
    if (status == COVEY_ENOSPACE)
        return covey_error_set(error, status,
                               "cannot %s: no space left for the journal %s: free "
                               "some and try again",
                               action, store->path);
    (void)covey_error_set(error, status, "cannot %s in the journal %s: %s", action, store->path,
                          text);
    if (error)
        error->foreign = result;
    return status;
}

sqlite3_stmt *store_statement(struct store *store, enum store_statement id)
{
    sqlite3_stmt *statement = store->statements[id];
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return statement;
}

void store_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void store_bind_bytes(sqlite3_stmt *statement, int index, struct store_bytes bytes)
{
    (void)sqlite3_bind_blob64(statement, index, bytes.length_bytes ? bytes.data : "",
                              bytes.length_bytes, SQLITE_STATIC);
}

void store_bind_u64(sqlite3_stmt *statement, int index, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, index, (sqlite3_int64)value);
}

const char *store_column_text(sqlite3_stmt *statement, int index)
{
    const char *text = (const char *)sqlite3_column_text(statement, index);
    return text ? text : "";
}

struct store_bytes store_column_bytes(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);
    return (struct store_bytes){data ? data : "", (size_t)sqlite3_column_bytes(statement, index)};
}

uint64_t store_column_u64(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

enum covey_status store_run(struct store *store, sqlite3_stmt *statement, const char *action,
                            struct covey_error *error)
{
    int result = sqlite3_step(statement);
    if (result != SQLITE_DONE) {
        enum covey_status status = store_fail(store, result, action, error);
        (void)sqlite3_reset(statement);
        return status;
    }
    (void)sqlite3_reset(statement);
    store->dirty = true;
    return COVEY_OK;
}

static enum covey_status begin(struct store *store, struct covey_error *error)
{
    return store_run(store, store_statement(store, STORE_BEGIN), "write", error);
}

static enum covey_status end(struct store *store, enum covey_status status,
                             struct covey_error *error)
{
    if (!status)
        status = store_run(store, store_statement(store, STORE_COMMIT), "write", error);
    /* A full disk may have rolled back by itself. */
    if (status && !sqlite3_get_autocommit(store->database))
        (void)sqlite3_step(store_statement(store, STORE_ROLLBACK));
    store_kept_settle(store, status == COVEY_OK);
    if (!status)
        store_log_bound(store);
    return status;
}

enum covey_status store_begin(struct store *store, struct covey_error *error)
{
    return store->batch ? COVEY_OK : begin(store, error);
}

enum covey_status store_end(struct store *store, enum covey_status status,
                            struct covey_error *error)
{
    return store->batch ? status : end(store, status, error);
}

enum covey_status store_batch_begin(struct store *store, struct covey_error *error)
{
    enum covey_status status = begin(store, error);
    store->batch = status == COVEY_OK;
    return status;
}

enum covey_status store_batch_end(struct store *store, enum covey_status status,
                                  struct covey_error *error)
{
    store->batch = false;
    return end(store, status, error);
}
