/* Carries messages between arenas, in a thread: the hosts and the network of a world. */
#ifndef RELAY_H
#define RELAY_H

#include "transport/core/host_port.h"

struct relay;

struct relay *relay_start(struct host_port **ports, struct arena **arenas, int nodes);

/* Marks a rank as ended on every node but its own, once what it has sent has been delivered. */
void relay_mark_ended(struct relay *relay, uint32_t rank, enum arena_rank_state state,
                      const char *reason);

/* Payload bytes carried from one node to another so far. */
uint64_t relay_carried(const struct relay *relay, int from, int to);

/* Ends the thread and frees what it had under way. */
void relay_stop(struct relay *relay);

#endif
