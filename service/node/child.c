/* One host or pack process, from exec to its last handle. */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/surroundings.h"
#include "base/text.h"
#include "service/common/stamp.h"
#include "service/node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often a cgroup that is not empty yet is looked at, and until when. */
#define CGROUP_LOOK_MS 2
#define CGROUP_WAIT_NS (10 * COVEY_NS_PER_S)

/* The path of a socket in the runtime folder, however long the folder's own is. */
static void socket_address(const struct node *agent, const char *name, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s",
                   agent->runtime_fd, name);
}

static void release(struct node_child *child)
{
    if (--child->handles > 0)
        return;
    covey_close(&child->pidfd);
    covey_close(&child->words_fd);
    covey_close(&child->lifeline_fd);
    covey_close(&child->parameters_fd);
    for (size_t i = 0; i < CHILD_OUTPUTS; i++)
        covey_close(&child->output_fds[i]);
    free(child->parameter_bytes);
    free(child);
}

static void on_pid_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_peer_closed(struct local_peer *peer, void *data)
{
    (void)peer;
    release(data);
}

static void on_cgroup_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

/* Nothing of the process is left; what it said last has been heard. */
static void end(struct node_child *child)
{
    struct node *agent = child->agent;
    bool pooled = child->state == CHILD_STARTING || child->state == CHILD_WARM;
    child->state = CHILD_ENDED;
    (void)unlinkat(agent->runtime_fd, child->socket_name, 0);
    covey_list_remove(&child->all);
    if (child->flare)
        flare_child_ended(child);
    else if (pooled && child->ours)
        warm_lost(child);
    else if (pooled)
        adopt_hello(child, NULL);
    relay_pack_gone(&agent->relay, child);
    covey_list_remove(&child->node);
    peer_close(&child->peer);
    uv_close((uv_handle_t *)&child->pid_poll, on_pid_closed);
    uv_close((uv_handle_t *)&child->cgroup_timer, on_cgroup_timer_closed);
    node_check_stopped(agent);
}

static void on_cgroup_timer(uv_timer_t *timer);

/* What a pack has forked may outlive it by a moment, though it was killed: the flare is not gone
 * before that is. */
static void end_with_cgroup(struct node_child *child)
{
    bool gone = true;
    if (*child->cgroup) {
        cgroup_kill(child->cgroup);
        gone = cgroup_remove(child->cgroup);
    }
    if (!gone && covey_now_ns() < child->cgroup_by_ns) {
        (void)uv_timer_start(&child->cgroup_timer, on_cgroup_timer, CGROUP_LOOK_MS, 0);
        return;
    }
    if (!gone)
        log_error("what is in a cgroup does not end folder=%s", child->cgroup);
    end(child);
}

static void on_cgroup_timer(uv_timer_t *timer)
{
    end_with_cgroup(timer->data);
}

static void on_pid_event(uv_poll_t *poll, int status, int events)
{
    struct node_child *child = poll->data;
    siginfo_t info = {0};
    (void)status;
    (void)events;
    if (child->exited)
        return;
    if (child->ours && waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) == 0) {
        if (info.si_pid == 0)
            return;
        child->wait_known = true;
        child->wait_status =
            info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
    }
    child->exited = true;
    (void)uv_poll_stop(poll);
    peer_drain(&child->peer);
    child->cgroup_by_ns = covey_now_ns() + CGROUP_WAIT_NS;
    end_with_cgroup(child);
}

bool child_is_ending(const struct node_child *child)
{
    struct pollfd connection = {.fd = child->peer.link.fd, .events = POLLRDHUP};
    if (child->exited || !child->peer.open)
        return true;
    return poll(&connection, 1, 0) == 1 && connection.revents & (POLLHUP | POLLRDHUP);
}

