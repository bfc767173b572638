/* run.json: what `covey up` has started. One file in the runtime folder. */
#ifndef CLI_RUNFILE_H
#define CLI_RUNFILE_H

#include "client/cli/cluster.h"

/* Holds the lock of the runtime folder, so that one up or down works at a time. EEXISTS: another
 * one works. */
enum covey_status cli_runfile_lock(const char *runtime, int *fd,
                                   struct covey_error *error) COVEY_MUST_USE;

/* Releases it; -1 is accepted. */
void cli_runfile_unlock(int *fd);

enum covey_status cli_runfile_write(const struct cli_cluster *cluster,
                                    struct covey_error *error) COVEY_MUST_USE;

/* ENOTFOUND where there is none; EINVAL, with the remedy, for one that is not ours. */
enum covey_status cli_runfile_read(const char *runtime, struct cli_cluster *cluster,
                                   struct covey_error *error) COVEY_MUST_USE;

void cli_runfile_remove(const char *runtime);

#endif
