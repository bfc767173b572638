#include "client/cli/search.h"

#include "base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode) && access(path, X_OK) == 0;
}

char *cli_search_path(const char *name)
{
    struct stat here;
    const char *folder = getenv("PATH");
    if (!folder || !*name || strchr(name, '/') || (stat(name, &here) == 0 && S_ISREG(here.st_mode)))
        return NULL;
    for (;;) {
        size_t length = strcspn(folder, ":");
        /* An empty entry is this folder. */
        char *path =
            covey_asprintf("%.*s/%s", length ? (int)length : 1, length ? folder : ".", name);
        if (path && is_program(path))
            return path;
        free(path);
        if (!folder[length])
            return NULL;
        folder += length + 1;
    }
}
