/* Tenants: what they hold, what they may hold, and the lines in which their flares wait. */
#ifndef SCHEDULER_ORDER_TENANTS_H
#define SCHEDULER_ORDER_TENANTS_H

#include "base/list.h"
#include "base/map.h"
#include "scheduler/cluster/totals.h"
#include "scheduler/place/shape.h"

struct sched_tenant {
    char *name;
    struct sched_quota quota;
    bool configured;     /* stays without flares */
    uint32_t references; /* of lines */
    struct sched_vector claimed;
    uint32_t gangs;
    uint64_t walk;               /* in which virtual was set */
    struct sched_vector virtual; /* what it would hold if all that were met so far had started */
};

/* The flares of one tenant and priority that are queued, in their order. */
struct sched_line {
    struct sched_tenant *tenant;
    int32_t priority;
    uint32_t references;      /* of flares */
    struct covey_list flares; /* of sched_flare.in_line */
    struct covey_list *at;    /* of a walk: the next */
};

/* Zeroed is none. */
struct sched_tenants {
    struct covey_map by_name;  /* name -> sched_tenant */
    struct sched_line **lines; /* by falling priority */
    size_t line_count;
    size_t line_room;
    uint64_t changes; /* of what they hold and may hold, and of the queue */
};

/* A reference to the line of a tenant and priority. NULL: no memory. */
struct sched_line *sched_line_take(struct sched_tenants *tenants, const char *tenant,
                                   int32_t priority);
/* NULL is accepted. */
void sched_line_drop(struct sched_tenants *tenants, struct sched_line *line);

/* The tenant of a name, or NULL. */
struct sched_tenant *sched_tenant_of(const struct sched_tenants *tenants, const char *name);
/* As sched_set_tenant and sched_forget_tenants. */
enum covey_status sched_tenants_set(struct sched_tenants *tenants, const char *name,
                                    const struct sched_quota *quota);
void sched_tenants_forget(struct sched_tenants *tenants);
/* Adds workers to what a tenant holds, or takes them off. */
void sched_tenant_claim(struct sched_tenants *tenants, struct sched_tenant *tenant,
                        const struct sched_vector *worker, uint32_t workers, bool claim);
/* True where the tenant may hold a gang of this shape beside what it holds; alone: by itself. */
bool sched_quota_allows(const struct sched_tenant *tenant, const struct sched_shape *shape,
                        bool alone, enum sched_dimension *dimension);

/* When no flare has a line any more. */
void sched_tenants_clear(struct sched_tenants *tenants);

#endif
