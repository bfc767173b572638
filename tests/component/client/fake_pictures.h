/* The flares of the fake controller, and how they look. */
#ifndef FAKE_PICTURES_H
#define FAKE_PICTURES_H

#include "covey/v1/covey.pb-c.h"
#include "rpc/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_WORKERS 1000
#define BIG_BYTES   ((size_t)3 * 1024 * 1024)

struct flare {
    char id[32];
    char name[64];
    char key[129]; /* idempotency key, or "" */
    uint32_t version;
    uint32_t workers;
    char *parameters[MAX_WORKERS];
    size_t lengths[MAX_WORKERS];
    bool cancelled;
    bool lost_watch;
    bool lost_logs;
    struct rpc_call *watcher; /* that waits for the end of a hanging flare */
    struct rpc_call *log_reader;
};

/* Whether a definition's name asks for this behaviour. */
bool called(const char *name, const char *prefix);

/* How the flare ends, or RUNNING. */
Covey__V1__FlareState end_of(const struct flare *flare);
bool has_ended(const struct flare *flare);

/* The flare as it is in a state; static, until the next call. */
Covey__V1__Flare *draw(const struct flare *flare, Covey__V1__FlareState state);

#endif
