/* Which nodes a gang may use: its selector, and the taints it tolerates. */
#ifndef SCHEDULER_PLACE_FILTER_H
#define SCHEDULER_PLACE_FILTER_H

#include "scheduler/cluster/node.h"

/* One term of a selector, or a toleration. */
struct sched_rule {
    struct sched_tag tag;
    enum sched_operator wanted; /* of a term */
};

/* Shared by reference, never changed. */
struct sched_filter {
    uint32_t references;
    uint32_t term_count;
    uint32_t toleration_count;
    struct sched_rule rules[]; /* terms, then tolerations */
};

/* The filter of a request; NULL where it has none. EINVAL, ENOMEM. */
enum covey_status sched_filter_create(struct sched_names *names,
                                      const struct sched_request *request,
                                      struct sched_filter **filter, struct covey_error *error);
/* The same filter, with the names of another scheduler. ENOMEM. */
enum covey_status sched_filter_copy(struct sched_names *names, const struct sched_filter *filter,
                                    struct sched_filter **copy);
/* Both accept NULL. */
struct sched_filter *sched_filter_ref(struct sched_filter *filter);
void sched_filter_unref(struct sched_names *names, struct sched_filter *filter);
bool sched_filter_equal(const struct sched_filter *a, const struct sched_filter *b);
/* True where the labels of a node are selected and its taints tolerated. */
bool sched_filter_admits(const struct sched_filter *filter, const struct sched_node *node);

/* The state of a node lets it take gangs in a view, and so does its filter. The quick answer first:
 * a survey asks it of every node. */
static inline bool sched_node_open(const struct sched_node *node, const struct sched_view *view,
                                   const struct sched_filter *filter)
{
    if (!sched_node_counts(node, view))
        return false;
    return filter || node->tainted ? sched_filter_admits(filter, node) : true;
}

#endif
