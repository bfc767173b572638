#include "client/cli/output.h"

#include "client/cli/complain.h"
#include "client/cli/progress.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pipe that poll calls writable takes as much without waiting. */
#define PIPE_WRITE_BYTES ((size_t)PIPE_BUF)

static bool pipe_is_broken;

void cli_output_begin(struct cli_output *output)
{
    struct stat facts;
    *output = (struct cli_output){{{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}}};
    for (int i = 0; i < 2; i++)
        output->sinks[i].is_file =
            fstat(output->sinks[i].fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

void cli_output_end(struct cli_output *output)
{
    for (int i = 0; i < 2; i++)
        covey_buffer_free(&output->sinks[i].text);
}

struct covey_buffer *cli_output_text(struct cli_output *output, unsigned stream)
{
    struct cli_sink *sink = &output->sinks[stream == 2];
    return sink->failed ? NULL : &sink->text;
}

static size_t pending_of(const struct cli_sink *sink)
{
    return sink->text.length_bytes - sink->written_bytes;
}

size_t cli_output_pending(const struct cli_output *output)
{
    return pending_of(&output->sinks[0]) + pending_of(&output->sinks[1]);
}

void cli_output_poll(const struct cli_output *output, struct pollfd fds[2])
{
    for (int i = 0; i < 2; i++) {
        const struct cli_sink *sink = &output->sinks[i];
        /* Nothing needs to be asked for to learn that the reader is gone. */
        fds[i] =
            (struct pollfd){.fd = sink->failed || (i == 1 && !pending_of(sink)) ? -1 : sink->fd,
                            .events = pending_of(sink) ? POLLOUT : 0};
    }
}

static void fail(struct cli_sink *sink, int error)
{
    sink->failed = error;
    pipe_is_broken = pipe_is_broken || error == EPIPE;
    covey_buffer_free(&sink->text);
    sink->written_bytes = 0;
}

static void write_sink(struct cli_sink *sink)
{
    size_t most = sink->is_file ? SIZE_MAX : PIPE_WRITE_BYTES;
    size_t bytes = pending_of(sink);
    ssize_t written =
        write(sink->fd, sink->text.data + sink->written_bytes, bytes < most ? bytes : most);
    if (written < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (written < 0) {
        fail(sink, errno);
        return;
    }
    sink->written_bytes += (size_t)written;
    if (pending_of(sink) == 0)
        sink->text.length_bytes = sink->written_bytes = 0;
}

void cli_output_write(struct cli_output *output, const struct pollfd fds[2])
{
    for (int i = 0; i < 2; i++) {
        struct cli_sink *sink = &output->sinks[i];
        if (fds[i].revents & POLLERR && !sink->is_file)
            fail(sink, EPIPE);
        if (!(fds[i].revents & (POLLOUT | POLLHUP | POLLNVAL)) || pending_of(sink) == 0)
            continue;
        cli_progress_hide();
        write_sink(sink);
    }
}

int cli_output_failed(const struct cli_output *output)
{
    return output->sinks[0].failed ? output->sinks[0].failed : output->sinks[1].failed;
}

int cli_finish_output(void)
{
    static bool told;
    if (fflush(stdout) || ferror(stdout)) {
        if (errno == EPIPE)
            pipe_is_broken = true;
        else if (!told)
            cli_complain("cannot write to standard output: %s", strerror(errno));
        told = true;
        return CLI_FAILED;
    }
    return CLI_OK;
}

bool cli_output_pipe_is_broken(void)
{
    return pipe_is_broken;
}

int cli_output_exit(int exit_status)
{
    sigset_t pipe;
    if (!pipe_is_broken)
        return exit_status;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_UNBLOCK, &pipe, NULL);
    (void)raise(SIGPIPE);
    return exit_status;
}
