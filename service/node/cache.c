#include "service/node/cache.h"

#include "base/error.h"
#include "base/io.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "service/common/memfd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEMPORARY_PREFIX ".part-"

struct cache {
    int folder;
    uint64_t limit_bytes;
    uint64_t total_bytes;
    uint64_t written; /* names temporaries */
    struct covey_map entries;
    struct covey_list used; /* the least recently used first */
};

struct entry {
    struct covey_list node;
    uint64_t size_bytes;
    struct timespec used_at;
    bool verified;
    int memory_fd; /* of one that the disk had no room for, else -1 */
    char sha256[CACHE_DIGEST_CHARACTERS + 1];
};

struct cache_writer {
    struct cache *cache;
    EVP_MD_CTX *digest;
    int fd;
    bool in_memory;
    uint64_t size_bytes;
    char sha256[CACHE_DIGEST_CHARACTERS + 1];
    char temporary[48];
};

bool cache_digest_valid(const char *sha256)
{
    return strlen(sha256) == CACHE_DIGEST_CHARACTERS &&
           strspn(sha256, "0123456789abcdef") == CACHE_DIGEST_CHARACTERS;
}

uint64_t cache_bytes(const struct cache *cache)
{
    return cache->total_bytes;
}

static void forget(struct cache *cache, struct entry *entry, bool remove)
{
    if (remove && entry->memory_fd < 0)
        (void)unlinkat(cache->folder, entry->sha256, 0);
    covey_close(&entry->memory_fd);
    covey_list_remove(&entry->node);
    (void)covey_map_remove(&cache->entries, entry->sha256);
    cache->total_bytes -= entry->size_bytes;
    free(entry);
}

static void shrink(struct cache *cache, const struct entry *keep)
{
    covey_list_for_each_safe (node, after, &cache->used) {
        struct entry *entry = covey_container_of(node, struct entry, node);
        if (cache->total_bytes <= cache->limit_bytes)
            return;
        if (entry != keep)
            forget(cache, entry, true);
    }
}

static enum covey_status remember(struct cache *cache, const char *sha256, const struct stat *facts,
                                  struct entry **made)
{
    struct entry *old = covey_map_get(&cache->entries, sha256);
    if (old)
        forget(cache, old, false);
    struct entry *entry = covey_calloc(1, sizeof(*entry));
    if (!entry)
        return COVEY_ENOMEM;
    entry->memory_fd = -1;
    (void)snprintf(entry->sha256, sizeof(entry->sha256), "%s", sha256);
    enum covey_status status = covey_map_set(&cache->entries, sha256, entry);
    if (status) {
        free(entry);
        return status;
    }
    entry->size_bytes = (uint64_t)facts->st_size;
    entry->used_at = facts->st_mtim;
    cache->total_bytes += entry->size_bytes;
    covey_list_push_back(&cache->used, &entry->node);
    *made = entry;
    return COVEY_OK;
}

