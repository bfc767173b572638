/* Opening a journal: another's, a newer, an older, a damaged one. */
#include "base/io.h"
#include "tests/harness/harness.h"
#include "tests/unit/store/rows.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void store_open__twice__refused(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    struct store *second;
    struct covey_error error = {0};
    TEST_EQUAL(store_open(folder, &second, &error), COVEY_EEXISTS);
    TEST_TRUE(strstr(error.message, "another controller") != NULL);
    store_close(store);
}

static void store_open__after_a_crash__what_was_being_written_is_gone(void)
{
    const char *folder = rows_folder();
    store_close(rows_open(folder));
    char path[400];
    (void)snprintf(path, sizeof path, "%s/tmp/upload-abcdef", folder);
    TEST_REQUIRE(covey_file_write(path, "half", 4, 0600, NULL) == COVEY_OK);
    struct store *store;
    struct covey_error error = {0};
    TEST_REQUIRE(store_open(folder, &store, &error) == COVEY_OK);
    TEST_TRUE(access(path, F_OK) != 0);
    TEST_EQUAL_STRING(error.message, ""); /* there is nothing to tell */
    store_close(store);
}

static void store_open__newer_schema__refused(void)
{
    const char *folder = rows_folder();
    store_close(rows_open(folder));
    rows_sql(folder, "PRAGMA user_version = 1000");
    struct store *store;
    struct covey_error error = {0};
    TEST_EQUAL(store_open(folder, &store, &error), COVEY_EVERSION);
    TEST_TRUE(strstr(error.message, "schema version 1000") != NULL);
}

static bool note_node(const struct store_node *node, void *data)
{
    *(struct store_node *)data = *node;
    return true;
}

/* A journal of version 0 is an empty database: the first step makes the tables. */
static void store_open__older_schema__is_migrated(void)
{
    const char *folder = rows_folder();
    TEST_REQUIRE(covey_make_dirs(folder, 0700, NULL) == COVEY_OK);
    rows_sql(folder, "PRAGMA user_version = 0");
    struct store *store = rows_open(folder);
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_OK);
    store_close(store);
}

/* What version 2 kept of two flares, the second of which lives. */
static const char schema_2[] =
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
    "INSERT INTO flares VALUES('A','uid:1','key',1,20,5,'',1000,'request','definition');"
    "INSERT INTO flares VALUES('B','uid:1','',2,0,1,'code',0,'request','definition');"
    "INSERT INTO events VALUES('B',1,10,1,0,'body',x''), ('A',1,10,1,0,'body',x''),"
    " ('A',2,20,5,1,'body',x'');";

/* Nodes of version 1 have no deadline. */
static void store_open__schema_1__keeps_its_nodes(void)
{
    const char *folder = rows_folder();
    store_close(rows_open(folder));
    rows_sql(folder, "DROP TABLE flares; DROP TABLE events; DROP TABLE inputs;");
    rows_sql(folder, schema_2);
    rows_sql(folder, "ALTER TABLE nodes DROP COLUMN drain_until_ns;"
                     "INSERT INTO nodes VALUES('a','machine',3,'new disk',x'','','1',4);"
                     "PRAGMA user_version = 1");
    struct store *store = rows_open(folder);
    struct store_node seen = {0};
    TEST_EQUAL(store_nodes(store, note_node, &seen, NULL), COVEY_OK);
    TEST_EQUAL(seen.epoch, 3);
    TEST_EQUAL(seen.drain_until_ns, 0);
    store_close(store);
}

static void store_open__schema_2__keeps_its_flares(void)
{
    const char *folder = rows_folder();
    store_close(rows_open(folder));
    rows_sql(folder, "DROP TABLE flares; DROP TABLE events; DROP TABLE inputs;");
    rows_sql(folder, schema_2);
    rows_sql(folder, "PRAGMA user_version = 2");
    struct store *store = rows_open(folder);
    unsigned all = 0;
    TEST_EQUAL(store_flares_before(store, "uid:1", "", rows_count, &all, NULL), COVEY_OK);
    TEST_EQUAL(all, 2);
    TEST_EQUAL(rows_live(store), 1);
    TEST_EQUAL(rows_events(store, "A"), 2);
    TEST_EQUAL(rows_events(store, "B"), 1);
    TEST_EQUAL(store_kept(store).flares, 1);
    TEST_TRUE(store_kept(store).bytes > 1000 + 256 && store_kept(store).bytes < 1500);
    TEST_EQUAL(rows_add(store, "C", "key"), COVEY_EEXISTS);
    TEST_EQUAL(rows_append(store, "B", 2, true), COVEY_OK);
    TEST_EQUAL(rows_live(store), 0);
    TEST_EQUAL(store_kept(store).flares, 2);
    store_close(store);
}

/* Version 3 had indexes of its own. */
static void store_open__schema_3__counts_by_tenant(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, true), COVEY_OK);
    const struct store_kept before = store_kept(store);
    store_close(store);
    rows_sql(folder,
             "DROP INDEX flares_by_end; DROP INDEX flares_by_id;"
             "CREATE UNIQUE INDEX flares_by_id ON flares(id);"
             "CREATE INDEX flares_by_tenant ON flares(tenant, id);"
             "CREATE INDEX flares_by_end ON flares(ended_ns, kept_bytes) WHERE ended_ns > 0;"
             "ALTER TABLE inputs DROP COLUMN stdin_sha256;"
             "PRAGMA user_version = 3");
    store = rows_open(folder);
    TEST_EQUAL(store_kept(store).flares, 1);
    TEST_EQUAL(store_kept(store).bytes, before.bytes);
    TEST_EQUAL(rows_events(store, "A"), 2);
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_EEXISTS);
    store_close(store);
}

static void store_open__damaged__says_so(void)
{
    const char *folder = rows_folder();
    store_close(rows_open(folder));
    char path[300];
    (void)snprintf(path, sizeof path, "%s/journal.db", folder);
    char junk[8192];
    memset(junk, 'x', sizeof junk);
    TEST_REQUIRE(covey_file_write(path, junk, sizeof junk, 0600, NULL) == COVEY_OK);
    struct store *store;
    struct covey_error error = {0};
    TEST_EQUAL(store_open(folder, &store, &error), COVEY_EPROTO);
    TEST_TRUE(strstr(error.message, "damaged") != NULL && strstr(error.message, path) != NULL);
}

static const struct test_case opening[] = {
    TEST_CASE(store_open__twice__refused),
    TEST_CASE(store_open__after_a_crash__what_was_being_written_is_gone),
    TEST_CASE(store_open__newer_schema__refused),
    TEST_CASE(store_open__older_schema__is_migrated),
    TEST_CASE(store_open__schema_1__keeps_its_nodes),
    TEST_CASE(store_open__schema_2__keeps_its_flares),
    TEST_CASE(store_open__schema_3__counts_by_tenant),
    TEST_CASE(store_open__damaged__says_so),
    {0}};

const struct test_suite test_suites[] = {{"opening", opening, NULL, NULL}, {0}};
