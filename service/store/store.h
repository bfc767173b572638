/*
 * What the controller keeps on disk: the journal (SQLite, WAL) and files of blobs, results and
 * logs, all in one folder that one process at a time holds locked.
 *
 * One thread per struct store. Nothing here waits for the disk: a write is in the page cache when
 * its call returns, which survives the death of the process; store_sync, made to run on a thread of
 * its own, is the group commit that survives the loss of power. Errors: ENOSPACE and EIO from the
 * disk, ENOMEM; a failed write has changed nothing. error (may be NULL) gets the sentence.
 */
#ifndef SERVICE_STORE_STORE_H
#define SERVICE_STORE_STORE_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define STORE_SHA256_BYTES 65 /* 64 hexadecimal digits and the NUL */

struct store;

struct store_bytes {
    const void *data;
    size_t length_bytes;
};

/*
 * Opens, or makes, the store in a folder. EEXISTS: another process holds it. EVERSION: it was
 * written by a newer program. EPROTO: the journal is no database, or damaged.
 */
enum covey_status store_open(const char *folder, struct store **store,
                             struct covey_error *error) COVEY_MUST_USE;

/* Syncs and closes; NULL is accepted. */
void store_close(struct store *store);

const char *store_folder(const struct store *store);

/* Sets some of the disk aside, where it is not and there is as much, so that the store can be
 * opened again when the disk is full. To be called now and then. */
void store_reserve_keep(struct store *store);

/* ---- group commit ---- */

/* Something was written that store_sync has not made safe. */
bool store_dirty(const struct store *store);

/*
 * Marks the store clean, then store_sync makes safe all that was written before the mark, and
 * store_sync_done tells what came of it: where it failed the store is dirty again. Only store_sync
 * may run on another thread, one at a time.
 */
void store_sync_begin(struct store *store);
enum covey_status store_sync(struct store *store) COVEY_MUST_USE;
void store_sync_done(struct store *store, enum covey_status status);

/*
 * The log is about to begin again from its start, which a write now would put off: what can wait
 * for the sync under way does.
 */
bool store_is_moving(const struct store *store);

/* ---- many writes in one ---- */

/*
 * Until store_batch_end, writes of flares and events are one: the first that fails spoils them all.
 * With COVEY_OK they are committed, otherwise undone; returns what came of it.
 */
enum covey_status store_batch_begin(struct store *store, struct covey_error *error) COVEY_MUST_USE;
enum covey_status store_batch_end(struct store *store, enum covey_status status,
                                  struct covey_error *error);

/* ---- flares and their events ---- */

struct store_flare {
    const char *id;
    const char *tenant;
    const char *idempotency_key; /* "" or unique per tenant */
    int64_t accepted_ns;
    int64_t ended_ns; /* 0: it has not */
    uint32_t state;
    struct store_bytes request; /* without what its workers are given */
    struct store_bytes definition;
    /* These are kept until it ends, and not read back with it. */
    const char *code_sha256;
    const char *stdin_sha256;      /* or "" */
    struct store_bytes parameters; /* store_parameters */
    uint64_t input_bytes;          /* their length, as store_flares_live reads it */
};

/* What ended flares take: rows, events, results and logs. */
struct store_kept {
    uint64_t flares;
    uint64_t bytes;
};

/* One row of the event log. */
struct store_event {
    uint64_t sequence;
    int64_t at_ns;
    uint32_t state;           /* after it */
    bool terminal;            /* the flare's last */
    struct store_bytes body;  /* what users see */
    struct store_bytes delta; /* what it changed */
};

/* Adds a flare with its first event, both or neither. EEXISTS: the id or the idempotency key is
 * there. */
enum covey_status store_flare_add(struct store *store, const struct store_flare *flare,
                                  const struct store_event *event,
                                  struct covey_error *error) COVEY_MUST_USE;

/* Appends an event. EEXISTS: its sequence is there. ENOTFOUND: its flare is not. */
enum covey_status store_event_append(struct store *store, const char *flare,
                                     const struct store_event *event,
                                     struct covey_error *error) COVEY_MUST_USE;

