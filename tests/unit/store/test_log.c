/* The journal's files: how long they become, looked at on the disk. */
#include "tests/harness/harness.h"
#include "tests/unit/store/rows.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static uint64_t file_bytes(const char *folder, const char *name)
{
    char path[300];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static void sync_once(struct store *store)
{
    store_sync_begin(store);
    enum covey_status status = store_sync(store);
    TEST_EQUAL(status, COVEY_OK);
    store_sync_done(store, status);
}

/* What was much larger gives its room back, a step at a time. */
static void expire__large_file__is_shortened(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    char *large = calloc(1, 1 << 20);
    TEST_REQUIRE(large != NULL);
    struct store_flare flare = rows_flare("A", "");
    const struct store_event event = rows_event(1, false);
    flare.parameters = (struct store_bytes){large, 1 << 20};
    for (unsigned i = 0; i < 12; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "F%u", i);
        flare.id = id;
        TEST_EQUAL(store_flare_add(store, &flare, &event, NULL), COVEY_OK);
        TEST_EQUAL(rows_append(store, id, 2, true), COVEY_OK);
        flare.id = i % 2 ? "odd" : "even"; /* which stay */
    }
    free(large);
    sync_once(store);
    const struct store_keep all = {0, 100, 1 << 30};
    uint32_t removed;
    for (unsigned i = 0; i < 100; i++)
        TEST_EQUAL(store_expire(store, &all, 1, &removed, NULL), COVEY_OK);
    store_close(store);
    TEST_TRUE(file_bytes(folder, "journal.db") < 6 << 20);
    store = rows_open(folder);
    TEST_EQUAL(rows_events(store, "F11"), 2);
    store_close(store);
}

static void add_large(struct store *store, unsigned number, size_t length_bytes)
{
    static char large[1 << 20];
    char id[16];
    TEST_REQUIRE(length_bytes <= sizeof large);
    (void)snprintf(id, sizeof id, "F%06u", number);
    struct store_flare flare = rows_flare(id, "");
    const struct store_event event = rows_event(1, false);
    flare.parameters = (struct store_bytes){large, length_bytes};
    TEST_REQUIRE(store_flare_add(store, &flare, &event, NULL) == COVEY_OK);
}

static void store_sync__after_writes__clean(void)
{
    struct store *store = rows_open(rows_folder());
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_OK);
    TEST_TRUE(store_dirty(store));
    store_sync_begin(store);
    TEST_TRUE(!store_dirty(store));
    TEST_EQUAL(rows_add(store, "later", ""), COVEY_OK);
    store_sync_done(store, store_sync(store));
    TEST_TRUE(store_dirty(store)); /* by what came later */
    store_sync_begin(store);
    store_sync_done(store, COVEY_EIO);
    TEST_TRUE(store_dirty(store));
    store_close(store);
}

static void store_sync__many_writes__log_is_moved(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    for (unsigned i = 0; i < 320; i++) { /* 40 MiB */
        add_large(store, i, 128 << 10);
        if (i % 16 == 0)
            sync_once(store);
        TEST_TRUE(file_bytes(folder, "journal.db-wal") <= 20 << 20);
    }
    TEST_TRUE(file_bytes(folder, "journal.db") > 30 << 20);
    TEST_EQUAL(rows_live(store), 320);
    store_close(store);
    TEST_EQUAL(file_bytes(folder, "journal.db-wal"), 0);
}

/* A sync on a thread of its own, as the controller makes it. */
static void *run_sync(void *store)
{
    return (void *)(uintptr_t)store_sync(store);
}

/* Adds 18 MiB that nobody syncs, so that the sync that begins has to begin the log again. */
static pthread_t begin_again(struct store *store, unsigned *added)
{
    pthread_t thread;
    for (unsigned i = 0; i < 18; i++)
        add_large(store, (*added)++, 1 << 20);
    store_sync_begin(store);
    TEST_TRUE(store_is_moving(store));
    TEST_REQUIRE(pthread_create(&thread, NULL, run_sync, store) == 0);
    return thread;
}

static void end_sync(struct store *store, pthread_t thread)
{
    void *status;
    TEST_EQUAL(pthread_join(thread, &status), 0);
    TEST_EQUAL((uintptr_t)status, COVEY_OK);
    store_sync_done(store, COVEY_OK);
    TEST_TRUE(!store_is_moving(store));
}

static void store_sync__long_log__begins_again(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    unsigned added = 0;
    for (unsigned i = 0; i < 4; i++) {
        end_sync(store, begin_again(store, &added));
        TEST_TRUE(file_bytes(folder, "journal.db-wal") < 20 << 20);
    }
    TEST_EQUAL(rows_live(store), added);
    store_close(store);
}

/* Who cannot wait writes on: nothing is lost, and the log begins again another time. */
static void store_sync__write_while_it_begins_again__nothing_lost(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    unsigned added = 0;
    pthread_t thread = begin_again(store, &added);
    for (unsigned i = 0; i < 100; i++)
        add_large(store, added++, 100);
    end_sync(store, thread);
    add_large(store, added++, 100);
    sync_once(store);
    store_close(store);
    store = rows_open(folder);
    TEST_EQUAL(rows_live(store), added);
    store_close(store);
}

/* That the log cannot begin again now is no fault of the disk. */
static void store_sync__another_writes_when_it_would_begin_again__is_well(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    for (unsigned i = 0; i < 18; i++)
        add_large(store, i, 1 << 20);
    char path[400];
    sqlite3 *other;
    (void)snprintf(path, sizeof path, "%s/journal.db", folder);
    TEST_REQUIRE(sqlite3_open_v2(path, &other, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    TEST_REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    store_sync_begin(store);
    TEST_TRUE(store_is_moving(store));
    enum covey_status status = store_sync(store);
    TEST_EQUAL(status, COVEY_OK);
    store_sync_done(store, status);
    TEST_TRUE(file_bytes(folder, "journal.db") > 16 << 20); /* it was moved all the same */
    TEST_TRUE(file_bytes(folder, "journal.db-wal") > 16 << 20);
    TEST_EQUAL(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(other);
    add_large(store, 18, 100);
    sync_once(store);
    add_large(store, 19, 100);
    TEST_TRUE(file_bytes(folder, "journal.db-wal") <= 17 << 20);
    TEST_EQUAL(rows_live(store), 20);
    store_close(store);
}

static void flare_add__nobody_syncs__log_is_bounded(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    for (unsigned i = 0; i < 80; i++) {
        add_large(store, i, 1 << 20);
        TEST_TRUE(file_bytes(folder, "journal.db-wal") < 64 << 20);
    }
    TEST_EQUAL(rows_live(store), 80);
    store_close(store);
}

static const struct test_case files[] = {
    TEST_CASE(expire__large_file__is_shortened),
    TEST_CASE(store_sync__after_writes__clean),
    TEST_CASE(store_sync__many_writes__log_is_moved),
    TEST_CASE(store_sync__long_log__begins_again),
    TEST_CASE(store_sync__write_while_it_begins_again__nothing_lost),
    TEST_CASE(store_sync__another_writes_when_it_would_begin_again__is_well),
    TEST_CASE(flare_add__nobody_syncs__log_is_bounded),
    {0}};

const struct test_suite test_suites[] = {{"files", files, NULL, NULL}, {0}};
