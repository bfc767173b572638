/* Setups on sockets: how a pack sends one, and how an exec'd worker takes it. */
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "worker/context.h"
#include "worker/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A pack that has made a worker starts it, or kills it; this is for one that does neither. */
#define START_TIMEOUT_NS (600 * COVEY_NS_PER_S)

static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    if (!text || !*text)
        return -1;
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    return errno || *end || number < 0 || number > INT32_MAX ? -1 : number;
}

static enum covey_status receive_setup(int socket, struct worker_setup *setup)
{
    int fds[COVEY_IO_MAX_FDS];
    size_t fd_count;
    size_t length;
    enum covey_status status =
        covey_receive_fds(socket, setup, sizeof(*setup), &length, fds, &fd_count);
    if (status)
        return status;
    size_t expected = 2;
    if (length == sizeof(*setup))
        expected += (setup->lifeline_fd >= 0 ? 1u : 0u) + (setup->params_fd >= 0 ? 1u : 0u);
    if (length != sizeof(*setup) || fd_count != expected) {
        for (size_t i = 0; i < fd_count; i++)
            covey_close(&fds[i]);
        return length == 0 ? COVEY_EUNAVAILABLE : COVEY_EPROTO;
    }
    setup->arena_fd = fds[0];
    setup->host_event_fd = fds[1];
    size_t next = 2;
    setup->lifeline_fd = setup->lifeline_fd >= 0 ? fds[next++] : -1;
    setup->params_fd = setup->params_fd >= 0 ? fds[next] : -1;
    setup->control_fd = socket;
    return COVEY_OK;
}

enum covey_status covey_attach(struct covey_ctx **ctx)
{
    long socket = number_of(WORKER_FD_VARIABLE);
    long rank = number_of(WORKER_RANK_VARIABLE);
    if (socket < 0 || rank < 0)
        return COVEY_EPRECONDITION;
    struct worker_setup setup;
    enum covey_status status = receive_setup((int)socket, &setup);
    if (status)
        return status;
    struct covey_ctx *made = NULL;
    struct covey_error error;
    status =
        setup.rank == (uint32_t)rank ? covey_worker_create(&setup, &made, &error) : COVEY_EPROTO;
    covey_close(&setup.arena_fd);
    covey_close(&setup.host_event_fd);
    covey_close(&setup.lifeline_fd);
    covey_close(&setup.params_fd);
    if (!status)
        status = covey_worker_enter(made, covey_now_ns() + START_TIMEOUT_NS);
    if (status) {
        covey_detach(made);
        return status;
    }
    *ctx = made;
    return COVEY_OK;
}
