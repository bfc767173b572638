/* A node: its facts, its transitions, and what is sent to it. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct controller_node *node_find(const struct controller *controller, const char *name)
{
    return covey_map_get(&controller->nodes, name);
}

void node_destroy(struct controller_node *node)
{
    if (!node)
        return;
    message_free(node->capacity);
    free(node->name);
    free(node->identity);
    free(node->drain_reason);
    free(node->data_address);
    free(node->version);
    free(node);
}

struct controller_node *node_create(struct controller *controller, const char *name)
{
    struct controller_node *node = covey_calloc(1, sizeof *node);
    if (!node)
        return NULL;
    covey_list_init(&node->shares);
    node->drain_at_ns = COVEY_NEVER_NS;
    node->down_at_ns = COVEY_NEVER_NS;
    node->settled_at_ns = COVEY_NEVER_NS;
    node->forget_at_ns = COVEY_NEVER_NS;
    node->name = covey_strdup(name);
    node->identity = covey_strdup("");
    node->drain_reason = covey_strdup("");
    node->data_address = covey_strdup("");
    node->version = covey_strdup("");
    node->capacity = message_new(&covey__v1__capacity__descriptor);
    if (!node->name || !node->identity || !node->drain_reason || !node->data_address ||
        !node->version || !node->capacity ||
        covey_map_set(&controller->nodes, name, node) != COVEY_OK) {
        node_destroy(node);
        return NULL;
    }
    return node;
}

static enum covey_status journal_node(struct controller *controller, struct controller_node *node,
                                      enum node_event event, struct covey_error *error)
{
    struct store_node row = {.name = node->name,
                             .identity = node->identity,
                             .epoch = node->epoch,
                             .drain_reason = node->drain_reason,
                             .capacity = message_pack(&node->capacity->base),
                             .data_address = node->data_address,
                             .version = node->version,
                             .seen_ns = node->seen_wall_ns,
                             .drain_until_ns = node->drain_until_wall_ns};
    enum covey_status status = row.capacity.data
                                   ? store_node_set(controller->store, &row, node_event_name(event),
                                                    wall_of(controller), error)
                                   : covey_error_set(error, COVEY_ENOMEM, "no memory for a node");
    free((void *)(uintptr_t)row.capacity.data);
    return status;
}

static enum covey_status set_sched_state(struct controller *controller,
                                         struct controller_node *node)
{
    static const enum sched_node_state states[] = {[NODE_NONE] = SCHED_NODE_DOWN,
                                                   [NODE_UP] = SCHED_NODE_UP,
                                                   [NODE_DRAINING] = SCHED_NODE_DRAINING,
                                                   [NODE_LOST] = SCHED_NODE_DOWN,
                                                   [NODE_DOWN] = SCHED_NODE_DOWN};
    controller->place = true;
    return node->in_sched
               ? sched_node_set_state(controller->sched, node->sched_id, states[node->state])
               : COVEY_OK;
}

/* What an agent says of its machine, as the scheduler takes it; the arrays are the caller's to
 * free, also after a failure. */
struct facts {
    struct sched_node_facts sched;
    struct sched_label *labels;
    struct sched_label *taints;
    uint16_t *cpus;
    uint8_t *numa;
};

static enum covey_status take_resources(struct controller *controller,
                                        const struct controller_node *node,
                                        struct sched_vector *amounts, struct covey_error *error)
{
    const Covey__V1__Capacity *capacity = node->capacity;
    amounts->amount[SCHED_SLOTS] = capacity->slots;
    amounts->amount[SCHED_MEMORY_BYTES] = capacity->memory_bytes;
    uint64_t milli_cpus =
        1000 * (uint64_t)(capacity->n_cpus ? capacity->n_cpus : capacity->processing_units);
    bool is_less = capacity->milli_cpus > 0 && capacity->milli_cpus < milli_cpus;
    amounts->amount[SCHED_MILLI_CPUS] = is_less ? capacity->milli_cpus : milli_cpus;
    amounts->amount[SCHED_GPUS] = capacity->gpus;
    for (size_t i = 0; i < capacity->n_resources; i++) {
        enum sched_dimension dimension;
        const char *name = capacity->resources[i]->key;
        enum covey_status status = sched_resource(controller->sched, name, &dimension);
        if (status == COVEY_ELIMIT)
            return covey_error_set(error, COVEY_EINVAL,
                                   "node %s has the resource '%.*s': the nodes of a cluster name "
                                   "at most %d",
                                   node->name, covey_text_fit(name, 64), name,
                                   SCHED_DIMENSIONS - SCHED_NAMED);
        if (status)
            return covey_error_set(error, status, "node %s: '%.*s' is no name of a resource",
                                   node->name, covey_text_fit(name, 64), name);
        amounts->amount[dimension] = capacity->resources[i]->value;
    }
    return COVEY_OK;
}

