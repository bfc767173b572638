/*
 * How flares that have ended are forgotten: the longest ended first, a few at a time, their files
 * before their rows, so that what a crash leaves is found again. Where more is kept than may be,
 * those of the tenant go that has most, down to an equal share: nobody's flares push out those of
 * others.
 */
#include "base/memory.h"
#include "service/store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define ID_BYTES 32 /* more than the 26 characters of an id */

/* Free pages beyond this many, and beyond a quarter of the file, are given back to the disk... */
#define FREE_PAGES 1024
/* ...this many at a time. */
#define STEP_PAGES "64"

struct row {
    char id[ID_BYTES];
    struct store_tenant *tenant;
    uint64_t bytes;
};

/* Who goes. Rows must not change under a walk, so it is only noted. */
struct choice {
    const struct store_keep *keep;
    struct row *rows;
    uint32_t count, most;
    struct store_kept left; /* of all tenants */
};

/* Whether so much of a tenant's, of so many tenants, is to be less. */
static bool is_over(const struct choice *choice, const struct store_kept *own, size_t tenants)
{
    const struct store_keep *keep = choice->keep;
    return (choice->left.flares > keep->flares && own->flares > keep->flares / tenants) ||
           (choice->left.bytes > keep->bytes && own->bytes > keep->bytes / tenants);
}

/* Where there is more than may be, the tenant that has most of it: more than its share. */
static struct store_tenant *largest(const struct store *store, const struct store_keep *keep)
{
    bool by_count = store->kept.flares > keep->flares;
    struct store_tenant *most = NULL;
    size_t cursor = 0;
    void *value;
    if (!by_count && store->kept.bytes <= keep->bytes)
        return NULL;
    while (covey_map_next(&store->tenants, &cursor, NULL, &value)) {
        struct store_tenant *tenant = value;
        if (!most || (by_count ? tenant->kept.flares > most->kept.flares
                               : tenant->kept.bytes > most->kept.bytes))
            most = tenant;
    }
    return most;
}

/* Of one tenant those that are too old and, where it is to have less, others. */
static enum covey_status choose_of(struct store *store, struct store_tenant *tenant, bool less,
                                   struct choice *choice, struct covey_error *error)
{
    struct store_kept own = tenant->kept;
    size_t tenants = store->tenants.count;
    int result = SQLITE_DONE;
    sqlite3_stmt *select = store_statement(store, STORE_FLARES_ENDED);
    store_bind_text(select, 1, tenant->name);
    while (choice->count < choice->most && (result = sqlite3_step(select)) == SQLITE_ROW) {
        tenant->oldest_ns = (int64_t)store_column_u64(select, 1);
        if (tenant->oldest_ns >= choice->keep->after_ns &&
            !(less && is_over(choice, &own, tenants)))
            break;
        struct row *row = &choice->rows[choice->count++];
        (void)snprintf(row->id, sizeof row->id, "%s", store_column_text(select, 0));
        row->tenant = tenant;
        row->bytes = store_column_u64(select, 2);
        own.flares--;
        own.bytes -= row->bytes;
        choice->left.flares--;
        choice->left.bytes -= row->bytes;
    }
    if (result == SQLITE_DONE && choice->count < choice->most)
        tenant->oldest_ns = INT64_MAX;
    enum covey_status status = result == SQLITE_DONE || result == SQLITE_ROW
                                   ? COVEY_OK
                                   : store_fail(store, result, "read flares", error);
    (void)sqlite3_reset(select);
    return status;
}

static enum covey_status choose(struct store *store, struct choice *choice,
                                struct covey_error *error)
{
    struct store_tenant *most = largest(store, choice->keep);
    enum covey_status status = most ? choose_of(store, most, true, choice, error) : COVEY_OK;
    size_t cursor = 0;
    void *value;
    while (!status && choice->count < choice->most &&
           covey_map_next(&store->tenants, &cursor, NULL, &value)) {
        struct store_tenant *tenant = value;
        if (tenant != most && tenant->oldest_ns < choice->keep->after_ns)
            status = choose_of(store, tenant, false, choice, error);
    }
    return status;
}

/* What was chosen is still there. */
static void look_again(struct choice *choice)
{
    for (uint32_t i = 0; i < choice->count; i++)
        choice->rows[i].tenant->oldest_ns = INT64_MIN;
}

static enum covey_status remove_rows(struct store *store, const char *id, struct covey_error *error)
{
    static const enum store_statement removals[] = {STORE_EVENTS_REMOVE, STORE_INPUT_REMOVE,
                                                    STORE_FLARE_REMOVE};
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < sizeof removals / sizeof *removals; i++) {
        sqlite3_stmt *statement = store_statement(store, removals[i]);
        store_bind_text(statement, 1, id);
        status = store_run(store, statement, "forget a flare", error);
    }
    return status;
}

static uint64_t pragma(struct store *store, enum store_statement id)
{
    sqlite3_stmt *select = store_statement(store, id);
    uint64_t value = sqlite3_step(select) == SQLITE_ROW ? store_column_u64(select, 0) : 0;
    (void)sqlite3_reset(select);
    return value;
}

/* New rows take free pages first, so only a file that was much larger is made shorter. */
static enum covey_status shrink(struct store *store, struct covey_error *error)
{
    uint64_t free_pages = pragma(store, STORE_FREE_PAGES);
    if (free_pages < FREE_PAGES || free_pages < pragma(store, STORE_PAGES) / 4)
        return COVEY_OK;
    /* Each step of the statement moves one page. */
    int result = sqlite3_exec(store->database, "PRAGMA incremental_vacuum(" STEP_PAGES ")", NULL,
                              NULL, NULL);
    store->dirty = true;
    return result == SQLITE_OK ? COVEY_OK : store_fail(store, result, "shorten the file", error);
}

static enum covey_status remove_chosen(struct store *store, const struct choice *choice,
                                       struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; !status && i < choice->count; i++)
        status = store_spool_remove(store, choice->rows[i].id, error);
    if (!status)
        status = store_begin(store, error);
    if (status)
        return status;
    status = store_inputs_clean(store, error);
    for (uint32_t i = 0; !status && i < choice->count; i++) {
        status = remove_rows(store, choice->rows[i].id, error);
        store_kept_remove(store, choice->rows[i].tenant, choice->rows[i].bytes);
    }
    return store_end(store, status, error);
}

enum covey_status store_expire(struct store *store, const struct store_keep *keep,
                               uint32_t max_flares, uint32_t *removed, struct covey_error *error)
{
    struct choice choice = {.keep = keep,
                            .rows = covey_calloc(max_flares, sizeof(struct row)),
                            .most = max_flares,
                            .left = store->kept};
    *removed = 0;
    if (!choice.rows)
        return COVEY_ENOMEM;
    enum covey_status status = choose(store, &choice, error);
    if (!status && (choice.count || store->spent_count))
        status = remove_chosen(store, &choice, error);
    if (status)
        look_again(&choice);
    free(choice.rows);
    if (status)
        return status;
    *removed = choice.count;
    return shrink(store, error);
}
