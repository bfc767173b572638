/* What a placement costs, for a person. */
#ifndef CLI_COST_H
#define CLI_COST_H

#include "covey/client.h"

/* One line; nothing where there is no cost. */
void cli_print_cost(const struct covey_cost *cost);

#endif