static enum covey_status take_facts(struct controller *controller,
                                    const struct controller_node *node, struct facts *facts,
                                    struct covey_error *error)
{
    const Covey__V1__Capacity *capacity = node->capacity;
    size_t count = capacity->n_cpus;
    *facts = (struct facts){.labels = covey_calloc(capacity->n_labels + 1, sizeof *facts->labels),
                            .taints = covey_calloc(capacity->n_taints + 1, sizeof *facts->taints),
                            .cpus = covey_calloc(count + 1, sizeof *facts->cpus),
                            .numa = covey_calloc(count + 1, sizeof *facts->numa)};
    if (!facts->labels || !facts->taints || !facts->cpus || !facts->numa)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for node %s", node->name);
    for (size_t i = 0; i < capacity->n_labels; i++)
        facts->labels[i] =
            (struct sched_label){capacity->labels[i]->key, capacity->labels[i]->value};
    for (size_t i = 0; i < capacity->n_taints; i++)
        facts->taints[i] =
            (struct sched_label){capacity->taints[i]->key, capacity->taints[i]->value};
    for (size_t i = 0; i < count; i++) {
        facts->cpus[i] = (uint16_t)capacity->cpus[i];
        facts->numa[i] = (uint8_t)(i < capacity->n_numa_of_cpu ? capacity->numa_of_cpu[i] : 0);
    }
    facts->sched =
        (struct sched_node_facts){.name = node->name,
                                  .epoch = node->epoch,
                                  .labels = facts->labels,
                                  .label_count = (uint32_t)capacity->n_labels,
                                  .taints = facts->taints,
                                  .taint_count = (uint32_t)capacity->n_taints,
                                  .cpus = facts->cpus,
                                  .numa_of_cpu = facts->numa,
                                  .cpu_count = (uint32_t)count,
                                  .machine = *capacity->machine ? capacity->machine : NULL,
                                  .machine_memory_bytes = capacity->machine_memory_bytes};
    return take_resources(controller, node, &facts->sched.capacity, error);
}

enum covey_status node_update_sched(struct controller *controller, struct controller_node *node,
                                    struct covey_error *error)
{
    struct facts facts;
    enum covey_status status = take_facts(controller, node, &facts, error);
    if (!status)
        status = sched_node_set(controller->sched, &facts.sched, &node->sched_id, error);
    free(facts.labels);
    free(facts.taints);
    free(facts.cpus);
    free(facts.numa);
    if (status)
        return status;
    node->in_sched = true;
    return set_sched_state(controller, node);
}

enum covey_status node_transition(struct controller *controller, struct controller_node *node,
                                  enum node_event event, struct covey_error *error)
{
    struct state_rule rule = node_rule(node->state, event);
    if (rule.kind == STATE_IGNORE)
        return COVEY_OK;
    if (rule.kind == STATE_BUG) {
        log_error("a node's event cannot happen in its state node=%s state=%s event=%s", node->name,
                  node_state_name(node->state), node_event_name(event));
        assert(!"event in a state where it cannot happen");
        return covey_error_set(error, COVEY_EINTERNAL, "%s in state %s", node_event_name(event),
                               node_state_name(node->state));
    }
    struct covey_error why = {0};
    enum covey_status status = journal_node(controller, node, event, &why);
    bool may_fail = event != NODE_EVENT_LOST && event != NODE_EVENT_EXPIRED;
    if (status)
        log_error("%s node=%s", why.message, node->name);
    if (status && may_fail) {
        if (error)
            *error = why;
        return status;
    }
    enum node_state from = node->state;
    if (rule.kind == STATE_MOVE)
        node->state = (enum node_state)rule.next;
    log_info("node %s from=%s event=%s to=%s epoch=%llu", node->name, node_state_name(from),
             node_event_name(event), node_state_name(node->state), (unsigned long long)node->epoch);
    return set_sched_state(controller, node);
}

enum covey_status node_send(struct controller *controller, struct controller_node *node,
                            const Covey__V1__AttachResponse *message)
{
    (void)controller;
    if (!node->link || node->broken)
        return COVEY_EUNAVAILABLE;
    enum covey_status status = node->link->send(node->link, message);
    if (status && status != COVEY_ELIMIT && status != COVEY_ENOMEM)
        node->broken = true;
    return status;
}

