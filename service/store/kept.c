/* How much is kept of flares that have ended, by tenant, so that nobody has to ask the journal. */
#include "base/error.h"
#include "base/memory.h"
#include "service/store/internal.h"

#include <stdlib.h>
#include <string.h>

/* NULL: no memory. */
static struct store_tenant *tenant_of(struct store *store, const char *name)
{
    struct store_tenant *tenant = covey_map_get(&store->tenants, name);
    if (tenant)
        return tenant;
    size_t bytes = strlen(name) + 1;
    tenant = covey_calloc(1, sizeof *tenant + bytes);
    if (!tenant)
        return NULL;
    memcpy(tenant->name, name, bytes);
    tenant->oldest_ns = INT64_MAX;
    if (covey_map_set(&store->tenants, name, tenant) == COVEY_OK)
        return tenant;
    free(tenant);
    return NULL;
}

static enum covey_status load(struct store *store, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_KEPT);
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        struct store_tenant *tenant = tenant_of(store, store_column_text(select, 0));
        if (!tenant) {
            (void)sqlite3_reset(select);
            return covey_error_set(error, COVEY_ENOMEM, "no memory to open the store");
        }
        tenant->kept =
            (struct store_kept){store_column_u64(select, 1), store_column_u64(select, 2)};
        tenant->oldest_ns = (int64_t)store_column_u64(select, 3);
        store->kept.flares += tenant->kept.flares;
        store->kept.bytes += tenant->kept.bytes;
    }
    enum covey_status status =
        result == SQLITE_DONE ? COVEY_OK : store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_kept_load(struct store *store, struct covey_error *error)
{
    enum covey_status status =
        store_run(store, store_statement(store, STORE_INPUTS_SPENT), "forget parameters", error);
    return status ? status : load(store, error);
}

void store_kept_clear(struct store *store)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&store->tenants, &cursor, NULL, &value))
        free(value);
    covey_map_clear(&store->tenants);
    store->kept = (struct store_kept){0, 0};
}

struct store_kept store_kept(const struct store *store)
{
    return store->kept;
}

static void note(struct store *store, struct store_tenant *tenant)
{
    if (tenant->is_changed)
        return;
    tenant->is_changed = true;
    tenant->change = (struct store_kept){0, 0};
    tenant->next_changed = store->changed;
    store->changed = tenant;
}

enum covey_status store_kept_add(struct store *store, const char *tenant, uint64_t bytes,
                                 int64_t ended_ns)
{
    struct store_tenant *of = tenant_of(store, tenant);
    if (!of)
        return COVEY_ENOMEM;
    note(store, of);
    of->change.flares++;
    of->change.bytes += bytes;
    if (ended_ns < of->oldest_ns)
        of->oldest_ns = ended_ns;
    return COVEY_OK;
}

void store_kept_remove(struct store *store, struct store_tenant *tenant, uint64_t bytes)
{
    note(store, tenant);
    tenant->change.flares--;
    tenant->change.bytes -= bytes;
}

void store_kept_settle(struct store *store, bool committed)
{
    for (struct store_tenant *tenant = store->changed; tenant; tenant = tenant->next_changed) {
        tenant->is_changed = false;
        if (!committed)
            continue;
        tenant->kept.flares += tenant->change.flares;
        tenant->kept.bytes += tenant->change.bytes;
        store->kept.flares += tenant->change.flares;
        store->kept.bytes += tenant->change.bytes;
    }
    store->changed = NULL;
}
