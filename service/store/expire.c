/*
 * What is kept of flares that have ended, and how they are forgotten: the longest ended first, a
 * few at a time, their files before their rows, so that what a crash leaves is found again.
 */
#include "base/memory.h"
#include "service/store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define ID_BYTES 32 /* more than the 26 characters of an id */

/* Free pages beyond this many, and beyond a quarter of the file, are given back to the disk... */
#define FREE_PAGES 1024
/* ...this many at a time. */
#define STEP_PAGES "64"

struct row {
    char id[ID_BYTES];
    uint64_t bytes;
};

enum covey_status store_kept_load(struct store *store, struct covey_error *error)
{
    enum covey_status cleaned =
        store_run(store, store_statement(store, STORE_INPUTS_SPENT), "forget parameters", error);
    if (cleaned)
        return cleaned;
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_KEPT);
    int result = sqlite3_step(select);
    if (result == SQLITE_ROW)
        store->kept = (struct store_kept){store_column_u64(select, 0), store_column_u64(select, 1)};
    enum covey_status status =
        result == SQLITE_ROW ? COVEY_OK : store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

struct store_kept store_kept(const struct store *store)
{
    return store->kept;
}

/* Rows must not change under a walk, so it is only noted who goes. */
static enum covey_status choose(struct store *store, const struct store_keep *keep,
                                struct row *rows, uint32_t max_flares, uint32_t *count,
                                struct covey_error *error)
{
    struct store_kept left = store->kept;
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_ENDED);
    int result = SQLITE_DONE;
    *count = 0;
    while (*count < max_flares && (result = sqlite3_step(select)) == SQLITE_ROW) {
        if ((int64_t)store_column_u64(select, 1) >= keep->after_ns && left.flares <= keep->flares &&
            left.bytes <= keep->bytes)
            break;
        struct row *row = &rows[(*count)++];
        (void)snprintf(row->id, sizeof row->id, "%s", store_column_text(select, 0));
        row->bytes = store_column_u64(select, 2);
        left.flares--;
        left.bytes -= row->bytes;
    }
    enum covey_status status = result == SQLITE_DONE || result == SQLITE_ROW
                                   ? COVEY_OK
                                   : store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

static enum covey_status remove_rows(struct store *store, const char *id, struct covey_error *error)
{
    static const enum store_statement removals[] = {STORE_EVENTS_REMOVE, STORE_INPUT_REMOVE,
                                                    STORE_FLARE_REMOVE};
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < sizeof removals / sizeof *removals; i++) {
        sqlite3_stmt *statement = store_statement(store, removals[i]);
        store_bind_text(statement, 1, id);
        status = store_run(store, statement, "forget a flare", error);
    }
    return status;
}

static uint64_t pragma(struct store *store, enum store_statement id)
{
    sqlite3_stmt *select = store_statement(store, id);
    uint64_t value = sqlite3_step(select) == SQLITE_ROW ? store_column_u64(select, 0) : 0;
    (void)sqlite3_reset(select);
    return value;
}

/* New rows take free pages first, so only a file that was much larger is made shorter. */
static enum covey_status shrink(struct store *store, struct covey_error *error)
{
    uint64_t free_pages = pragma(store, STORE_FREE_PAGES);
    if (free_pages < FREE_PAGES || free_pages < pragma(store, STORE_PAGES) / 4)
        return COVEY_OK;
    /* Each step of the statement moves one page. */
    int result = sqlite3_exec(store->database, "PRAGMA incremental_vacuum(" STEP_PAGES ")", NULL,
                              NULL, NULL);
    store->dirty = true;
    return result == SQLITE_OK ? COVEY_OK : store_fail(store, result, "shorten the file", error);
}

enum covey_status store_expire(struct store *store, const struct store_keep *keep,
                               uint32_t max_flares, uint32_t *removed, struct covey_error *error)
{
    *removed = 0;
    uint32_t count = 0;
    struct row *rows = covey_calloc(max_flares, sizeof *rows);
    enum covey_status status =
        rows ? choose(store, keep, rows, max_flares, &count, error) : COVEY_ENOMEM;
    for (uint32_t i = 0; !status && i < count; i++)
        status = store_spool_remove(store, rows[i].id, error);
    if (!status && count) {
        status = store_begin(store, error);
        for (uint32_t i = 0; !status && i < count; i++) {
            status = remove_rows(store, rows[i].id, error);
            store->change.flares--;
            store->change.bytes -= rows[i].bytes;
        }
        status = store_end(store, status, error);
    }
    free(rows);
    if (status)
        return status;
    *removed = count;
    return shrink(store, error);
}
