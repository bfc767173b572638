/* Figures of one length, Covey's and its peers', and what is said about them. One thread. */
#ifndef BENCH_MESSAGES_ROW_H
#define BENCH_MESSAGES_ROW_H

#include "bench/messages/limit.h"
#include "bench/messages/outcome.h"
#include "bench/messages/settings.h"

/* One system's figures. Times are nanoseconds of a sample. */
struct contender {
    struct outcome all;          /* of all runs together */
    struct bench_series medians; /* of each run */
    struct bench_series reads;   /* likewise of owned messages */
    struct bench_series ratios;  /* a peer's: its median by Covey's, run by run: above 1, Covey is
                                    the quicker */
};

struct row {
    const struct settings *settings;
    struct order order;
    struct contender ours;
    struct contender peers[PEERS];
    struct bench_series limits[LIMITS];
    int runs;      /* that count */
    int disturbed; /* that were thrown away */
};

/* A row without figures. */
void row_init(struct row *row, const struct settings *settings, uint64_t bytes);

/* What the runs of one round brought; peers' outcomes that are empty are not there. -1, said. */
int row_add(struct row *row, const struct outcome *ours, const struct outcome peers[PEERS],
            const struct limits *limits);

/* False: the machine was disturbed too often. */
bool row_is_valid(const struct row *row);

void row_free(struct row *row);

/* A name that says everything of a row but its peer: "latency 8 B, 2 workers, ...". At least
 * row_name_bytes. */
enum { row_name_bytes = 128 };
void row_name(const struct row *row, char *text);

/* The unit of an operation's values, and whether more of it is better. */
const char *row_unit(const struct row *row);
bool row_more_is_better(const struct row *row);

/* A time of a sample in that unit. */
double row_value(const struct row *row, double ns);

#endif
