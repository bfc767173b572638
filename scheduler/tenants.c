/* Tenants: what they hold, what they may hold, and the lines in which their flares wait. */
#include "scheduler/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct sched_tenant *sched_tenant_of(const struct sched *sched, const char *name)
{
    return covey_map_get(&sched->tenants, name);
}

static void destroy(struct sched_tenant *tenant)
{
    free(tenant->name);
    free(tenant);
}

/* The tenant of a name, made where there is none. NULL: no memory. */
static struct sched_tenant *tenant_for(struct sched *sched, const char *name)
{
    struct sched_tenant *tenant = sched_tenant_of(sched, name);
    if (tenant)
        return tenant;
    tenant = covey_calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    tenant->quota.weight = 1;
    tenant->name = covey_strdup(name);
    if (!tenant->name || covey_map_set(&sched->tenants, name, tenant) != COVEY_OK) {
        destroy(tenant);
        return NULL;
    }
    return tenant;
}

static void drop_unused(struct sched *sched, struct sched_tenant *tenant)
{
    if (tenant->references || tenant->configured)
        return;
    (void)covey_map_remove(&sched->tenants, tenant->name);
    destroy(tenant);
}

enum covey_status sched_set_tenant(struct sched *sched, const char *name,
                                   const struct sched_quota *quota)
{
    if (strnlen(name, SCHED_NAME_BYTES) == SCHED_NAME_BYTES)
        return COVEY_EINVAL;
    struct sched_tenant *tenant = tenant_for(sched, name);
    if (!tenant)
        return COVEY_ENOMEM;
    tenant->quota = *quota;
    if (tenant->quota.weight == 0)
        tenant->quota.weight = 1;
    tenant->configured = true;
    sched->totals.freed++;
    sched->changes++;
    return COVEY_OK;
}

void sched_forget_tenants(struct sched *sched)
{
    struct sched_tenant *found;
    /* A map must not change under a walk: the walk starts anew after each. */
    do {
        size_t cursor = 0;
        void *value;
        found = NULL;
        while (!found && covey_map_next(&sched->tenants, &cursor, NULL, &value)) {
            struct sched_tenant *tenant = value;
            found = tenant->configured ? tenant : NULL;
        }
        if (found) {
            found->quota = (struct sched_quota){.weight = 1};
            found->configured = false;
            drop_unused(sched, found);
        }
    } while (found);
    sched->totals.freed++;
}

void sched_tenant_claim(const struct sched_flare *flare, uint32_t workers, bool claim)
{
    struct sched_vector *claimed = &flare->line->tenant->claimed;
    flare->sched->changes++;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t amount = workers * flare->shape.worker.amount[d];
        claimed->amount[d] += claim ? amount : -amount;
    }
}

bool sched_quota_allows(const struct sched_tenant *tenant, const struct sched_shape *shape,
                        bool alone, enum sched_dimension *dimension)
{
    const struct sched_quota *quota = &tenant->quota;
    *dimension = SCHED_DIMENSIONS;
    if (!alone && quota->gangs && tenant->gangs >= quota->gangs)
        return false;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        sched_sum wanted = (sched_sum)shape->worker.amount[d] * shape->workers;
        if (wanted == 0 || quota->most.amount[d] == 0)
            continue;
        if (wanted + (alone ? 0 : tenant->claimed.amount[d]) > quota->most.amount[d]) {
            *dimension = d;
            return false;
        }
    }
    return true;
}

/* ---- lines ---- */

static struct sched_line *find_line(const struct sched *sched, const char *tenant, int32_t priority,
                                    size_t *at)
{
    size_t i = 0;
    while (i < sched->line_count && sched->lines[i]->priority > priority)
        i++;
    for (; i < sched->line_count && sched->lines[i]->priority == priority; i++) {
        if (strcmp(sched->lines[i]->tenant->name, tenant) == 0)
            return sched->lines[i];
    }
    *at = i;
    return NULL;
}

static bool grow(struct sched *sched)
{
    if (sched->line_count < sched->line_room)
        return true;
    size_t room = sched->line_room ? sched->line_room * 2 : 16;
    struct sched_line **lines = covey_reallocarray(sched->lines, room, sizeof(struct sched_line *));
    if (!lines)
        return false;
    sched->lines = lines;
    sched->line_room = room;
    return true;
}

struct sched_line *sched_line_take(struct sched *sched, const char *tenant, int32_t priority)
{
    size_t at;
    struct sched_line *line = find_line(sched, tenant, priority, &at);
    if (line) {
        line->references++;
        return line;
    }
    if (!grow(sched))
        return NULL;
    line = covey_calloc(1, sizeof(*line));
    struct sched_tenant *owner = line ? tenant_for(sched, tenant) : NULL;
    if (!owner) {
        free(line);
        return NULL;
    }
    owner->references++;
    line->tenant = owner;
    line->priority = priority;
    line->references = 1;
    covey_list_init(&line->flares);
    memmove(sched->lines + at + 1, sched->lines + at,
            (sched->line_count - at) * sizeof(struct sched_line *));
    sched->lines[at] = line;
    sched->line_count++;
    return line;
}

void sched_line_drop(struct sched *sched, struct sched_line *line)
{
    if (!line || --line->references)
        return;
    size_t at = 0;
    while (sched->lines[at] != line)
        at++;
    sched->line_count--;
    memmove(sched->lines + at, sched->lines + at + 1,
            (sched->line_count - at) * sizeof(struct sched_line *));
    line->tenant->references--;
    drop_unused(sched, line->tenant);
    free(line);
}

void sched_tenants_destroy(struct sched *sched)
{
    size_t cursor = 0;
    void *tenant;
    while (covey_map_next(&sched->tenants, &cursor, NULL, &tenant))
        destroy(tenant);
    covey_map_clear(&sched->tenants);
    free(sched->lines);
}
