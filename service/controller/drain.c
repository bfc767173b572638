/* Taking a node out of placement, emptying it by a deadline, and putting it back. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 16 /* that an error lists */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum covey_status no_node(const struct controller *controller, const char *name,
                                 struct covey_error *error)
{
    size_t count = 0;
    const char **names =
        covey_calloc(controller->nodes.count ? controller->nodes.count : 1, sizeof *names);
    if (!names)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a list");
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &value))
        names[count++] = ((struct controller_node *)value)->name;
    qsort(names, count, sizeof *names, compare_names);
    char text[COVEY_ERROR_MESSAGE_BYTES - 96] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && i <= NAMES_MAX && used < sizeof text; i++)
        used += covey_text_print(text + used, sizeof text - used, "%s%s", i ? ", " : "",
                                 i == NAMES_MAX ? "..." : names[i]);
    free(names);
    return count ? covey_error_set(error, COVEY_ENOTFOUND, "no node is named '%.*s': there are %s",
                                   covey_text_fit(name, 64), name, text)
                 : covey_error_set(error, COVEY_ENOTFOUND,
                                   "no node is named '%.*s': there are no nodes at all",
                                   covey_text_fit(name, 64), name);
}

enum covey_status controller_drain_node(struct controller *controller, const char *name,
                                        const struct controller_drain *drain,
                                        struct covey_error *error)
{
    struct controller_node *node = node_find(controller, name);
    if (!node)
        return no_node(controller, name, error);
    if (drain && !*drain->reason)
        return covey_error_set(error, COVEY_EINVAL,
                               "a reason is needed to drain a node: it is shown to everyone");
    char *earlier = node->drain_reason;
    int64_t earlier_ns = node->drain_until_wall_ns;
    node->drain_reason = covey_strdup(drain ? drain->reason : "");
    if (!node->drain_reason) {
        node->drain_reason = earlier;
        return covey_error_set(error, COVEY_ENOMEM, "no memory to drain a node");
    }
    bool limited = drain && drain->deadline_ns != COVEY_NEVER_NS;
    node->drain_until_wall_ns =
        limited ? covey_deadline_ns(wall_of(controller), drain->deadline_ns) : 0;
    enum covey_status status =
        node_transition(controller, node, drain ? NODE_EVENT_DRAINED : NODE_EVENT_UNDRAINED, error);
    if (status) {
        free(node->drain_reason);
        node->drain_reason = earlier;
        node->drain_until_wall_ns = earlier_ns;
        return status;
    }
    free(earlier);
    drain_resume(controller, node);
    return COVEY_OK;
}

void drain_resume(const struct controller *controller, struct controller_node *node)
{
    int64_t left_ns = node->drain_until_wall_ns - wall_of(controller);
    node->drain_at_ns = node->drain_until_wall_ns
                            ? covey_deadline_ns(now_of(controller), left_ns > 0 ? left_ns : 0)
                            : COVEY_NEVER_NS;
}

void drain_expire(struct controller *controller, struct controller_node *node)
{
    char text[COVEY_ERROR_MESSAGE_BYTES];
    node->drain_at_ns = COVEY_NEVER_NS;
    (void)covey_text_print(text, sizeof text,
                           "node %s is drained (%.*s) and its deadline has passed", node->name,
                           covey_text_fit(node->drain_reason, 200), node->drain_reason);
    log_info("a drain has reached its deadline node=%s", node->name);
    covey_list_for_each_safe (link, after, &node->shares) {
        failure_message failure = COVEY__V1__FAILURE__INIT;
        failure.status = (char *)(uintptr_t) "ENODE";
        failure.message = text;
        failure.node = node->name;
        failure.rank = -1;
        restart_or_cancel(controller, covey_container_of(link, struct share, node_link)->flare,
                          &failure, controller->limits.stop_grace_ns);
    }
}
