/* Blobs: files named by their SHA-256, and rows that say who has put them. */
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "service/store/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct store_upload {
    struct store *store;
    EVP_MD_CTX *digest;
    uint64_t limit_bytes;
    uint64_t size_bytes;
    int fd;
    char *path;
};

bool store_is_sha256(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef");
    return digits == STORE_SHA256_BYTES - 1 && text[digits] == '\0';
}

static void blob_path(struct store *store, const char *sha256, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/blobs/%s", store->folder, sha256);
}

enum covey_status store_upload_begin(struct store *store, uint64_t limit_bytes,
                                     struct store_upload **upload, struct covey_error *error)
{
    *upload = NULL;
    struct store_upload *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for an upload");
    made->store = store;
    made->limit_bytes = limit_bytes;
    made->fd = -1;
    made->path = covey_asprintf("%s/tmp/upload-XXXXXX", store->folder);
    made->digest = EVP_MD_CTX_new();
    if (!made->path || !made->digest || EVP_DigestInit_ex(made->digest, EVP_sha256(), NULL) != 1) {
        store_upload_abort(made);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for an upload");
    }
    made->fd = mkostemp(made->path, O_CLOEXEC);
    if (made->fd < 0) {
        enum covey_status status =
            covey_error_set_errno(error, errno, "cannot make a file in %s/tmp", store->folder);
        store_upload_abort(made);
        return status;
    }
    *upload = made;
    return COVEY_OK;
}

enum covey_status store_upload_write(struct store_upload *upload, const void *bytes,
                                     size_t length_bytes, struct covey_error *error)
{
    if (length_bytes > upload->limit_bytes - upload->size_bytes)
        return covey_error_set(error, COVEY_ELIMIT, "the blob is over the limit of %llu bytes",
                               (unsigned long long)upload->limit_bytes);
    enum covey_status status = covey_write_full(upload->fd, bytes, length_bytes);
    if (status)
        return covey_error_set(error, status, "cannot write a blob: %s", covey_status_text(status));
    if (EVP_DigestUpdate(upload->digest, bytes, length_bytes) != 1)
        return covey_error_set(error, COVEY_EINTERNAL, "cannot compute a digest");
    upload->size_bytes += length_bytes;
    return COVEY_OK;
}