static void on_lost(struct local_peer *peer, enum covey_status status, void *data)
{
    struct node_child *child = data;
    (void)peer;
    if (status != COVEY_EUNAVAILABLE)
        log_error("a %s said what cannot be read: ended pid=%d status=%s",
                  child->role == CHILD_HOST ? "host" : "pack", (int)child->pid,
                  covey_status_name(status));
    /* Without its agent it is of no use; where it is going anyway this is harmless. */
    if (!child->exited)
        child_kill(child);
}

static void on_hello(struct node_child *child, struct local_record *record)
{
    const Covey__V1__LocalHello *hello = record->message->hello;
    const char *role = child->role == CHILD_HOST ? "host" : "pack";
    if (!child->ours) {
        adopt_hello(child, record);
        return;
    }
    if (strcmp(hello->role, role) != 0 || strcmp(hello->version, COVEY_VERSION) != 0) {
        log_error("a %s of version %s came where a %s of version %s was executed", hello->role,
                  hello->version, role, COVEY_VERSION);
        child_kill(child);
        return;
    }
    if (!hello->ready || child->state != CHILD_STARTING)
        return;
    child->state = CHILD_WARM;
    child->agent->warm.failures = 0;
    if (child->flare) {
        child->state = CHILD_USED;
        flare_go_on(child->flare);
    }
}

static void on_record(struct local_peer *peer, struct local_record *record, void *data)
{
    struct node_child *child = data;
    (void)peer;
    if (record->message->body_case == COVEY__V1__LOCAL_MESSAGE__BODY_HELLO)
        on_hello(child, record);
    else if (child->flare)
        flare_on_record(child, record);
    else if (record->message->body_case == COVEY__V1__LOCAL_MESSAGE__BODY_FAILURE)
        log_error("a warm process failed: %s", record->message->failure->message);
}

static const struct local_peer_events peer_events = {on_record, on_lost, on_peer_closed};

static enum covey_status connect_to(struct node *agent, const char *name, int *fd)
{
    struct sockaddr_un address;
    socket_address(agent, name, &address);
    *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return covey_status_from_errno(errno);
    if (connect(*fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return COVEY_OK;
    enum covey_status status =
        errno == ECONNREFUSED || errno == ENOENT ? COVEY_ENOTFOUND : covey_status_from_errno(errno);
    covey_close(fd);
    return status;
}

/* Takes the socket and, once it runs, the pidfd. */
static enum covey_status watch(struct node_child *child, int take_socket)
{
    struct node *agent = child->agent;
    if (uv_poll_init(&agent->loop, &child->pid_poll, child->pidfd) < 0) {
        covey_close(&take_socket);
        return COVEY_EIO;
    }
    (void)uv_timer_init(&agent->loop, &child->cgroup_timer);
    child->pid_poll.data = child->cgroup_timer.data = child;
    child->handles = 2;
    enum covey_status status =
        peer_open(&child->peer, &agent->loop, take_socket, &peer_events, child);
    if (!status)
        child->handles = 3;
    if (!status && uv_poll_start(&child->pid_poll, UV_READABLE, on_pid_event) < 0)
        status = COVEY_EIO;
    if (status) {
        peer_close(&child->peer);
        uv_close((uv_handle_t *)&child->pid_poll, on_pid_closed);
        uv_close((uv_handle_t *)&child->cgroup_timer, on_cgroup_timer_closed);
        return status;
    }
    covey_list_push_back(&agent->children, &child->all);
    return COVEY_OK;
}

static struct node_child *new_child(struct node *agent, enum child_role role)
{
    struct node_child *child = covey_calloc(1, sizeof(*child));
    if (!child)
        return NULL;
    covey_list_init(&child->node);
    covey_list_init(&child->all);
    child->agent = agent;
    child->role = role;
    child->pidfd = child->words_fd = child->lifeline_fd = child->parameters_fd = -1;
    for (size_t i = 0; i < CHILD_OUTPUTS; i++)
        child->output_fds[i] = -1;
    return child;
}

static enum covey_status listen_at(struct node *agent, const char *name, int *fd)
{
    struct sockaddr_un address;
    socket_address(agent, name, &address);
    *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && bind(*fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(*fd, 8) == 0)
        return COVEY_OK;
    enum covey_status status = covey_status_from_errno(errno);
    covey_close(fd);
    return status;
}

/* What hosts and packs need of the agent's environment, and the room for the flare's id. */
static char **child_environment(void)
{
    static const char *const kept[] = {"PATH=",
                                       "HOME=",
                                       "USER=",
                                       "LANG=",
                                       "LC_",
                                       "TZ=",
                                       "TMPDIR=",
                                       "LD_LIBRARY_PATH=",
                                       "COVEY_LOG=",
                                       "COVEY_FAULT=",
                                       "COVEY_TRANSPORT",
                                       "UCX_",
                                       "ASAN_OPTIONS=",
                                       "UBSAN_OPTIONS=",
                                       "LSAN_OPTIONS=",
                                       "TSAN_OPTIONS="};
    size_t count = 0;
    for (char **entry = environ; *entry; entry++)
        count++;
    char **made = covey_calloc(count + 2, sizeof(*made));
    if (!made)
        return NULL;
    size_t used = 0;
    static char room[] = STAMP_ROOM;
    made[used++] = room;
    for (char **entry = environ; *entry; entry++) {
        for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
            if (strncmp(*entry, kept[i], strlen(kept[i])) == 0) {
                made[used++] = *entry;
                break;
            }
        }
    }
    return made;
}

/* Puts what a host or pack is given where it looks for it. */
static bool place_descriptors(int listener, int words)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(2, 1) < 0)
        return false;
    /* Either may have the other's number. */
    int from = fcntl(words, F_DUPFD_CLOEXEC, LOCAL_WORDS_FD + 1);
    listener = fcntl(listener, F_DUPFD_CLOEXEC, LOCAL_WORDS_FD + 1);
    if (from < 0 || listener < 0 || dup2(listener, LOCAL_LISTEN_FD) < 0 ||
        dup2(from, LOCAL_WORDS_FD) < 0)
        return false;
    covey_close_range(LOCAL_WORDS_FD + 1, ~0U);
    return true;
}

