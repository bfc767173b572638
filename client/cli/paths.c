#include "client/cli/paths.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *set_path(char path[PATH_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *set_path(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return length >= 0 && length < PATH_MAX ? path : NULL;
}

/* An environment variable that is not empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

const char *cli_path_state(void)
{
    static char path[PATH_MAX];
    if (variable("COVEY_STATE_DIR"))
        return set_path(path, "%s", variable("COVEY_STATE_DIR"));
    if (geteuid() == 0)
        return "/var/lib/covey";
    if (variable("XDG_STATE_HOME"))
        return set_path(path, "%s/covey", variable("XDG_STATE_HOME"));
    return variable("HOME") ? set_path(path, "%s/.local/state/covey", variable("HOME")) : NULL;
}

/* Where systemd has a folder for this user, although the environment does not say so (su, cron). */
static bool has_user_folder(char path[PATH_MAX])
{
    struct stat facts;
    return set_path(path, "/run/user/%u", (unsigned)geteuid()) && stat(path, &facts) == 0 &&
           facts.st_uid == geteuid();
}

const char *cli_path_runtime(void)
{
    static char path[PATH_MAX];
    char user[PATH_MAX];
    if (variable("COVEY_RUNTIME_DIR"))
        return set_path(path, "%s", variable("COVEY_RUNTIME_DIR"));
    if (geteuid() == 0)
        return "/run/covey";
    if (variable("XDG_RUNTIME_DIR"))
        return set_path(path, "%s/covey", variable("XDG_RUNTIME_DIR"));
    if (has_user_folder(user))
        return set_path(path, "%s/covey", user);
    return cli_path_state() ? set_path(path, "%s/run", cli_path_state()) : NULL;
}

const char *cli_path_config(void)
{
    static char path[PATH_MAX];
    if (variable("XDG_CONFIG_HOME"))
        return set_path(path, "%s/covey/config.yaml", variable("XDG_CONFIG_HOME"));
    return variable("HOME") ? set_path(path, "%s/.config/covey/config.yaml", variable("HOME"))
                            : NULL;
}

const char *cli_path_default_server(void)
{
    static char address[PATH_MAX];
    const char *runtime = cli_path_runtime();
    if (!runtime || !set_path(address, "unix:%s/covey.sock", runtime))
        return NULL;
    bool fits = strlen(address) - strlen("unix:") < sizeof((struct sockaddr_un *)0)->sun_path;
    return fits ? address : NULL;
}

const char *cli_path_private_base(void)
{
    const char *runtime = variable("XDG_RUNTIME_DIR");
    if (runtime && access(runtime, W_OK | X_OK) == 0)
        return runtime;
    return variable("TMPDIR") ? variable("TMPDIR") : "/tmp";
}

const char *cli_path_program(const char *name)
{
    static const char *const places[] = {"", "/../libexec/covey"};
    static char path[PATH_MAX];
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0)
        return NULL;
    own[length] = 0;
    char *slash = strrchr(own, '/');
    if (!slash)
        return NULL;
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (set_path(path, "%s%s/%s", own, places[i], name) && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}
