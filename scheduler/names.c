/* Interned strings: equal ones are one object, so that labels are compared as pointers. */
#include "scheduler/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum covey_status sched_name_take(struct sched *sched, const char *text, struct sched_name **taken)
{
    struct sched_name *name = covey_map_get(&sched->interned, text);
    if (!name) {
        size_t size_bytes = strlen(text) + 1;
        name = covey_malloc(sizeof(*name) + size_bytes);
        if (!name)
            return COVEY_ENOMEM;
        name->references = 0;
        memcpy(name->text, text, size_bytes);
        if (covey_map_set(&sched->interned, text, name) != COVEY_OK) {
            free(name);
            return COVEY_ENOMEM;
        }
    }
    name->references++;
    *taken = name;
    return COVEY_OK;
}

void sched_name_drop(struct sched *sched, struct sched_name *name)
{
    if (!name || --name->references)
        return;
    (void)covey_map_remove(&sched->interned, name->text);
    free(name);
}

enum covey_status sched_tag_take(struct sched *sched, const char *key, const char *value,
                                 struct sched_tag *tag)
{
    *tag = (struct sched_tag){0};
    enum covey_status status = sched_name_take(sched, key, &tag->key);
    if (!status && value)
        status = sched_name_take(sched, value, &tag->value);
    if (status)
        sched_tag_drop(sched, tag);
    return status;
}

void sched_tag_drop(struct sched *sched, struct sched_tag *tag)
{
    sched_name_drop(sched, tag->key);
    sched_name_drop(sched, tag->value);
    *tag = (struct sched_tag){0};
}

/* ---- dimensions ---- */

enum covey_status sched_resource(struct sched *sched, const char *name,
                                 enum sched_dimension *dimension)
{
    size_t length = strnlen(name, SCHED_NAME_BYTES);
    if (length == 0 || length == SCHED_NAME_BYTES)
        return COVEY_EINVAL;
    unsigned used = 0;
    while (used < SCHED_DIMENSIONS - SCHED_NAMED && sched->resources[used]) {
        if (strcmp(sched->resources[used]->text, name) == 0) {
            *dimension = (enum sched_dimension)(SCHED_NAMED + used);
            return COVEY_OK;
        }
        used++;
    }
    if (used == SCHED_DIMENSIONS - SCHED_NAMED)
        return COVEY_ELIMIT;
    enum covey_status status = sched_name_take(sched, name, &sched->resources[used]);
    if (!status)
        *dimension = (enum sched_dimension)(SCHED_NAMED + used);
    return status;
}

const char *sched_dimension_name(const struct sched *sched, enum sched_dimension dimension)
{
    static const char *const names[SCHED_NAMED] = {"slots", "memory", "cpus", "gpus"};
    if (dimension < SCHED_NAMED)
        return names[dimension];
    const struct sched_name *name = sched->resources[dimension - SCHED_NAMED];
    return name ? name->text : "";
}

void sched_names_destroy(struct sched *sched)
{
    for (unsigned i = 0; i < SCHED_DIMENSIONS - SCHED_NAMED; i++)
        sched_name_drop(sched, sched->resources[i]);
    covey_map_clear(&sched->interned);
}
