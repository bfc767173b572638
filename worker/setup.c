#include "worker/setup.h"

#include "base/io.h"

enum covey_status worker_setup_send(int socket, const struct worker_setup *setup)
{
    int fds[3] = {setup->arena_fd, setup->host_event_fd, setup->params_fd};
    return covey_send_fds(socket, setup, sizeof(*setup), fds, setup->params_fd >= 0 ? 3 : 2);
}
