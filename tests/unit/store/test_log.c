/* The journal's files: how long they become, looked at on the disk. */
#include "tests/harness/harness.h"
#include "tests/unit/store/rows.h"

#include <pthread.h>
#include <stdatomic.h>
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
    store_sync_done(store, store_sync(store));
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
struct syncing {
    struct store *store;
    pthread_t thread;
    atomic_bool ended;
    bool running;
    enum covey_status status;
};

static void *run_sync(void *data)
{
    struct syncing *syncing = data;
    syncing->status = store_sync(syncing->store);
    atomic_store(&syncing->ended, true);
    return NULL;
}

static void begin_sync(struct syncing *syncing)
{
    atomic_init(&syncing->ended, false);
    store_sync_begin(syncing->store);
    syncing->running = pthread_create(&syncing->thread, NULL, run_sync, syncing) == 0;
    TEST_REQUIRE(syncing->running);
}

static void end_sync(struct syncing *syncing)
{
    TEST_EQUAL(pthread_join(syncing->thread, NULL), 0);
    TEST_EQUAL(syncing->status, COVEY_OK);
    store_sync_done(syncing->store, syncing->status);
    syncing->running = false;
}

/* Writes go on during every sync but those that begin the log again. */
static void store_sync__beside_writes__log_begins_again(void)
{
    const char *folder = rows_folder();
    struct syncing syncing = {.store = rows_open(folder)};
    unsigned added = 0;
    unsigned times = 0;
    uint64_t longest_bytes = 0;
    while (added < 20000 && times < 3) {
        if (!syncing.running)
            begin_sync(&syncing);
        if (store_is_moving(syncing.store)) {
            end_sync(&syncing);
            times++;
        }
        add_large(syncing.store, added++, 16 << 10);
        uint64_t now_bytes = file_bytes(folder, "journal.db-wal");
        longest_bytes = now_bytes > longest_bytes ? now_bytes : longest_bytes;
        if (syncing.running && atomic_load(&syncing.ended))
            end_sync(&syncing);
    }
    if (syncing.running)
        end_sync(&syncing);
    TEST_EQUAL(times, 3);
    TEST_TRUE(longest_bytes > 16 << 20 && longest_bytes < 64 << 20);
    TEST_EQUAL(rows_live(syncing.store), added);
    store_close(syncing.store);
}

/* Who cannot wait writes on: the log goes on where it was, and nothing is lost. */
static void store_sync__write_while_it_begins_again__nothing_lost(void)
{
    const char *folder = rows_folder();
    struct syncing syncing = {.store = rows_open(folder)};
    unsigned added = 0;
    while (added < 20000 && !store_is_moving(syncing.store)) {
        if (syncing.running)
            end_sync(&syncing);
        begin_sync(&syncing);
        for (unsigned i = 0; i < 16; i++)
            add_large(syncing.store, added++, 16 << 10);
    }
    TEST_TRUE(store_is_moving(syncing.store));
    end_sync(&syncing);
    TEST_EQUAL(rows_add(syncing.store, "after", ""), COVEY_OK);
    store_close(syncing.store);
    struct store *store = rows_open(folder);
    TEST_EQUAL(rows_live(store), added + 1);
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
    TEST_CASE(store_sync__beside_writes__log_begins_again),
    TEST_CASE(store_sync__write_while_it_begins_again__nothing_lost),
    TEST_CASE(flare_add__nobody_syncs__log_is_bounded),
    {0}};

const struct test_suite test_suites[] = {{"files", files, NULL, NULL}, {0}};
