/* Nodes come and go. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES  253
#define SLOTS_MAX       (1U << 20)
#define LABELS_MAX      64
#define LABEL_MAX_BYTES 63
#define LESS_MAX_BYTES  1023

static bool is_label(const char *key, const char *value)
{
    return *key && strlen(key) <= LABEL_MAX_BYTES && strlen(value) <= LABEL_MAX_BYTES;
}

static enum covey_status check_capacity(const Covey__V1__Register *registration,
                                        struct covey_error *error)
{
    const Covey__V1__Capacity *capacity = registration->capacity;
    if (capacity->n_labels > LABELS_MAX || capacity->n_taints > LABELS_MAX)
        return covey_error_set(error, COVEY_EINVAL, "node %s has more than %d labels or taints",
                               registration->name, LABELS_MAX);
    for (size_t i = 0; i < capacity->n_labels; i++)
        if (!is_label(capacity->labels[i]->key, capacity->labels[i]->value))
            return covey_error_set(error, COVEY_EINVAL, "node %s: '%.*s' is no label",
                                   registration->name, covey_text_fit(capacity->labels[i]->key, 64),
                                   capacity->labels[i]->key);
    for (size_t i = 0; i < capacity->n_taints; i++)
        if (!is_label(capacity->taints[i]->key, capacity->taints[i]->value))
            return covey_error_set(error, COVEY_EINVAL, "node %s: '%.*s' is no taint",
                                   registration->name, covey_text_fit(capacity->taints[i]->key, 64),
                                   capacity->taints[i]->key);
    if (capacity->n_cpus > SCHED_CPUS_MAX || capacity->n_numa_of_cpu > capacity->n_cpus)
        return covey_error_set(error, COVEY_EINVAL, "node %s has more than %d cpus",
                               registration->name, SCHED_CPUS_MAX);
    if (strlen(capacity->less) > LESS_MAX_BYTES)
        return covey_error_set(error, COVEY_EINVAL,
                               "node %s: why it has less than its machine takes more than %d bytes",
                               registration->name, LESS_MAX_BYTES);
    if (strlen(capacity->machine) > NAME_MAX_BYTES)
        return covey_error_set(error, COVEY_EINVAL,
                               "node %s: the name of its machine has more than %d bytes",
                               registration->name, NAME_MAX_BYTES);
    for (size_t i = 0; i < capacity->n_cpus; i++)
        if (capacity->cpus[i] >= SCHED_CPUS_MAX ||
            (i < capacity->n_numa_of_cpu && capacity->numa_of_cpu[i] >= SCHED_NUMA_MAX))
            return covey_error_set(error, COVEY_EINVAL,
                                   "node %s: the number of cpu %u or of its NUMA node is too large",
                                   registration->name, capacity->cpus[i]);
    return COVEY_OK;
}

static enum covey_status check_registration(const Covey__V1__Register *registration,
                                            struct covey_error *error)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(registration->name);
    if (length == 0 || length > NAME_MAX_BYTES || strspn(registration->name, allowed) != length)
        return covey_error_set(error, COVEY_EINVAL,
                               "'%.*s' is no node's name: use 1 to %d letters, digits, '.', '_' "
                               "and '-'",
                               covey_text_fit(registration->name, 64), registration->name,
                               NAME_MAX_BYTES);
    if (!*registration->identity || strlen(registration->identity) > 1024)
        return covey_error_set(error, COVEY_EINVAL, "node %s does not say its identity",
                               registration->name);
    if (strcmp(registration->version, COVEY_VERSION) != 0)
        return covey_error_set(
            error, COVEY_EVERSION,
            "node %s has version '%.*s', the controller " COVEY_VERSION ": install the same",
            registration->name, covey_text_fit(registration->version, 32), registration->version);
    if (!registration->capacity || registration->capacity->slots == 0 ||
        registration->capacity->slots > SLOTS_MAX)
        return covey_error_set(error, COVEY_EINVAL, "node %s must have from 1 to %u slots",
                               registration->name, SLOTS_MAX);
    return check_capacity(registration, error);
}

/* The same machine and state folder, or one whose predecessor is gone. */
static enum covey_status check_identity(const struct controller_node *node,
                                        const Covey__V1__Register *registration,
                                        struct covey_error *error)
{
    if (!*node->identity || node->state == NODE_DOWN ||
        strcmp(node->identity, registration->identity) == 0)
        return COVEY_OK;
    return covey_error_set(error, COVEY_EEXISTS,
                           "a node named %s is there already, on another machine or with another "
                           "state folder: choose another name%s",
                           node->name,
                           node->state == NODE_LOST ? ", or wait until it is down" : "");
}

