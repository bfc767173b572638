/*
 * What ps and top show of a worker: its rank, how many there are, and its definition. A forked
 * worker has the pack's arguments, whose place its title takes.
 */
#include "service/pack/pack.h"

#include "base/text.h"

#include <string.h>
#include <sys/prctl.h>

#define NAME_BYTES 16 /* of a thread, by the kernel */

static struct {
    char *text;
    size_t length_bytes;
} area;

void pack_title_init(int argc, char **argv)
{
    area.text = argv[0];
    area.length_bytes = 0;
    /* They lie one behind the other, as the kernel has put them. */
    for (int i = 0; i < argc && argv[i] == area.text + area.length_bytes; i++)
        area.length_bytes += strlen(argv[i]) + 1;
}

void pack_title_thread(const struct pack *pack, uint32_t rank)
{
    char name[NAME_BYTES];
    (void)covey_text_print(name, sizeof name, "%u/%u %s", rank, pack->flare->workers_total,
                           pack->flare->definition);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

void pack_title_process(const struct pack *pack, uint32_t rank)
{
    pack_title_thread(pack, rank);
    if (area.length_bytes == 0)
        return;
    memset(area.text, 0, area.length_bytes);
    (void)covey_text_print(area.text, area.length_bytes, "covey-worker %s rank %u of %u flare %s",
                           pack->flare->definition, rank, pack->flare->workers_total,
                           pack->flare->flare_id);
}
