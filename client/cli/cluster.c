#include "client/cli/cluster.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/folder_lock.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/surroundings.h"
#include "base/text.h"
#include "client/cli/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_NS (30 * COVEY_NS_PER_S)
#define STOP_TIMEOUT_NS  (10 * COVEY_NS_PER_S)
/* What each node adds to these: all of them share this machine. */
#define START_TIMEOUT_NODE_NS (COVEY_NS_PER_S / 2)
#define STOP_TIMEOUT_NODE_NS  (COVEY_NS_PER_S / 10)
/* Between two looks at the nodes; longer each time, since each look takes cpus from their start. */
#define POLL_FIRST_NS (10 * COVEY_NS_PER_MS)
#define POLL_MOST_NS  (100 * COVEY_NS_PER_MS)
/* Up to so many nodes the controller's own defaults, 250 ms and 5 s, are right. */
#define NODES_FEW         50
#define HEARTBEAT_NODE_MS 25
#define PREPARE_NODE_MS   100
#define MAX_ARGUMENTS     24

static const char *const programs[] = {"coveyd", "covey-node", "covey-host", "covey-pack"};

enum covey_status cli_cluster_check(struct covey_error *error)
{
    enum covey_status status = covey_surroundings_check(error);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (!cli_path_program(programs[i]))
            return covey_error_set(error, COVEY_ENOTFOUND,
                                   "%s is not installed beside covey: install all of Covey, or "
                                   "name a controller with --server",
                                   programs[i]);
    return COVEY_OK;
}

/* ---- processes ---- */

int cli_process_open(const struct cli_process *process)
{
    if (process->pid <= 0)
        return -1;
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd >= 0 && covey_process_start_time(process->pid) != process->start_time)
        covey_close(&fd);
    return fd;
}

void cli_process_log(const struct cli_cluster *cluster, const struct cli_process *process,
                     char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.4000s/%s.log", cluster->state, process->name);
}

static bool runs(const struct cli_process *process)
{
    return process->pid > 0 && covey_process_start_time(process->pid) == process->start_time;
}

void cli_cluster_find_successors(struct cli_cluster *cluster)
{
    for (size_t i = 0; i < cluster->process_count; i++) {
        struct cli_process *process = &cluster->processes[i];
        struct covey_process_id owner;
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%.4000s/%s", cluster->state,
                       i == 0 ? "controller/controller" : process->name);
        if (runs(process) || !covey_folder_owner(path, &owner))
            continue;
        process->pid = owner.pid;
        process->start_time = owner.start_time;
    }
}

static bool wait_readable(int fd, int64_t deadline_ns)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int64_t left_ns = deadline_ns - covey_now_ns();
        int ready = poll(&poll_fd, 1, left_ns > 0 ? (int)(left_ns / COVEY_NS_PER_MS) + 1 : 0);
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

/* In the child: nothing of the parent's but what it is given. */
static void become(const struct cli_cluster *cluster, const struct cli_process *process,
                   char *const arguments[], int ready_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    static const int reset[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
        signal(reset[i], SIG_DFL);
    if (cluster->detached)
        setsid();
    int null = open("/dev/null", O_RDWR);
    char path[PATH_MAX];
    cli_process_log(cluster, process, path);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log >= 0 && null < 0)
        dprintf(log, "cannot open /dev/null: %s\n", strerror(errno));
    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    /* Kept over exec: these two, by their numbers, and nothing that covey was started with. */
    covey_close_others(cluster->lifeline_fd, ready_fd);
    if (cluster->lifeline_fd >= 0)
        fcntl(cluster->lifeline_fd, F_SETFD, 0);
    if (ready_fd >= 0)
        fcntl(ready_fd, F_SETFD, 0);
    execv(arguments[0], arguments);
    dprintf(2, "cannot start %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

struct arguments {
    char *list[MAX_ARGUMENTS];
    size_t count;
    bool failed;
};

static void add_argument(struct arguments *arguments, char *text)
{
    arguments->failed |= !text || arguments->count == MAX_ARGUMENTS - 1;
    if (arguments->failed)
        free(text);
    else
        arguments->list[arguments->count++] = text;
}

static void add_option(struct arguments *arguments, const char *option, const char *value)
{
    add_argument(arguments, covey_strdup(option));
    add_argument(arguments, covey_strdup(value));
}

static void add_number(struct arguments *arguments, const char *option, long value)
{
    add_argument(arguments, covey_strdup(option));
    add_argument(arguments, covey_asprintf("%ld", value));
}

static enum covey_status spawn(struct cli_cluster *cluster, const char *program, const char *name,
                               struct arguments *arguments, int ready_fd, struct covey_error *error)
{
    struct cli_process *process = &cluster->processes[cluster->process_count];
    snprintf(process->name, sizeof process->name, "%s", name);
    enum covey_status status = COVEY_OK;
    if (arguments->failed)
        status = covey_error_set(error, COVEY_ENOMEM, "out of memory");
    pid_t pid = status ? -1 : fork();
    if (pid == 0)
        become(cluster, process, arguments->list, ready_fd);
    if (!status && pid < 0) {
        status = covey_error_set_errno(error, errno, "cannot start %s", program);
        covey_error_add_limit(error);
    }
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->list[i]);
    if (status)
        return status;
    process->pid = pid;
    process->start_time = covey_process_start_time(pid);
    cluster->process_count++;
    return COVEY_OK;
}

/* ---- starting ---- */

/* The last line of a log says why its program has ended. */
static void last_line(const char *path, char *line, size_t line_bytes)
{
    char text[2048];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t from = end > (off_t)sizeof text - 1 ? end - (off_t)sizeof text + 1 : 0;
    ssize_t length = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, from);
    covey_close(&fd);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length > 0 ? length : 0] = 0;
    const char *newline = strrchr(text, '\n');
    (void)covey_text_print(line, line_bytes, "%s", newline ? newline + 1 : text);
}

