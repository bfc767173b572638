#include "client/cli/trust.h"

#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(uid_t owner)
{
    return owner == geteuid() || owner == 0;
}

/* A group of the user's own name, as many systems give one to each user, is nobody else. */
static bool others_write(const struct stat *facts)
{
    bool private_group = facts->st_gid == getegid() && getegid() == geteuid();
    return facts->st_mode & (private_group ? S_IWOTH : S_IWGRP | S_IWOTH);
}

static enum covey_status check(const char *folder, bool is_last, struct covey_error *error)
{
    struct stat facts;
    /* The last one is made by us, and never as a link; those above may be (/var/run is one). */
    if ((is_last ? lstat : stat)(folder, &facts) < 0)
        return covey_error_set_errno(error, errno, "cannot look at '%s'", folder);
    if (!S_ISDIR(facts.st_mode))
        return covey_error_set(error, COVEY_EACCES, "'%s' is no folder: remove it", folder);
    if (!is_ours(facts.st_uid))
        return covey_error_set(error, COVEY_EACCES,
                               "'%s' belongs to user %u, who could read what is sent to a server "
                               "in it: remove it, or set XDG_RUNTIME_DIR to a folder of your own",
                               folder, (unsigned)facts.st_uid);
    if (others_write(&facts) && (is_last || !(facts.st_mode & S_ISVTX)))
        return covey_error_set(error, COVEY_EACCES,
                               "others may write to '%s', and could read what is sent to a server "
                               "in it: chmod go-w it, or set XDG_RUNTIME_DIR to another folder",
                               folder);
    return COVEY_OK;
}

enum covey_status cli_trust_folder(const char *folder, struct covey_error *error)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return covey_error_set(error, COVEY_EINVAL, "the path of the runtime folder is too long");
    enum covey_status status = check(path, true, error);
    for (char *slash; !status && (slash = strrchr(path, '/'));) {
        bool is_root = slash == path;
        slash[is_root] = 0;
        status = check(path, false, error);
        if (is_root)
            break;
    }
    return status;
}

enum covey_status cli_trust_peer(int fd, const char *path, struct covey_error *error)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return covey_error_set_errno(error, errno, "cannot tell who listens at '%s'", path);
    if (!is_ours(peer.uid))
        return covey_error_set(error, COVEY_EACCES,
                               "it is user %u who listens at '%s': remove it, or name a server "
                               "with --server",
                               (unsigned)peer.uid, path);
    return COVEY_OK;
}
