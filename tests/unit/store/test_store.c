/* The journal and its files: what is written is read again, and what fails changes nothing. */
#include "base/clock.h"
#include "base/io.h"
#include "service/store/store.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char abc_digest[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static const char *fresh(void)
{
    static char folder[256];
    static unsigned number;
    (void)snprintf(folder, sizeof folder, "%s/store%u", test_folder(), ++number);
    return folder;
}

static struct store *open_store(const char *folder)
{
    struct store *store;
    struct covey_error error = {0};
    enum covey_status status = store_open(folder, &store, &error);
    if (status)
        fprintf(stderr, "%s\n", error.message);
    TEST_REQUIRE(status == COVEY_OK);
    return store;
}

static struct store_bytes bytes_of(const char *text)
{
    return (struct store_bytes){text, strlen(text)};
}

static struct store_flare flare_row(const char *id, const char *key)
{
    return (struct store_flare){.id = id,
                                .tenant = "uid:1",
                                .idempotency_key = key,
                                .accepted_ns = 7,
                                .state = 1,
                                .code_sha256 = "",
                                .request = bytes_of("request"),
                                .definition = bytes_of("definition")};
}

static struct store_event event_row(uint64_t sequence, bool terminal)
{
    return (struct store_event){.sequence = sequence,
                                .at_ns = (int64_t)sequence * 10,
                                .state = terminal ? 5 : 1,
                                .terminal = terminal,
                                .body = bytes_of("body"),
                                .delta = bytes_of("")};
}

static enum covey_status add(struct store *store, const char *id, const char *key)
{
    const struct store_flare flare = flare_row(id, key);
    const struct store_event event = event_row(1, false);
    return store_flare_add(store, &flare, &event, NULL);
}

static enum covey_status append(struct store *store, const char *id, uint64_t sequence,
                                bool terminal)
{
    const struct store_event event = event_row(sequence, terminal);
    return store_event_append(store, id, &event, NULL);
}

static bool count_flare(const struct store_flare *flare, void *data)
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

static unsigned live(struct store *store)
{
    unsigned count = 0;
    TEST_EQUAL(store_flares_live(store, count_flare, &count, NULL), COVEY_OK);
    return count;
}

static unsigned events(struct store *store, const char *id)
{
    unsigned count = 0;
    TEST_EQUAL(store_events(store, id, 1, count_event, &count, NULL), COVEY_OK);
    return count;
}

static void flare_add__opened_again__is_there(void)
{
    const char *folder = fresh();
    struct store *store = open_store(folder);
    TEST_EQUAL(add(store, "A", ""), COVEY_OK);
    TEST_EQUAL(add(store, "B", ""), COVEY_OK);
    TEST_EQUAL(append(store, "A", 2, false), COVEY_OK);
    TEST_EQUAL(append(store, "B", 2, true), COVEY_OK);
    store_close(store);
    store = open_store(folder);
    TEST_EQUAL(live(store), 1);
    TEST_EQUAL(events(store, "A"), 2);
    TEST_EQUAL(events(store, "B"), 2);
    unsigned all = 0;
    TEST_EQUAL(store_flares_before(store, NULL, "", count_flare, &all, NULL), COVEY_OK);
    TEST_EQUAL(all, 2);
    all = 0;
    TEST_EQUAL(store_flares_before(store, "uid:2", "", count_flare, &all, NULL), COVEY_OK);
    TEST_EQUAL(all, 0);
    store_close(store);
}

static bool take_request(const struct store_flare *flare, void *data)
{
    *(size_t *)data = flare->request.length_bytes;
    return false;
}

static void event_append__with_a_request__replaces_the_flares(void)
{
    struct store *store = open_store(fresh());
    size_t length = 0;
    TEST_EQUAL(add(store, "A", ""), COVEY_OK);
    TEST_EQUAL(append(store, "A", 2, false), COVEY_OK);
    TEST_EQUAL(store_flare_get(store, "A", take_request, &length, NULL), COVEY_OK);
    TEST_EQUAL(length, 7);
    struct store_event event = event_row(3, true);
    event.request = bytes_of("r");
    TEST_EQUAL(store_event_append(store, "A", &event, NULL), COVEY_OK);
    TEST_EQUAL(store_flare_get(store, "A", take_request, &length, NULL), COVEY_OK);
    TEST_EQUAL(length, 1);
    store_close(store);
}