/* Rows are borrowed during the call; returning false ends the walk. */
typedef bool (*store_event_fn)(const struct store_event *event, void *data);
typedef bool (*store_flare_fn)(const struct store_flare *flare, void *data);
typedef bool (*store_bytes_fn)(struct store_bytes bytes, void *data);

/* The events of a flare from a sequence on. */
enum covey_status store_events(struct store *store, const char *flare, uint64_t from_sequence,
                               store_event_fn each, void *data,
                               struct covey_error *error) COVEY_MUST_USE;

/* One flare, or nothing. */
enum covey_status store_flare_get(struct store *store, const char *id, store_flare_fn each,
                                  void *data, struct covey_error *error) COVEY_MUST_USE;

/* The flare of an idempotency key, or nothing. */
enum covey_status store_flare_by_key(struct store *store, const char *tenant, const char *key,
                                     store_flare_fn each, void *data,
                                     struct covey_error *error) COVEY_MUST_USE;

/* The parameters of a flare that has not ended, or nothing. */
enum covey_status store_parameters(struct store *store, const char *id, store_bytes_fn each,
                                   void *data, struct covey_error *error) COVEY_MUST_USE;

/* Flares that have not ended, in order of acceptance. */
enum covey_status store_flares_live(struct store *store, store_flare_fn each, void *data,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Flares with ids below before ("": all), newest first. With a tenant only its own are whole: of
 * others there is nothing but the id and the tenant, so that a walk past many of them can be ended.
 */
enum covey_status store_flares_before(struct store *store, const char *tenant, const char *before,
                                      store_flare_fn each, void *data,
                                      struct covey_error *error) COVEY_MUST_USE;

/* What all ended flares take. */
struct store_kept store_kept(const struct store *store);

/* What may stay of ended flares. */
struct store_keep {
    int64_t after_ns; /* those that ended before it go */
    uint64_t flares;
    uint64_t bytes;
};

/* Forgets at most max_flares ended flares that are more than may stay, the longest ended first, of
 * the tenant that has most, and parameters that are of no use any more, and gives some of the room
 * that they leave back to the disk. */
enum covey_status store_expire(struct store *store, const struct store_keep *keep,
                               uint32_t max_flares, uint32_t *removed,
                               struct covey_error *error) COVEY_MUST_USE;

/* ---- definitions ---- */

struct store_definition {
    const char *tenant;
    const char *name;
    uint32_t version;
    const char *sha256;
    struct store_bytes body;
};

typedef bool (*store_definition_fn)(const struct store_definition *definition, void *data);

enum covey_status store_definition_add(struct store *store,
                                       const struct store_definition *definition,
                                       struct covey_error *error) COVEY_MUST_USE;

/* One definition (version 0: the newest), or nothing. */
enum covey_status store_definition_get(struct store *store, const char *tenant, const char *name,
                                       uint32_t version, store_definition_fn each, void *data,
                                       struct covey_error *error) COVEY_MUST_USE;

/* The newest version of each, by name. */
enum covey_status store_definitions(struct store *store, const char *tenant,
                                    store_definition_fn each, void *data,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Deletes every version. ENOTFOUND. Version numbers are not given again. */
enum covey_status store_definition_remove(struct store *store, const char *tenant, const char *name,
                                          struct covey_error *error) COVEY_MUST_USE;

/* The highest version a name ever had, or 0. */
enum covey_status store_definition_last(struct store *store, const char *tenant, const char *name,
                                        uint32_t *version,
                                        struct covey_error *error) COVEY_MUST_USE;

/* ---- nodes ---- */

struct store_node {
    const char *name;
    const char *identity;
    uint64_t epoch;
    const char *drain_reason; /* "": not drained */
    struct store_bytes capacity;
    const char *data_address;
    const char *version;
    int64_t seen_ns;
    int64_t drain_until_ns; /* 0: for ever */
};

typedef bool (*store_node_fn)(const struct store_node *node, void *data);

/* Writes a node's facts and appends to the node log what happened to it, both or neither. */
enum covey_status store_node_set(struct store *store, const struct store_node *node,
                                 const char *event, int64_t at_ns,
                                 struct covey_error *error) COVEY_MUST_USE;
enum covey_status store_nodes(struct store *store, store_node_fn each, void *data,
                              struct covey_error *error) COVEY_MUST_USE;
enum covey_status store_node_remove(struct store *store, const char *name,
                                    struct covey_error *error) COVEY_MUST_USE;

/* ---- blobs ---- */

struct store_upload; /* a blob that is being written */

/* Starts one in a temporary file, at most limit_bytes long. */
enum covey_status store_upload_begin(struct store *store, uint64_t limit_bytes,
                                     struct store_upload **upload,
                                     struct covey_error *error) COVEY_MUST_USE;
/* ELIMIT: longer than the limit. */
enum covey_status store_upload_write(struct store_upload *upload, const void *bytes,
                                     size_t length_bytes, struct covey_error *error) COVEY_MUST_USE;
/*
 * Makes the blob visible to the tenant, where its digest is the one given; EINVAL where it is not.
 * The upload is gone in any case.
 */
enum covey_status store_upload_finish(struct store_upload *take_upload, const char *sha256,
                                      const char *tenant, int64_t now_ns, uint64_t *size_bytes,
                                      struct covey_error *error) COVEY_MUST_USE;
/* Removes what was written; NULL is accepted. */
void store_upload_abort(struct store_upload *take_upload);

/* The size of a blob that a tenant (NULL: any) has put. ENOTFOUND. */
enum covey_status store_blob_size(struct store *store, const char *sha256, const char *tenant,
                                  uint64_t *size_bytes, struct covey_error *error) COVEY_MUST_USE;

/* Opens its file for reading; the descriptor is the caller's. ENOTFOUND. */
enum covey_status store_blob_open(struct store *store, const char *sha256, int *fd,
                                  struct covey_error *error) COVEY_MUST_USE;

/* Removes blobs that no definition names, that no flare needs which has not ended, and that were
 * put before a time. */
enum covey_status store_blobs_expire(struct store *store, int64_t before_ns, uint32_t *removed,
                                     struct covey_error *error) COVEY_MUST_USE;

/* 64 lowercase hexadecimal digits. */
bool store_is_sha256(const char *text);

/* ---- results and logs: files, one a rank and one a flare ---- */

/* Writes a piece of a result. ELIMIT: it would end past limit_bytes. */
enum covey_status store_result_write(struct store *store, const char *flare, uint32_t rank,
                                     uint64_t offset, const void *bytes, size_t length_bytes,
                                     uint64_t limit_bytes,
                                     struct covey_error *error) COVEY_MUST_USE;

/* Reads up to size_bytes from an offset; *length_bytes is 0 at the end, and where there is none. */
enum covey_status store_result_read(struct store *store, const char *flare, uint32_t rank,
                                    uint64_t offset, void *bytes, size_t size_bytes,
                                    size_t *length_bytes) COVEY_MUST_USE;

/* Removes all results of a flare; OK where there are none. */
enum covey_status store_results_remove(struct store *store, const char *flare,
                                       struct covey_error *error) COVEY_MUST_USE;

/* Writes the parts, one behind the other, at the end of a flare's log, which is at the offset.
 * After a failure the log ends there as before. parts are changed. */
enum covey_status store_log_write(struct store *store, const char *flare, uint64_t offset,
                                  struct iovec *parts, size_t count,
                                  struct covey_error *error) COVEY_MUST_USE;
/* Drops what is behind size_bytes. */
enum covey_status store_log_cut(struct store *store, const char *flare, uint64_t size_bytes,
                                struct covey_error *error) COVEY_MUST_USE;
/* As store_result_read. */
enum covey_status store_log_read(struct store *store, const char *flare, uint64_t offset,
                                 void *bytes, size_t size_bytes,
                                 size_t *length_bytes) COVEY_MUST_USE;
/* Length of the log, 0 where there is none. */
uint64_t store_log_size(struct store *store, const char *flare);

/* Bytes of a flare's results and log on disk. */
uint64_t store_spool_bytes(struct store *store, const char *flare);

#endif
