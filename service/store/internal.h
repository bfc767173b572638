/* What the files of the store share. */
#ifndef SERVICE_STORE_INTERNAL_H
#define SERVICE_STORE_INTERNAL_H

#include "base/map.h"
#include "service/store/store.h"

#include <sqlite3.h>

/* Every statement, prepared at open. */
#define STORE_STATEMENT_MAP(X)                                                                     \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(FLARE_ADD, "INSERT INTO "                                                                    \
                 "flares(id,tenant,idempotency_key,accepted_ns,ended_ns,state,kept_bytes,request," \
                 "definition) VALUES(?1,?2,?3,?4,0,?5,0,?6,?7)")                                   \
    X(INPUT_ADD, "INSERT INTO inputs(flare,code_sha256,parameters,stdin_sha256) "                  \
                 "SELECT number,?2,?3,?4 FROM flares WHERE id=?1")                                 \
    X(INPUT_GET, "SELECT parameters FROM inputs WHERE flare="                                      \
                 "(SELECT number FROM flares WHERE id=?1 AND ended_ns=0)")                         \
    X(INPUT_SPENT, "DELETE FROM inputs WHERE flare="                                               \
                   "(SELECT number FROM flares WHERE number=?1 AND ended_ns>0)")                   \
    X(INPUTS_SPENT, "DELETE FROM inputs WHERE flare IN (SELECT number FROM flares WHERE "          \
                    "number IN (SELECT flare FROM inputs) AND ended_ns>0)")                        \
    X(INPUT_REMOVE, "DELETE FROM inputs WHERE flare=" STORE_NUMBER)                                \
    X(FLARE_END, "UPDATE flares SET state=?2, ended_ns=?3, kept_bytes=?4+256+length(request)+"     \
                 "length(definition)+(SELECT coalesce(sum(32+length(body)+length(delta)),0) "      \
                 "FROM events WHERE key BETWEEN number<<24 AND number<<24|16777215) WHERE id=?1 "  \
                 "RETURNING kept_bytes,number,tenant")                                             \
    X(EVENT_ADD, "INSERT INTO events(key,at_ns,state,terminal,body,delta) "                        \
                 "SELECT number<<24|?2,?3,?4,?5,?6,?7 FROM flares WHERE id=?1")                    \
    X(EVENTS, "SELECT key&16777215,at_ns,state,terminal,body,delta FROM events WHERE key "         \
              "BETWEEN " STORE_NUMBER "<<24|?2 AND " STORE_NUMBER "<<24|16777215 ORDER BY key")    \
    X(FLARE_GET, STORE_FLARE_COLUMNS "WHERE id=?1")                                                \
    X(FLARE_BY_KEY, STORE_FLARE_COLUMNS "WHERE tenant=?1 AND idempotency_key=?2")                  \
    X(FLARES_LIVE,                                                                                 \
      "SELECT id,tenant,idempotency_key,accepted_ns,ended_ns,state,request,definition,"            \
      "length(parameters) FROM flares JOIN inputs ON flare=number WHERE ended_ns=0 "               \
      "ORDER BY number")                                                                           \
    X(FLARES_BEFORE, STORE_FLARE_COLUMNS "WHERE id<?1 ORDER BY id DESC")                           \
    X(IDS_BEFORE, "SELECT id,tenant FROM flares WHERE id<?1 ORDER BY id DESC")                     \
    X(FLARES_ENDED, "SELECT id,ended_ns,kept_bytes FROM flares WHERE tenant=?1 AND ended_ns>0 "    \
                    "ORDER BY ended_ns")                                                           \
    X(FLARES_KEPT, "SELECT tenant,count(*),sum(kept_bytes),min(ended_ns) FROM flares "             \
                   "WHERE ended_ns>0 GROUP BY tenant")                                             \
    X(FLARE_REMOVE, "DELETE FROM flares WHERE id=?1")                                              \
    X(EVENTS_REMOVE, "DELETE FROM events WHERE key BETWEEN " STORE_NUMBER "<<24 AND " STORE_NUMBER \
                     "<<24|16777215")                                                              \
    X(FREE_PAGES, "PRAGMA freelist_count")                                                         \
    X(PAGES, "PRAGMA page_count")                                                                  \
    X(DEFINITION_ADD, "INSERT INTO definitions(tenant,name,version,sha256,body) "                  \
                      "VALUES(?1,?2,?3,?4,?5)")                                                    \
    X(DEFINITION_COUNT, "INSERT INTO definition_versions(tenant,name,version) VALUES(?1,?2,?3) "   \
                        "ON CONFLICT(tenant,name) DO UPDATE SET version=excluded.version")         \
    X(DEFINITION_LAST, "SELECT version FROM definition_versions WHERE tenant=?1 AND name=?2")      \
    X(DEFINITION_GET, "SELECT tenant,name,version,sha256,body FROM definitions WHERE tenant=?1 "   \
                      "AND name=?2 AND (?3=0 OR version=?3) ORDER BY version DESC LIMIT 1")        \
    X(DEFINITIONS, "SELECT tenant,name,max(version),sha256,body FROM definitions WHERE tenant=?1 " \
                   "GROUP BY name ORDER BY name")                                                  \
    X(DEFINITION_REMOVE, "DELETE FROM definitions WHERE tenant=?1 AND name=?2")                    \
    X(NODE_SET, "INSERT INTO nodes(name,identity,epoch,drain_reason,capacity,data_address,"        \
                "version,seen_ns,drain_until_ns) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) ON "           \
                "CONFLICT(name) DO UPDATE "                                                        \
                "SET identity=?2,epoch=?3,drain_reason=?4,capacity=?5,data_address=?6,"            \
                "version=?7,seen_ns=?8,drain_until_ns=?9")                                         \
    X(NODE_EVENT, "INSERT INTO node_events(node,epoch,at_ns,event) VALUES(?1,?2,?3,?4)")           \
    X(NODES,                                                                                       \
      "SELECT "                                                                                    \
      "name,identity,epoch,drain_reason,capacity,data_address,version,seen_ns,drain_until_ns "     \
      "FROM nodes ORDER BY name")                                                                  \
    X(NODE_REMOVE, "DELETE FROM nodes WHERE name=?1")                                              \
    X(NODE_EVENTS_REMOVE, "DELETE FROM node_events WHERE node=?1")                                 \
    X(BLOB_ADD, "INSERT INTO blobs(sha256,size_bytes,put_ns) VALUES(?1,?2,?3) "                    \
                "ON CONFLICT(sha256) DO UPDATE SET put_ns=?3")                                     \
    X(BLOB_OWN, "INSERT OR IGNORE INTO blob_tenants(sha256,tenant) VALUES(?1,?2)")                 \
    X(BLOB_SIZE, "SELECT size_bytes FROM blobs WHERE sha256=?1")                                   \
    X(BLOB_SIZE_OF, "SELECT size_bytes FROM blobs JOIN blob_tenants USING(sha256) "                \
                    "WHERE sha256=?1 AND tenant=?2")                                               \
    X(BLOBS, "SELECT sha256,size_bytes FROM blobs")                                                \
    X(BLOBS_UNUSED,                                                                                \
      "SELECT sha256,size_bytes FROM blobs WHERE put_ns<?1 AND sha256 NOT IN (SELECT sha256 FROM " \
      "definitions) AND sha256 NOT IN (SELECT code_sha256 FROM inputs JOIN flares ON "             \
      "flare=number WHERE ended_ns=0) AND sha256 NOT IN (SELECT stdin_sha256 FROM inputs JOIN "    \
      "flares ON flare=number WHERE ended_ns=0)")                                                  \
    X(BLOB_REMOVE, "DELETE FROM blobs WHERE sha256=?1")                                            \
    X(BLOB_DISOWN, "DELETE FROM blob_tenants WHERE sha256=?1")