static void flare_add__same_key_or_sequence__refused(void)
{
    struct store *store = open_store(fresh());
    TEST_EQUAL(add(store, "A", "key"), COVEY_OK);
    TEST_EQUAL(add(store, "B", "key"), COVEY_EEXISTS);
    TEST_EQUAL(add(store, "A", "other"), COVEY_EEXISTS);
    TEST_EQUAL(live(store), 1);
    TEST_EQUAL(append(store, "A", 1, true), COVEY_EEXISTS);
    TEST_EQUAL(live(store), 1); /* its state was not changed either */
    unsigned found = 0;
    TEST_EQUAL(store_flare_by_key(store, "uid:1", "key", count_flare, &found, NULL), COVEY_OK);
    TEST_EQUAL(found, 1);
    store_close(store);
}

static void flare_remove__ended__all_of_it_goes(void)
{
    const char *folder = fresh();
    struct store *store = open_store(folder);
    uint64_t size_bytes;
    TEST_EQUAL(add(store, "A", "key"), COVEY_OK);
    TEST_EQUAL(append(store, "A", 2, true), COVEY_OK);
    TEST_EQUAL(store_result_write(store, "A", 3, 0, "result", 6, 100, NULL), COVEY_OK);
    TEST_EQUAL(store_log_append(store, "A", "line", 4, &size_bytes, NULL), COVEY_OK);
    TEST_EQUAL(store_spool_bytes(store, "A"), 10);
    TEST_EQUAL(store_flare_remove(store, "A", NULL), COVEY_OK);
    TEST_EQUAL(events(store, "A"), 0);
    TEST_EQUAL(store_spool_bytes(store, "A"), 0);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/results/A", folder);
    TEST_TRUE(access(path, F_OK) != 0);
    TEST_EQUAL(add(store, "B", "key"), COVEY_OK); /* the key is free again */
    store_close(store);
}

static void store_open__twice__refused(void)
{
    const char *folder = fresh();
    struct store *store = open_store(folder);
    struct store *second;
    struct covey_error error = {0};
    TEST_EQUAL(store_open(folder, &second, &error), COVEY_EEXISTS);
    TEST_TRUE(strstr(error.message, "another controller") != NULL);
    store_close(store);
}

