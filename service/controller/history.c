#include "service/controller/history.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 160

struct past {
    uint64_t used; /* when, counted in uses */
    uint32_t count;
    uint32_t next; /* the oldest, once there are as many as are kept */
    int64_t duration_ns[HISTORY_FLARES];
};

/* Neither a tenant nor a definition has a slash in its name that another could imitate: the
 * tenant's length parts them. */
static const char *key_of(const char *tenant, const char *definition, char key[KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "%zu/%s/%s", strlen(tenant), tenant, definition);
    return key;
}

static void forget_oldest(struct history *history)
{
    char oldest[KEY_BYTES] = "";
    uint64_t used = UINT64_MAX;
    size_t cursor = 0;
    const char *key;
    void *value;
    while (covey_map_next(&history->definitions, &cursor, &key, &value)) {
        if (((const struct past *)value)->used >= used)
            continue;
        used = ((const struct past *)value)->used;
        (void)snprintf(oldest, sizeof oldest, "%s", key);
    }
    free(covey_map_remove(&history->definitions, oldest));
}

void history_add(struct history *history, const char *tenant, const char *definition,
                 int64_t duration_ns)
{
    char key[KEY_BYTES];
    struct past *past = covey_map_get(&history->definitions, key_of(tenant, definition, key));
    if (!past) {
        if (history->definitions.count >= HISTORY_DEFINITIONS_MAX)
            forget_oldest(history);
        past = covey_calloc(1, sizeof *past);
        if (!past || covey_map_set(&history->definitions, key, past) != COVEY_OK) {
            free(past);
            return;
        }
    }
    past->used = ++history->uses;
    past->duration_ns[past->next] = duration_ns > 0 ? duration_ns : 1;
    past->next = (past->next + 1) % HISTORY_FLARES;
    past->count += past->count < HISTORY_FLARES;
}

static int by_length(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

int64_t history_expected_ns(struct history *history, const char *tenant, const char *definition)
{
    char key[KEY_BYTES];
    struct past *past = covey_map_get(&history->definitions, key_of(tenant, definition, key));
    if (!past)
        return COVEY_NEVER_NS;
    int64_t sorted[HISTORY_FLARES];
    past->used = ++history->uses;
    memcpy(sorted, past->duration_ns, sizeof sorted);
    qsort(sorted, past->count, sizeof *sorted, by_length);
    return sorted[past->count / 2];
}

void history_clear(struct history *history)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&history->definitions, &cursor, NULL, &value))
        free(value);
    covey_map_clear(&history->definitions);
}
