/*
 * How long flares of each definition have run lately, per tenant: what estimates of a start are
 * made of where no time limit was given. In memory alone; after a restart the journal's newest
 * ended flares fill it again.
 */
#ifndef SERVICE_CONTROLLER_HISTORY_H
#define SERVICE_CONTROLLER_HISTORY_H

#include "base/map.h"

#include <stdint.h>

/* Definitions remembered; the one that was not used for longest gives way. */
#define HISTORY_DEFINITIONS_MAX 4096
/* Flares remembered of each. */
#define HISTORY_FLARES 15

/* Zeroed: nothing is known. */
struct history {
    struct covey_map definitions;
    uint64_t uses;
};

/* A flare of this definition has held its place for so long. Without memory it is not remembered.
 */
void history_add(struct history *history, const char *tenant, const char *definition,
                 int64_t duration_ns);

/* The median of the last ones; COVEY_NEVER_NS where there were none. */
int64_t history_expected_ns(struct history *history, const char *tenant, const char *definition);

void history_clear(struct history *history);

#endif
