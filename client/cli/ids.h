/* Which flare is meant: by its id, by the beginning of it, or as the last one from here. */
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include "client/cli/cli.h"

#define CLI_ID_BYTES 64

/*
 * Finds the id that a user has typed: whole ids as they are, "@last" for the flare that this user
 * has submitted last from this machine, else the only one that begins like text. EINVAL names the
 * candidates where there are several; ENOTFOUND; what listing gives.
 */
enum covey_status cli_id_find(struct covey_client *client, const char *text, char id[CLI_ID_BYTES],
                              struct covey_error *error) COVEY_MUST_USE;

/* As cli_id_find, but says what is wrong: the exit status, 0 with id set. */
int cli_id_find_or_fail(struct covey_client *client, const char *text, char id[CLI_ID_BYTES]);

/* Makes a flare the last one. Where that cannot be written, @last stays what it was. */
void cli_id_remember(const char *id);

#endif
