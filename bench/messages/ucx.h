/* UCX as a peer: its own ucx_perftest, with matched (tag) messages. One thread; failures are said.
 */
#ifndef BENCH_MESSAGES_UCX_H
#define BENCH_MESSAGES_UCX_H

#include "bench/messages/outcome.h"
#include "bench/messages/settings.h"

int ucx_check(void);

/* One run between two processes, over shared memory, or TCP over loopback for two nodes. It brings
 * one figure: of a latency the median, of others the mean. */
int ucx_run(const struct settings *settings, const struct order *order, struct outcome *outcome);

#endif
