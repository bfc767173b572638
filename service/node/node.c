/* The agent's own life: start, shutdown, and what is everybody's. */
#include "service/node/node.h"
#include "service/node/orphans.h"

#include "base/error.h"
#include "base/folder_lock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* How long a shutdown waits for workers that handle SIGTERM, and then for the controller. */
#define SHUTDOWN_GRACE_NS (500 * COVEY_NS_PER_MS)
#define SHUTDOWN_MS       2500

int64_t node_duration_ns(const Google__Protobuf__Duration *duration, int64_t otherwise_ns)
{
    if (!duration || duration->seconds < 0 || duration->seconds > 1000000000)
        return otherwise_ns;
    return duration->seconds * COVEY_NS_PER_S + duration->nanos;
}

bool node_timestamp(int64_t wall_ns, Google__Protobuf__Timestamp *timestamp)
{
    google__protobuf__timestamp__init(timestamp);
    if (wall_ns <= 0)
        return false;
    timestamp->seconds = wall_ns / COVEY_NS_PER_S;
    timestamp->nanos = (int32_t)(wall_ns % COVEY_NS_PER_S);
    return true;
}

static enum covey_status take_lock(struct node *agent, struct covey_error *error)
{
    const char *folder = agent->options.state_dir;
    enum covey_status status = covey_folder_lock(folder, &agent->lock_fd, error);
    if (status != COVEY_EEXISTS)
        return status;
    return covey_error_set(error, status, "another covey-node uses the state folder %s", folder);
}

/* What is damaged is made anew: nothing can be here that it would name. */
static bool is_identity(const struct covey_buffer *text)
{
    bool sound = text->length_bytes == 32;
    for (size_t i = 0; sound && i < 32; i++)
        sound = text->data[i] && strchr("0123456789abcdef", text->data[i]);
    return sound;
}

/* The machine's boot and this state folder: after a reboot nothing of a flare can be here. */
static enum covey_status read_identity(struct node *agent, struct covey_error *error)
{
    char path[300];
    char made[33];
    uint8_t random[16];
    struct covey_buffer boot = {0};
    struct covey_buffer own = {0};
    (void)snprintf(path, sizeof(path), "%s/identity", agent->options.state_dir);
    if (covey_file_read(path, 64, &own, NULL) != COVEY_OK || !is_identity(&own)) {
        if (getrandom(random, sizeof(random), 0) != sizeof(random))
            return covey_error_set_errno(error, errno, "no random numbers");
        for (size_t i = 0; i < sizeof(random); i++)
            (void)snprintf(made + 2 * i, 3, "%02x", random[i]);
        covey_buffer_free(&own);
        enum covey_status status = covey_file_write(path, made, 32, 0600, error);
        if (!status)
            status = covey_buffer_append(&own, made, 32);
        if (status)
            return status;
    }
    enum covey_status status = covey_file_read("/proc/sys/kernel/random/boot_id", 64, &boot, error);
    if (!status) {
        int length = (int)boot.length_bytes;
        while (length > 0 && boot.data[length - 1] == '\n')
            length--;
        const char *mark = (char *)own.data;
        (void)covey_text_print(agent->machine, sizeof(agent->machine), "%.*s", length,
                               (char *)boot.data);
        (void)covey_text_print(agent->identity, sizeof(agent->identity), "%.*s/%.*s", length,
                               (char *)boot.data, covey_text_fit(mark, 32), mark);
    }
    covey_buffer_free(&boot);
    covey_buffer_free(&own);
    return status;
}

static enum covey_status open_folders(struct node *agent, struct covey_error *error)
{
    struct node_options *options = &agent->options;
    char cache[300];
    enum covey_status status = covey_make_dirs(options->state_dir, 0700, error);
    if (!status)
        status = covey_make_dirs(options->runtime_dir, 0700, error);
    if (!status)
        status = take_lock(agent, error);
    if (!status)
        status = read_identity(agent, error);
    if (status)
        return status;
    agent->runtime_fd = open(options->runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (agent->runtime_fd < 0)
        return covey_error_set_errno(error, errno, "cannot open %s", options->runtime_dir);
    (void)snprintf(cache, sizeof(cache), "%s/code", options->state_dir);
    return cache_open(cache, options->cache_bytes, &agent->cache, error);
}

static void kill_children(struct node *agent)
{
    covey_list_for_each (node, &agent->children)
        child_kill(covey_container_of(node, struct node_child, all));
}

static void on_shutdown_late(uv_timer_t *timer)
{
    struct node *agent = timer->data;
    agent->report_late = true;
    kill_children(agent);
    node_check_stopped(agent);
}

static void stop_flares(struct node *agent, bool at_once)
{
    flare_stop_all(agent, at_once ? 0 : SHUTDOWN_GRACE_NS, "the node is shutting down");
    covey_list_for_each (node, &agent->children) {
        struct node_child *child = covey_container_of(node, struct node_child, all);
        if (!child->flare || at_once)
            child_kill(child);
    }
}

void node_shut_down(struct node *agent, bool at_once)
{
    if (!agent->stopping)
        (void)uv_timer_start(&agent->stop_timer, on_shutdown_late, at_once ? 0 : SHUTDOWN_MS, 0);
    agent->stopping = true;
    stop_flares(agent, at_once);
    node_check_stopped(agent);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct node *agent = signal->data;
    log_info("shutting down signal=%d", number);
    node_shut_down(agent, agent->stopping);
}

static void on_lifeline(uv_poll_t *poll, int status, int events)
{
    struct node *agent = poll->data;
    char byte;
    (void)events;
    if (status == 0 && !(events & UV_DISCONNECT)) {
        ssize_t got = read(agent->options.lifeline_fd, &byte, 1);
        if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
            return;
    }
    log_info("the lifeline is closed: everything ends");
    (void)uv_poll_stop(poll);
    node_shut_down(agent, true);
}

static enum covey_status watch_outside(struct node *agent, struct covey_error *error)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        (void)uv_signal_init(&agent->loop, &agent->signals[i]);
        agent->signals[i].data = agent;
        (void)uv_signal_start(&agent->signals[i], on_signal, numbers[i]);
    }
    orphans_open(agent);
    (void)uv_timer_init(&agent->loop, &agent->stop_timer);
    agent->stop_timer.data = agent;
    if (agent->options.lifeline_fd < 0)
        return COVEY_OK;
    (void)fcntl(agent->options.lifeline_fd, F_SETFD, FD_CLOEXEC);
    if (uv_poll_init(&agent->loop, &agent->lifeline, agent->options.lifeline_fd) < 0)
        return covey_error_set(error, COVEY_EINVAL,
                               "descriptor %d is no pipe or socket, so no lifeline",
                               agent->options.lifeline_fd);
    agent->lifeline.data = agent;
    agent->has_lifeline = true;
    (void)uv_poll_start(&agent->lifeline, UV_READABLE | UV_DISCONNECT, on_lifeline);
    return COVEY_OK;
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_outside(struct node *agent)
{
    for (int i = 0; i < 2; i++)
        close_handle((uv_handle_t *)&agent->signals[i]);
    orphans_close(agent);
    close_handle((uv_handle_t *)&agent->stop_timer);
    if (agent->has_lifeline)
        close_handle((uv_handle_t *)&agent->lifeline);
}

