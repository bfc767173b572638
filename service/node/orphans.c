#include "service/node/orphans.h"

#include "service/node/node.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* An end of the agent's own that comes first hides the others until it is seen; then again. */
#define AGAIN_MS 100

static bool is_own(const struct node *agent, pid_t pid)
{
    covey_list_for_each (node, &agent->children) {
        const struct node_child *child = covey_container_of(node, struct node_child, all);
        if (child->pid == pid && child->ours)
            return true;
    }
    return false;
}

static void on_again(uv_timer_t *timer)
{
    struct node *agent = timer->data;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        if (is_own(agent, info.si_pid)) {
            (void)uv_timer_start(timer, on_again, AGAIN_MS, 0);
            return;
        }
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

static void on_child(uv_signal_t *signal, int number)
{
    struct node *agent = signal->data;
    (void)number;
    on_again(&agent->orphans_timer);
}

void orphans_open(struct node *agent)
{
    if (getpid() != 1)
        return;
    agent->reaps_orphans = true;
    (void)uv_timer_init(&agent->loop, &agent->orphans_timer);
    (void)uv_signal_init(&agent->loop, &agent->orphans);
    agent->orphans_timer.data = agent->orphans.data = agent;
    (void)uv_signal_start(&agent->orphans, on_child, SIGCHLD);
}

void orphans_close(struct node *agent)
{
    if (!agent->reaps_orphans)
        return;
    agent->reaps_orphans = false;
    uv_close((uv_handle_t *)&agent->orphans_timer, NULL);
    uv_close((uv_handle_t *)&agent->orphans, NULL);
}
