/*
 * After a restart: hosts and packs of the agent before this one still run, and listen in the
 * runtime folder. Each says what it is; what belongs together is a flare again. The controller is
 * not told before all have spoken.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/node/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELLO_TIMEOUT_MS 5000
#define SWEEP_MS         5
#define SWEEP_NS         (10 * COVEY_NS_PER_S)

static bool has_pack(const struct node_flare *flare, uint32_t pack_id)
{
    covey_list_for_each (node, &flare->packs) {
        if (covey_container_of(node, struct node_child, node)->pack_id == pack_id)
            return true;
    }
    return false;
}

/* What is missing was lost while nobody watched. */
static void settle(struct node_flare *flare)
{
    static const char how[] = "is gone since before its node's agent was restarted";
    const Covey__V1__LocalFlare *text = flare->text;
    bool whole = flare->host != NULL;
    for (size_t i = 0; i < text->n_packs; i++)
        whole = whole && (text->packs[i]->node_index != text->node_index ||
                          has_pack(flare, text->packs[i]->id));
    if (!whole && !flare->started) {
        flare->state = FLARE_HOST;
        flare_withdraw(flare, "EUNAVAILABLE", "the node's agent was restarted while it prepared",
                       -1);
        return;
    }
    log_info("a flare goes on flare=%s workers=%u", text->flare_id, flare->worker_count);
    if (!flare->host)
        flare_host_lost(flare, how);
    for (size_t i = 0; i < text->n_packs; i++) {
        if (text->packs[i]->node_index == text->node_index && !has_pack(flare, text->packs[i]->id))
            flare_pack_lost(flare, text->packs[i]->id, how, false);
    }
}

static bool has_cgroup(const char *group, void *data)
{
    const struct node *agent = data;
    covey_list_for_each (node, &agent->children) {
        if (strcmp(covey_container_of(node, struct node_child, all)->cgroup, group) == 0)
            return true;
    }
    return false;
}

static void on_sweep_timer(uv_timer_t *timer);

/* Packs that died while nobody watched have left their cgroups, with what they had forked in them.
 * New packs are not made before these are gone. */
static void sweep(struct node *agent)
{
    bool gone = cgroups_sweep(&agent->cgroups, has_cgroup, agent);
    if (!gone && covey_now_ns() < agent->sweep_by_ns) {
        (void)uv_timer_start(&agent->adopt_timer, on_sweep_timer, SWEEP_MS, 0);
        return;
    }
    if (!gone)
        log_error("what an earlier agent has left in cgroups does not end");
    node_adopted(agent);
}

static void on_sweep_timer(uv_timer_t *timer)
{
    sweep(timer->data);
}

static void finish(struct node *agent)
{
    struct node_flare *settled = NULL;
    agent->adopted = true;
    (void)uv_timer_stop(&agent->adopt_timer);
    agent->sweep_by_ns = covey_now_ns() + SWEEP_NS;
    /* settle() may take a flare off the map, so the walk starts anew after each. */
    do {
        size_t cursor = 0;
        void *value;
        settled = NULL;
        while (!settled && covey_map_next(&agent->flares, &cursor, NULL, &value)) {
            struct node_flare *flare = value;
            if (!flare->settled && flare->state < FLARE_STOPPING)
                settled = flare;
        }
        if (settled) {
            settled->settled = true;
            settle(settled);
        }
    } while (settled);
    sweep(agent);
}

static void said(struct node *agent)
{
    if (--agent->adopting == 0 && !agent->adopted)
        finish(agent);
}

static struct node_flare *flare_from_text(struct node *agent, int take_fd)
{
    struct covey_error error = {0};
    Covey__V1__LocalFlare *text;
    if (local_flare_read(take_fd, &text, &error) != COVEY_OK) {
        log_error("what runs here cannot be read: %s", error.message);
        covey_close(&take_fd);
        return NULL;
    }
    struct node_flare *flare = covey_map_get(&agent->flares, text->flare_id);
    if (flare) {
        covey_close(&take_fd);
        local_flare_free(text);
        return flare;
    }
    flare = flare_new(agent);
    if (!flare) {
        covey_close(&take_fd);
        local_flare_free(text);
        return NULL;
    }
    flare->text = text;
    flare->text_fd = take_fd;
    flare->state = FLARE_READY;
    flare->prepared = true;
    if (flare_make_workers(flare) == COVEY_OK &&
        covey_map_set(&agent->flares, text->flare_id, flare) == COVEY_OK)
        return flare;
    flare_forget(flare);
    return NULL;
}

