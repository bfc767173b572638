/*
 * The schema, as the steps that made it: step n brings version n to n + 1 and never changes once it
 * was released. PRAGMA user_version says where a journal is.
 */
#include "base/error.h"
#include "service/store/internal.h"

#include <stdio.h>

static const char *const steps[] = {
    /* 0 -> 1 */
    "CREATE TABLE flares("
    " id TEXT PRIMARY KEY, tenant TEXT NOT NULL, idempotency_key TEXT NOT NULL,"
    " accepted_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, state INTEGER NOT NULL,"
    " code_sha256 TEXT NOT NULL, spool_bytes INTEGER NOT NULL DEFAULT 0,"
    " request BLOB NOT NULL, definition BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX flares_by_key ON flares(tenant, idempotency_key)"
    " WHERE idempotency_key <> '';"
    "CREATE INDEX flares_by_tenant ON flares(tenant, id);"
    "CREATE INDEX flares_by_end ON flares(ended_ns, spool_bytes);"
    "CREATE INDEX flares_by_code ON flares(code_sha256) WHERE ended_ns = 0;"
    "CREATE TABLE events("
    " flare TEXT NOT NULL, sequence INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " state INTEGER NOT NULL, terminal INTEGER NOT NULL, body BLOB NOT NULL, delta BLOB NOT NULL,"
    " PRIMARY KEY(flare, sequence)) WITHOUT ROWID;"
    "CREATE TABLE definitions("
    " tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY(tenant, name, version)) WITHOUT ROWID;"
    "CREATE INDEX definitions_by_code ON definitions(sha256);"
    "CREATE TABLE definition_versions("
    " tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"
    " PRIMARY KEY(tenant, name)) WITHOUT ROWID;"
    "CREATE TABLE nodes("
    " name TEXT PRIMARY KEY, identity TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " drain_reason TEXT NOT NULL, capacity BLOB NOT NULL, data_address TEXT NOT NULL,"
    " version TEXT NOT NULL, seen_ns INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE node_events("
    " number INTEGER PRIMARY KEY, node TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " at_ns INTEGER NOT NULL, event TEXT NOT NULL);"
    "CREATE TABLE blobs("
    " sha256 TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, put_ns INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE blob_tenants("
    " sha256 TEXT NOT NULL, tenant TEXT NOT NULL, PRIMARY KEY(sha256, tenant)) WITHOUT ROWID;",
    /* 1 -> 2 */
    "ALTER TABLE nodes ADD COLUMN drain_until_ns INTEGER NOT NULL DEFAULT 0;",
    /* 2 -> 3: flares are numbered, which makes short keys of events that follow each other on the
     * same pages; what a flare needs until it ends has a table of its own. */
    "ALTER TABLE flares RENAME TO old_flares;"
    "ALTER TABLE events RENAME TO old_events;"
    "CREATE TABLE flares("
    " number INTEGER PRIMARY KEY, id TEXT NOT NULL, tenant TEXT NOT NULL,"
    " idempotency_key TEXT NOT NULL, accepted_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,"
    " state INTEGER NOT NULL, kept_bytes INTEGER NOT NULL, request BLOB NOT NULL,"
    " definition BLOB NOT NULL);"
    "INSERT INTO flares(id, tenant, idempotency_key, accepted_ns, ended_ns, state, kept_bytes,"
    " request, definition)"
    " SELECT id, tenant, idempotency_key, accepted_ns, ended_ns, state, spool_bytes, request,"
    " definition FROM old_flares ORDER BY id;"
    "CREATE UNIQUE INDEX flares_by_id ON flares(id);"
    "CREATE TABLE inputs("
    " flare INTEGER PRIMARY KEY, code_sha256 TEXT NOT NULL, parameters BLOB NOT NULL);"
    "INSERT INTO inputs SELECT number, code_sha256, x'' FROM old_flares JOIN flares USING(id)"
    " WHERE old_flares.ended_ns = 0;"
    "CREATE TABLE events("
    " key INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, state INTEGER NOT NULL,"
    " terminal INTEGER NOT NULL, body BLOB NOT NULL, delta BLOB NOT NULL);"
    "INSERT INTO events SELECT number << 24 | sequence, at_ns, old_events.state, terminal, body, "
    "delta"
    " FROM old_events JOIN flares ON flares.id = old_events.flare ORDER BY number, sequence;"
    "DROP TABLE old_events; DROP TABLE old_flares;"
    "UPDATE flares SET kept_bytes = kept_bytes + 256 + length(request) + length(definition) +"
    " (SELECT coalesce(sum(32 + length(body) + length(delta)), 0) FROM events"
    " WHERE key BETWEEN number << 24 AND number << 24 | 16777215) WHERE ended_ns > 0;"
    "CREATE UNIQUE INDEX flares_by_key ON flares(tenant, idempotency_key)"
    " WHERE idempotency_key <> '';"
    "CREATE INDEX flares_by_tenant ON flares(tenant, id);"
    "CREATE INDEX flares_by_end ON flares(ended_ns, kept_bytes) WHERE ended_ns > 0;",
    /* 3 -> 4: what is kept is counted by tenant. A list of one tenant's flares looks at the ids of
     * all, which are the only index that an acceptance writes. */
    "DROP INDEX flares_by_end; DROP INDEX flares_by_tenant; DROP INDEX flares_by_id;"
    "CREATE UNIQUE INDEX flares_by_id ON flares(id, tenant);"
    "CREATE INDEX flares_by_end ON flares(tenant, ended_ns, kept_bytes) WHERE ended_ns > 0;",
    /* 4 -> 5 */
    "ALTER TABLE inputs ADD COLUMN stdin_sha256 TEXT NOT NULL DEFAULT '';",
};

#define NEWEST (int)(sizeof steps / sizeof *steps)

/* The first version whose files can give free pages back. */
#define INCREMENTAL_SINCE 3

static int version_of(struct store *store, int *version)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->database, "PRAGMA user_version", -1, &statement, NULL);
    if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        *version = sqlite3_column_int(statement, 0);
        result = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    return result;
}

static int run_step(struct store *store, int version)
{
    char *sql = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
                                steps[version], version + 1);
    if (!sql)
        return SQLITE_NOMEM;
    int result = sqlite3_exec(store->database, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return result;
}

enum covey_status store_migrate(struct store *store, struct covey_error *error)
{
    int version = 0;
    int result = version_of(store, &version);
    if (result != SQLITE_OK)
        return store_fail(store, result, "read the schema's version", error);
    if (version > NEWEST)
        return covey_error_set(error, COVEY_EVERSION,
                               "the journal %s has schema version %d, and this program knows none "
                               "above %d: use the newer program that wrote it",
                               store->path, version, NEWEST);
    bool had_fixed_size = version > 0 && version < INCREMENTAL_SINCE;
    for (; version < NEWEST; version++) {
        result = run_step(store, version);
        if (result == SQLITE_OK)
            continue;
        enum covey_status status = store_fail(store, result, "bring the schema up to date", error);
        if (!sqlite3_get_autocommit(store->database))
            (void)sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    /* Where the disk has no room for it the file only never becomes shorter. */
    if (had_fixed_size)
        (void)sqlite3_exec(store->database, "PRAGMA auto_vacuum=INCREMENTAL; VACUUM;", NULL, NULL,
                           NULL);
    (void)snprintf(store->log.begin_sql, sizeof store->log.begin_sql, "PRAGMA user_version=%d",
                   NEWEST);
    return COVEY_OK;
}
