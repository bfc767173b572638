/* What benchmarks do as users of a cluster. One thread. Failures are said on standard error. */
#ifndef BENCH_USER_H
#define BENCH_USER_H

#include <covey/client.h>

#include <argp.h>

/* Says what failed, and why. Returns -1. */
int bench_said(const char *what, const struct covey_error *error);

/* An argument of argp that is a whole number from least to most; else argp ends the program. */
int bench_whole_number(const char *text, int least, int most, struct argp_state *state);

/* The name of a peer to compare with that there is; else argp ends the program. */
const char *bench_peer(const char *text, struct argp_state *state);

/* A client of the controller at an address, to be destroyed; NULL, said, on failure. */
struct covey_client *bench_connect(const char *server);

/* Deploys a shared object of covey-bench's ("lib:idle.so"). -1, said, on failure. */
int bench_deploy(struct covey_client *client, const char *definition, const char *file);
int bench_deploy_as(struct covey_client *client, const char *definition, const char *file,
                    enum covey_worker_kind kind);

#endif
