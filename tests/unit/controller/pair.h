/* The core with two nodes of two slots, a and b, and a flare of four workers on both. */
#ifndef PAIR_H
#define PAIR_H

#include "tests/unit/controller/core.h"

extern struct core core;
extern struct core_link a;
extern struct core_link b;
extern char id[ULID_BYTES]; /* of the flare */

void pair_start(void);
/* A node that is connected is heard. */
void pair_beat(struct core_link *link);
/* Time passes in steps in which the nodes that are connected are heard. */
void pair_live(int64_t duration_ns);
/* The flare, which is placed and not prepared yet. */
void pair_submit(int64_t limit_ns);
/* The flare, which runs. */
void pair_run(int64_t limit_ns);

#endif
