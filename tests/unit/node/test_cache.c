#include "base/buffer.h"
#include "base/io.h"
#include "service/node/cache.h"
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOB_BYTES ((size_t)1000)

static struct covey_error error;

static const char *folder_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof(path), "%s/%s", test_folder(), name);
    return path;
}

static void make_blob(int number, char bytes[BLOB_BYTES], char sha256[65])
{
    unsigned char digest[32];
    memset(bytes, 'a' + number, BLOB_BYTES);
    TEST_REQUIRE(EVP_Digest(bytes, BLOB_BYTES, digest, NULL, EVP_sha256(), NULL) == 1);
    for (int i = 0; i < 32; i++)
        snprintf(sha256 + 2 * (size_t)i, 3, "%02x", digest[i]);
}

static enum covey_status put(struct cache *cache, int number)
{
    char bytes[BLOB_BYTES];
    char sha256[65];
    struct cache_writer *writer;
    make_blob(number, bytes, sha256);
    enum covey_status status = cache_write_begin(cache, sha256, &writer);
    TEST_REQUIRE(status == COVEY_OK);
    status = cache_write(writer, bytes, 400);
    if (!status)
        status = cache_write(writer, bytes + 400, BLOB_BYTES - 400);
    if (!status)
        return cache_write_end(writer);
    cache_write_abort(writer);
    return status;
}

static bool has(struct cache *cache, int number)
{
    char bytes[BLOB_BYTES];
    char found[BLOB_BYTES + 1];
    char sha256[65];
    int fd;
    make_blob(number, bytes, sha256);
    if (cache_get(cache, sha256, &fd) != COVEY_OK) {
        TEST_EQUAL(fd, -1);
        return false;
    }
    TEST_EQUAL(read(fd, found, sizeof(found)), (ssize_t)BLOB_BYTES);
    TEST_TRUE(memcmp(bytes, found, BLOB_BYTES) == 0);
    struct stat facts;
    TEST_TRUE(fstat(fd, &facts) == 0 && (facts.st_mode & S_IXUSR));
    close(fd);
    return true;
}

static struct cache *open_cache(const char *name, uint64_t limit_bytes)
{
    struct cache *cache = NULL;
    TEST_REQUIRE(cache_open(folder_of(name), limit_bytes, &cache, &error) == COVEY_OK);
    return cache;
}

static void cache_get__written__same_bytes_also_after_reopening(void)
{
    struct cache *cache = open_cache("plain", 10000);
    TEST_TRUE(!has(cache, 0));
    TEST_EQUAL(put(cache, 0), COVEY_OK);
    TEST_TRUE(has(cache, 0));
    TEST_TRUE(!has(cache, 1));
    TEST_EQUAL(cache_bytes(cache), BLOB_BYTES);
    /* Written again: there once. */
    TEST_EQUAL(put(cache, 0), COVEY_OK);
    TEST_EQUAL(cache_bytes(cache), BLOB_BYTES);
    cache_close(cache);
    cache = open_cache("plain", 10000);
    TEST_TRUE(has(cache, 0));
    cache_close(cache);
}

static void cache_write_end__over_the_bound__least_recently_used_goes(void)
{
    struct cache *cache = open_cache("lru", 3 * BLOB_BYTES);
    for (int i = 0; i < 3; i++)
        TEST_EQUAL(put(cache, i), COVEY_OK);
    TEST_TRUE(has(cache, 0));
    TEST_EQUAL(put(cache, 3), COVEY_OK);
    TEST_TRUE(!has(cache, 1));
    TEST_TRUE(has(cache, 0) && has(cache, 2) && has(cache, 3));
    TEST_EQUAL(cache_bytes(cache), 3 * BLOB_BYTES);
    cache_close(cache);
    cache = open_cache("lru", 2 * BLOB_BYTES);
    TEST_EQUAL(cache_bytes(cache), 2 * BLOB_BYTES);
    cache_close(cache);
}

static void cache_write__blob_over_the_bound__elimit_and_nothing_left(void)
{
    struct cache *cache = open_cache("small", BLOB_BYTES - 1);
    TEST_EQUAL(put(cache, 0), COVEY_ELIMIT);
    TEST_EQUAL(cache_bytes(cache), 0);
    cache_close(cache);
    TEST_EQUAL(rmdir(folder_of("small")), 0);
}

static void cache_write_end__wrong_digest__eproto_and_nothing_left(void)
{
    char bytes[BLOB_BYTES];
    char sha256[65];
    struct cache_writer *writer;
    struct cache *cache = open_cache("wrong", 10000);
    make_blob(5, bytes, sha256);
    TEST_REQUIRE(cache_write_begin(cache, sha256, &writer) == COVEY_OK);
    TEST_EQUAL(cache_write(writer, "other", 5), COVEY_OK);
    TEST_EQUAL(cache_write_end(writer), COVEY_EPROTO);
    TEST_TRUE(!has(cache, 5));
    cache_close(cache);
    TEST_EQUAL(rmdir(folder_of("wrong")), 0);
}

/* A crash leaves a temporary; the disk may have lost the end of a file. */
static void cache_open__after_a_crash__no_temporary_and_no_damaged_file(void)
{
    char bytes[BLOB_BYTES];
    char sha256[65];
    char path[300];
    struct cache *cache = open_cache("crash", 10000);
    TEST_EQUAL(put(cache, 1), COVEY_OK);
    cache_close(cache);
    snprintf(path, sizeof(path), "%s/.part-7", folder_of("crash"));
    TEST_EQUAL(covey_file_write(path, "half", 4, 0500, &error), COVEY_OK);
    make_blob(1, bytes, sha256);
    snprintf(path, sizeof(path), "%s/%s", folder_of("crash"), sha256);
    TEST_EQUAL(chmod(path, 0700), 0);
    TEST_EQUAL(truncate(path, (off_t)BLOB_BYTES - 1), 0);
    cache = open_cache("crash", 10000);
    TEST_TRUE(!has(cache, 1));
    TEST_TRUE(access(path, F_OK) < 0);
    TEST_EQUAL(cache_bytes(cache), 0);
    cache_close(cache);
    TEST_EQUAL(rmdir(folder_of("crash")), 0);
}

static void cache_digest_valid__table(void)
{
    char digest[66];
    memset(digest, 'a', 64);
    digest[64] = '\0';
    TEST_TRUE(cache_digest_valid(digest));
    digest[63] = 'A';
    TEST_TRUE(!cache_digest_valid(digest));
    digest[63] = '\0';
    TEST_TRUE(!cache_digest_valid(digest));
    TEST_TRUE(!cache_digest_valid("../../../etc/passwd"));
    TEST_TRUE(!cache_digest_valid(""));
}

static const struct test_case cases[] = {
    TEST_CASE(cache_get__written__same_bytes_also_after_reopening),
    TEST_CASE(cache_write_end__over_the_bound__least_recently_used_goes),
    TEST_CASE(cache_write__blob_over_the_bound__elimit_and_nothing_left),
    TEST_CASE(cache_write_end__wrong_digest__eproto_and_nothing_left),
    TEST_CASE(cache_open__after_a_crash__no_temporary_and_no_damaged_file),
    TEST_CASE(cache_digest_valid__table),
    {0},
};

const struct test_suite test_suites[] = {{"cache", cases, NULL, NULL}, {0}};
