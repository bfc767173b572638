/*
 * Holding a pack and all that it forks together. In a pid namespace the pack is the first process:
 * the kernel ends the others with it, whatever they did to hide. A cgroup does the same when it is
 * told to. Where there is neither, only the mark in the environment is left.
 */
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "service/node/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t clone_process(uint64_t flags, int *pidfd)
{
    int made = -1;
    /* Not clone3: container engines deny it, since they cannot look at its flags. */
    pid_t pid = (pid_t)syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, NULL, &made, NULL, 0);
    *pidfd = pid > 0 ? made : -1;
    return pid;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    covey_close(&fd);
    return written;
}

/* The user's own ids, and no others, inside the namespace. */
static bool map_ids(pid_t pid)
{
    char path[64];
    char text[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
    if (!write_text(path, "deny"))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
    (void)snprintf(text, sizeof(text), "%u %u 1", geteuid(), geteuid());
    if (!write_text(path, text))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
    (void)snprintf(text, sizeof(text), "%u %u 1", getegid(), getegid());
    return write_text(path, text);
}

/* The child waits until its ids are mapped. */
static pid_t clone_as_user(int *pidfd)
{
    int gate[2];
    char go = 0;
    if (pipe2(gate, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = clone_process(CLONE_NEWUSER | CLONE_NEWPID, pidfd);
    if (pid == 0) {
        (void)close(gate[1]);
        if (read(gate[0], &go, 1) != 1)
            _exit(127);
        (void)close(gate[0]);
        return 0;
    }
    int saved = errno;
    if (pid > 0) {
        bool mapped = map_ids(pid);
        saved = errno;
        if (!mapped || write(gate[1], &go, 1) != 1) {
            covey_close(&gate[1]); /* or it would wait for ever */
            (void)waitpid(pid, NULL, 0);
            covey_close(pidfd);
            pid = -1;
        }
    }
    covey_close(&gate[0]);
    covey_close(&gate[1]);
    errno = saved;
    return pid;
}

static pid_t clone_first_of_namespace(int *pidfd)
{
    return geteuid() == 0 ? clone_process(CLONE_NEWPID, pidfd) : clone_as_user(pidfd);
}

static bool namespace_works(void)
{
    int pidfd = -1;
    pid_t pid = clone_first_of_namespace(&pidfd);
    if (pid == 0)
        _exit(getpid() == 1 ? 0 : 1);
    int status = 1;
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    covey_close(&pidfd);
    return pid > 0 && status == 0;
}

enum covey_status tree_choose(struct node *agent, struct covey_error *error)
{
    enum tree_kind asked = agent->options.tree;
    if (asked == TREE_AUTO || asked == TREE_PID_NAMESPACE) {
        agent->tree = TREE_PID_NAMESPACE;
        if (namespace_works())
            return COVEY_OK;
        if (asked == TREE_PID_NAMESPACE)
            return covey_error_set(error, COVEY_EPRECONDITION,
                                   "pid namespaces cannot be made here (allow user namespaces, or "
                                   "run as root)");
    }
    if (asked == TREE_AUTO || asked == TREE_CGROUP) {
        agent->tree = TREE_CGROUP;
        const char *slash = strchr(agent->identity, '/');
        if (cgroups_open(&agent->cgroups, agent->options.name, slash ? slash + 1 : "node"))
            return COVEY_OK;
        if (asked == TREE_CGROUP)
            return covey_error_set(error, COVEY_EPRECONDITION,
                                   "no writable cgroup with cgroup.kill (delegate one to this "
                                   "user, or run as root)");
    }
    agent->tree = TREE_ENVIRONMENT;
    log_warn("processes are held together by their environment only%s: one that changes it escapes",
             asked == TREE_AUTO ? ", for want of pid namespaces and cgroups" : "");
    return COVEY_OK;
}

enum covey_status tree_fork(struct node *agent, struct node_child *child, pid_t *pid, int *pidfd)
{
    bool in_cgroup = agent->tree == TREE_CGROUP && child->role == CHILD_PACK;
    if (in_cgroup && !cgroup_make(&agent->cgroups, agent->spawned, child->cgroup))
        return covey_status_from_errno(errno);
    *pidfd = -1;
    *pid = agent->tree == TREE_PID_NAMESPACE && child->role == CHILD_PACK
               ? clone_first_of_namespace(pidfd)
               : clone_process(0, pidfd);
    if (*pid == 0 && in_cgroup)
        cgroup_enter(child->cgroup);
    if (*pid >= 0)
        return COVEY_OK;
    int failed = errno;
    if (in_cgroup)
        (void)rmdir(child->cgroup);
    errno = failed;
    return covey_status_from_errno(failed);
}

static bool has_mark(const char *process, const char *mark)
{
    char path[300];
    struct covey_buffer text = {0};
    bool found = false;
    (void)snprintf(path, sizeof(path), "/proc/%s/environ", process);
    if (covey_file_read(path, 1 << 20, &text, NULL) == COVEY_OK)
        found = memmem(text.data, text.length_bytes, mark, strlen(mark)) != NULL;
    covey_buffer_free(&text);
    return found;
}

bool tree_sweep(const char *flare_id)
{
    char mark[64];
    bool found = false;
    DIR *processes = opendir("/proc");
    if (!processes)
        return false;
    (void)snprintf(mark, sizeof(mark), "COVEY_FLARE_ID=%s", flare_id);
    for (struct dirent *entry = readdir(processes); entry; entry = readdir(processes)) {
        if (*entry->d_name < '1' || *entry->d_name > '9' || !has_mark(entry->d_name, mark))
            continue;
        found = true;
        (void)kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
    }
    closedir(processes);
    return found;
}
