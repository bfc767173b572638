/* How far apart workers are placed, for a person. */
#ifndef CLI_COST_H
#define CLI_COST_H

#include "covey/client.h"

/* One line; nothing where it is not known, or there is one worker. */
void cli_print_cost(const struct covey_cost *cost, uint32_t workers);

#endif
