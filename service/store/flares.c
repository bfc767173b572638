/* Rows of flares. */
#include "service/store/internal.h"

enum covey_status store_flare_add(struct store *store, const struct store_flare *flare,
                                  const struct store_event *event, struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    sqlite3_stmt *insert = store_statement(store, STORE_FLARE_ADD);
    store_bind_text(insert, 1, flare->id);
    store_bind_text(insert, 2, flare->tenant);
    store_bind_text(insert, 3, flare->idempotency_key);
    store_bind_u64(insert, 4, (uint64_t)flare->accepted_ns);
    store_bind_u64(insert, 5, flare->state);
    store_bind_bytes(insert, 6, flare->request);
    store_bind_bytes(insert, 7, flare->definition);
    store_bind_text(insert, 8, flare->code_sha256);
    status = store_run(store, insert, "accept a flare", error);
    if (!status)
        status = store_event_insert(store, flare->id, event, error);
    return store_end(store, status, error);
}

/* Runs a select of STORE_FLARE_COLUMNS whose parameters are bound. */
static enum covey_status walk(struct store *store, sqlite3_stmt *select, store_flare_fn each,
                              void *data, struct covey_error *error)
{
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        struct store_flare flare = {
            .id = store_column_text(select, 0),
            .tenant = store_column_text(select, 1),
            .idempotency_key = store_column_text(select, 2),
            .accepted_ns = (int64_t)store_column_u64(select, 3),
            .ended_ns = (int64_t)store_column_u64(select, 4),
            .state = (uint32_t)store_column_u64(select, 5),
            .request = store_column_bytes(select, 6),
            .definition = store_column_bytes(select, 7),
        };
        if (!each(&flare, data)) {
            result = SQLITE_DONE;
            break;
        }
    }
    enum covey_status status =
        result == SQLITE_DONE ? COVEY_OK : store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_flare_get(struct store *store, const char *id, store_flare_fn each,
                                  void *data, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_FLARE_GET);
    store_bind_text(select, 1, id);
    return walk(store, select, each, data, error);
}

enum covey_status store_flare_by_key(struct store *store, const char *tenant, const char *key,
                                     store_flare_fn each, void *data, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_FLARE_BY_KEY);
    store_bind_text(select, 1, tenant);
    store_bind_text(select, 2, key);
    return walk(store, select, each, data, error);
}

enum covey_status store_flares_live(struct store *store, store_flare_fn each, void *data,
                                    struct covey_error *error)
{
    return walk(store, store_statement(store, STORE_FLARES_LIVE), each, data, error);
}

enum covey_status store_flares_before(struct store *store, const char *tenant, const char *before,
                                      store_flare_fn each, void *data, struct covey_error *error)
{
    sqlite3_stmt *select =
        store_statement(store, tenant ? STORE_FLARES_BEFORE_OF : STORE_FLARES_BEFORE);
    store_bind_text(select, 1, *before ? before : "~"); /* which sorts after every id */
    if (tenant)
        store_bind_text(select, 2, tenant);
    return walk(store, select, each, data, error);
}

enum covey_status store_flares_ended(struct store *store, store_ended_fn each, void *data,
                                     struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_ENDED);
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        struct store_ended ended = {store_column_text(select, 0),
                                    (int64_t)store_column_u64(select, 1),
                                    store_column_u64(select, 2)};
        if (!each(&ended, data)) {
            result = SQLITE_DONE;
            break;
        }
    }
    enum covey_status status =
        result == SQLITE_DONE ? COVEY_OK : store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_ended_bytes(struct store *store, uint64_t *bytes, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_SPOOL);
    int result = sqlite3_step(select);
    enum covey_status status = COVEY_OK;
    if (result == SQLITE_ROW)
        *bytes = store_column_u64(select, 0);
    else
        status = store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_flare_remove(struct store *store, const char *id, struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    static const enum store_statement removals[] = {STORE_EVENTS_REMOVE, STORE_FLARE_REMOVE};
    for (size_t i = 0; !status && i < 2; i++) {
        sqlite3_stmt *statement = store_statement(store, removals[i]);
        store_bind_text(statement, 1, id);
        status = store_run(store, statement, "forget a flare", error);
    }
    status = store_end(store, status, error);
    return status ? status : store_spool_remove(store, id, error);
}
