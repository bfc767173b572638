#include "transport/core/arena.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"
#include "transport/core/slab.h"

void arena_reap(struct arena *arena, uint32_t rank)
{
    uint32_t dead;
    if (!arena_local_of(arena, rank, &dead))
        return;
    /* The flag first: who makes it a holder from now on sees it, and takes the hold back. */
    atomic_store(&layout_endpoint(arena, dead)->reaped, 1);
    inbox_reap(arena, dead);
    slab_reap(arena, dead);
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
