#include "tests/unit/store/rows.h"

#include "tests/harness/harness.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

const char *rows_folder(void)
{
    static char folder[256];
    static unsigned number;
    (void)snprintf(folder, sizeof folder, "%s/store%u", test_folder(), ++number);
    return folder;
}

struct store *rows_open(const char *folder)
{
    struct store *store;
    struct covey_error error = {0};
    enum covey_status status = store_open(folder, &store, &error);
    if (status)
        fprintf(stderr, "%s\n", error.message);
    TEST_REQUIRE(status == COVEY_OK);
    return store;
}

struct store_bytes rows_bytes(const char *text)
{
    return (struct store_bytes){text, strlen(text)};
}

struct store_flare rows_flare(const char *id, const char *key)
{
    return (struct store_flare){.id = id,
                                .tenant = "uid:1",
                                .idempotency_key = key,
                                .accepted_ns = 7,
                                .state = 1,
                                .code_sha256 = "",
                                .request = rows_bytes("request"),
                                .definition = rows_bytes("definition")};
}

struct store_event rows_event(uint64_t sequence, bool terminal)
{
    return (struct store_event){.sequence = sequence,
                                .at_ns = (int64_t)sequence * 10,
                                .state = terminal ? 5 : 1,
                                .terminal = terminal,
                                .body = rows_bytes("body"),
                                .delta = rows_bytes("")};
}

enum covey_status rows_add(struct store *store, const char *id, const char *key)
{
    const struct store_flare flare = rows_flare(id, key);
    const struct store_event event = rows_event(1, false);
    return store_flare_add(store, &flare, &event, NULL);
}

enum covey_status rows_append(struct store *store, const char *id, uint64_t sequence, bool terminal)
{
    const struct store_event event = rows_event(sequence, terminal);
    return store_event_append(store, id, &event, NULL);
}

bool rows_count(const struct store_flare *flare, void *data)
{
    TEST_EQUAL_STRING(flare->tenant, "uid:1");
    TEST_EQUAL(flare->request.length_bytes, 7);
    ++*(unsigned *)data;
    return true;
}

static bool count_event(const struct store_event *event, void *data)
{
    unsigned *count = data;
    ++*count;
    TEST_EQUAL(event->sequence, *count);
    TEST_EQUAL(event->at_ns, (int64_t)*count * 10);
    TEST_EQUAL(memcmp(event->body.data, "body", 4), 0);
    TEST_EQUAL(event->delta.length_bytes, 0);
    return true;
}

unsigned rows_live(struct store *store)
{
    unsigned count = 0;
    TEST_EQUAL(store_flares_live(store, rows_count, &count, NULL), COVEY_OK);
    return count;
}

unsigned rows_events(struct store *store, const char *id)
{
    unsigned count = 0;
    TEST_EQUAL(store_events(store, id, 1, count_event, &count, NULL), COVEY_OK);
    return count;
}

void rows_sql(const char *folder, const char *sql)
{
    char path[300];
    sqlite3 *database;
    (void)snprintf(path, sizeof path, "%s/journal.db", folder);
    TEST_REQUIRE(sqlite3_open(path, &database) == SQLITE_OK);
    TEST_REQUIRE(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(database);
}