#define STORE_NUMBER "(SELECT number FROM flares WHERE id=?1)"

#define STORE_FLARE_COLUMNS                                                                        \
    "SELECT id,tenant,idempotency_key,accepted_ns,ended_ns,state,request,definition FROM flares "

enum store_statement {
#define STORE_STATEMENT_ENUM(id, sql) STORE_##id,
    STORE_STATEMENT_MAP(STORE_STATEMENT_ENUM)
#undef STORE_STATEMENT_ENUM
        STORE_STATEMENTS
};

#define STORE_SYNC_FILES 64
#define STORE_SPENT      64

/* Events of one flare; their key in the journal is its number and, in 24 bits, their sequence. */
#define STORE_EVENTS_MAX 16777215

/* The write-ahead log, as checkpoint.c keeps it short. A frame is a page with a header. */
struct store_log {
    int fd;                 /* to sync it; -1: not opened yet */
    sqlite3 *mover;         /* moves it into the database; the syncing thread's */
    char begin_sql[48];     /* a write that changes nothing */
    uint32_t frames;        /* its length at the last commit */
    uint32_t moved_frames;  /* that are in the database */
    uint32_t result_frames; /* what the sync under way makes of moved_frames */
    bool move;              /* the sync under way moves it */
    bool begin_again;       /* and begins it again */
};

