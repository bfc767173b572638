/*
 * The code cache: files named by their SHA-256 in one folder, up to a bound; the least recently
 * used go first. A file gets its name only when it is complete, on the disk and its digest is
 * right; what is found at a start is checked again before its first use. Code for which the disk
 * has no room is kept in memory, within the same bound, until the agent ends. One thread; blocks on
 * the disk.
 */
#ifndef SERVICE_NODE_CACHE_H
#define SERVICE_NODE_CACHE_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_DIGEST_CHARACTERS 64

struct cache;
struct cache_writer;

/* Opens a folder (made if missing), drops what was not finished and what is beyond the bound. */
enum covey_status cache_open(const char *folder, uint64_t limit_bytes, struct cache **cache,
                             struct covey_error *error) COVEY_MUST_USE;
void cache_close(struct cache *cache);

/*
 * Opens a blob for reading and execution; the descriptor is the caller's, and the code stays
 * readable through it when the cache drops it. Where the folder is mounted noexec it is a copy in
 * memory. ENOTFOUND, also for a file that was damaged; ENOMEM, ENOSPACE for the copy.
 */
enum covey_status cache_get(struct cache *cache, const char *sha256, int *fd) COVEY_MUST_USE;

/* Starts to write a blob. EIO, ENOMEM; EINVAL where the digest is no digest. */
enum covey_status cache_write_begin(struct cache *cache, const char *sha256,
                                    struct cache_writer **writer) COVEY_MUST_USE;
/* ELIMIT where the blob alone is over the bound. */
enum covey_status cache_write(struct cache_writer *writer, const void *bytes,
                              size_t length_bytes) COVEY_MUST_USE;
/* Ends and frees the writer. EPROTO where the digest of what was written is another one. */
enum covey_status cache_write_end(struct cache_writer *writer) COVEY_MUST_USE;
/* Drops what was written. NULL is harmless. */
void cache_write_abort(struct cache_writer *writer);

/* Bytes in the cache. */
uint64_t cache_bytes(const struct cache *cache);

/* True for 64 lowercase hexadecimal digits. */
bool cache_digest_valid(const char *sha256);

#endif