static enum covey_status say_ended(const struct cli_cluster *cluster,
                                   const struct cli_process *process, struct covey_error *error)
{
    char line[320], log[PATH_MAX];
    int ended = 0;
    cli_process_log(cluster, process, log);
    last_line(log, line, sizeof line);
    /* Exit status 2 is theirs for bad input, as it is ours: an address that is taken. */
    bool refused = waitpid(process->pid, &ended, 0) == process->pid && WIFEXITED(ended) &&
                   WEXITSTATUS(ended) == 2;
    return covey_error_set(error, refused ? COVEY_EINVAL : COVEY_EUNAVAILABLE,
                           "%s ended while it was starting%s%s", process->name, *line ? ": " : "",
                           line);
}

/* Many nodes on one machine make each other slow: what is late is not lost yet. The kernel shares
 * cpus by session, and an agent has one with its node's workers: it may wait for seconds. */
static void add_patience(struct arguments *arguments, uint32_t nodes)
{
    if (nodes <= NODES_FEW)
        return;
    add_argument(arguments, covey_strdup("--heartbeat"));
    add_argument(arguments, covey_asprintf("%" PRIu32 "ms", HEARTBEAT_NODE_MS * nodes));
    add_argument(arguments, covey_strdup("--prepare-timeout"));
    add_argument(arguments, covey_asprintf("%" PRIu32 "ms", PREPARE_NODE_MS * nodes));
}

static enum covey_status start_controller(struct cli_cluster *cluster, struct covey_error *error)
{
    struct arguments arguments = {0};
    int ready[2];
    char byte, log[PATH_MAX];
    if (pipe2(ready, O_CLOEXEC))
        return covey_error_set_errno(error, errno, "cannot make a pipe");
    add_argument(&arguments, covey_strdup(cli_path_program("coveyd")));
    add_option(&arguments, "--listen", cluster->server);
    if (*cluster->listen)
        add_option(&arguments, "--listen", cluster->listen);
    add_argument(&arguments, covey_strdup("--state-dir"));
    add_argument(&arguments, covey_asprintf("%s/controller", cluster->state));
    add_number(&arguments, "--ready-fd", ready[1]);
    if (cluster->racks)
        add_option(&arguments, "--topology", "rack");
    add_patience(&arguments, cluster->nodes);
    if (cluster->lifeline_fd >= 0)
        add_number(&arguments, "--lifeline-fd", cluster->lifeline_fd);
    enum covey_status status = spawn(cluster, "coveyd", "coveyd", &arguments, ready[1], error);
    covey_close(&ready[1]);
    cli_process_log(cluster, &cluster->processes[0], log);
    if (!status && !wait_readable(ready[0], covey_now_ns() + START_TIMEOUT_NS))
        status =
            covey_error_set(error, COVEY_ETIMEOUT, "coveyd was not ready in time; see %s", log);
    else if (!status && read(ready[0], &byte, 1) != 1)
        status = say_ended(cluster, &cluster->processes[0], error);
    covey_close(&ready[0]);
    return status;
}