static bool take_host(struct node_flare *flare, struct node_child *child,
                      const Covey__V1__LocalHello *hello)
{
    if (flare->host || strlen(hello->host_address) >= sizeof(flare->host_address) ||
        strlen(hello->transport) >= sizeof(flare->transport))
        return false;
    flare->host = child;
    (void)snprintf(flare->host_address, sizeof(flare->host_address), "%s", hello->host_address);
    (void)snprintf(flare->transport, sizeof(flare->transport), "%s", hello->transport);
    flare->started = flare->started || hello->started;
    flare->host_done = hello->done;
    return true;
}

static bool take_pack(struct node_flare *flare, struct node_child *child,
                      const Covey__V1__LocalHello *hello)
{
    const Covey__V1__LocalPack *pack = local_flare_pack(flare->text, hello->pack_id);
    if (!pack || pack->node_index != flare->text->node_index || has_pack(flare, hello->pack_id) ||
        hello->n_pids != pack->workers || hello->n_started_ns != pack->workers)
        return false;
    child->pack_id = pack->id;
    child->first_rank = pack->first_rank;
    child->workers = pack->workers;
    child->ready = true;
    covey_list_push_back(&flare->packs, &child->node);
    for (uint32_t i = 0; i < pack->workers; i++) {
        struct node_worker *worker = flare_worker(flare, pack->first_rank + i);
        worker->pid = hello->pids[i];
        worker->started_ns = hello->started_ns[i] > 0 ? hello->started_ns[i] : 0;
        if (worker->started_ns == 0)
            continue;
        worker->state = COVEY__V1__WORKER_STATE__WORKER_STATE_RUNNING;
        flare->started = true;
    }
    return true;
}

static bool adopt(struct node_child *child, struct local_record *record)
{
    const Covey__V1__LocalHello *hello = record->message->hello;
    int text_fd = local_take_fd(record, 0);
    if (strcmp(hello->version, COVEY_VERSION) != 0 || text_fd < 0) {
        covey_close(&text_fd);
        return false;
    }
    struct node_flare *flare = flare_from_text(child->agent, text_fd);
    if (!flare || flare->settled || strcmp(flare->text->flare_id, hello->flare_id) != 0)
        return false;
    bool taken =
        child->role == CHILD_HOST ? take_host(flare, child, hello) : take_pack(flare, child, hello);
    if (!taken)
        return false;
    child->flare = flare;
    child->state = CHILD_USED;
    flare->children++;
    if (flare->started)
        flare->state = FLARE_RUNNING;
    return true;
}

void adopt_hello(struct node_child *child, struct local_record *record)
{
    struct node *agent = child->agent;
    if (record && child->state != CHILD_STARTING)
        return;
    if (record && !adopt(child, record)) {
        log_warn("a process of an earlier agent is of no use: ended socket=%s", child->socket_name);
        child->state = CHILD_USED;
        child_kill(child);
    }
    said(agent);
}

static void on_timeout(uv_timer_t *timer)
{
    struct node *agent = timer->data;
    if (agent->adopted)
        return;
    covey_list_for_each (node, &agent->children) {
        struct node_child *child = covey_container_of(node, struct node_child, all);
        if (!child->ours && child->state == CHILD_STARTING) {
            log_warn("a process of an earlier agent says nothing: ended socket=%s",
                     child->socket_name);
            child_kill(child);
        }
    }
    /* Their ends finish the adoption. */
}

static bool is_used_socket(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot && strncmp(name, "warm-", 5) != 0 &&
           (strcmp(dot, ".host") == 0 || strncmp(dot, ".pack-", 6) == 0);
}

static bool is_warm_socket(const char *name)
{
    return strncmp(name, "warm-", 5) == 0;
}

void adopt_start(struct node *agent)
{
    (void)uv_timer_init(&agent->loop, &agent->adopt_timer);
    agent->adopt_timer.data = agent;
    int copy = openat(agent->runtime_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = copy >= 0 ? fdopendir(copy) : NULL;
    /* One more than there are, so that none of them finishes before all are counted. */
    agent->adopting = 1;
    for (struct dirent *entry = names ? readdir(names) : NULL; entry; entry = readdir(names)) {
        struct node_child *child;
        /* A warm one ends by itself when its agent is gone. */
        if (is_warm_socket(entry->d_name)) {
            (void)unlinkat(agent->runtime_fd, entry->d_name, 0);
            continue;
        }
        if (!is_used_socket(entry->d_name) || strlen(entry->d_name) >= sizeof(child->socket_name))
            continue;
        enum covey_status status = child_connect(agent, entry->d_name, &child);
        if (status == COVEY_OK)
            agent->adopting++;
        else
            (void)unlinkat(agent->runtime_fd, entry->d_name, 0);
    }
    if (names)
        closedir(names);
    (void)uv_timer_start(&agent->adopt_timer, on_timeout, HELLO_TIMEOUT_MS, 0);
    said(agent);
}