static void run_sql(const char *folder, const char *sql)
{
    char path[300];
    sqlite3 *database;
    (void)snprintf(path, sizeof path, "%s/journal.db", folder);
    TEST_REQUIRE(sqlite3_open(path, &database) == SQLITE_OK);
    TEST_REQUIRE(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(database);
}

static void store_open__newer_schema__refused(void)
{
    const char *folder = fresh();
    store_close(open_store(folder));
    run_sql(folder, "PRAGMA user_version = 1000");
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
    const char *folder = fresh();
    TEST_REQUIRE(covey_make_dirs(folder, 0700, NULL) == COVEY_OK);
    run_sql(folder, "PRAGMA user_version = 0");
    struct store *store = open_store(folder);
    TEST_EQUAL(add(store, "A", ""), COVEY_OK);
    store_close(store);
}

/* Nodes of version 1 have no deadline. */
static void store_open__schema_1__keeps_its_nodes(void)
{
    const char *folder = fresh();
    store_close(open_store(folder));
    run_sql(folder, "ALTER TABLE nodes DROP COLUMN drain_until_ns;"
                    "INSERT INTO nodes VALUES('a','machine',3,'new disk',x'','','1',4);"
                    "PRAGMA user_version = 1");
    struct store *store = open_store(folder);
    struct store_node seen = {0};
    TEST_EQUAL(store_nodes(store, note_node, &seen, NULL), COVEY_OK);
    TEST_EQUAL(seen.epoch, 3);
    TEST_EQUAL(seen.drain_until_ns, 0);
    store_close(store);
}

static void store_open__damaged__says_so(void)
{
    const char *folder = fresh();
    store_close(open_store(folder));
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

/* Fills the "disk" of a child process: its files may not grow past a limit. */
static int fill(const char *folder)
{
    struct store *store = open_store(folder);
    const struct rlimit limit = {256ULL * 1024, 256ULL * 1024};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    char id[16];
    unsigned accepted = 0;
    struct covey_error error = {0};
    enum covey_status status = COVEY_OK;
    while (!status && accepted < 100000) {
        (void)snprintf(id, sizeof id, "F%06u", accepted);
        const struct store_flare flare = flare_row(id, "");
        const struct store_event event = event_row(1, false);
        status = store_flare_add(store, &flare, &event, &error);
        accepted += status == COVEY_OK;
    }
    if (status != COVEY_ENOSPACE || !strstr(error.message, "no space left"))
        return 2;
    /* The whole of what was accepted, and no half of what was not. */
    if (live(store) != accepted || events(store, id) != 0)
        return 3;
    FILE *count = fopen("/dev/fd/9", "w");
    if (!count)
        return 4;
    fprintf(count, "%u\n", accepted);
    (void)fclose(count);
    store_close(store);
    return 0;
}

static void flare_add__disk_full__nothing_half_accepted(void)
{
    const char *folder = fresh();
    int ends[2];
    TEST_REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], 9);
        _exit(fill(folder));
    }
    (void)close(ends[1]);
    char text[16] = "";
    TEST_TRUE(read(ends[0], text, sizeof text - 1) > 0);
    (void)close(ends[0]);
    int status;
    TEST_EQUAL(waitpid(child, &status, 0), child);
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct store *store = open_store(folder);
    TEST_EQUAL(live(store), (unsigned)strtoul(text, NULL, 10));
    TEST_EQUAL(add(store, "after", ""), COVEY_OK);
    store_close(store);
}

static void store_sync__after_writes__clean_and_checkpointed(void)
{
    const char *folder = fresh();
    struct store *store = open_store(folder);
    char id[16];
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(id, sizeof id, "F%06u", i);
        TEST_REQUIRE(add(store, id, "") == COVEY_OK);
    }
    TEST_TRUE(store_dirty(store));
    store_sync_begin(store);
    TEST_TRUE(!store_dirty(store));
    TEST_EQUAL(add(store, "later", ""), COVEY_OK);
    store_sync_done(store, store_sync(store));
    TEST_TRUE(store_dirty(store)); /* by what came later */
    store_sync_begin(store);
    store_sync_done(store, COVEY_EIO);
    TEST_TRUE(store_dirty(store));
    TEST_EQUAL(live(store), 3001);
    store_close(store);
}

/* ---- definitions and blobs ---- */

static bool take_version(const struct store_definition *definition, void *data)
{
    *(uint32_t *)data = definition->version;
    return false;
}

static void definition__versions__newest_is_found_and_numbers_not_reused(void)
{
    struct store *store = open_store(fresh());
    struct store_definition row = {"t", "hello", 1, abc_digest, bytes_of("one")};
    uint32_t version = 0;
    TEST_EQUAL(store_definition_add(store, &row, NULL), COVEY_OK);
    row.version = 2;
    TEST_EQUAL(store_definition_add(store, &row, NULL), COVEY_OK);
    TEST_EQUAL(store_definition_get(store, "t", "hello", 0, take_version, &version, NULL),
               COVEY_OK);
    TEST_EQUAL(version, 2);
    TEST_EQUAL(store_definition_get(store, "t", "hello", 1, take_version, &version, NULL),
               COVEY_OK);
    TEST_EQUAL(version, 1);
    version = 0;
    TEST_EQUAL(store_definition_get(store, "other", "hello", 0, take_version, &version, NULL),
               COVEY_OK);
    TEST_EQUAL(version, 0);
    TEST_EQUAL(store_definition_remove(store, "t", "hello", NULL), COVEY_OK);
    TEST_EQUAL(store_definition_last(store, "t", "hello", &version, NULL), COVEY_OK);
    TEST_EQUAL(version, 2);
    store_close(store);
}

