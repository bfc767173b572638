/* The cluster that a benchmark runs on. One thread. */
#ifndef BENCH_CLUSTER_H
#define BENCH_CLUSTER_H

#include <stdbool.h>

enum { bench_path_bytes = 256 };

struct bench_cluster {
    bool own;                                 /* started here, with its own folders */
    char folder[bench_path_bytes];            /* of an own one */
    char server[bench_path_bytes + 32];       /* where the controller is */
    char variables[2][bench_path_bytes + 32]; /* "NAME=value" */
    char *environment[3];
};

/*
 * Takes the cluster that COVEY_SERVER names or, without that, starts one of local nodes in a
 * private folder. cold: without processes that are kept warm. -1, said, on failure; else it is to
 * be closed.
 */
int bench_cluster_open(struct bench_cluster *cluster, int nodes, int slots, bool cold);

/* Takes down what bench_cluster_open started, and removes its folder. */
void bench_cluster_close(struct bench_cluster *cluster);

#endif
