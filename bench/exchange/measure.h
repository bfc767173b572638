/* Takes the times of one order. It runs in every worker, of Covey and of its peers. */
#ifndef BENCH_EXCHANGE_MEASURE_H
#define BENCH_EXCHANGE_MEASURE_H

#include "bench/exchange/order.h"
#include "bench/exchange/talk.h"

#include <stdio.h>

/*
 * Before each sample the data is rewritten and all meet in a barrier; after it what came is read
 * and compared, and neither is in the times. At rank 0 the times are written to out: lines of a
 * word and nanoseconds,
 *   barrier NS     what one barrier costs, in this run
 *   call NS        one sample: the calls
 *   read NS        and, of owned messages, until each receiver has read every byte of them
 *   wrong N        last: messages that were not what was sent; 0, or nothing is worth anything
 * -1 where the library or memory failed, which is said.
 */
int measure_order(struct talk *talk, const struct order *order, FILE *out);

#endif