static enum covey_status take_facts(struct controller *controller, struct controller_node *node,
                                    const Covey__V1__Register *registration)
{
    Covey__V1__Capacity *capacity = message_copy(&registration->capacity->base);
    if (!capacity || !message_set_string(&node->identity, registration->identity) ||
        !message_set_string(&node->data_address, registration->data_address) ||
        !message_set_string(&node->version, registration->version)) {
        message_free(capacity);
        return COVEY_ENOMEM;
    }
    message_free(node->capacity);
    node->capacity = capacity;
    node->epoch++;
    node->sequence = 0;
    node->acknowledged = 0;
    node->heard_ns = now_of(controller);
    node->suspect_until_ns = 0;
    node->seen_wall_ns = wall_of(controller);
    return COVEY_OK;
}

static enum covey_status answer(struct controller *controller, struct controller_node *node,
                                char **unknown, size_t unknown_count)
{
    Google__Protobuf__Duration interval = message_duration(controller->limits.heartbeat_ns);
    Covey__V1__Registered registered = COVEY__V1__REGISTERED__INIT;
    registered.epoch = node->epoch;
    registered.heartbeat_interval = &interval;
    registered.n_unknown_flare_ids = unknown_count;
    registered.unknown_flare_ids = unknown;
    registered.max_message_bytes = controller->limits.max_message_bytes;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_REGISTERED;
    message.registered = &registered;
    return node_send(controller, node, &message);
}

/* Registers a node whose claim to its name was checked. */
static enum covey_status admit(struct controller *controller, struct controller_node *node,
                               struct controller_link *link,
                               const Covey__V1__Register *registration, struct covey_error *error)
{
    char **unknown = covey_calloc(registration->n_flares + 1, sizeof *unknown);
    size_t unknown_count = 0;
    enum covey_status status = unknown ? take_facts(controller, node, registration) : COVEY_ENOMEM;
    if (status) {
        (void)covey_error_set(error, status, "no memory for node %s", node->name);
        goto free_unknown;
    }
    enum node_event event =
        *node->drain_reason ? NODE_EVENT_REGISTERED_DRAINED : NODE_EVENT_REGISTERED;
    status = node_update_sched(controller, node, error);
    if (!status)
        status = node_transition(controller, node, event, error);
    /* Where there is no room to write it down the node is there all the same, and comes again. */
    if (status == COVEY_ENOSPACE && node->down_at_ns != COVEY_NEVER_NS)
        node->down_at_ns = covey_deadline_ns(now_of(controller), controller->limits.node_grace_ns);
    if (status)
        goto free_unknown;
    /* A grace that runs goes on until the node has stayed: one that comes and goes is not back. */
    node->settled_at_ns = covey_deadline_ns(now_of(controller), tick_silence_ns(controller));
    node->forget_at_ns = COVEY_NEVER_NS;
    status = node_reconcile(controller, node, registration, unknown, &unknown_count);
    node->link = link;
    if (!status)
        status = answer(controller, node, unknown, unknown_count);
    if (status) {
        (void)covey_error_set(error, status, "node %s cannot register: %s", node->name,
                              covey_status_text(status));
        node_lose(controller, node, "its registration failed");
    } else {
        node_resume(controller, node);
    }
free_unknown:
    free(unknown);
    return status;
}

enum covey_status controller_attach(struct controller *controller, struct controller_link *link,
                                    const Covey__V1__Register *registration,
                                    struct controller_node **node, struct covey_error *error)
{
    *node = NULL;
    enum covey_status status = check_registration(registration, error);
    if (status)
        return status;
    struct controller_node *known = node_find(controller, registration->name);
    bool is_new = known == NULL;
    if (!known)
        known = node_create(controller, registration->name);
    if (!known)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a node");
    status = check_identity(known, registration, error);
    if (!status && known->link) {
        struct controller_link *old = known->link;
        node_lose(controller, known, "its agent registered again");
        old->close(old, COVEY_EPRECONDITION, "a newer registration of this node has come");
    }
    if (!status)
        status = admit(controller, known, link, registration, error);
    if (!status) {
        *node = known;
    } else if (is_new && known->state == NODE_NONE) {
        (void)covey_map_remove(&controller->nodes, known->name);
        if (known->in_sched && sched_node_remove(controller->sched, known->sched_id) != COVEY_OK)
            log_error("the scheduler cannot forget a node node=%s", known->name);
        node_destroy(known);
    }
    return status;
}

void controller_detach(struct controller *controller, struct controller_node *node, const char *why)
{
    node_lose(controller, node, why);
}

/* ---- for operators ---- */

