/* Covey as a library for messages. */
#ifndef BENCH_WORKERS_TALK_H
#define BENCH_WORKERS_TALK_H

#include "bench/exchange/talk.h"

#include <covey/worker.h>

struct talk {
    struct covey_ctx *ctx;
    struct covey_comm *comm;
};

#endif
