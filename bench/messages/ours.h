/* Covey as it is measured. One thread; failures are said. */
#ifndef BENCH_MESSAGES_OURS_H
#define BENCH_MESSAGES_OURS_H

#include "bench/cluster.h"
#include "bench/messages/outcome.h"
#include "bench/messages/settings.h"

struct ours {
    struct bench_cluster cluster;
    struct covey_client *client;
};

/* A cluster with the workers deployed on it. -1; close it also then. */
int ours_open(struct ours *ours, const struct settings *settings);
void ours_close(struct ours *ours);

/* One flare. -1 where it does not succeed, or something came that was not sent. */
int ours_run(struct ours *ours, const struct settings *settings, const struct order *order,
             struct outcome *outcome);

#endif
