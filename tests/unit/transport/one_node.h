/* An arena for a few workers on one node. */
#ifndef ONE_NODE_H
#define ONE_NODE_H

#include "tests/harness/harness.h"
#include "transport/core/arena.h"

static inline struct arena *one_node(uint32_t workers, uint64_t size_bytes)
{
    struct arena_pack pack = {.worker_count = workers};
    struct arena_config config = {.flare_id = "unit",
                                  .worker_count = workers,
                                  .node_count = 1,
                                  .pack_count = 1,
                                  .packs = &pack,
                                  .size_bytes = size_bytes};
    struct arena *arena = NULL;
    struct covey_error error;
    TEST_REQUIRE(arena_create(&config, &arena, &error) == COVEY_OK);
    return arena;
}

#endif
