/* The pool of hosts and packs that are ready to be used. */
#include "base/log.h"
#include "service/node/node.h"

/* After the last one was taken: not while a flare is being prepared. */
#define REFILL_MS    40

#define DEFERRED_MAX 25

/* A program that fails at once must not be executed for ever in a loop. */
#define REFILL_MAX_MS 5000

static struct covey_list *pool_of(struct node *agent, enum child_role role)
{
    return role == CHILD_HOST ? &agent->warm.hosts : &agent->warm.packs;
}

static uint32_t *count_of(struct node *agent, enum child_role role)
{
    return role == CHILD_HOST ? &agent->warm.host_count : &agent->warm.pack_count;
}

static bool add(struct node *agent, enum child_role role)
{
    struct covey_error error = {0};
    struct node_child *child;
    if (child_spawn(agent, role, &child, &error) != COVEY_OK) {
        log_error("%s", error.message);
        agent->warm.failures++;
        return false;
    }
    covey_list_push_back(pool_of(agent, role), &child->node);
    ++*count_of(agent, role);
    return true;
}

/* A flare on its way in or out would be slowed down by an exec beside it. */
static bool busy(const struct node *agent)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&agent->flares, &cursor, NULL, &value)) {
        const struct node_flare *flare = value;
        if (flare->state != FLARE_RUNNING)
            return true;
        for (uint32_t i = 0; i < flare->worker_count; i++) {
            if (flare->workers[i].started_ns == 0 && !flare->workers[i].ended)
                return true;
        }
    }
    return false;
}

static void on_timer(uv_timer_t *timer)
{
    struct node *agent = timer->data;
    if (agent->stopping)
        return;
    if (agent->warm.deferred < DEFERRED_MAX && busy(agent)) {
        agent->warm.deferred++;
        warm_refill(agent);
        return;
    }
    agent->warm.deferred = 0;
    bool good = true;
    while (good && agent->warm.host_count < agent->options.warm_hosts)
        good = add(agent, CHILD_HOST);
    while (good && agent->warm.pack_count < agent->options.warm_packs)
        good = add(agent, CHILD_PACK);
    if (!good)
        warm_refill(agent);
}

void warm_open(struct node *agent)
{
    covey_list_init(&agent->warm.hosts);
    covey_list_init(&agent->warm.packs);
    (void)uv_timer_init(&agent->loop, &agent->warm.timer);
    agent->warm.timer.data = agent;
}

void warm_refill_now(struct node *agent)
{
    on_timer(&agent->warm.timer);
}

void warm_refill(struct node *agent)
{
    uint64_t wait_ms = REFILL_MS;
    for (uint32_t i = 0; i < agent->warm.failures && wait_ms < REFILL_MAX_MS; i++)
        wait_ms *= 2;
    if (!agent->stopping)
        (void)uv_timer_start(&agent->warm.timer, on_timer, wait_ms, 0);
}

enum covey_status warm_take(struct node *agent, enum child_role role, struct node_child **out,
                            struct covey_error *error)
{
    struct covey_list *pool = pool_of(agent, role);
    struct node_child *found = NULL;
    covey_list_for_each (node, pool) {
        struct node_child *child = covey_container_of(node, struct node_child, node);
        if (!found || (child->state == CHILD_WARM && found->state != CHILD_WARM))
            found = child;
    }
    if (found) {
        covey_list_remove(&found->node);
        --*count_of(agent, role);
    } else {
        log_debug("no warm process is left: one is started role=%s",
                  role == CHILD_HOST ? "host" : "pack");
        enum covey_status status = child_spawn(agent, role, &found, error);
        if (status)
            return status;
    }
    if (found->state == CHILD_WARM)
        found->state = CHILD_USED;
    warm_refill(agent);
    *out = found;
    return COVEY_OK;
}

void warm_lost(struct node_child *child)
{
    struct node *agent = child->agent;
    if (child->node.next != &child->node)
        --*count_of(agent, child->role);
    if (agent->stopping)
        return;
    if (child->wait_known)
        log_warn("a warm process ended by itself role=%s status=%d signal=%d",
                 child->role == CHILD_HOST ? "host" : "pack", child->wait_status >> 8,
                 child->wait_status & 0x7f);
    agent->warm.failures++;
    warm_refill(agent);
}

void warm_close(struct node *agent)
{
    (void)uv_timer_stop(&agent->warm.timer);
    if (!uv_is_closing((uv_handle_t *)&agent->warm.timer))
        uv_close((uv_handle_t *)&agent->warm.timer, NULL);
}
