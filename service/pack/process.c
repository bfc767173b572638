/* Workers that are processes. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/surroundings.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where a worker finds its descriptors, after its standard ones. */
enum {
    CHILD_ARENA = 3,
    CHILD_EVENT,
    CHILD_LIFELINE,
    CHILD_PARAMETERS,
    CHILD_CONTROL,
    CHILD_CODE,
    CHILD_END
};

/* Ends of one worker's channels, on both sides. */
struct channels {
    int control[2];
    int output[2];
    int error[2];
};

static void close_channels(struct channels *channels)
{
    for (int i = 0; i < 2; i++) {
        covey_close(&channels->control[i]);
        covey_close(&channels->output[i]);
        covey_close(&channels->error[i]);
    }
}

/* Out of the range where the child puts its own. */
static bool raise_ends(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= CHILD_END)
            continue;
        int raised = fcntl(ends[i], F_DUPFD_CLOEXEC, CHILD_END);
        if (raised < 0)
            return false;
        covey_close(&ends[i]);
        ends[i] = raised;
    }
    return true;
}

static enum covey_status open_channels(struct channels *channels, struct covey_error *error)
{
    *channels = (struct channels){{-1, -1}, {-1, -1}, {-1, -1}};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels->control) < 0 ||
        pipe2(channels->output, O_CLOEXEC) < 0 || pipe2(channels->error, O_CLOEXEC) < 0 ||
        !raise_ends(channels->control) || !raise_ends(channels->output) ||
        !raise_ends(channels->error) || fcntl(channels->control[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(channels->output[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(channels->error[0], F_SETFL, O_NONBLOCK) < 0) {
        enum covey_status status =
            covey_error_set_errno(error, errno, "cannot make a worker's channels");
        close_channels(channels);
        return status;
    }
    return COVEY_OK;
}

/* What the pack has set for itself, as main.c shows. */
static void reset_signals(void)
{
    static const int changed[] = {SIGABRT, SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGXFSZ};
    sigset_t none;
    for (size_t i = 0; i < sizeof(changed) / sizeof(*changed); i++)
        (void)signal(changed[i], SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void fail_child(const char *what)
{
    log_error("a worker cannot be set up: %s error=\"%s\"", what, strerror(errno));
    _exit(126);
}

static void place_descriptors(const struct pack *pack, const struct channels *channels,
                              uint32_t index)
{
    if (!pack_place_stdin(pack, index) || dup2(channels->output[1], 1) < 0 ||
        dup2(channels->error[1], 2) < 0 || dup2(pack->fds[PACK_FD_ARENA], CHILD_ARENA) < 0 ||
        dup2(pack->fds[PACK_FD_EVENT], CHILD_EVENT) < 0 ||
        dup2(pack->lifeline.fd, CHILD_LIFELINE) < 0 ||
        dup2(pack->fds[PACK_FD_PARAMETERS], CHILD_PARAMETERS) < 0 ||
        dup2(channels->control[1], CHILD_CONTROL) < 0 ||
        dup2(pack->fds[PACK_FD_CODE], CHILD_CODE) < 0)
        fail_child("descriptors");
    covey_close_range(CHILD_END, ~0U);
}

static struct worker_setup child_setup(const struct pack *pack, uint32_t index)
{
    struct worker_setup setup = pack_worker_setup(pack, index, CHILD_CONTROL);
    setup.arena_fd = CHILD_ARENA;
    setup.host_event_fd = CHILD_EVENT;
    setup.lifeline_fd = CHILD_LIFELINE;
    setup.params_fd = CHILD_PARAMETERS;
    return setup;
}

static void run_function(const struct pack *pack, uint32_t index)
{
    struct worker_setup setup = child_setup(pack, index);
    struct covey_error error = {0};
    struct covey_ctx *ctx;
    code_entry entry = pack->entry;
    if (!entry && code_load(CHILD_CODE, pack_code_path(pack), &entry, &error) != COVEY_OK) {
        log_error("a worker cannot load the code: %s", error.message);
        _exit(126);
    }
    if (covey_worker_create(&setup, &ctx, &error) != COVEY_OK) {
        log_error("a worker cannot be set up: %s", error.message);
        _exit(126);
    }
    covey_close_range(CHILD_ARENA, CHILD_CODE);
    if (covey_worker_enter(ctx, COVEY_NEVER_NS) != COVEY_OK)
        _exit(125);
    int status = entry(ctx);
    covey_worker_leave(ctx);
    exit((int)pack_exit_status(status));
}

static void tell_started(uint32_t rank)
{
    struct worker_record started = {
        .kind = WORKER_RECORD_STARTED, .rank = rank, .wall_ns = covey_wall_ns()};
    if (covey_send_fds(CHILD_CONTROL, &started, sizeof(started), NULL, 0) != COVEY_OK)
        _exit(125);
}

/* From where it was deployed, as a shell would, where the same is there; else the copy, which a
 * script's interpreter finds by its descriptor. */
static void execute(const struct pack *pack, char **arguments)
{
    char *path = pack->flare->code_path;
    const char *name = strrchr(path, '/');
    if (pack->in_place) {
        (void)fcntl(CHILD_CODE, F_SETFD, FD_CLOEXEC);
        arguments[0] = path;
        (void)execve(path, arguments, environ);
        (void)fcntl(CHILD_CODE, F_SETFD, 0);
    }
    arguments[0] = name ? (char *)(uintptr_t)name + 1 : pack->flare->definition;
    (void)fexecve(CHILD_CODE, arguments, environ);
    if (errno == ENOENT)
        fail_child("its interpreter, or the loader that it names, is not on this node");
    fail_child("the program cannot be executed");
}

/* The program runs only once the gate is open: no worker starts before all can. */
static void run_program(const struct pack *pack, uint32_t index)
{
    struct worker_setup setup = child_setup(pack, index);
    size_t count = pack->flare->n_arguments;
    char **arguments = calloc(count + 2, sizeof(*arguments));
    char number[16];
    if (!arguments)
        fail_child("memory");
    for (size_t i = 0; i < count; i++)
        arguments[i + 1] = pack->flare->arguments[i];
    (void)snprintf(number, sizeof(number), "%d", CHILD_CONTROL);
    if (setenv(WORKER_FD_VARIABLE, number, 1) != 0)
        fail_child("environment");
    if (arena_wait_gate(pack->arena, COVEY_NEVER_NS) != COVEY_OK)
        _exit(125);
    tell_started(setup.rank);
    covey_close_range(CHILD_ARENA, CHILD_PARAMETERS);
    execute(pack, arguments);
}

static void run_child(const struct pack *pack, uint32_t index, const struct channels *channels)
{
    (void)setpgid(0, 0);
    covey_log_keep_error(-1);
    reset_signals();
    place_descriptors(pack, channels, index);
    covey_log_set_fd(STDERR_FILENO);
    pack_title_process(pack, pack->here.first_rank + index);
    if (pack_bind(pack, index) != COVEY_OK)
        fail_child("its cpus");
    if (!pack_set_worker_environment(pack, index))
        fail_child("environment");
    if (pack->is_object)
        run_function(pack, index);
    else
        run_program(pack, index);
}

/* The process id that the agent sees: of the outermost namespace that /proc shows. */
uint32_t pack_outer_pid(pid_t pid)
{
    char path[64];
    char text[512];
    uint32_t found = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (got > 0) {
        text[got] = '\0';
        const char *line = strstr(text, "Pid:");
        long number = line ? strtol(line + 4, NULL, 10) : 0;
        found = number > 0 ? (uint32_t)number : 0;
    }
    covey_close(&fd);
    covey_close(&pidfd);
    return found;
}

static enum covey_status keep_ends(struct pack *pack, struct pack_worker *worker,
                                   struct channels *channels)
{
    worker->control = (struct pack_source){.fd = channels->control[0], .ready = pack_control_ready};
    enum covey_status status = pack_watch(pack, &worker->control, EPOLLIN);
    if (!status)
        status = pack_output_open(pack, &worker->outputs[0], channels->output[0]);
    if (!status)
        status = pack_output_open(pack, &worker->outputs[1], channels->error[0]);
    channels->control[0] = channels->output[0] = channels->error[0] = -1;
    return status;
}

enum covey_status pack_fork(struct pack *pack, struct pack_worker *worker,
                            struct covey_error *error)
{
    struct channels channels;
    uint32_t index = worker->rank - pack->here.first_rank;
    if (covey_fault(COVEY_FAULT_PACK_FORK))
        return covey_error_set(error, COVEY_EIO, "fault pack_fork");
    enum covey_status status = open_channels(&channels, error);
    if (status)
        return status;
    if (!pack->is_object) {
        struct worker_setup setup = pack_worker_setup(pack, index, -1);
        status = worker_setup_send(channels.control[0], &setup);
        if (status) {
            close_channels(&channels);
            return covey_error_set(error, status, "a worker's setup cannot be passed on");
        }
    }
    worker->pid = fork();
    if (worker->pid == 0)
        run_child(pack, index, &channels);
    if (worker->pid < 0) {
        status = covey_error_set_errno(error, errno, "cannot fork worker %u of %u", index + 1,
                                       pack->here.workers);
        covey_error_add_limit(error);
        worker->pid = 0;
        close_channels(&channels);
        return status;
    }
    (void)setpgid(worker->pid, worker->pid);
    worker->outer_pid = pack_outer_pid(worker->pid);
    status = keep_ends(pack, worker, &channels);
    close_channels(&channels);
    return status ? covey_error_set(error, status, "cannot watch a worker") : COVEY_OK;
}