static int older_first(const void *a, const void *b)
{
    const struct entry *const *left = a;
    const struct entry *const *right = b;
    const struct timespec *x = &(*left)->used_at;
    const struct timespec *y = &(*right)->used_at;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static enum covey_status sort_by_use(struct cache *cache)
{
    size_t count = 0;
    struct entry **entries = covey_calloc(cache->entries.count + 1, sizeof(struct entry *));
    if (!entries)
        return COVEY_ENOMEM;
    struct covey_list *node;
    while ((node = covey_list_pop_front(&cache->used)))
        entries[count++] = covey_container_of(node, struct entry, node);
    qsort(entries, count, sizeof(struct entry *), older_first);
    for (size_t i = 0; i < count; i++)
        covey_list_push_back(&cache->used, &entries[i]->node);
    free(entries);
    return COVEY_OK;
}

static enum covey_status scan(struct cache *cache)
{
    struct stat facts;
    struct entry *entry;
    enum covey_status status = COVEY_OK;
    int copy = openat(cache->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = copy >= 0 ? fdopendir(copy) : NULL;
    if (!names) {
        covey_close(&copy);
        return covey_status_from_errno(errno);
    }
    for (struct dirent *found = readdir(names); found && !status; found = readdir(names)) {
        if (strncmp(found->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0)
            (void)unlinkat(cache->folder, found->d_name, 0);
        else if (cache_digest_valid(found->d_name) &&
                 fstatat(cache->folder, found->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(facts.st_mode))
            status = remember(cache, found->d_name, &facts, &entry);
    }
    closedir(names);
    return status ? status : sort_by_use(cache);
}

enum covey_status cache_open(const char *folder, uint64_t limit_bytes, struct cache **out,
                             struct covey_error *error)
{
    enum covey_status status = covey_make_dirs(folder, 0700, error);
    if (status)
        return status;
    struct cache *cache = covey_calloc(1, sizeof(*cache));
    if (!cache)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the code cache");
    covey_list_init(&cache->used);
    cache->limit_bytes = limit_bytes;
    cache->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status = cache->folder < 0 ? covey_status_from_errno(errno) : scan(cache);
    if (status) {
        cache_close(cache);
        return covey_error_set(error, status, "the code cache %s cannot be opened", folder);
    }
    shrink(cache, NULL);
    *out = cache;
    return COVEY_OK;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    while (!covey_list_empty(&cache->used))
        forget(cache, covey_container_of(cache->used.next, struct entry, node), false);
    covey_map_clear(&cache->entries);
    covey_close(&cache->folder);
    free(cache);
}

static bool digest_matches(EVP_MD_CTX *digest, const char *sha256)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned length;
    if (EVP_DigestFinal_ex(digest, bytes, &length) != 1)
        return false;
    for (unsigned i = 0; i < length; i++)
        (void)snprintf(text + (size_t)2 * i, 3, "%02x", bytes[i]);
    return strcmp(text, sha256) == 0;
}

static bool file_matches(int fd, const char *sha256)
{
    static char bytes[256 * 1024];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    off_t at = 0;
    ssize_t got = 1;
    while (good && got > 0) {
        got = pread(fd, bytes, sizeof(bytes), at);
        if (got > 0)
            good = EVP_DigestUpdate(digest, bytes, (size_t)got) == 1;
        at += got;
    }
    good = good && got == 0 && digest_matches(digest, sha256);
    EVP_MD_CTX_free(digest);
    return good;
}

static void touch(struct cache *cache, struct entry *entry)
{
    covey_list_remove(&entry->node);
    covey_list_push_back(&cache->used, &entry->node);
}

enum covey_status cache_get(struct cache *cache, const char *sha256, int *fd)
{
    struct entry *entry = covey_map_get(&cache->entries, sha256);
    *fd = -1;
    if (!entry)
        return COVEY_ENOTFOUND;
    if (entry->memory_fd >= 0) {
        char path[32];
        touch(cache, entry);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", entry->memory_fd);
        *fd = open(path, O_RDONLY | O_CLOEXEC); /* with a position of its own */
        return *fd < 0 ? covey_status_from_errno(errno) : COVEY_OK;
    }
    int opened = openat(cache->folder, sha256, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (opened < 0 || (!entry->verified && !file_matches(opened, sha256))) {
        covey_close(&opened);
        forget(cache, entry, true);
        return COVEY_ENOTFOUND;
    }
    entry->verified = true;
    touch(cache, entry);
    (void)futimens(opened, NULL);
    struct statvfs where;
    if (fstatvfs(opened, &where) == 0 && where.f_flag & ST_NOEXEC) {
        /* Nothing can be executed or loaded there, but from memory. */
        enum covey_status status = memfd_copy_file("covey-code", opened, fd);
        covey_close(&opened);
        return status;
    }
    *fd = opened;
    return COVEY_OK;
}

/* The disk has no room: the code goes on in memory. After the rename the file's name is gone. */
static enum covey_status go_on_in_memory(struct cache_writer *writer)
{
    int fd;
    enum covey_status status = memfd_begin("covey-code", writer->fd, writer->size_bytes, &fd);
    if (status)
        return status;
    if (writer->fd >= 0)
        (void)unlinkat(writer->cache->folder, writer->temporary, 0);
    covey_close(&writer->fd);
    writer->fd = fd;
    writer->in_memory = true;
    return COVEY_OK;
}

static enum covey_status open_temporary(struct cache_writer *writer)
{
    /* Readable, since it may have to be copied. */
    writer->fd = openat(writer->cache->folder, writer->temporary,
                        O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0500);
    if (writer->fd >= 0)
        return COVEY_OK;
    enum covey_status status = covey_status_from_errno(errno);
    return status == COVEY_ENOSPACE ? go_on_in_memory(writer) : status;
}

enum covey_status cache_write_begin(struct cache *cache, const char *sha256,
                                    struct cache_writer **out)
{
    if (!cache_digest_valid(sha256))
        return COVEY_EINVAL;
    struct cache_writer *writer = covey_calloc(1, sizeof(*writer));
    if (!writer)
        return COVEY_ENOMEM;
    writer->cache = cache;
    writer->fd = -1;
    (void)snprintf(writer->sha256, sizeof(writer->sha256), "%s", sha256);
    (void)snprintf(writer->temporary, sizeof(writer->temporary), TEMPORARY_PREFIX "%llu",
                   (unsigned long long)++cache->written);
    writer->digest = EVP_MD_CTX_new();
    enum covey_status status = COVEY_OK;
    if (!writer->digest || EVP_DigestInit_ex(writer->digest, EVP_sha256(), NULL) != 1)
        status = COVEY_ENOMEM;
    if (!status)
        status = open_temporary(writer);
    if (status) {
        cache_write_abort(writer);
        return status;
    }
    *out = writer;
    return COVEY_OK;
}

static enum covey_status append(struct cache_writer *writer, const void *bytes, size_t length_bytes)
{
    enum covey_status status = covey_write_full(writer->fd, bytes, length_bytes);
    if (status != COVEY_ENOSPACE || writer->in_memory)
        return status;
    status = go_on_in_memory(writer);
    return status ? status : covey_write_full(writer->fd, bytes, length_bytes);
}

enum covey_status cache_write(struct cache_writer *writer, const void *bytes, size_t length_bytes)
{
    if (length_bytes > writer->cache->limit_bytes - writer->size_bytes)
        return COVEY_ELIMIT;
    enum covey_status status = append(writer, bytes, length_bytes);
    if (!status && EVP_DigestUpdate(writer->digest, bytes, length_bytes) != 1)
        status = COVEY_ENOMEM;
    writer->size_bytes += length_bytes;
    return status;
}

/* Gives the file its name, or seals what is in memory. */
static enum covey_status settle(struct cache_writer *writer)
{
    const struct cache *cache = writer->cache;
    enum covey_status status = COVEY_OK;
    if (!writer->in_memory &&
        (fsync(writer->fd) < 0 ||
         renameat(cache->folder, writer->temporary, cache->folder, writer->sha256) < 0 ||
         fsync(cache->folder) < 0))
        status = covey_status_from_errno(errno);
    if (status == COVEY_ENOSPACE)
        status = go_on_in_memory(writer);
    return !status && writer->in_memory ? memfd_seal(&writer->fd) : status;
}

enum covey_status cache_write_end(struct cache_writer *writer)
{
    struct cache *cache = writer->cache;
    struct stat facts = {0};
    struct entry *entry;
    enum covey_status status =
        digest_matches(writer->digest, writer->sha256) ? settle(writer) : COVEY_EPROTO;
    if (!status && fstat(writer->fd, &facts) < 0)
        status = covey_status_from_errno(errno);
    if (!status)
        status = remember(cache, writer->sha256, &facts, &entry);
    if (!status) {
        entry->verified = true;
        if (writer->in_memory) {
            entry->memory_fd = writer->fd;
            writer->fd = -1;
        }
        shrink(cache, entry);
    }
    cache_write_abort(writer);
    return status;
}

void cache_write_abort(struct cache_writer *writer)
{
    if (!writer)
        return;
    /* After the rename the name is gone: harmless. */
    if (writer->fd >= 0 && !writer->in_memory)
        (void)unlinkat(writer->cache->folder, writer->temporary, 0);
    covey_close(&writer->fd);
    EVP_MD_CTX_free(writer->digest);
    free(writer);
}
