#include "transport/core/arena.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"
#include "transport/core/slab.h"

/*
 * One pass for all of them: first the flags, so that who makes one of them a holder from now on
 * sees it and takes the hold back.
 */
void arena_reap(struct arena *arena, const uint32_t *ranks, size_t count)
{
    uint64_t dead[LAYOUT_MAX_WORDS] = {0};
    uint32_t reaper = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        uint32_t endpoint;
        if (!arena_local_of(arena, ranks[i], &endpoint))
            continue;
        dead[endpoint / 64] |= UINT64_C(1) << endpoint % 64;
        atomic_store(&layout_endpoint(arena, endpoint)->reaped, 1);
        uint32_t first = arena_pack(arena, arena_pack_of(arena, ranks[i])).first_rank;
        reaper = LAYOUT_REAPER + arena->rank_local[first];
    }
    if (reaper == UINT32_MAX)
        return;
    for (uint32_t endpoint = 0; endpoint < arena->shape.local_count; endpoint++) {
        if (dead[endpoint / 64] >> endpoint % 64 & 1)
            inbox_reap(arena, endpoint);
    }
    slab_reap(arena, dead, reaper);
    atomic_fetch_add(&layout_header(arena)->reaps, 1);
    arena_wake_all(arena);
}

static uint64_t count_held(const struct arena *arena, uint32_t slab)
{
    uint64_t held = 0;
    for (uint32_t block = 0; slab_place(arena, slab, block).size_bytes > 0; block++)
        held += !slab_block_free(arena, slab, block);
    return held;
}

void arena_count_usage(const struct arena *arena, struct arena_usage *usage)
{
    *usage = (struct arena_usage){0};
    for (uint32_t slab = 0; slab < arena->shape.slab_count; slab++) {
        uint32_t state = (uint32_t)atomic_load(&layout_slab(arena, slab)->owner);
        if (state == LAYOUT_SLAB_FREE) {
            usage->slabs_free++;
            continue;
        }
        if (state == LAYOUT_SLAB_ORPHAN)
            usage->slabs_orphaned++;
        else
            usage->slabs_owned++;
        usage->blocks_held += count_held(arena, slab);
    }
}
