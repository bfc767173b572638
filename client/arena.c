#include "client/arena.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 4000

struct client_chunk {
    struct client_chunk *next;
    size_t used_bytes;
    size_t size_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

static struct client_chunk *add_chunk(struct client_arena *arena, size_t size_bytes)
{
    struct client_chunk *chunk = covey_calloc(1, sizeof *chunk + size_bytes);
    if (!chunk)
        return NULL;
    chunk->size_bytes = size_bytes;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *client_arena_alloc(struct client_arena *arena, size_t count, size_t size_bytes)
{
    const size_t mask = alignof(max_align_t) - 1;
    size_t wanted;
    if (!count || !size_bytes)
        return NULL;
    if (__builtin_mul_overflow(count, size_bytes, &wanted) || wanted > PTRDIFF_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    wanted = (wanted + mask) & ~mask;
    struct client_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size_bytes - chunk->used_bytes < wanted)
        chunk = add_chunk(arena, wanted > CHUNK_BYTES ? wanted : CHUNK_BYTES);
    if (!chunk) {
        arena->failed = true;
        return NULL;
    }
    void *memory = chunk->bytes + chunk->used_bytes;
    chunk->used_bytes += wanted;
    return memory;
}

const char *client_arena_text(struct client_arena *arena, const char *text)
{
    if (!text || !*text)
        return "";
    const char *copy = client_arena_bytes(arena, text, strlen(text) + 1);
    return copy ? copy : "";
}

const char *client_arena_line(struct client_arena *arena, const char *text)
{
    const char *copy = client_arena_text(arena, text);
    if (*copy)
        covey_text_tame((char *)(uintptr_t)copy);
    return copy;
}

void *client_arena_bytes(struct client_arena *arena, const void *bytes, size_t length_bytes)
{
    void *copy = client_arena_alloc(arena, length_bytes, 1);
    if (copy)
        memcpy(copy, bytes, length_bytes);
    return copy;
}

void client_arena_free(struct client_arena *arena)
{
    while (arena->chunks) {
        struct client_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
    arena->failed = false;
}
