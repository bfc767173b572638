/* Whether a folder and a socket in it can only be this user's own, or root's. */
#ifndef CLI_TRUST_H
#define CLI_TRUST_H

#include "covey/status.h"

/*
 * Whoever could make or replace the folder, or one above it, could wait in it for what this user
 * sends: code, parameters, a token. So each is this user's or root's; others may write to none,
 * but for the folders above it where the sticky bit is set. EACCES names the one that is not so.
 * ENOTFOUND: it is not there.
 */
enum covey_status cli_trust_folder(const char *folder, struct covey_error *error) COVEY_MUST_USE;

/* The process at the other end of a connected unix socket is this user's or root's. EACCES. */
enum covey_status cli_trust_peer(int fd, const char *path,
                                 struct covey_error *error) COVEY_MUST_USE;

#endif
