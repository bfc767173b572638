/*
 * What the user's code writes in the pack's own process: constructors while it is loaded, worker
 * threads, and whatever runs at exit. It belongs to the flare's log like all else, under the pack's
 * first rank. While the pack cannot read, since it is in that code itself, standard output and
 * error are memory, which never makes a writer wait; threads write to pipes, which lead there. The
 * agent has the read ends too, and reads what is left when the process is gone, however that came.
 */
#include "base/error.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void pack_own_tell(struct pack *pack)
{
    const struct pack_output *own = pack->own;
    Covey__V1__PackOutput output = COVEY__V1__PACK_OUTPUT__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    int fds[4];
    size_t count = 0;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_OUTPUT;
    message.pack_output = &output;
    for (int k = 0; k < 2 && own[0].spool.is_open && own[1].spool.is_open; k++)
        fds[count++] = own[k].spool.read_fd;
    for (int k = 0; k < 2 && own[0].source.fd >= 0 && own[1].source.fd >= 0; k++)
        fds[count++] = own[k].source.fd;
    if (count > 0)
        pack_send(pack, &message, fds, count);
}

static bool redirect(struct pack *pack, int stream)
{
    struct spool *spool = &pack->own[stream - 1].spool;
    enum covey_status status = spool_open(spool);
    if (!status && dup2(spool->write_fd, stream) == stream)
        return true;
    log_warn("what the code writes where no worker runs goes to the node's log status=%s",
             covey_status_name(status ? status : covey_status_from_errno(errno)));
    spool_close(spool);
    return false;
}

void pack_own_redirect(struct pack *pack)
{
    if (redirect(pack, STDOUT_FILENO) && redirect(pack, STDERR_FILENO))
        pack_own_tell(pack);
}

void pack_own_adopt(struct pack *pack)
{
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        if (spool_adopt(&pack->own[stream - 1].spool, stream) != COVEY_OK)
            log_warn("what the code writes where no worker runs is lost");
    }
    pack_own_tell(pack);
}

void pack_own_leave(struct pack *pack)
{
    bool kept = true;
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        const struct spool *spool = &pack->own[stream - 1].spool;
        kept = kept && spool->is_open && dup2(spool->write_fd, stream) == stream;
    }
    if (!kept)
        pack_own_redirect(pack);
}

void pack_own_read(struct pack *pack)
{
    /* Or each worker that is forked would write it once more. */
    (void)fflush(stdout);
    (void)fflush(stderr);
    for (int k = 0; k < 2; k++) {
        if (pack->own[k].spool.is_open)
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
        enum covey_status status = pack_output_open(pack, output, ends[0]);
        if (status)
            return covey_error_set(error, status, "cannot watch the workers' output");
    }
    pack_own_tell(pack);
    return COVEY_OK;
}
