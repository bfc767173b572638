/* Tenants are there as long as they have lines or were configured, lines as long as they have
 * flares. */
#include "scheduler/order/tenants.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct sched_tenant *sched_tenant_of(const struct sched_tenants *tenants, const char *name)
{
    return covey_map_get(&tenants->by_name, name);
}

static void destroy(struct sched_tenant *tenant)
{
    free(tenant->name);
    free(tenant);
}

/* The tenant of a name, made where there is none. NULL: no memory. */
static struct sched_tenant *tenant_for(struct sched_tenants *tenants, const char *name)
{
    struct sched_tenant *tenant = sched_tenant_of(tenants, name);
    if (tenant)
        return tenant;
    tenant = covey_calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    tenant->quota.weight = 1;
    tenant->name = covey_strdup(name);
    if (!tenant->name || covey_map_set(&tenants->by_name, name, tenant) != COVEY_OK) {
        destroy(tenant);
        return NULL;
    }
    return tenant;
}

static void drop_unused(struct sched_tenants *tenants, struct sched_tenant *tenant)
{
    if (tenant->references || tenant->configured)
        return;
    (void)covey_map_remove(&tenants->by_name, tenant->name);
    destroy(tenant);
}

enum covey_status sched_tenants_set(struct sched_tenants *tenants, const char *name,
                                    const struct sched_quota *quota)
{
    if (strnlen(name, SCHED_NAME_BYTES) == SCHED_NAME_BYTES)
        return COVEY_EINVAL;
    struct sched_tenant *tenant = tenant_for(tenants, name);
    if (!tenant)
        return COVEY_ENOMEM;
    tenant->quota = *quota;
    if (tenant->quota.weight == 0)
        tenant->quota.weight = 1;
    tenant->configured = true;
    tenants->changes++;
    return COVEY_OK;
}

void sched_tenants_forget(struct sched_tenants *tenants)
{
    struct sched_tenant *found;
    /* A map must not change under a walk: the walk starts anew after each. */
    do {
        size_t cursor = 0;
        void *value;
        found = NULL;
        while (!found && covey_map_next(&tenants->by_name, &cursor, NULL, &value)) {
            struct sched_tenant *tenant = value;
            found = tenant->configured ? tenant : NULL;
        }
        if (found) {
            found->quota = (struct sched_quota){.weight = 1};
            found->configured = false;
            drop_unused(tenants, found);
        }
    } while (found);
}

void sched_tenant_claim(struct sched_tenants *tenants, struct sched_tenant *tenant,
                        const struct sched_vector *worker, uint32_t workers, bool claim)
{
    tenants->changes++;
    sched_vector_add(&tenant->claimed, worker, workers, claim);
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

static struct sched_line *find_line(const struct sched_tenants *tenants, const char *tenant,
                                    int32_t priority, size_t *at)
{
    size_t i = 0;
    while (i < tenants->line_count && tenants->lines[i]->priority > priority)
        i++;
    for (; i < tenants->line_count && tenants->lines[i]->priority == priority; i++) {
        if (strcmp(tenants->lines[i]->tenant->name, tenant) == 0)
            return tenants->lines[i];
    }
    *at = i;
    return NULL;
}

static bool grow(struct sched_tenants *tenants)
{
    if (tenants->line_count < tenants->line_room)
        return true;
    size_t room = tenants->line_room ? tenants->line_room * 2 : 16;
    struct sched_line **lines =
        covey_reallocarray(tenants->lines, room, sizeof(struct sched_line *));
    if (!lines)
        return false;
    tenants->lines = lines;
    tenants->line_room = room;
    return true;
}

struct sched_line *sched_line_take(struct sched_tenants *tenants, const char *tenant,
                                   int32_t priority)
{
    size_t at;
    struct sched_line *line = find_line(tenants, tenant, priority, &at);
    if (line) {
        line->references++;
        return line;
    }
    if (!grow(tenants))
        return NULL;
    line = covey_calloc(1, sizeof(*line));
    struct sched_tenant *owner = line ? tenant_for(tenants, tenant) : NULL;
    if (!owner) {
        free(line);
        return NULL;
    }
    owner->references++;
    line->tenant = owner;
    line->priority = priority;
    line->references = 1;
    covey_list_init(&line->flares);
    memmove(tenants->lines + at + 1, tenants->lines + at,
            (tenants->line_count - at) * sizeof(struct sched_line *));
    tenants->lines[at] = line;
    tenants->line_count++;
    return line;
}

void sched_line_drop(struct sched_tenants *tenants, struct sched_line *line)
{
    if (!line || --line->references)
        return;
    size_t at = 0;
    while (tenants->lines[at] != line)
        at++;
    tenants->line_count--;
    memmove(tenants->lines + at, tenants->lines + at + 1,
            (tenants->line_count - at) * sizeof(struct sched_line *));
    line->tenant->references--;
    drop_unused(tenants, line->tenant);
    free(line);
}

void sched_tenants_clear(struct sched_tenants *tenants)
{
    size_t cursor = 0;
    void *tenant;
    while (covey_map_next(&tenants->by_name, &cursor, NULL, &tenant))
        destroy(tenant);
    covey_map_clear(&tenants->by_name);
    free(tenants->lines);
}
