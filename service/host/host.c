/* A host's loop and its end. */
#include "service/host/host.h"

#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* For want of an agent that would: its own socket and, where its flare ends with it, the packs'. */
static void remove_sockets(const struct host *host)
{
    char prefix[64];
    int folder = open(host->runtime_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = folder >= 0 ? fdopendir(folder) : NULL;
    if (!names) {
        covey_close(&folder);
        return;
    }
    (void)snprintf(prefix, sizeof(prefix), "%s.", host->flare ? host->flare->flare_id : "\n");
    for (struct dirent *entry = readdir(names); entry; entry = readdir(names)) {
        if (strcmp(entry->d_name, host->socket_name) == 0 ||
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            (void)unlinkat(dirfd(names), entry->d_name, 0);
    }
    closedir(names);
}

void host_exit(struct host *host, int status)
{
    if (!host->agent)
        remove_sockets(host);
    _exit(status);
}

int host_run(const char *runtime_folder, const char *socket_name)
{
    static struct host host;
    struct covey_error error = {0};
    host.runtime_folder = runtime_folder;
    host.socket_name = socket_name;
    host.listener_fd = LOCAL_LISTEN_FD;
    host.flare_fd = -1;
    if (uv_loop_init(&host.loop) < 0) {
        log_error("no loop");
        return 1;
    }
    enum covey_status status = host_network_warm(&error);
    if (!status)
        status = host_listen(&host, &error);
    if (status) {
        log_error("%s", error.message);
        return 1;
    }
    (void)uv_run(&host.loop, UV_RUN_DEFAULT);
    return 0;
}
