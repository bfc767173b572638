/*
 * A host: owns one flare on one node: its arena, its network. One thread, one loop.
 *
 *   warm --HostPrepare, HostLifelines--> ready --HostStart--> running --SIGKILL--> gone
 */
#ifndef SERVICE_HOST_HOST_H
#define SERVICE_HOST_HOST_H

#include "service/common/local.h"
#include "service/common/peer.h"
#include "transport/core/arena.h"
#include "transport/core/host_port.h"

#include <uv.h>

struct host;

/* The host's end of a pack's lifeline. */
struct host_lifeline {
    struct host *host;
    uv_poll_t poll;
    int fd;
    uint32_t pack_id;
};

struct host {
    uv_loop_t loop;
    const char *runtime_folder;
    const char *socket_name;
    int listener_fd;
    uv_poll_t listener;
    struct host_agent *agent; /* NULL: none is connected */
    uv_timer_t return_timer;
    Covey__V1__LocalFlare *flare; /* NULL: warm */
    int flare_fd;
    struct arena *arena;
    struct host_port *port;
    struct host_network *network; /* NULL: the flare is on this node only */
    struct host_lifeline *lifelines;
    uint32_t lifeline_count;
    uint32_t lifelines_open;
    uint32_t packs_here;
    char address[128];
    char transport[64];
    bool ready;
    bool started;
    bool done; /* HostDone was said */
    int exit_status;
};

/* Runs a host to its end; the process's exit status. */
int host_run(const char *runtime_folder, const char *socket_name);

/* Ends the process now: nothing of the flare may outlive it, and nothing needs to be said. */
void host_exit(struct host *host, int status) __attribute__((noreturn));

/* ---- agent.c: the connection to the agent ---- */

/* Listens, and takes the newest connection for the agent's. */
enum covey_status host_listen(struct host *host, struct covey_error *error) COVEY_MUST_USE;
void host_send(struct host *host, const local_message *message, const int *fds, size_t fd_count);
void host_tell_transport(struct host *host);
void host_tell_done(struct host *host);

/* ---- flare.c: what the agent wants ---- */

void host_on_record(struct host *host, struct local_record *record);

/* ---- network.c: messages between nodes ---- */

/* Loads and initialises what is slow, while the host is warm. */
enum covey_status host_network_warm(struct covey_error *error) COVEY_MUST_USE;
/* Listens, where the flare is on several nodes; fills in host->address. */
enum covey_status host_network_open(struct host *host, const Covey__V1__HostPrepare *prepare,
                                    struct covey_error *error) COVEY_MUST_USE;
/* The other hosts' addresses, by node index. */
enum covey_status host_network_start(struct host *host, const Covey__V1__HostStart *start,
                                     struct covey_error *error) COVEY_MUST_USE;
/* A rank of another node has ended. */
void host_network_mark_ended(struct host *host, uint32_t rank, bool succeeded, const char *reason);

#endif
