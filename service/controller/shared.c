/* Definitions that flares share: a thousand flares of one hold it once. */
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdlib.h>

struct shared_definition {
    struct covey_map *names; /* where it is found */
    char *name;
    size_t references;
    definition_message *message;
};

static void destroy(struct shared_definition *shared)
{
    free(shared->name);
    message_free(shared->message);
    free(shared);
}

struct shared_definition *shared_take(struct controller *controller, const char *tenant,
                                      definition_message *take_message)
{
    struct covey_map *names = &controller->definitions;
    /* A version is never given again. */
    char *name = take_message
                     ? covey_asprintf("%s %s %u", tenant, take_message->name, take_message->version)
                     : NULL;
    struct shared_definition *shared = name ? covey_map_get(names, name) : NULL;
    if (shared) {
        free(name);
        message_free(take_message);
        shared->references++;
        return shared;
    }
    shared = name ? covey_calloc(1, sizeof *shared) : NULL;
    if (!shared) {
        free(name);
        message_free(take_message);
        return NULL;
    }
    *shared = (struct shared_definition){names, name, 1, take_message};
    if (covey_map_set(names, name, shared) != COVEY_OK) {
        destroy(shared);
        return NULL;
    }
    return shared;
}

const definition_message *shared_message(const struct shared_definition *shared)
{
    return shared->message;
}

void shared_give_back(struct shared_definition *shared)
{
    if (!shared || --shared->references > 0)
        return;
    (void)covey_map_remove(shared->names, shared->name);
    destroy(shared);
}
