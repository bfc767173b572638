/* covey-pack RUNTIME_FOLDER SOCKET_NAME [CGROUP [LIFE]]: started by covey-node only, with its
 * listening socket on descriptor 3, in the cgroup where it is given one (not ""); LIFE is for
 * itself, see again.c. */
#include "base/fault.h"
#include "base/log.h"
#include "base/start.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FREE_FD 16

/* The sanitizer may have one. Else more than one is the doing of a library that was preloaded. */
#ifdef __SANITIZE_THREAD__
#define OWN_THREADS code_count_threads()
#else
#define OWN_THREADS 1
#endif

static void set_limits(void)
{
    struct rlimit files;
    struct rlimit core;
    /* The flare may raise it again. */
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &core);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* Where the pack is not the first process of a pid namespace, what its workers leave behind
     * still comes to it. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Low descriptors are where a worker gets its own. */
static int out_of_the_way(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    close(fd);
    return moved;
}

/* abort() does not end the first process of a pid namespace as it ends others; a copy of it, of
 * this thread alone, can leave the core dump. */
static void on_abort(int number)
{
    struct rlimit core;
    sigset_t set;
    pid_t copy = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur > 0 ? _Fork() : -1;
    if (copy == 0) {
        sigemptyset(&set);
        sigaddset(&set, number);
        (void)signal(number, SIG_DFL);
        (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        (void)raise(number);
    }
    if (copy > 0)
        (void)waitpid(copy, NULL, 0);
    _exit(128 + number);
}

static int watch_signals(void)
{
    const struct sigaction aborts = {.sa_handler = on_abort};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || sigaction(SIGABRT, &aborts, NULL) < 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool set_up(struct pack *pack)
{
    int type = 0;
    socklen_t length = sizeof(type);
    if (getsockopt(LOCAL_LISTEN_FD, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
        type != SOCK_SEQPACKET) {
        log_error("descriptor 3 is not the socket that an agent gives; covey-pack is started by "
                  "covey-node");
        return false;
    }
    for (size_t i = 0; i < PACK_FDS; i++)
        pack->fds[i] = -1;
    link_init(&pack->link);
    backlog_open(&pack->backlog);
    covey_list_init(&pack->outputs_waiting);
    for (uint32_t k = 0; k < 2; k++) {
        pack->own[k] = (struct pack_output){
            .source = {.fd = -1, .ready = pack_output_ready}, .pack = pack, .stream = k + 1};
        covey_list_init(&pack->own[k].queued);
    }
    pack->agent_deadline_ns = covey_now_ns() + LOCAL_RETURN_NS;
    pack->stop_deadline_ns = COVEY_NEVER_NS;
    pack->drain_deadline_ns = COVEY_NEVER_NS;
    pack->agent.fd = pack->lifeline.fd = pack->threads_done.fd = -1;
    pack->listener =
        (struct pack_source){.ready = pack_listener_ready, .fd = out_of_the_way(LOCAL_LISTEN_FD)};
    pack->epoll = out_of_the_way(epoll_create1(EPOLL_CLOEXEC));
    pack->signals =
        (struct pack_source){.ready = pack_signals_ready, .fd = out_of_the_way(watch_signals())};
    /* Whoever connects later is told who listens, not who made the socket. */
    if (pack->listener.fd < 0 || pack->epoll < 0 || pack->signals.fd < 0 ||
        listen(pack->listener.fd, 8) < 0 || fcntl(pack->listener.fd, F_SETFL, O_NONBLOCK) < 0) {
        log_error("cannot set up error=\"%s\"", strerror(errno));
        return false;
    }
    return pack_watch(pack, &pack->listener, EPOLLIN) == COVEY_OK &&
           pack_watch(pack, &pack->signals, EPOLLIN) == COVEY_OK;
}

/* Standard error will be the code's, or is. */
static void open_log(struct pack *pack)
{
    pack->words_fd = out_of_the_way(LOCAL_WORDS_FD);
    covey_log_keep_error(pack->words_fd);
    if (pack->life == PACK_LIFE_FIRST)
        pack->log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    else
        pack->log_fd = out_of_the_way(pack_again_log_fd());
    if (pack->log_fd >= 0)
        covey_log_set_fd(pack->log_fd);
}

/* After a new beginning. */
static enum covey_status go_on(struct pack *pack)
{
    struct local_record record;
    int agent;
    enum covey_status status = pack_again_read(&record, &agent);
    if (!status)
        status = pack_take_agent(pack, agent);
    if (!status)
        pack_prepare(pack, &record);
    local_record_free(&record);
    return status;
}

int main(int argc, char **argv)
{
    static struct pack pack;
    struct covey_error error = {0};
    covey_start();
    pack_title_init(argc, argv);
    covey_log_init("covey-pack");
    if (argc < 3 || argc > 5 || strlen(argv[2]) >= sizeof(pack.socket_name) ||
        (argc == 5 && !pack_life_parse(argv[4], &pack.life))) {
        (void)fprintf(stderr, "covey-pack is started by covey-node, not by hand\n");
        return 2;
    }
    open_log(&pack);
    if (covey_fault_init(&error) != COVEY_OK) {
        log_error("%s", error.message);
        return 2;
    }
    pack.program = argv[0];
    /* Not of the link by which it was executed again. */
    (void)prctl(PR_SET_NAME, "covey-pack", 0, 0, 0);
    /* The pack leaves the folder that it was started in. */
    pack.runtime_folder = realpath(argv[1], NULL);
    if (!pack.runtime_folder) {
        log_error("cannot find folder=%s error=\"%s\"", argv[1], strerror(errno));
        return 1;
    }
    pack.cgroup = argc > 3 && *argv[3] ? argv[3] : NULL;
    pack.own_threads = OWN_THREADS;
    (void)snprintf(pack.socket_name, sizeof(pack.socket_name), "%s", argv[2]);
    (void)pthread_mutex_init(&pack.threads_lock, NULL);
    set_limits();
    if (!set_up(&pack))
        return 1;
    enum covey_status status = pack.life == PACK_LIFE_FIRST ? COVEY_OK : go_on(&pack);
    if (!status)
        status = pack_run(&pack);
    if (status)
        log_error("the pack's loop failed status=%s", covey_status_name(status));
    if (pack.leaves && !status)
        exit(0);
    /* Not exit(): the code's destructors are the affair of workers that are processes, and worker
     * threads may be running. */
    _exit(status ? 1 : 0);
}