static enum covey_status put(struct store *store, const char *sha256, const char *text,
                             int64_t now_ns)
{
    struct store_upload *upload;
    uint64_t size_bytes;
    TEST_REQUIRE(store_upload_begin(store, 1000, &upload, NULL) == COVEY_OK);
    TEST_REQUIRE(store_upload_write(upload, text, strlen(text), NULL) == COVEY_OK);
    return store_upload_finish(upload, sha256, "t", now_ns, &size_bytes, NULL);
}

static void blob__put__seen_by_its_tenant_only(void)
{
    struct store *store = open_store(fresh());
    uint64_t size_bytes = 0;
    TEST_EQUAL(put(store, abc_digest, "abd", 1), COVEY_EINVAL);
    TEST_EQUAL(store_blob_size(store, abc_digest, NULL, &size_bytes, NULL), COVEY_ENOTFOUND);
    TEST_EQUAL(put(store, abc_digest, "abc", 1), COVEY_OK);
    TEST_EQUAL(put(store, abc_digest, "abc", 2), COVEY_OK);
    TEST_EQUAL(store_blob_size(store, abc_digest, "t", &size_bytes, NULL), COVEY_OK);
    TEST_EQUAL(size_bytes, 3);
    TEST_EQUAL(store_blob_size(store, abc_digest, "u", &size_bytes, NULL), COVEY_ENOTFOUND);
    int fd;
    char text[4] = "";
    TEST_EQUAL(store_blob_open(store, abc_digest, &fd, NULL), COVEY_OK);
    TEST_EQUAL(read(fd, text, 3), 3);
    TEST_EQUAL_STRING(text, "abc");
    (void)close(fd);
    store_close(store);
}

static void blob__old_and_unnamed__expires(void)
{
    struct store *store = open_store(fresh());
    uint32_t removed;
    uint64_t size_bytes;
    struct store_definition row = {"t", "hello", 1, abc_digest, bytes_of("one")};
    TEST_EQUAL(put(store, abc_digest, "abc", 100), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 100, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 0); /* too young */
    TEST_EQUAL(store_definition_add(store, &row, NULL), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 101, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 0); /* named */
    TEST_EQUAL(store_definition_remove(store, "t", "hello", NULL), COVEY_OK);
    struct store_flare flare = flare_row("A", "");
    const struct store_event event = event_row(1, false);
    flare.code_sha256 = abc_digest;
    TEST_EQUAL(store_flare_add(store, &flare, &event, NULL), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 101, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 0); /* a flare needs it */
    TEST_EQUAL(append(store, "A", 2, true), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 101, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 1);
    TEST_EQUAL(store_blob_size(store, abc_digest, NULL, &size_bytes, NULL), COVEY_ENOTFOUND);
    store_close(store);
}

/* After a loss of power a file may be shorter than its row says, or have none. */
static void store_open__blob_not_whole__is_forgotten(void)
{
    const char *folder = fresh();
    struct store *store = open_store(folder);
    uint64_t size_bytes;
    TEST_EQUAL(put(store, abc_digest, "abc", 1), COVEY_OK);
    store_close(store);
    char path[400];
    (void)snprintf(path, sizeof path, "%s/blobs/%s", folder, abc_digest);
    TEST_REQUIRE(covey_file_write(path, "a", 1, 0600, NULL) == COVEY_OK);
    char stray[400];
    (void)snprintf(stray, sizeof stray, "%s/blobs/stray", folder);
    TEST_REQUIRE(covey_file_write(stray, "a", 1, 0600, NULL) == COVEY_OK);
    store = open_store(folder);
    TEST_EQUAL(store_blob_size(store, abc_digest, NULL, &size_bytes, NULL), COVEY_ENOTFOUND);
    TEST_TRUE(access(path, F_OK) != 0);
    TEST_TRUE(access(stray, F_OK) != 0);
    store_close(store);
}

