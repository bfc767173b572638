/* Open MPI as a peer. One thread; failures are said. */
#ifndef BENCH_MESSAGES_OPENMPI_H
#define BENCH_MESSAGES_OPENMPI_H

#include "bench/messages/outcome.h"
#include "bench/messages/settings.h"

int openmpi_check(void);

/*
 * One mpirun of the program that has the same measurements. On several nodes each gets a name of
 * its own, so that Open MPI takes it for a machine: shared memory inside, TCP over loopback
 * between.
 */
int openmpi_run(const struct settings *settings, const struct order *order,
                struct outcome *outcome);

#endif
