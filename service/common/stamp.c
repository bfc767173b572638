#include "service/common/stamp.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum covey_status stamp_flare(const char *flare_id)
{
    static const char name[] = "COVEY_FLARE_ID=";
    size_t room = sizeof(STAMP_ROOM) - sizeof(name);
    size_t length = strlen(flare_id);
    if (length > room)
        return COVEY_EINVAL;
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, name, sizeof(name) - 1) != 0)
            continue;
        char *value = *entry + sizeof(name) - 1;
        if (strcmp(value, flare_id) == 0)
            return COVEY_OK; /* it was executed again */
        if (strlen(value) != room)
            return COVEY_EPRECONDITION;
        memcpy(value, flare_id, length);
        memset(value + length, 0, room - length);
        return COVEY_OK;
    }
    return COVEY_EPRECONDITION;
}
