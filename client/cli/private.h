/*
 * A private controller with nodes, for one run. It is kept by a process of its own, the keeper,
 * which ends it and removes its folder when this program ends, however it ends.
 */
#ifndef CLI_PRIVATE_H
#define CLI_PRIVATE_H

#include "client/cli/cluster.h"

struct cli_private {
    struct cli_cluster cluster;
    char folder[PATH_MAX];
    pid_t keeper;
    int life_fd; /* write end: the keeper waits for its closing */
    int news_fd; /* the keeper reports here; closed when it has ended */
};

/* Starts controller and nodes; they may not be ready yet: cli_cluster_wait. Must be called before
 * there are threads. */
enum covey_status cli_private_start(struct cli_private *server, uint32_t nodes, uint32_t slots,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Ends all of it; nothing is left when it returns. */
void cli_private_stop(struct cli_private *server);

#endif