static void execute(const char *program, char *const *arguments, char *const *environment,
                    int listener, int words)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (!place_descriptors(listener, words))
        _exit(127);
    (void)execve(program, arguments, environment);
    covey_log_keep_error(LOCAL_WORDS_FD);
    log_error("cannot execute program=%s error=\"%s\"", program, strerror(errno));
    _exit(127);
}

static enum covey_status fork_and_execute(struct node_child *child, int listener,
                                          struct covey_error *error)
{
    struct node *agent = child->agent;
    char program[600];
    (void)snprintf(program, sizeof(program), "%s/%s", agent->options.program_folder,
                   child->role == CHILD_HOST ? "covey-host" : "covey-pack");
    char *arguments[] = {program, agent->options.runtime_dir, child->socket_name, NULL, NULL};
    char limit[CONFINEMENT_PATH_BYTES + 64];
    char **environment = child_environment();
    if (!environment)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a process");
    enum covey_status status = tree_fork(agent, child, &child->pid, &child->pidfd);
    int failed = errno;
    if (*child->cgroup)
        arguments[3] = child->cgroup;
    if (!status && child->pid == 0)
        execute(program, arguments, environment, listener, child->words_fd);
    free(environment);
    if (!status)
        return COVEY_OK;
    status = covey_error_set_errno(error, failed, "cannot start %s", program);
    covey_error_add_limit(error);
    if (failed == EAGAIN &&
        confinement_name_pids(&agent->capacity.confinement, limit, sizeof(limit)) > 0)
        (void)covey_error_set(error, status, "%s%s", error->message, limit);
    return status;
}

