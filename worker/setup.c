#include "worker/setup.h"

#include "base/io.h"

enum covey_status worker_setup_send(int socket, const struct worker_setup *setup)
{
    int fds[4] = {setup->arena_fd, setup->host_event_fd};
    size_t count = 2;
    if (setup->lifeline_fd >= 0)
        fds[count++] = setup->lifeline_fd;
    if (setup->params_fd >= 0)
        fds[count++] = setup->params_fd;
    return covey_send_fds(socket, setup, sizeof(*setup), fds, count);
}
