/*
 * What the user's code writes in the pack's own process: constructors while it is loaded, worker
 * threads, and whatever runs at exit. It belongs to the flare's log like all else, under the pack's
 * first rank. While the pack cannot read, since it is in that code itself, standard output and
 * error are memory, which never makes a writer wait; threads write to pipes. The agent has the read
 * ends too, and reads what is left when the process is gone, however that came.
 */
#include "base/error.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Low descriptors are where a worker gets its own. */
#define FIRST_KEPT_FD 16

void pack_own_tell(struct pack *pack)
{
    Covey__V1__PackOutput output = COVEY__V1__PACK_OUTPUT__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_OUTPUT;
    message.pack_output = &output;
    if (pack->own[0].source.fd >= 0 && pack->own[1].source.fd >= 0)
        pack_send(pack, &message, (const int[]){pack->own[0].source.fd, pack->own[1].source.fd}, 2);
}

/* A description of its own, which the agent shares: so each goes on where the other has stopped. */
static int open_for_reading(int memory)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    int low = open(path, O_RDONLY | O_CLOEXEC);
    int fd = low >= 0 ? fcntl(low, F_DUPFD_CLOEXEC, FIRST_KEPT_FD) : -1;
    covey_close(&low);
    return fd;
}

/* Takes the descriptor, of memory. */
static void read_from(struct pack_output *output, int take_fd)
{
    covey_list_remove(&output->queued);
    covey_close(&output->source.fd);
    output->source.fd = take_fd;
    output->is_memory = true;
}

static bool redirect(struct pack *pack, int stream)
{
    int memory = memfd_create("covey-output", MFD_CLOEXEC);
    int reading = memory >= 0 ? open_for_reading(memory) : -1;
    bool done = reading >= 0 && dup2(memory, stream) == stream;
    int error = errno;
    covey_close(&memory);
    if (!done) {
        covey_close(&reading);
        log_warn("what the code writes where no worker runs goes to the node's log error=\"%s\"",
                 strerror(error));
        return false;
    }
    read_from(&pack->own[stream - 1], reading);
    return true;
}

void pack_own_redirect(struct pack *pack)
{
    if (redirect(pack, STDOUT_FILENO) && redirect(pack, STDERR_FILENO))
        pack_own_tell(pack);
}

void pack_own_adopt(struct pack *pack)
{
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        int reading = open_for_reading(stream);
        if (reading >= 0)
            read_from(&pack->own[stream - 1], reading);
    }
    pack_own_tell(pack);
}

void pack_own_read(struct pack *pack)
{
    /* Or each worker that is forked would write it once more. */
    (void)fflush(stdout);
    (void)fflush(stderr);
    for (int k = 0; k < 2; k++) {
        if (pack->own[k].source.fd >= 0)
            pack_output_ready(pack, &pack->own[k].source, 0);
    }
}

enum covey_status pack_own_pipes(struct pack *pack, struct covey_error *error)
{
    for (int k = 0; k < 2; k++) {
        struct pack_output *output = &pack->own[k];
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ||
            dup2(ends[1], k + 1) < 0)
            return covey_error_set_errno(error, errno, "cannot redirect the workers' output");
        covey_close(&ends[1]);
        pack_output_close(pack, output);
        output->is_memory = false;
        enum covey_status status = pack_output_open(pack, output, ends[0]);
        if (status)
            return covey_error_set(error, status, "cannot watch the workers' output");
    }
    pack_own_tell(pack);
    return COVEY_OK;
}
