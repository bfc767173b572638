/* Names, counted by reference; those of dimensions stay to the end. */
#include "scheduler/cluster/names.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum covey_status sched_name_take(struct sched_names *names, const char *text,
                                  struct sched_name **taken)
{
    struct sched_name *name = covey_map_get(&names->interned, text);
    if (!name) {
        size_t size_bytes = strlen(text) + 1;
        name = covey_malloc(sizeof(*name) + size_bytes);
        if (!name)
            return COVEY_ENOMEM;
        name->references = 0;
        memcpy(name->text, text, size_bytes);
        if (covey_map_set(&names->interned, text, name) != COVEY_OK) {
            free(name);
            return COVEY_ENOMEM;
        }
    }
    name->references++;
    *taken = name;
    return COVEY_OK;
}

void sched_name_drop(struct sched_names *names, struct sched_name *name)
{
    if (!name || --name->references)
        return;
    (void)covey_map_remove(&names->interned, name->text);
    free(name);
}

enum covey_status sched_tag_take(struct sched_names *names, const char *key, const char *value,
                                 struct sched_tag *tag)
{
    *tag = (struct sched_tag){0};
    enum covey_status status = sched_name_take(names, key, &tag->key);
    if (!status && value)
        status = sched_name_take(names, value, &tag->value);
    if (status)
        sched_tag_drop(names, tag);
    return status;
}

void sched_tag_drop(struct sched_names *names, struct sched_tag *tag)
{
    sched_name_drop(names, tag->key);
    sched_name_drop(names, tag->value);
    *tag = (struct sched_tag){0};
}

/* ---- dimensions ---- */

enum covey_status sched_names_dimension(struct sched_names *names, const char *name,
                                        enum sched_dimension *dimension)
{
    size_t length = strnlen(name, SCHED_NAME_BYTES);
    if (length == 0 || length == SCHED_NAME_BYTES)
        return COVEY_EINVAL;
    unsigned used = 0;
    while (used < SCHED_DIMENSIONS - SCHED_NAMED && names->resources[used]) {
        if (strcmp(names->resources[used]->text, name) == 0) {
            *dimension = (enum sched_dimension)(SCHED_NAMED + used);
            return COVEY_OK;
        }
        used++;
    }
    if (used == SCHED_DIMENSIONS - SCHED_NAMED)
        return COVEY_ELIMIT;
    enum covey_status status = sched_name_take(names, name, &names->resources[used]);
    if (!status)
        *dimension = (enum sched_dimension)(SCHED_NAMED + used);
    return status;
}

const char *sched_names_of_dimension(const struct sched_names *names,
                                     enum sched_dimension dimension)
{
    static const char *const fixed[SCHED_NAMED] = {"slots", "memory", "cpus", "gpus"};
    if (dimension < SCHED_NAMED)
        return fixed[dimension];
    const struct sched_name *name = names->resources[dimension - SCHED_NAMED];
    return name ? name->text : "";
}

void sched_names_clear(struct sched_names *names)
{
    for (unsigned i = 0; i < SCHED_DIMENSIONS - SCHED_NAMED; i++)
        sched_name_drop(names, names->resources[i]);
    covey_map_clear(&names->interned);
}
