#include "client/cli/loop.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum covey_status cli_loop_begin(struct cli_loop *loop, struct covey_error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    loop->deadline_ns = COVEY_NEVER_NS;
    loop->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0)
        return covey_error_set_errno(error, errno, "cannot wait for signals");
    sigprocmask(SIG_BLOCK, &signals, &loop->old_mask);
    return COVEY_OK;
}

void cli_loop_end(struct cli_loop *loop)
{
    sigprocmask(SIG_SETMASK, &loop->old_mask, NULL);
    covey_close(&loop->signal_fd);
}

static bool take_signals(struct cli_loop *loop)
{
    struct signalfd_siginfo signal;
    bool stop = false;
    while (read(loop->signal_fd, &signal, sizeof signal) == (ssize_t)sizeof signal)
        stop = loop->on_signal(loop->data) || stop;
    return stop;
}

static int timeout_ms(const struct cli_loop *loop)
{
    if (loop->deadline_ns == COVEY_NEVER_NS)
        return -1;
    int64_t left_ns = loop->deadline_ns - covey_now_ns();
    return left_ns > 0 ? (int)(left_ns / COVEY_NS_PER_MS) + 1 : 0;
}

enum { CLIENT, SIGNALS, LIFE, OUTPUT, FDS = OUTPUT + 2 };

static void fill(const struct cli_loop *loop, struct pollfd fds[FDS])
{
    fds[CLIENT] = (struct pollfd){.fd = covey_client_fd(loop->client), .events = POLLIN};
    fds[SIGNALS] = (struct pollfd){.fd = loop->signal_fd, .events = POLLIN};
    fds[LIFE] = (struct pollfd){.fd = loop->life_fd, .events = POLLIN};
    fds[OUTPUT] = fds[OUTPUT + 1] = (struct pollfd){.fd = -1};
    if (loop->output)
        cli_output_poll(loop->output, &fds[OUTPUT]);
}

enum covey_status cli_loop_run(struct cli_loop *loop, const bool *done, struct covey_error *error)
{
    while (!*done) {
        struct pollfd fds[FDS];
        fill(loop, fds);
        int ready = poll(fds, FDS, timeout_ms(loop));
        if (ready < 0 && errno != EINTR)
            return covey_error_set_errno(error, errno, "cannot wait");
        if (ready == 0 && timeout_ms(loop) == 0)
            return covey_error_set(error, COVEY_ETIMEOUT, "deadline exceeded");
        if (ready < 0)
            continue;
        if (fds[SIGNALS].revents && take_signals(loop))
            return covey_error_set(error, COVEY_ECANCELLED, "interrupted");
        if (fds[LIFE].revents)
            return covey_error_set(error, COVEY_EUNAVAILABLE, "the server of this run has ended");
        enum covey_status status = covey_client_process(loop->client);
        if (status)
            return covey_error_set(error, status, "cannot wait");
        if (loop->output)
            cli_output_write(loop->output, &fds[OUTPUT]);
        if (loop->on_turn)
            loop->on_turn(loop->data);
    }
    return COVEY_OK;
}
