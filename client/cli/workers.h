/* One flare and its workers, as they are now. */
#ifndef CLI_WORKERS_H
#define CLI_WORKERS_H

#include "covey/client.h"

#include <stdbool.h>

/* Shows a flare: on a terminal again each second until it has ended, elsewhere once. The exit
 * status. */
int cli_workers_show(struct covey_client *client, const char *id, bool json);

#endif
