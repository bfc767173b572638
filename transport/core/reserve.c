#include "transport/core/reserve.h"

#include "base/memory.h"
#include "transport/core/slab.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS (LAYOUT_SLAB_BLOCKS >> LAYOUT_RESERVE_CLASS) /* of a slab */

bool reserve_open(struct reserve *reserve, const struct arena *arena, uint32_t first_slab,
                  uint32_t slab_count, uint32_t users)
{
    *reserve = (struct reserve){
        .arena = arena, .first = first_slab, .blocks = slab_count * BLOCKS, .users = users};
    reserve->user_of = covey_calloc(reserve->blocks + 1ull, sizeof(uint32_t));
    reserve->held = covey_calloc(users + 1ull, sizeof(uint32_t));
    if (reserve->user_of && reserve->held)
        return true;
    reserve_close(reserve);
    return false;
}

void reserve_close(struct reserve *reserve)
{
    free(reserve->user_of);
    free(reserve->held);
    reserve->user_of = reserve->held = NULL;
}

/* Counts who holds what, and returns how many blocks are free beyond one for each user without. */
static uint32_t look(struct reserve *reserve)
{
    uint32_t free_blocks = 0, without = reserve->users;
    memset(reserve->held, 0, reserve->users * sizeof(uint32_t));
    for (uint32_t i = 0; i < reserve->blocks; i++) {
        if (slab_block_free(reserve->arena, reserve->first + i / BLOCKS, i % BLOCKS))
            free_blocks++;
        else
            without -= reserve->held[reserve->user_of[i]]++ == 0;
    }
    return free_blocks > without ? free_blocks - without : 0;
}

bool reserve_may_have(struct reserve *reserve, uint32_t user)
{
    if (reserve->spare == 0)
        reserve->spare = look(reserve);
    if (reserve->spare > 0) {
        reserve->spare--;
        return true;
    }
    return reserve->held[user] == 0;
}

void reserve_give(struct reserve *reserve, uint32_t user, const struct descriptor_block *block)
{
    reserve->user_of[(block->slab - reserve->first) * BLOCKS + block->block] = user;
}
