/* Who may connect to the controller's unix sockets. */
#ifndef SERVICE_CONTROLLER_SOCKET_H
#define SERVICE_CONTROLLER_SOCKET_H

#include "covey/status.h"

#include <sys/types.h>

struct socket_access {
    mode_t mode; /* 0600, 0660 or 0666: the owner, its group, everybody */
    gid_t group; /* (gid_t)-1: as the process's */
};

/*
 * From the settings socket-mode and socket-group, each may be NULL: the owner alone. EINVAL:
 * another mode, a group that is not known, or one that a mode of 0600 keeps out.
 */
enum covey_status socket_access_parse(const char *mode, const char *group,
                                      struct socket_access *who,
                                      struct covey_error *error) COVEY_MUST_USE;

/*
 * Makes the folder of the socket at path, so that those who may connect can reach it. A folder that
 * is there already is left alone: EACCES where it keeps them out.
 */
enum covey_status socket_folder_make(const char *path, const struct socket_access *who,
                                     struct covey_error *error) COVEY_MUST_USE;

/* Opens the socket at path, which only its owner could reach so far. EACCES: the group cannot be
 * set. */
enum covey_status socket_admit(const char *path, const struct socket_access *who,
                               struct covey_error *error) COVEY_MUST_USE;

#endif
