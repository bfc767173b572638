/* What a benchmark of messages was asked for. */
#ifndef BENCH_MESSAGES_SETTINGS_H
#define BENCH_MESSAGES_SETTINGS_H

#include "bench/exchange/order.h"
#include "bench/messages/sizes.h"

enum peer { PEER_OPENMPI, PEER_UCX, PEER_LIMIT, PEERS };

extern const char *const peer_names[PEERS];

struct settings {
    enum operation operation;
    int workers;
    int nodes;
    struct sizes sizes;
    bool threads; /* workers are threads of a pack, else processes */
    bool owned;
    bool once;
    bool peers[PEERS];
    int runs;
    int samples; /* 0: by the length */
    int window;
    bool json;
    bool csv;
    const char *compare; /* a file of earlier figures, or NULL */
};

/* Reads a command line whose first word ends with the operation's name. Bad input ends the program,
 * as with argp. */
void settings_read(int argc, char **argv, struct settings *settings);

/* What one run of a length is told, but for the seed, which is fresh for each. */
struct order settings_order(const struct settings *settings, uint64_t bytes);
uint64_t fresh_seed(void);

/* Whether there is a core for each worker, which it is then bound to, of Covey and of its peers. */
bool settings_bound(const struct settings *settings);

/* What a sample consists of: one-way messages, barriers, or calls. */
double order_items(const struct order *order, int workers);

#endif