/* What is kept of a tenant's ended flares. */
struct store_tenant {
    struct store_tenant *next_changed;
    bool is_changed;
    struct store_kept kept;   /* as of the last commit */
    struct store_kept change; /* what the write that is open makes of it */
    int64_t oldest_ns;        /* none of them ended before */
    char name[];
};

struct store {
    char *folder;
    char *path; /* of the journal */
    int lock_fd;
    sqlite3 *database;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    struct store_kept kept;       /* of all tenants, as of the last commit */
    struct covey_map tenants;     /* struct store_tenant, by name */
    struct store_tenant *changed; /* by the write that is open */
    uint64_t spent[STORE_SPENT];  /* numbers of ended flares whose inputs are to go */
    size_t spent_count;
    bool batch; /* a write of many calls is open */
    bool dirty;
    struct store_log log;
    int new_files[STORE_SYNC_FILES]; /* blobs that are not synced yet */
    size_t new_file_count;
    int syncing_files[STORE_SYNC_FILES];
    size_t syncing_file_count;
};

/* statement.c */

/* What an SQLite result means. */
enum covey_status store_status_of(sqlite3 *database, int result);

/* The status of an SQLite result, with error filled in: "cannot ACTION: ..." */
enum covey_status store_fail(struct store *store, int result, const char *action,
                             struct covey_error *error);

/* A statement, reset and with no parameters bound. */
sqlite3_stmt *store_statement(struct store *store, enum store_statement id);

void store_bind_text(sqlite3_stmt *statement, int index, const char *text);
void store_bind_bytes(sqlite3_stmt *statement, int index, struct store_bytes bytes);
void store_bind_u64(sqlite3_stmt *statement, int index, uint64_t value);
const char *store_column_text(sqlite3_stmt *statement, int index);
struct store_bytes store_column_bytes(sqlite3_stmt *statement, int index);
uint64_t store_column_u64(sqlite3_stmt *statement, int index);

/* Runs a statement that gives no rows. */
enum covey_status store_run(struct store *store, sqlite3_stmt *statement, const char *action,
                            struct covey_error *error);

enum covey_status store_begin(struct store *store, struct covey_error *error);
/* Commits where status is COVEY_OK, else rolls back; returns what came of it. */
enum covey_status store_end(struct store *store, enum covey_status status,
                            struct covey_error *error);

/* migrations.c: brings the schema to the newest version. */
enum covey_status store_migrate(struct store *store, struct covey_error *error);

/* sync.c */

/* Takes a descriptor that the next group commit syncs and closes. */
void store_sync_file(struct store *store, int take_fd);

/* reserve.c: room that is only used to start on a full disk */

/* Gives the room back to the disk; false where there was none. */
bool store_reserve_use(struct store *store);

/* checkpoint.c */

/* Begins to note each commit's length of the log. ENOMEM. */
enum covey_status store_log_open(struct store *store) COVEY_MUST_USE;
void store_log_close(struct store *store);
/* Decides whether the sync that begins moves the log; done when it has ended. */
void store_log_plan(struct store *store);
void store_log_done(struct store *store);
/* On the syncing thread: makes the log safe, and moves it as planned. */
enum covey_status store_log_sync(struct store *store) COVEY_MUST_USE;
/* After a commit: where the log is longer than it may ever be, moves it here and now. */
void store_log_bound(struct store *store);

/* blobs.c: after an unclean end, forgets blobs whose file is not whole, and removes files of none.
 */
enum covey_status store_blobs_check(struct store *store, struct covey_error *error);

/* kept.c */

/* Counts what there is; inputs of flares that had ended go. */
enum covey_status store_kept_load(struct store *store, struct covey_error *error) COVEY_MUST_USE;
void store_kept_clear(struct store *store);
/* Within a write: a flare of a tenant has ended, or one is removed. ENOMEM. */
enum covey_status store_kept_add(struct store *store, const char *tenant, uint64_t bytes,
                                 int64_t ended_ns) COVEY_MUST_USE;
void store_kept_remove(struct store *store, struct store_tenant *tenant, uint64_t bytes);
/* The write is over; what it changed counts where it was committed. */
void store_kept_settle(struct store *store, bool committed);

/* flares.c: removes inputs of flares that have ended, within a write. */
enum covey_status store_inputs_clean(struct store *store, struct covey_error *error);

/* events.c */
enum covey_status store_event_insert(struct store *store, const char *flare,
                                     const struct store_event *event, struct covey_error *error);

/* spool.c */
enum covey_status store_spool_remove(struct store *store, const char *flare,
                                     struct covey_error *error);

#endif