/* ---- results and nodes ---- */

static void result__pieces_in_any_order__read_whole(void)
{
    struct store *store = open_store(fresh());
    char text[16];
    size_t length;
    TEST_EQUAL(store_result_write(store, "A", 1, 3, "def", 3, 6, NULL), COVEY_OK);
    TEST_EQUAL(store_result_write(store, "A", 1, 0, "abc", 3, 6, NULL), COVEY_OK);
    TEST_EQUAL(store_result_write(store, "A", 1, 4, "def", 3, 6, NULL), COVEY_ELIMIT);
    TEST_EQUAL(store_result_write(store, "A", 1, UINT64_MAX, "d", 1, 6, NULL), COVEY_ELIMIT);
    TEST_EQUAL(store_result_read(store, "A", 1, 2, text, sizeof text, &length), COVEY_OK);
    TEST_TRUE(length == 4 && memcmp(text, "cdef", 4) == 0);
    TEST_EQUAL(store_result_read(store, "A", 2, 0, text, sizeof text, &length), COVEY_OK);
    TEST_EQUAL(length, 0);
    store_close(store);
}

static bool take_epoch(const struct store_node *node, void *data)
{
    *(uint64_t *)data = node->epoch;
    return true;
}

static void node__set_again__newest_facts(void)
{
    const char *folder = fresh();
    struct store *store = open_store(folder);
    struct store_node node = {.name = "a",
                              .identity = "i",
                              .epoch = 1,
                              .drain_reason = "",
                              .capacity = bytes_of("c"),
                              .data_address = "",
                              .version = ""};
    uint64_t epoch = 0;
    TEST_EQUAL(store_node_set(store, &node, "registered", 1, NULL), COVEY_OK);
    node.epoch = 2;
    TEST_EQUAL(store_node_set(store, &node, "lost", 2, NULL), COVEY_OK);
    store_close(store);
    store = open_store(folder);
    TEST_EQUAL(store_nodes(store, take_epoch, &epoch, NULL), COVEY_OK);
    TEST_EQUAL(epoch, 2);
    TEST_EQUAL(store_node_remove(store, "a", NULL), COVEY_OK);
    epoch = 0;
    TEST_EQUAL(store_nodes(store, take_epoch, &epoch, NULL), COVEY_OK);
    TEST_EQUAL(epoch, 0);
    store_close(store);
}

static const struct test_case journal[] = {
    TEST_CASE(flare_add__opened_again__is_there),
    TEST_CASE(event_append__with_a_request__replaces_the_flares),
    TEST_CASE(flare_add__same_key_or_sequence__refused),
    TEST_CASE(flare_remove__ended__all_of_it_goes),
    TEST_CASE(store_open__twice__refused),
    TEST_CASE(store_open__newer_schema__refused),
    TEST_CASE(store_open__older_schema__is_migrated),
    TEST_CASE(store_open__schema_1__keeps_its_nodes),
    TEST_CASE(store_open__damaged__says_so),
    TEST_CASE(flare_add__disk_full__nothing_half_accepted),
    TEST_CASE(store_sync__after_writes__clean_and_checkpointed),
    {0}};

static const struct test_case files[] = {
    TEST_CASE(definition__versions__newest_is_found_and_numbers_not_reused),
    TEST_CASE(blob__put__seen_by_its_tenant_only),
    TEST_CASE(blob__old_and_unnamed__expires),
    TEST_CASE(store_open__blob_not_whole__is_forgotten),
    TEST_CASE(result__pieces_in_any_order__read_whole),
    TEST_CASE(node__set_again__newest_facts),
    {0}};

const struct test_suite test_suites[] = {
    {"journal", journal, NULL, NULL}, {"files", files, NULL, NULL}, {0}};
