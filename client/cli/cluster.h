/*
 * A controller and nodes on this machine: starting their programs, knowing when they are ready,
 * ending them.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "covey/client.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CLI_MAX_NODES       1000
#define CLI_MAX_NODE_LABELS 8

struct cli_process {
    char name[32];       /* "coveyd", "node-1" */
    pid_t pid;           /* 0: not started */
    uint64_t start_time; /* of /proc/PID/stat: tells a process from a later one with its pid */
};

struct cli_cluster {
    char server[256];       /* "unix:..." */
    char listen[256];       /* another address to listen on, or "" */
    char state[PATH_MAX];   /* folder: the controller's, the nodes', logs */
    char runtime[PATH_MAX]; /* folder: sockets */
    uint32_t nodes;
    uint32_t slots;                          /* per node; 0: the node's default */
    const char *labels[CLI_MAX_NODE_LABELS]; /* "key=value", of every node */
    size_t label_count;
    uint32_t racks;  /* that the nodes are in by turns; 0: none */
    bool cold;       /* nodes keep no hosts and packs warm */
    int lifeline_fd; /* read end: they end when its other end closes; or -1 */
    bool detached;   /* each in a session of its own: it outlives the terminal */
    struct cli_process processes[CLI_MAX_NODES + 1]; /* the controller first */
    size_t process_count;
};

/* Looks for the programs, so that a missing one is said before anything starts. */
enum covey_status cli_cluster_check(struct covey_error *error) COVEY_MUST_USE;

/* Starts the controller, waits until it listens, starts the nodes. What was started is in
 * processes, also after a failure. */
enum covey_status cli_cluster_start(struct cli_cluster *cluster,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Waits until every node is up. EUNAVAILABLE where a program has ended, ETIMEOUT. */
enum covey_status cli_cluster_wait(struct cli_cluster *cluster, struct covey_client *client,
                                   struct covey_error *error) COVEY_MUST_USE;

/* Ends the processes that run: nodes, then the controller; SIGTERM, then SIGKILL; waits. */
void cli_cluster_stop(struct cli_cluster *cluster);

/* In place of each process that does not run any more: the one that has taken its state folder
 * over, as who was started again by hand has. */
void cli_cluster_find_successors(struct cli_cluster *cluster);

/* A descriptor of it that is readable when it has ended; -1 where it does not run. */
int cli_process_open(const struct cli_process *process);

/* The file that its standard error goes to. */
void cli_process_log(const struct cli_cluster *cluster, const struct cli_process *process,
                     char path[PATH_MAX]);

#endif
