/* The table of nodes. */
#ifndef CLI_NODES_H
#define CLI_NODES_H

#include "covey/client.h"

void cli_print_nodes(const struct covey_node_list *nodes);

#endif
