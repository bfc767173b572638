/*
 * How the host's reserve of memory is shared among those it receives for.
 *
 * A user is a worker of this node with what it has asked for, or with what it has not. There are at
 * least as many blocks as users. What always holds: as many blocks are free as there are users that
 * hold none. So a user that holds none can have one, whatever the others have and however long they
 * keep it; what is free beyond that goes to whoever comes.
 *
 * Who holds a block is written down when it is given, and that it is free again is seen by looking;
 * not at each one, but when what could be spared at the last look is used up.
 */
#ifndef TRANSPORT_CORE_RESERVE_H
#define TRANSPORT_CORE_RESERVE_H

#include "transport/core/layout.h"

struct reserve {
    const struct arena *arena;
    uint32_t first; /* slab */
    uint32_t blocks;
    uint32_t users;
    uint32_t spare;    /* at least so many can be given to anybody */
    uint32_t *user_of; /* by block: who was given it last */
    uint32_t *held;    /* by user, at the last look */
};

/* Of slabs of blocks of LAYOUT_RESERVE_CLASS. False: out of memory. */
bool reserve_open(struct reserve *reserve, const struct arena *arena, uint32_t first_slab,
                  uint32_t slab_count, uint32_t users);
void reserve_close(struct reserve *reserve);

/* True where the user may be given a block now; then one is free, and reserve_give must follow. */
bool reserve_may_have(struct reserve *reserve, uint32_t user);
void reserve_give(struct reserve *reserve, uint32_t user, const struct descriptor_block *block);

#endif
