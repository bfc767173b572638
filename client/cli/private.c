#include "client/cli/private.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/surroundings.h"
#include "client/cli/cli.h"
#include "client/cli/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the keeper says once: how starting went, and what it has started. */
struct news {
    struct covey_error error;
    size_t process_count;
    struct cli_process processes[CLI_MAX_NODES + 1];
};

/* ---- the keeper ---- */

/* What the ended agents have left behind is this process's children now: it is their subreaper. */
static void kill_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    for (;;) {
        char text[4096];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        covey_close(&fd);
        text[length > 0 ? length : 0] = 0;
        char *at = text;
        char *end;
        for (long pid = strtol(at, &end, 10); end != at; pid = strtol(at, &end, 10)) {
            /* A number that the end of the buffer has cut is read whole the next time. */
            if (*end)
                kill((pid_t)pid, SIGKILL);
            at = end;
        }
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return;
    }
}

/* Until the user's program is gone, or one of the processes. */
static void keep(const struct cli_cluster *cluster, int life_fd)
{
    struct pollfd fds[CLI_MAX_NODES + 2];
    size_t count = 0;
    for (; count < cluster->process_count; count++)
        fds[count] =
            (struct pollfd){.fd = cli_process_open(&cluster->processes[count]), .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = life_fd, .events = POLLIN};
    while (poll(fds, count, -1) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < count - 1; i++)
        covey_close(&fds[i].fd);
}

/* Messages of the keeper would mix with the user's; what counts is in news. */
static void detach(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "covey-keeper");
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        (void)dup2(null, fd);
    covey_close(&null);
}

__attribute__((noreturn)) static void run_keeper(struct cli_private *server, int life_fd,
                                                 int news_fd)
{
    static struct news news;
    int lifeline[2];
    detach();
    /* Whoever waits for the closing of what covey was started with must not wait for the keeper. */
    covey_close_others(life_fd, news_fd);
    /* The daemons' own lifeline: they end by themselves where the keeper is killed. */
    enum covey_status status = COVEY_OK;
    if (pipe2(lifeline, O_CLOEXEC))
        status = covey_error_set_errno(&news.error, errno, "cannot make a pipe");
    server->cluster.lifeline_fd = lifeline[0];
    if (!status)
        status = cli_cluster_start(&server->cluster, &news.error);
    news.process_count = server->cluster.process_count;
    memcpy(news.processes, server->cluster.processes, sizeof news.processes);
    bool told = covey_write_full(news_fd, &news, sizeof news) == COVEY_OK;
    if (told && !status)
        keep(&server->cluster, life_fd);
    cli_cluster_stop(&server->cluster);
    kill_children();
    _exit(covey_remove_tree(server->folder) ? 1 : 0);
}

/* ---- the user's program ---- */

static enum covey_status make_folder(struct cli_private *server, struct covey_error *error)
{
    struct cli_cluster *cluster = &server->cluster;
    const char *base = cli_path_private_base();
    if (strlen(base) > sizeof((struct sockaddr_un *)0)->sun_path - 40)
        base = "/tmp";
    snprintf(server->folder, sizeof server->folder, "%s/covey-run-XXXXXX", base);
    if (!mkdtemp(server->folder))
        return covey_error_set_errno(error, errno, "cannot make a folder in %s", base);
    snprintf(cluster->state, sizeof cluster->state, "%s", server->folder);
    snprintf(cluster->runtime, sizeof cluster->runtime, "%s", server->folder);
    snprintf(cluster->server, sizeof cluster->server, "unix:%.200s/covey.sock", server->folder);
    return COVEY_OK;
}

static void remove_folder(const struct cli_private *server)
{
    if (covey_remove_tree(server->folder))
        cli_complain("cannot remove %s", server->folder);
}

static enum covey_status read_news(struct cli_private *server, struct covey_error *error)
{
    static struct news news;
    if (covey_read_full(server->news_fd, &news, sizeof news))
        return covey_error_set(error, COVEY_EUNAVAILABLE,
                               "the private controller could not be started");
    server->cluster.process_count = news.process_count;
    memcpy(server->cluster.processes, news.processes, sizeof news.processes);
    if (news.error.status)
        *error = news.error;
    return news.error.status;
}

enum covey_status cli_private_start(struct cli_private *server, uint32_t nodes, uint32_t slots,
                                    struct covey_error *error)
{
    int life[2] = {-1, -1};
    int news[2] = {-1, -1};
    *server = (struct cli_private){.life_fd = -1, .news_fd = -1};
    server->cluster.nodes = nodes;
    server->cluster.slots = slots;
    server->cluster.lifeline_fd = -1;
    enum covey_status status = cli_cluster_check(error);
    if (!status)
        status = make_folder(server, error);
    if (status)
        return status;
    if (pipe2(life, O_CLOEXEC) || pipe2(news, O_CLOEXEC) || (server->keeper = fork()) < 0) {
        status = covey_error_set_errno(error, errno, "cannot start a private controller");
        covey_error_add_limit(error);
        goto close_pipes;
    }
    if (server->keeper == 0) {
        covey_close(&life[1]);
        covey_close(&news[0]);
        run_keeper(server, life[0], news[1]);
    }
    server->life_fd = life[1];
    server->news_fd = news[0];
    covey_close(&life[0]);
    covey_close(&news[1]);
    status = read_news(server, error);
    if (status)
        cli_private_stop(server);
    return status;

close_pipes:
    for (int i = 0; i < 2; i++) {
        covey_close(&life[i]);
        covey_close(&news[i]);
    }
    remove_folder(server);
    return status;
}

void cli_private_stop(struct cli_private *server)
{
    if (server->keeper <= 0)
        return;
    covey_close(&server->life_fd);
    while (waitpid(server->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    server->keeper = 0;
    covey_close(&server->news_fd);
    /* Where the keeper was killed the daemons end by their lifeline, and the folder is ours. */
    cli_cluster_stop(&server->cluster);
    remove_folder(server);
}
