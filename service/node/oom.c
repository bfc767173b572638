#include "service/node/oom.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>

#define LOOK_NS (2 * COVEY_NS_PER_S)

static struct oom_counts count(const struct oom *oom)
{
    struct oom_counts counts = {0};
    (void)confinement_kills(oom->confinement, &counts.group);
    (void)confinement_machine_kills(oom->root, &counts.machine);
    return counts;
}

void oom_open(struct oom *oom, const char *root, const struct confinement *confinement)
{
    *oom = (struct oom){.confinement = confinement, .root = root};
    oom->before = oom->now = count(oom);
}

void oom_look(struct oom *oom, int64_t now_ns)
{
    if (oom->looked_ns && now_ns - oom->looked_ns < LOOK_NS)
        return;
    oom->looked_ns = now_ns;
    oom->before = oom->now;
    oom->now = count(oom);
}

/* Each rise is one process's end. */
static void take_one(struct oom *oom, bool of_group)
{
    struct oom_counts *looks[] = {&oom->before, &oom->now};
    for (size_t i = 0; i < 2; i++) {
        looks[i]->group += of_group ? 1 : 0;
        looks[i]->machine++;
    }
}

bool oom_blames(struct oom *oom, char *text, size_t size_bytes)
{
    const struct confinement_limit *limit = &oom->confinement->memory;
    struct oom_counts counts = count(oom);
    uint64_t ignored;
    bool of_group = confinement_kills(oom->confinement, &ignored);
    if (of_group ? counts.group <= oom->before.group : counts.machine <= oom->before.machine)
        return false;
    take_one(oom, of_group);
    if (!of_group)
        (void)covey_text_print(text, size_bytes,
                               "probably the kernel ended it because the machine's memory was out");
    else if (*limit->file)
        (void)covey_text_print(text, size_bytes,
                               "the kernel ended it because memory was out: %s allows %" PRIu64
                               " MiB",
                               limit->file, limit->amount >> 20);
    else
        (void)covey_text_print(text, size_bytes,
                               "the kernel ended it because the machine's memory was out");
    return true;
}
