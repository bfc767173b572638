/* Rows of flares. */
#include "service/store/internal.h"

#include <string.h>

/* After a roll-back some are of flares that live, for which the statement looks, and some that are
 * not named any more stay until the store is opened again. */
enum covey_status store_inputs_clean(struct store *store, struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < store->spent_count; i++) {
        sqlite3_stmt *remove = store_statement(store, STORE_INPUT_SPENT);
        store_bind_u64(remove, 1, store->spent[i]);
        status = store_run(store, remove, "forget parameters", error);
    }
    store->spent_count = 0;
    return status;
}

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
    status = store_run(store, insert, "accept a flare", error);
    if (!status)
        status = store_inputs_clean(store, error);
    if (!status) {
        sqlite3_stmt *input = store_statement(store, STORE_INPUT_ADD);
        store_bind_text(input, 1, flare->id);
        store_bind_text(input, 2, flare->code_sha256);
        store_bind_bytes(input, 3, flare->parameters);
        store_bind_text(input, 4, flare->stdin_sha256 ? flare->stdin_sha256 : "");
        status = store_run(store, input, "accept a flare", error);
    }
    if (!status)
        status = store_event_insert(store, flare->id, event, error);
    return store_end(store, status, error);
}

/* Runs a select of STORE_FLARE_COLUMNS, and perhaps the length of the parameters, that is bound. */
static enum covey_status walk(struct store *store, sqlite3_stmt *select, store_flare_fn each,
                              void *data, struct covey_error *error)
{
    int result;
    bool has_input = sqlite3_column_count(select) > 8;
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
            .input_bytes = has_input ? store_column_u64(select, 8) : 0,
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

enum covey_status store_parameters(struct store *store, const char *id, store_bytes_fn each,
                                   void *data, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_INPUT_GET);
    store_bind_text(select, 1, id);
    int result = sqlite3_step(select);
    if (result == SQLITE_ROW)
        (void)each(store_column_bytes(select, 0), data);
    enum covey_status status = result == SQLITE_ROW || result == SQLITE_DONE
                                   ? COVEY_OK
                                   : store_fail(store, result, "read parameters", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_flares_live(struct store *store, store_flare_fn each, void *data,
                                    struct covey_error *error)
{
    return walk(store, store_statement(store, STORE_FLARES_LIVE), each, data, error);
}

struct whole {
    store_flare_fn each;
    void *data;
    bool go_on;
};

static bool pass_whole(const struct store_flare *flare, void *data)
{
    struct whole *whole = data;
    whole->go_on = whole->each(flare, whole->data);
    return false;
}

/* Ids and tenants are read from their index alone. */
static enum covey_status walk_of(struct store *store, const char *tenant, const char *before,
                                 store_flare_fn each, void *data, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_IDS_BEFORE);
    struct whole whole = {each, data, true};
    enum covey_status status = COVEY_OK;
    int result = SQLITE_DONE;
    store_bind_text(select, 1, before);
    while (!status && whole.go_on && (result = sqlite3_step(select)) == SQLITE_ROW) {
        const struct store_flare others = {.id = store_column_text(select, 0),
                                           .tenant = store_column_text(select, 1),
                                           .idempotency_key = ""};
        if (strcmp(others.tenant, tenant) == 0)
            status = store_flare_get(store, others.id, pass_whole, &whole, error);
        else
            whole.go_on = each(&others, data);
    }
    if (!status && whole.go_on && result != SQLITE_DONE)
        status = store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_flares_before(struct store *store, const char *tenant, const char *before,
                                      store_flare_fn each, void *data, struct covey_error *error)
{
    const char *from = *before ? before : "~"; /* which sorts after every id */
    if (tenant)
        return walk_of(store, tenant, from, each, data, error);
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_BEFORE);
    store_bind_text(select, 1, from);
    return walk(store, select, each, data, error);
}
