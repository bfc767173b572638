#include "client/cli/cost.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_level(const char *level, bool last)
{
    if (strcmp(level, "node") == 0)
        printf("on different nodes");
    else if (strcmp(level, "numa") == 0)
        printf("on different NUMA nodes");
    else
        printf("in different places by %s", level);
    printf("%s", last ? "\n" : ", ");
}

void cli_print_cost(const struct covey_cost *cost, uint32_t workers)
{
    uint64_t pairs = (uint64_t)workers * (workers - 1);
    size_t shown = 0;
    for (size_t i = 0; i < cost->level_count; i++)
        shown += cost->levels[i].crossing_pairs > 0;
    if (cost->level_count && workers > 1 && !shown)
        printf("all workers are together on one node\n");
    for (size_t i = 0, told = 0; i < cost->level_count; i++) {
        if (cost->levels[i].crossing_pairs == 0)
            continue;
        if (told == 0)
            printf("of %" PRIu64 " pairs of workers ", pairs / 2);
        printf("%" PRIu64 " are ", cost->levels[i].crossing_pairs / 2);
        print_level(cost->levels[i].level, ++told == shown);
    }
}
