/*
 * Memory that goes all at once: what a call brings, and what a request is built of. One thread at a
 * time.
 */
#ifndef CLIENT_ARENA_H
#define CLIENT_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct client_chunk;

struct client_arena {
    struct client_chunk *chunks;
    bool failed; /* an allocation has failed: what was built of it is not to be used */
};

/* Zeroed memory for count elements; NULL, and failed is set, when out of memory. NULL for none. */
void *client_arena_alloc(struct client_arena *arena, size_t count, size_t size_bytes);

/* Copies. A NULL text gives "". When out of memory the result is "" or NULL, and failed is set. */
const char *client_arena_text(struct client_arena *arena, const char *text);
void *client_arena_bytes(struct client_arena *arena, const void *bytes, size_t length_bytes);

/* Copies a sentence or a name that a peer has sent, with '?' for what would control a terminal. */
const char *client_arena_line(struct client_arena *arena, const char *text);

/* Frees all of it; the arena is then empty. */
void client_arena_free(struct client_arena *arena);

#endif
