/* The controller's core: made, turned, destroyed. */
#include "service/controller/controller.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

/* The agent of a pack needs not keep so much of its log any more. */
static void on_log_taken(const char *flare_id, uint32_t pack, uint64_t offset, void *data)
{
    struct controller *controller = data;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__LogTaken taken = COVEY__V1__LOG_TAKEN__INIT;
    const struct flare *flare = flare_find(controller, flare_id);
    if (!flare || pack >= flare->view->n_packs)
        return;
    struct controller_node *node = node_find(controller, flare->view->packs[pack]->node);
    if (!node || !node->link)
        return;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_LOG_TAKEN;
    message.log_taken = &taken;
    taken.flare_id = (char *)(uintptr_t)flare_id;
    taken.pack = pack;
    taken.offset = offset;
    (void)node_send(controller, node, &message);
}

static struct controller *create(struct store *store, const struct controller_options *options)
{
    struct controller *controller = covey_calloc(1, sizeof *controller);
    if (!controller)
        return NULL;
    controller->store = store;
    controller->limits = options->limits;
    controller->clock = options->clock;
    controller->on_news = options->on_news;
    controller->on_accepted = options->on_accepted;
    controller->data = options->data;
    journal_init(controller);
    covey_list_init(&controller->held);
    const struct logs_options logs = {.store = store,
                                      .limit_bytes = options->limits.max_log_bytes,
                                      .on_taken = on_log_taken,
                                      .data = controller};
    controller->logs = logs_create(&logs);
    covey_list_init(&controller->active);
    covey_list_init(&controller->news);
    covey_list_init(&controller->ended);
    controller->retention_ns = now_of(controller);
    if (!controller->logs || sched_create(&controller->sched) != COVEY_OK) {
        controller_destroy(controller);
        return NULL;
    }
    return controller;
}

static enum covey_status set_topology(struct controller *controller,
                                      const struct controller_options *options,
                                      struct covey_error *error)
{
    controller->topology = covey_calloc(options->topology_count + 1, sizeof(char *));
    if (!controller->topology)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the topology");
    for (size_t i = 0; i < options->topology_count; i++) {
        controller->topology[i] = covey_strdup(options->topology[i]);
        if (!controller->topology[i])
            return covey_error_set(error, COVEY_ENOMEM, "no memory for the topology");
        controller->topology_count++;
    }
    enum covey_status status =
        sched_set_topology(controller->sched, (const char *const *)controller->topology,
                           (uint32_t)controller->topology_count);
    if (status)
        return covey_error_set(error, status,
                               "topology names at most %d labels of nodes, from the top down, none "
                               "of them twice",
                               SCHED_LEVELS_MAX);
    return COVEY_OK;
}

enum covey_status controller_create(struct store *store, const struct controller_options *options,
                                    struct controller **controller, struct covey_error *error)
{
    *controller = create(store, options);
    if (!*controller)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the controller");
    struct sched_policy policy = SCHED_POLICY_DEFAULT;
    policy.age_ns = options->limits.age_limit_ns;
    sched_set_policy((*controller)->sched, &policy);
    enum covey_status status = set_topology(*controller, options, error);
    if (!status)
        status = replay_journal(*controller, error);
    if (status) {
        controller_destroy(*controller);
        *controller = NULL;
    }
    return status;
}

static void free_ended(struct controller *controller)
{
    for (struct covey_list *link; (link = covey_list_pop_front(&controller->ended)) != NULL;)
        flare_destroy(covey_container_of(link, struct flare, active_link));
}

void controller_destroy(struct controller *controller)
{
    if (!controller)
        return;
    journal_write(controller);
    journal_clear(controller);
    free_ended(controller);
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->flares, &cursor, NULL, &value))
        flare_destroy(value);
    covey_map_clear(&controller->flares);
    allowance_clear(controller);
    covey_map_clear(&controller->definitions);
    cursor = 0;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &value))
        node_destroy(value);
    covey_map_clear(&controller->nodes);
    sched_destroy(controller->sched);
    logs_destroy(controller->logs);
    history_clear(&controller->history);
    for (size_t i = 0; i < controller->topology_count; i++)
        free(controller->topology[i]);
    free(controller->topology);
    free(controller);
}

const struct controller_limits *controller_limits(const struct controller *controller)
{
    return &controller->limits;
}

struct logs *controller_logs(struct controller *controller)
{
    return controller->logs;
}

void controller_drain(struct controller *controller)
{
    controller->draining = true;
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &value)) {
        struct controller_node *node = value;
        struct controller_link *link = node->link;
        if (!link)
            continue;
        node_lose(controller, node, "the controller is being stopped");
        link->close(link, COVEY_EUNAVAILABLE, "the controller is being stopped: register again");
    }
}

void controller_write(struct controller *controller)
{
    if (journal_deadline_ns(controller) <= now_of(controller))
        journal_write(controller);
    submit_refuse(controller);
    if (!journal_is_written(controller))
        return;
    gang_release(controller);
    size_t cursor = 0;
    void *node;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &node))
        node_acknowledge(controller, node);
}

void controller_turn(struct controller *controller)
{
    tick_run(controller);
    if (controller->place)
        gang_place(controller);
    ending_tell_peers(controller);
    controller_write(controller);
    free_ended(controller);
}

int64_t controller_deadline_ns(const struct controller *controller)
{
    return tick_deadline_ns(controller);
}
