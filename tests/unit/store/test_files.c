/* Definitions, blobs, results and nodes. */
#include "base/io.h"
#include "tests/harness/harness.h"
#include "tests/unit/store/rows.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char abc_digest[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/* ---- definitions and blobs ---- */

static bool take_version(const struct store_definition *definition, void *data)
{
    *(uint32_t *)data = definition->version;
    return false;
}

static void definition__versions__newest_is_found_and_numbers_not_reused(void)
{
    struct store *store = rows_open(rows_folder());
    struct store_definition row = {"t", "hello", 1, abc_digest, rows_bytes("one")};
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
    struct store *store = rows_open(rows_folder());
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

static unsigned count_files(const char *folder, const char *name)
{
    char path[400];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    DIR *open_folder = opendir(path);
    TEST_REQUIRE(open_folder != NULL);
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(open_folder);
    return count;
}

static void upload__given_up_or_wrong__leaves_no_file(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    struct store_upload *upload;
    TEST_REQUIRE(store_upload_begin(store, 1000, &upload, NULL) == COVEY_OK);
    TEST_EQUAL(store_upload_write(upload, "abc", 3, NULL), COVEY_OK);
    TEST_EQUAL(count_files(folder, "tmp"), 1);
    store_upload_abort(upload);
    TEST_EQUAL(count_files(folder, "tmp"), 0);
    TEST_EQUAL(put(store, abc_digest, "abd", 1), COVEY_EINVAL);
    TEST_EQUAL(count_files(folder, "tmp"), 0);
    TEST_EQUAL(count_files(folder, "blobs"), 0);
    TEST_EQUAL(put(store, abc_digest, "abc", 1), COVEY_OK);
    TEST_EQUAL(count_files(folder, "tmp"), 0);
    TEST_EQUAL(count_files(folder, "blobs"), 1);
    store_close(store);
}

static void blob__old_and_unnamed__expires(void)
{
    struct store *store = rows_open(rows_folder());
    uint32_t removed;
    uint64_t size_bytes;
    struct store_definition row = {"t", "hello", 1, abc_digest, rows_bytes("one")};
    TEST_EQUAL(put(store, abc_digest, "abc", 100), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 100, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 0); /* too young */
    TEST_EQUAL(store_definition_add(store, &row, NULL), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 101, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 0); /* named */
    TEST_EQUAL(store_definition_remove(store, "t", "hello", NULL), COVEY_OK);
    struct store_flare flare = rows_flare("A", "");
    const struct store_event event = rows_event(1, false);
    flare.code_sha256 = abc_digest;
    TEST_EQUAL(store_flare_add(store, &flare, &event, NULL), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 101, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 0); /* a flare needs it */
    TEST_EQUAL(rows_append(store, "A", 2, true), COVEY_OK);
    TEST_EQUAL(store_blobs_expire(store, 101, &removed, NULL), COVEY_OK);
    TEST_EQUAL(removed, 1);
    TEST_EQUAL(store_blob_size(store, abc_digest, NULL, &size_bytes, NULL), COVEY_ENOTFOUND);
    store_close(store);
}

/* After a loss of power a file may be shorter than its row says, or have none. */
static void store_open__blob_not_whole__is_forgotten(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    uint64_t size_bytes;
    TEST_EQUAL(put(store, abc_digest, "abc", 1), COVEY_OK);
    store_close(store);
    char path[400];
    (void)snprintf(path, sizeof path, "%s/blobs/%s", folder, abc_digest);
    TEST_REQUIRE(covey_file_write(path, "a", 1, 0600, NULL) == COVEY_OK);
    char stray[400];
    (void)snprintf(stray, sizeof stray, "%s/blobs/stray", folder);
    TEST_REQUIRE(covey_file_write(stray, "a", 1, 0600, NULL) == COVEY_OK);
    store = rows_open(folder);
    TEST_EQUAL(store_blob_size(store, abc_digest, NULL, &size_bytes, NULL), COVEY_ENOTFOUND);
    TEST_TRUE(access(path, F_OK) != 0);
    TEST_TRUE(access(stray, F_OK) != 0);
    store_close(store);
}

/* ---- results and nodes ---- */

static void result__pieces_in_any_order__read_whole(void)
{
    struct store *store = rows_open(rows_folder());
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
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    struct store_node node = {.name = "a",
                              .identity = "i",
                              .epoch = 1,
                              .drain_reason = "",
                              .capacity = rows_bytes("c"),
                              .data_address = "",
                              .version = ""};
    uint64_t epoch = 0;
    TEST_EQUAL(store_node_set(store, &node, "registered", 1, NULL), COVEY_OK);
    node.epoch = 2;
    TEST_EQUAL(store_node_set(store, &node, "lost", 2, NULL), COVEY_OK);
    store_close(store);
    store = rows_open(folder);
    TEST_EQUAL(store_nodes(store, take_epoch, &epoch, NULL), COVEY_OK);
    TEST_EQUAL(epoch, 2);
    TEST_EQUAL(store_node_remove(store, "a", NULL), COVEY_OK);
    epoch = 0;
    TEST_EQUAL(store_nodes(store, take_epoch, &epoch, NULL), COVEY_OK);
    TEST_EQUAL(epoch, 0);
    store_close(store);
}

static const struct test_case files[] = {
    TEST_CASE(definition__versions__newest_is_found_and_numbers_not_reused),
    TEST_CASE(blob__put__seen_by_its_tenant_only),
    TEST_CASE(upload__given_up_or_wrong__leaves_no_file),
    TEST_CASE(blob__old_and_unnamed__expires),
    TEST_CASE(store_open__blob_not_whole__is_forgotten),
    TEST_CASE(result__pieces_in_any_order__read_whole),
    TEST_CASE(node__set_again__newest_facts),
    {0}};

const struct test_suite test_suites[] = {{"files", files, NULL, NULL}, {0}};