static bool list_flares(const struct controller_node *node, Covey__V1__NodeInfo *info)
{
    size_t count = 0;
    covey_list_for_each (link, &node->shares)
        count++;
    info->flare_ids = covey_calloc(count + 1, sizeof(char *));
    if (!info->flare_ids)
        return false;
    covey_list_for_each (link, &node->shares) {
        const struct share *share = covey_container_of(link, struct share, node_link);
        char *id = covey_strdup(share->flare->id);
        if (!id)
            return false;
        info->flare_ids[info->n_flare_ids++] = id;
    }
    return true;
}

static bool show_resources(const struct controller *controller, const struct controller_node *node,
                           const struct sched_vector *claimed, Covey__V1__NodeInfo *info)
{
    size_t count = node->capacity->n_resources;
    info->resources_used =
        covey_calloc(count + 1, sizeof(Covey__V1__NodeInfo__ResourcesUsedEntry *));
    for (size_t i = 0; info->resources_used && i < count; i++) {
        const char *name = node->capacity->resources[i]->key;
        enum sched_dimension dimension;
        Covey__V1__NodeInfo__ResourcesUsedEntry *entry =
            message_new(&covey__v1__node_info__resources_used_entry__descriptor);
        if (!entry)
            return false;
        info->resources_used[info->n_resources_used++] = entry;
        if (placing_dimension(controller->sched, name, &dimension))
            entry->value = claimed->amount[dimension];
        if (!message_set_string(&entry->key, name))
            return false;
    }
    return info->resources_used != NULL;
}

static bool show_node(const struct controller *controller, const struct controller_node *node,
                      Covey__V1__NodeInfo *info)
{
    info->state = (Covey__V1__NodeState)node->state;
    info->epoch = node->epoch;
    info->capacity = message_copy(&node->capacity->base);
    struct sched_node_info claims;
    if (node->in_sched && sched_node_get(controller->sched, node->sched_id, &claims) == COVEY_OK) {
        info->slots_used = (uint32_t)claims.claimed.amount[SCHED_SLOTS];
        info->memory_used_bytes = claims.claimed.amount[SCHED_MEMORY_BYTES];
        info->milli_cpus_used = (uint32_t)claims.claimed.amount[SCHED_MILLI_CPUS];
        info->gpus_used = (uint32_t)claims.claimed.amount[SCHED_GPUS];
        info->machine_nodes = claims.machine_nodes;
        info->machine_memory_bytes = claims.machine.amount[SCHED_MEMORY_BYTES];
        info->machine_memory_used_bytes = claims.machine_claimed.amount[SCHED_MEMORY_BYTES];
        info->machine_milli_cpus = (uint32_t)claims.machine.amount[SCHED_MILLI_CPUS];
        info->machine_milli_cpus_used = (uint32_t)claims.machine_claimed.amount[SCHED_MILLI_CPUS];
        if (!show_resources(controller, node, &claims.claimed, info))
            return false;
    }
    return info->capacity && message_set_string(&info->name, node->name) &&
           message_set_string(&info->data_address, node->data_address) &&
           message_set_string(&info->drain_reason, node->drain_reason) &&
           message_set_string(&info->version, node->version) &&
           (node->drain_until_wall_ns == 0 ||
            message_set_time(&info->drain_until, node->drain_until_wall_ns)) &&
           message_set_time(&info->last_seen_at, node->seen_wall_ns) && list_flares(node, info);
}

Covey__V1__NodeInfo *controller_node_info(struct controller *controller, const char *name)
{
    const struct controller_node *node = node_find(controller, name);
    Covey__V1__NodeInfo *info = node ? message_new(&covey__v1__node_info__descriptor) : NULL;
    if (info && !show_node(controller, node, info)) {
        message_free(info);
        return NULL;
    }
    return info;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(Covey__V1__NodeInfo *const *)a)->name,
                  (*(Covey__V1__NodeInfo *const *)b)->name);
}

enum covey_status controller_nodes(struct controller *controller, Covey__V1__NodeInfo ***nodes,
                                   size_t *count)
{
    *count = 0;
    *nodes = covey_calloc(controller->nodes.count + 1, sizeof(Covey__V1__NodeInfo *));
    if (!*nodes)
        return COVEY_ENOMEM;
    size_t cursor = 0;
    const char *name;
    void *value;
    while (covey_map_next(&controller->nodes, &cursor, &name, &value)) {
        Covey__V1__NodeInfo *info = controller_node_info(controller, name);
        if (!info) {
            while (*count > 0)
                message_free((*nodes)[--*count]);
            free(*nodes);
            *nodes = NULL;
            return COVEY_ENOMEM;
        }
        (*nodes)[(*count)++] = info;
    }
    qsort(*nodes, *count, sizeof(Covey__V1__NodeInfo *), compare_names);
    return COVEY_OK;
}
