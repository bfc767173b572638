#include "service/controller/socket.h"

#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_GROUP ((gid_t)-1)

static enum covey_status parse_mode(const char *text, mode_t *mode, struct covey_error *error)
{
    static const struct {
        const char *text;
        mode_t mode;
    } modes[] = {{"0600", 0600}, {"0660", 0660}, {"0666", 0666}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        /* "660", too */
        if (strcmp(text, modes[i].text) == 0 || strcmp(text, modes[i].text + 1) == 0) {
            *mode = modes[i].mode;
            return COVEY_OK;
        }
    }
    return covey_error_set(
        error, COVEY_EINVAL,
        "socket-mode is 0600 (coveyd's own user), 0660 (the socket's group, too) "
        "or 0666 (every user of this machine), not '%.*s'",
        16, text);
}

static enum covey_status parse_group(const char *text, gid_t *group, struct covey_error *error)
{
    char *end;
    const struct group *found = getgrnam(text);
    if (found) {
        *group = found->gr_gid;
        return COVEY_OK;
    }
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number >= NO_GROUP)
        return covey_error_set(error, COVEY_EINVAL, "socket-group: there is no group '%s'", text);
    *group = (gid_t)number;
    return COVEY_OK;
}

enum covey_status socket_access_parse(const char *mode, const char *group,
                                      struct socket_access *who, struct covey_error *error)
{
    *who = (struct socket_access){.mode = 0600, .group = NO_GROUP};
    enum covey_status status = mode ? parse_mode(mode, &who->mode, error) : COVEY_OK;
    if (!status && group && who->mode == 0600)
        return covey_error_set(error, COVEY_EINVAL,
                               "socket-group: socket-mode 0600 keeps every group out: set it to "
                               "0660");
    return status || !group ? status : parse_group(group, &who->group, error);
}

/* What the folder of a socket has to let through. */
static mode_t search_bits(const struct socket_access *who)
{
    mode_t bits = 0;
    if (who->mode & S_IWGRP)
        bits |= S_IXGRP;
    if (who->mode & S_IWOTH)
        bits |= S_IXOTH;
    return bits;
}

static enum covey_status check_folder(const char *folder, const struct socket_access *who,
                                      struct covey_error *error)
{
    struct stat facts;
    if (stat(folder, &facts) != 0)
        return covey_error_set_errno(error, errno, "cannot look at %s", folder);
    gid_t group = who->group == NO_GROUP ? getegid() : who->group;
    mode_t wanted = search_bits(who);
    bool by_group = facts.st_gid == group && facts.st_mode & S_IXGRP;
    if (wanted & S_IXGRP && !(by_group || facts.st_mode & S_IXOTH))
        wanted |= S_IXOTH;
    else
        wanted &= S_IXOTH;
    if ((facts.st_mode & wanted) == wanted)
        return COVEY_OK;
    return covey_error_set(
        error, COVEY_EACCES,
        "socket-mode lets others in, but the folder %s keeps them out: chmod it, "
        "or listen in another one",
        folder);
}

static enum covey_status make_folder(const char *folder, const struct socket_access *who,
                                     struct covey_error *error)
{
    enum covey_status status = covey_make_dirs(folder, 0700, error);
    if (status || who->mode == 0600)
        return status;
    if (chown(folder, (uid_t)-1, who->group) != 0 || chmod(folder, 0700 | search_bits(who)) != 0)
        return covey_error_set_errno(error, errno, "cannot open the folder %s to others", folder);
    return COVEY_OK;
}

enum covey_status socket_folder_make(const char *path, const struct socket_access *who,
                                     struct covey_error *error)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return COVEY_OK;
    char *folder = covey_asprintf("%.*s", (int)(slash - path), path);
    if (!folder)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for an address");
    enum covey_status status = access(folder, F_OK) != 0 ? make_folder(folder, who, error)
                                                         : check_folder(folder, who, error);
    free(folder);
    return status;
}

enum covey_status socket_admit(const char *path, const struct socket_access *who,
                               struct covey_error *error)
{
    if (who->mode == 0600)
        return COVEY_OK;
    if (who->group != NO_GROUP && chown(path, (uid_t)-1, who->group) != 0)
        return covey_error_set_errno(error, errno,
                                     "socket-group: cannot give %s to group %u: coveyd's user must "
                                     "be in it, or root",
                                     path, who->group);
    if (chmod(path, who->mode) != 0)
        return covey_error_set_errno(error, errno, "cannot open %s to others", path);
    return COVEY_OK;
}
