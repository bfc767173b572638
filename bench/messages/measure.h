/* Runs Covey and its peers in turn. One thread; failures are said. */
#ifndef BENCH_MESSAGES_MEASURE_H
#define BENCH_MESSAGES_MEASURE_H

#include "bench/messages/ours.h"
#include "bench/messages/row.h"

/* -1 where a peer that is wanted is not there. */
int messages_check_peers(const struct settings *settings);

/*
 * Rounds of one run each: the limits, Covey, and every peer, until there are as many as wanted. A
 * round at whose beginning the machine is not as it was is said to be disturbed and thrown away;
 * after as many of those as rounds are wanted, and three, it is given up. -1 where something
 * failed, or it was interrupted.
 */
int messages_measure(struct ours *ours, struct row *row);

#endif
