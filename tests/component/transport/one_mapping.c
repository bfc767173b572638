/*
 * Under ThreadSanitizer all workers of a world are threads, and they and the relay share one
 * mapping of each arena: it tells memory by its address, and would take several mappings for apart.
 * Linked in place of arena_map and arena_destroy there (--wrap).
 */
#include "transport/core/layout.h"
#include "world.h"

#include <sys/mman.h>

enum covey_status __real_arena_map(int fd, struct arena **arena, struct covey_error *error);
void __real_arena_destroy(struct arena *arena);
enum covey_status __wrap_arena_map(int fd, struct arena **arena, struct covey_error *error);
void __wrap_arena_destroy(struct arena *arena);

enum covey_status __wrap_arena_map(int fd, struct arena **arena, struct covey_error *error)
{
    enum covey_status status = __real_arena_map(fd, arena, error);
    if (status)
        return status;
    munmap((*arena)->base, (*arena)->shape.total_bytes);
    (*arena)->base = world_arena((int)(*arena)->shape.node)->base;
    return COVEY_OK;
}

/* The mapping goes with the world's own view. */
void __wrap_arena_destroy(struct arena *arena)
{
    const struct arena *own = arena ? world_arena((int)arena->shape.node) : NULL;
    if (own && own != arena && own->base == arena->base)
        arena->base = NULL;
    __real_arena_destroy(arena);
}