static enum covey_status start_node(struct cli_cluster *cluster, uint32_t index,
                                    struct covey_error *error)
{
    struct arguments arguments = {0};
    char name[32];
    snprintf(name, sizeof name, "node-%" PRIu32, index + 1);
    add_argument(&arguments, covey_strdup(cli_path_program("covey-node")));
    add_option(&arguments, "--name", name);
    add_option(&arguments, "--controller", cluster->server);
    if (cluster->slots)
        add_number(&arguments, "--slots", (long)cluster->slots);
    for (size_t i = 0; i < cluster->label_count; i++)
        add_option(&arguments, "--label", cluster->labels[i]);
    if (cluster->racks) {
        add_argument(&arguments, covey_strdup("--label"));
        add_argument(&arguments, covey_asprintf("rack=r%" PRIu32, index % cluster->racks));
    }
    if (cluster->cold) {
        add_number(&arguments, "--warm-hosts", 0);
        add_number(&arguments, "--warm-packs", 0);
    }
    add_argument(&arguments, covey_strdup("--state-dir"));
    add_argument(&arguments, covey_asprintf("%s/%s", cluster->state, name));
    add_argument(&arguments, covey_strdup("--runtime-dir"));
    add_argument(&arguments, covey_asprintf("%s/%s", cluster->runtime, name));
    add_option(&arguments, "--data-address", "127.0.0.1");
    if (cluster->lifeline_fd >= 0)
        add_number(&arguments, "--lifeline-fd", cluster->lifeline_fd);
    return spawn(cluster, "covey-node", name, &arguments, -1, error);
}

enum covey_status cli_cluster_start(struct cli_cluster *cluster, struct covey_error *error)
{
    enum covey_status status = start_controller(cluster, error);
    for (uint32_t i = 0; !status && i < cluster->nodes; i++)
        status = start_node(cluster, i, error);
    return status;
}

/* Of those that were started here: others may have joined. */
static size_t count_up(const struct cli_cluster *cluster, const struct covey_node_list *nodes)
{
    size_t up = 0;
    for (size_t i = 1; i < cluster->process_count; i++)
        for (size_t k = 0; k < nodes->count; k++)
            up += nodes->nodes[k].state == COVEY_NODE_UP &&
                  strcmp(nodes->nodes[k].name, cluster->processes[i].name) == 0;
    return up;
}

/* EUNAVAILABLE where one of the processes has ended. */
static enum covey_status check_running(const struct cli_cluster *cluster, struct covey_error *error)
{
    for (size_t i = 0; i < cluster->process_count; i++) {
        const struct cli_process *process = &cluster->processes[i];
        if (!runs(process))
            return say_ended(cluster, process, error);
    }
    return COVEY_OK;
}

enum covey_status cli_cluster_wait(struct cli_cluster *cluster, struct covey_client *client,
                                   struct covey_error *error)
{
    int64_t deadline_ns =
        covey_now_ns() + START_TIMEOUT_NS + cluster->nodes * START_TIMEOUT_NODE_NS;
    for (int64_t nap_ns = POLL_FIRST_NS;;
         nap_ns = 2 * nap_ns < POLL_MOST_NS ? 2 * nap_ns : POLL_MOST_NS) {
        struct covey_node_list *nodes;
        enum covey_status status = covey_client_list_nodes(client, 0, &nodes, error);
        if (status)
            return status;
        size_t up = count_up(cluster, nodes);
        covey_node_list_free(nodes);
        if (up >= cluster->nodes)
            return COVEY_OK;
        if (covey_now_ns() >= deadline_ns)
            return covey_error_set(error, COVEY_ETIMEOUT,
                                   "%zu of %" PRIu32 " nodes are ready; see the logs in %s", up,
                                   cluster->nodes, cluster->state);
        status = check_running(cluster, error);
        if (status)
            return status;
        (void)nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
    }
}

/* ---- stopping ---- */

/* Waits for a process that was told to end; it is killed where it takes too long. */
static void stop_process(struct cli_process *process, int64_t deadline_ns)
{
    int fd = cli_process_open(process);
    if (fd >= 0 && !wait_readable(fd, deadline_ns)) {
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        (void)wait_readable(fd, covey_now_ns() + STOP_TIMEOUT_NS);
    }
    covey_close(&fd);
    /* Where it is a child, it is reaped. */
    if (process->pid > 0)
        (void)waitpid(process->pid, NULL, WNOHANG);
    process->pid = 0;
}

/* Ends processes [first, end) together. One descriptor at a time: there may be a thousand. */
static void stop_range(struct cli_cluster *cluster, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        int fd = cli_process_open(&cluster->processes[i]);
        if (fd >= 0)
            (void)syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
        covey_close(&fd);
    }
    int64_t deadline_ns =
        covey_now_ns() + STOP_TIMEOUT_NS + (int64_t)(end - first) * STOP_TIMEOUT_NODE_NS;
    for (size_t i = first; i < end; i++)
        stop_process(&cluster->processes[i], deadline_ns);
}

void cli_cluster_stop(struct cli_cluster *cluster)
{
    if (cluster->process_count > 1)
        stop_range(cluster, 1, cluster->process_count);
    if (cluster->process_count > 0)
        stop_range(cluster, 0, 1);
    cluster->process_count = 0;
}