enum covey_status child_spawn(struct node *agent, enum child_role role, struct node_child **out,
                              struct covey_error *error)
{
    int listener = -1;
    int connection = -1;
    struct node_child *child = new_child(agent, role);
    if (!child)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a process");
    child->ours = true;
    (void)snprintf(child->socket_name, sizeof(child->socket_name), "warm-%llu.%s",
                   (unsigned long long)++agent->spawned, role == CHILD_HOST ? "host" : "pack");
    child->words_fd = memfd_create("covey-words", MFD_CLOEXEC);
    enum covey_status status = child->words_fd < 0
                                   ? covey_status_from_errno(errno)
                                   : listen_at(agent, child->socket_name, &listener);
    if (!status)
        status = connect_to(agent, child->socket_name, &connection);
    if (status)
        covey_error_set(error, status, "cannot make a socket in %s", agent->options.runtime_dir);
    else
        status = fork_and_execute(child, listener, error);
    covey_close(&listener);
    if (status) {
        covey_close(&connection);
        (void)unlinkat(agent->runtime_fd, child->socket_name, 0);
        covey_close(&child->words_fd);
        free(child);
        return status;
    }
    status = watch(child, connection);
    if (status) {
        child_kill(child);
        return covey_error_set(error, status, "cannot watch a process");
    }
    *out = child;
    return COVEY_OK;
}

enum covey_status child_connect(struct node *agent, const char *socket_name,
                                struct node_child **out)
{
    int connection;
    struct ucred peer;
    socklen_t length = sizeof(peer);
    bool host = strlen(socket_name) > 5 && !strcmp(socket_name + strlen(socket_name) - 5, ".host");
    enum covey_status status = connect_to(agent, socket_name, &connection);
    if (status)
        return status;
    struct node_child *child = new_child(agent, host ? CHILD_HOST : CHILD_PACK);
    if (!child) {
        covey_close(&connection);
        return COVEY_ENOMEM;
    }
    (void)snprintf(child->socket_name, sizeof(child->socket_name), "%s", socket_name);
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid > 0) {
        child->pid = peer.pid;
        child->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    }
    if (child->pidfd < 0) {
        covey_close(&connection);
        free(child);
        return COVEY_ENOTFOUND;
    }
    if (!host)
        cgroup_of(&agent->cgroups, child->pid, child->cgroup);
    status = watch(child, connection);
    if (!status)
        *out = child;
    return status;
}

enum covey_status child_rename(struct node_child *child, const char *socket_name)
{
    int folder = child->agent->runtime_fd;
    if (renameat(folder, child->socket_name, folder, socket_name) < 0)
        return covey_status_from_errno(errno);
    (void)snprintf(child->socket_name, sizeof(child->socket_name), "%s", socket_name);
    return COVEY_OK;
}

size_t child_last_words(const struct node_child *child, char *text, size_t size_bytes)
{
    ssize_t got = child->words_fd >= 0 ? pread(child->words_fd, text, size_bytes - 1, 0) : 0;
    text[got > 0 ? got : 0] = '\0';
    size_t length_bytes = strlen(text);
    /* User code shares the pack's descriptors with it. */
    (void)covey_text_mend(text, length_bytes);
    covey_text_tame(text);
    return length_bytes;
}

void child_describe_wait(const struct node_child *child, char *text, size_t size_bytes)
{
    char call[128];
    char wait[64];
    bool calls = proc_read((uint32_t)child->pid, "syscall", call, sizeof(call));
    if (proc_read((uint32_t)child->pid, "wchan", wait, sizeof(wait)) && strcmp(wait, "0") != 0)
        (void)covey_text_print(text, size_bytes, "waiting in %s", wait);
    else if (calls && *call >= '0' && *call <= '9')
        (void)covey_text_print(text, size_bytes, "waiting in system call %ld",
                               strtol(call, NULL, 10));
    else
        (void)covey_text_print(text, size_bytes, "running");
}

void child_kill(struct node_child *child)
{
    if (*child->cgroup)
        cgroup_kill(child->cgroup);
    if (child->pidfd >= 0 && !child->exited &&
        syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        log_error("cannot end a process pid=%d error=\"%s\"", (int)child->pid, strerror(errno));
}