void node_acknowledge(struct controller *controller, struct controller_node *node)
{
    if (node->acknowledged == node->sequence || !journal_is_written(controller))
        return;
    Covey__V1__Acknowledge acknowledge = COVEY__V1__ACKNOWLEDGE__INIT;
    acknowledge.sequence = node->sequence;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_ACKNOWLEDGE;
    message.acknowledge = &acknowledge;
    if (node_send(controller, node, &message) == COVEY_OK)
        node->acknowledged = node->sequence;
}

static failure_message failure_of(const struct controller_node *node, char *message)
{
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t) "ENODE";
    failure.message = message;
    failure.node = node->name;
    failure.rank = -1;
    return failure;
}

void node_lose(struct controller *controller, struct controller_node *node, const char *why)
{
    node->link = NULL;
    node->broken = false;
    node->settled_at_ns = COVEY_NEVER_NS;
    if (node->down_at_ns == COVEY_NEVER_NS)
        node->down_at_ns = covey_deadline_ns(now_of(controller), controller->limits.node_grace_ns);
    log_warn("a node is lost: %s node=%s", why, node->name);
    if (node_transition(controller, node, NODE_EVENT_LOST, NULL) != COVEY_OK)
        log_error("a node is lost and the scheduler does not know node=%s", node->name);
    char message[512];
    (void)covey_text_print(message, sizeof message, "node %s was lost: %s", node->name, why);
    const failure_message failure = failure_of(node, message);
    covey_list_for_each_safe (link, after, &node->shares) {
        struct share *share = covey_container_of(link, struct share, node_link);
        struct flare *flare = share->flare;
        if (flare->state == FLARE_PREPARING)
            gang_roll_back(controller, flare, &failure, false);
        else
            (void)flare_must(controller, flare, FLARE_EVENT_NODE_LOST, NULL, message);
        /* Its workers' peers may have been told, and failed, first. */
        if (flare->state == FLARE_ENDING)
            (void)restart_begin(controller, flare, &failure);
    }
}

void node_break(struct controller *controller, struct controller_node *node, const char *why)
{
    struct controller_link *link = node->link;
    node_lose(controller, node, why);
    link->close(link, COVEY_EUNAVAILABLE, "the controller lost the node: register again");
}

void node_expire(struct controller *controller, struct controller_node *node)
{
    node->down_at_ns = COVEY_NEVER_NS;
    node->forget_at_ns = covey_deadline_ns(now_of(controller), controller->limits.keep_nodes_ns);
    if (node_transition(controller, node, NODE_EVENT_EXPIRED, NULL) != COVEY_OK)
        log_error("a node is down and the scheduler does not know node=%s", node->name);
    char message[512];
    (void)covey_text_print(message, sizeof message,
                           "node %s is gone: it did not come back within %lld ms", node->name,
                           (long long)(controller->limits.node_grace_ns / COVEY_NS_PER_MS));
    const failure_message failure = failure_of(node, message);
    char flare[SCHED_ID_BYTES];
    while (node->in_sched && sched_node_lose(controller->sched, node->sched_id, flare))
        log_debug("claim freed node=%s flare=%s", node->name, flare);
    covey_list_for_each_safe (link, after, &node->shares) {
        struct share *share = covey_container_of(link, struct share, node_link);
        /* Gone before its outcome, so that nothing waits for it. */
        enum share_state was = share->state;
        share->state = SHARE_GONE;
        if (share->flare->state >= FLARE_RUNNING && was != SHARE_GONE)
            restart_or_fail(controller, share->flare, &failure, share);
        ending_share_gone(controller, share);
    }
}

void node_forget(struct controller *controller, struct controller_node *node)
{
    struct covey_error error = {0};
    enum covey_status status = store_node_remove(controller->store, node->name, &error);
    if (!status && node->in_sched)
        status = sched_node_remove(controller->sched, node->sched_id);
    if (status) {
        log_error("a node cannot be forgotten: %s node=%s",
                  error.status ? error.message : covey_status_text(status), node->name);
        node->forget_at_ns =
            covey_deadline_ns(now_of(controller), controller->limits.keep_nodes_ns);
        return;
    }
    log_info("a node that was down is forgotten node=%s", node->name);
    (void)covey_map_remove(&controller->nodes, node->name);
    node_destroy(node);
}