static void close_all(struct node *agent)
{
    agent->closed = true;
    warm_close(agent);
    attach_close(agent);
    close_outside(agent);
    close_handle((uv_handle_t *)&agent->adopt_timer);
}

void node_check_stopped(struct node *agent)
{
    bool told =
        covey_list_empty(&agent->outbox.reports) || agent->report_late || !agent->attach.registered;
    if (!agent->stopping || agent->closed || agent->flares.count > 0 ||
        !covey_list_empty(&agent->children) || !told)
        return;
    close_all(agent);
}

void node_adopted(struct node *agent)
{
    /* What was found after the shutdown had begun goes too. */
    if (agent->stopping) {
        stop_flares(agent, true);
        node_check_stopped(agent);
        return;
    }
    folder_sweep(agent);
    attach_start(agent);
    warm_refill_now(agent);
}

static void close_folders(struct node *agent)
{
    cache_close(agent->cache);
    cgroups_close(&agent->cgroups);
    if (agent->runtime_fd >= 0)
        (void)rmdir(agent->options.runtime_dir);
    covey_close(&agent->runtime_fd);
    covey_close(&agent->lock_fd);
}

/* What is left by a control group is shared by the nodes in it, and by nobody else. */
static void name_share(struct node *agent)
{
    const struct confinement *confinement = &agent->capacity.confinement;
    const struct confinement_limit *limit =
        *confinement->memory.file ? &confinement->memory : &confinement->cpus;
    size_t used = strlen(agent->machine);
    if (*limit->file)
        (void)covey_text_print(agent->machine + used, sizeof(agent->machine) - used, "/%llu",
                               (unsigned long long)limit->group);
}

static enum covey_status look_at_machine(struct node *agent, struct covey_error *error)
{
    enum covey_status status = capacity_read(&agent->capacity, error);
    if (status)
        return status;
    name_share(agent);
    oom_open(&agent->oom, "", &agent->capacity.confinement);
    if (*agent->capacity.less)
        log_info("less than the machine has is offered: %s", agent->capacity.less);
    if (agent->options.memory_bytes > agent->capacity.memory_bytes)
        log_warn("more memory is offered than there is: what uses it is killed memory=%llu "
                 "there=%llu",
                 (unsigned long long)agent->options.memory_bytes,
                 (unsigned long long)agent->capacity.memory_bytes);
    cgroups_find_earlier(&agent->cgroups, agent->options.state_dir);
    return tree_choose(agent, error);
}

static enum covey_status run(struct node *agent, struct covey_error *error)
{
    enum covey_status status = open_folders(agent, error);
    if (status)
        goto close_folders;
    status = look_at_machine(agent, error);
    if (status)
        goto close_folders;
    status = watch_outside(agent, error);
    if (status)
        goto close_outside;
    status = attach_open(agent, error);
    if (status)
        goto close_attach;
    warm_open(agent);
    log_info("started name=%s state=%s", agent->options.name, agent->options.state_dir);
    adopt_start(agent);
    (void)uv_run(&agent->loop, UV_RUN_DEFAULT); /* until close_all, which closes what is above */
    goto close_folders;

close_attach:
    attach_close(agent);
close_outside:
    close_outside(agent);
    (void)uv_run(&agent->loop, UV_RUN_DEFAULT);
close_folders:
    close_folders(agent);
    return status;
}

int node_run(const struct node_options *options)
{
    static struct node agent;
    struct covey_error error = {0};
    agent.options = *options;
    agent.lock_fd = agent.runtime_fd = -1;
    covey_list_init(&agent.children);
    covey_list_init(&agent.fetches);
    if (uv_loop_init(&agent.loop) < 0) {
        log_error("the event loop cannot be made");
        return 1;
    }
    outbox_open(&agent.outbox);
    relay_open(&agent.relay);
    if (run(&agent, &error) != COVEY_OK) {
        log_error("%s", error.message);
        agent.exit_status = 1;
    }
    outbox_close(&agent.outbox);
    relay_close(&agent.relay);
    covey_map_clear(&agent.flares);
    if (uv_loop_close(&agent.loop) < 0)
        log_error("the loop still has handles at the end");
    return agent.exit_status;
}
