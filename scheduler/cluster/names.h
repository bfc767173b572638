/* Interned strings: equal ones are one object, so that labels are compared as pointers. */
#ifndef SCHEDULER_CLUSTER_NAMES_H
#define SCHEDULER_CLUSTER_NAMES_H

#include "base/map.h"
#include "scheduler/scheduler.h"

struct sched_name {
    uint32_t references;
    char text[];
};

struct sched_tag {
    struct sched_name *key;
    struct sched_name *value; /* NULL where none matters */
};

/* All names, and which of them are dimensions. Zeroed is empty. */
struct sched_names {
    struct covey_map interned; /* text -> sched_name */
    struct sched_name *resources[SCHED_DIMENSIONS - SCHED_NAMED];
};

/* One reference to the interned form of a text. ENOMEM. */
enum covey_status sched_name_take(struct sched_names *names, const char *text,
                                  struct sched_name **taken);
/* Drops a reference; NULL is accepted. */
void sched_name_drop(struct sched_names *names, struct sched_name *name);
/* The same for a pair; value may be NULL. *tag is empty after ENOMEM. */
enum covey_status sched_tag_take(struct sched_names *names, const char *key, const char *value,
                                 struct sched_tag *tag);
void sched_tag_drop(struct sched_names *names, struct sched_tag *tag);

/* As sched_resource and sched_dimension_name. */
enum covey_status sched_names_dimension(struct sched_names *names, const char *name,
                                        enum sched_dimension *dimension);
const char *sched_names_of_dimension(const struct sched_names *names,
                                     enum sched_dimension dimension);

/* At the very end, when nothing else refers to names. */
void sched_names_clear(struct sched_names *names);

#endif
