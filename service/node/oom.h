/*
 * Whether the kernel has killed something because memory was out: it tells nobody but its counters.
 * A kill is put down to it where they have risen lately, once for each time that they have.
 */
#ifndef SERVICE_NODE_OOM_H
#define SERVICE_NODE_OOM_H

#include "service/node/confinement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oom_counts {
    uint64_t group;
    uint64_t machine;
};

struct oom {
    const struct confinement *confinement;
    const char *root;              /* put before the paths of the kernel's files: "" but in tests */
    struct oom_counts before, now; /* at the last two looks */
    int64_t looked_ns;
};

/* Takes the first look. What it is given must live as long. */
void oom_open(struct oom *oom, const char *root, const struct confinement *confinement);

/* To be called often: takes a look every two seconds, so that what is long past is blamed no more.
 */
void oom_look(struct oom *oom, int64_t now_ns);

/*
 * Whether the kernel is to blame for a SIGKILL that nobody else has sent, as far as it says. Then
 * text is a clause that says so, with the limit; it says "probably" where only the machine's
 * counter has risen, which is not about this process alone.
 */
bool oom_blames(struct oom *oom, char *text, size_t size_bytes);

#endif