static void digest_text(struct store_upload *upload, char text[STORE_SHA256_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    text[0] = '\0';
    if (EVP_DigestFinal_ex(upload->digest, digest, &length) != 1 || length != 32)
        return;
    for (unsigned int i = 0; i < length; i++)
        (void)snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
}

static enum covey_status add_rows(struct store *store, const char *sha256, const char *tenant,
                                  uint64_t size_bytes, int64_t now_ns, struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    sqlite3_stmt *add = store_statement(store, STORE_BLOB_ADD);
    store_bind_text(add, 1, sha256);
    store_bind_u64(add, 2, size_bytes);
    store_bind_u64(add, 3, (uint64_t)now_ns);
    status = store_run(store, add, "store a blob", error);
    if (!status) {
        sqlite3_stmt *own = store_statement(store, STORE_BLOB_OWN);
        store_bind_text(own, 1, sha256);
        store_bind_text(own, 2, tenant);
        status = store_run(store, own, "store a blob", error);
    }
    return store_end(store, status, error);
}

enum covey_status store_upload_finish(struct store_upload *take_upload, const char *sha256,
                                      const char *tenant, int64_t now_ns, uint64_t *size_bytes,
                                      struct covey_error *error)
{
    struct store_upload *upload = take_upload;
    struct store *store = upload->store;
    char actual[STORE_SHA256_BYTES];
    char path[PATH_MAX];
    enum covey_status status = COVEY_OK;
    digest_text(upload, actual);
    blob_path(store, actual, path);
    if (strcmp(actual, sha256) != 0)
        status =
            covey_error_set(error, COVEY_EINVAL,
                            "the data has the SHA-256 %s, not %s: send it again", actual, sha256);
    else if (fchmod(upload->fd, 0400) != 0 || rename(upload->path, path) != 0)
        status = covey_error_set_errno(error, errno, "cannot rename a blob to %s", path);
    if (!status) {
        upload->path[0] = '\0';
        store_sync_file(store, upload->fd);
        upload->fd = -1;
        *size_bytes = upload->size_bytes;
        status = add_rows(store, sha256, tenant, upload->size_bytes, now_ns, error);
    }
    store_upload_abort(upload);
    return status;
}

void store_upload_abort(struct store_upload *take_upload)
{
    if (!take_upload)
        return;
    if (take_upload->fd >= 0 && *take_upload->path)
        (void)unlink(take_upload->path);
    covey_close(&take_upload->fd);
    EVP_MD_CTX_free(take_upload->digest);
    free(take_upload->path);
    free(take_upload);
}

enum covey_status store_blob_size(struct store *store, const char *sha256, const char *tenant,
                                  uint64_t *size_bytes, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, tenant ? STORE_BLOB_SIZE_OF : STORE_BLOB_SIZE);
    store_bind_text(select, 1, sha256);
    if (tenant)
        store_bind_text(select, 2, tenant);
    int result = sqlite3_step(select);
    enum covey_status status = COVEY_OK;
    if (result == SQLITE_ROW)
        *size_bytes = store_column_u64(select, 0);
    else if (result == SQLITE_DONE)
        status = covey_error_set(error, COVEY_ENOTFOUND, "no blob has the SHA-256 %s", sha256);
    else
        status = store_fail(store, result, "read blobs", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_blob_open(struct store *store, const char *sha256, int *fd,
                                  struct covey_error *error)
{
    char path[PATH_MAX];
    blob_path(store, sha256, path);
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return covey_error_set_errno(error, errno, "cannot open the blob %s", sha256);
    return COVEY_OK;
}

/* Collects digests: rows must not change under a walk. */
struct digests {
    char (*rows)[STORE_SHA256_BYTES];
    size_t count;
};

static enum covey_status add_digest(struct digests *digests, const char *sha256)
{
    void *rows = covey_reallocarray(digests->rows, digests->count + 1, sizeof *digests->rows);
    if (!rows)
        return COVEY_ENOMEM;
    digests->rows = rows;
    (void)snprintf(digests->rows[digests->count++], STORE_SHA256_BYTES, "%s", sha256);
    return COVEY_OK;
}

static enum covey_status remove_rows(struct store *store, const char *sha256,
                                     struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    static const enum store_statement removals[] = {STORE_BLOB_DISOWN, STORE_BLOB_REMOVE};
    for (size_t i = 0; !status && i < 2; i++) {
        sqlite3_stmt *statement = store_statement(store, removals[i]);
        store_bind_text(statement, 1, sha256);
        status = store_run(store, statement, "remove a blob", error);
    }
    return store_end(store, status, error);
}

static enum covey_status remove_blobs(struct store *store, struct digests *digests,
                                      struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < digests->count; i++) {
        status = remove_rows(store, digests->rows[i], error);
        char path[PATH_MAX];
        blob_path(store, digests->rows[i], path);
        if (!status)
            (void)unlink(path);
    }
    return status;
}

enum covey_status store_blobs_expire(struct store *store, int64_t before_ns, uint32_t *removed,
                                     struct covey_error *error)
{
    struct digests unused = {0};
    sqlite3_stmt *select = store_statement(store, STORE_BLOBS_UNUSED);
    store_bind_u64(select, 1, (uint64_t)before_ns);
    enum covey_status status = COVEY_OK;
    int result = SQLITE_DONE;
    while (!status && (result = sqlite3_step(select)) == SQLITE_ROW)
        status = add_digest(&unused, store_column_text(select, 0));
    if (!status && result != SQLITE_DONE)
        status = store_fail(store, result, "read blobs", error);
    (void)sqlite3_reset(select);
    if (!status)
        status = remove_blobs(store, &unused, error);
    *removed = status ? 0 : (uint32_t)unused.count;
    free(unused.rows);
    return status;
}

/* Files without a row: their upload ended between the rename and the commit. */
static void remove_strays(struct store *store)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/blobs", store->folder);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    uint64_t size_bytes;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' &&
            store_blob_size(store, entry->d_name, NULL, &size_bytes, NULL) == COVEY_ENOTFOUND)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    (void)closedir(folder);
}

enum covey_status store_blobs_check(struct store *store, struct covey_error *error)
{
    struct digests broken = {0};
    sqlite3_stmt *select = store_statement(store, STORE_BLOBS);
    enum covey_status status = COVEY_OK;
    int result = SQLITE_DONE;
    while (!status && (result = sqlite3_step(select)) == SQLITE_ROW) {
        char path[PATH_MAX];
        struct stat info;
        blob_path(store, store_column_text(select, 0), path);
        if (stat(path, &info) != 0 || (uint64_t)info.st_size != store_column_u64(select, 1))
            status = add_digest(&broken, store_column_text(select, 0));
    }
    if (!status && result != SQLITE_DONE)
        status = store_fail(store, result, "read blobs", error);
    (void)sqlite3_reset(select);
    if (!status)
        status = remove_blobs(store, &broken, error);
    free(broken.rows);
    if (!status)
        remove_strays(store);
    return status;
}
