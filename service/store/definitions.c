/* Rows of definitions. */
#include "base/error.h"
#include "service/store/internal.h"

enum covey_status store_definition_add(struct store *store,
                                       const struct store_definition *definition,
                                       struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    sqlite3_stmt *insert = store_statement(store, STORE_DEFINITION_ADD);
    store_bind_text(insert, 1, definition->tenant);
    store_bind_text(insert, 2, definition->name);
    store_bind_u64(insert, 3, definition->version);
    store_bind_text(insert, 4, definition->sha256);
    store_bind_bytes(insert, 5, definition->body);
    status = store_run(store, insert, "store a definition", error);
    if (!status) {
        sqlite3_stmt *count = store_statement(store, STORE_DEFINITION_COUNT);
        store_bind_text(count, 1, definition->tenant);
        store_bind_text(count, 2, definition->name);
        store_bind_u64(count, 3, definition->version);
        status = store_run(store, count, "store a definition", error);
    }
    return store_end(store, status, error);
}

static enum covey_status walk(struct store *store, sqlite3_stmt *select, store_definition_fn each,
                              void *data, struct covey_error *error)
{
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        struct store_definition definition = {
            .tenant = store_column_text(select, 0),
            .name = store_column_text(select, 1),
            .version = (uint32_t)store_column_u64(select, 2),
            .sha256 = store_column_text(select, 3),
            .body = store_column_bytes(select, 4),
        };
        if (!each(&definition, data)) {
            result = SQLITE_DONE;
            break;
        }
    }
    enum covey_status status =
        result == SQLITE_DONE ? COVEY_OK : store_fail(store, result, "read definitions", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_definition_get(struct store *store, const char *tenant, const char *name,
                                       uint32_t version, store_definition_fn each, void *data,
                                       struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_DEFINITION_GET);
    store_bind_text(select, 1, tenant);
    store_bind_text(select, 2, name);
    store_bind_u64(select, 3, version);
    return walk(store, select, each, data, error);
}

enum covey_status store_definitions(struct store *store, const char *tenant,
                                    store_definition_fn each, void *data, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_DEFINITIONS);
    store_bind_text(select, 1, tenant);
    return walk(store, select, each, data, error);
}

enum covey_status store_definition_remove(struct store *store, const char *tenant, const char *name,
                                          struct covey_error *error)
{
    sqlite3_stmt *statement = store_statement(store, STORE_DEFINITION_REMOVE);
    store_bind_text(statement, 1, tenant);
    store_bind_text(statement, 2, name);
    enum covey_status status = store_run(store, statement, "delete a definition", error);
    if (!status && sqlite3_changes(store->database) == 0)
        return covey_error_set(error, COVEY_ENOTFOUND, "no definition is named %s", name);
    return status;
}

enum covey_status store_definition_last(struct store *store, const char *tenant, const char *name,
                                        uint32_t *version, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_DEFINITION_LAST);
    store_bind_text(select, 1, tenant);
    store_bind_text(select, 2, name);
    *version = 0;
    int result = sqlite3_step(select);
    enum covey_status status = COVEY_OK;
    if (result == SQLITE_ROW)
        *version = (uint32_t)store_column_u64(select, 0);
    else if (result != SQLITE_DONE)
        status = store_fail(store, result, "read definitions", error);
    (void)sqlite3_reset(select);
    return status;
}
