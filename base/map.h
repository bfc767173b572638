/*
 * A hash map from strings or 64-bit integers to pointers: open addressing, robin-hood probing with
 * backward-shift deletion. String keys are copied; values are borrowed. One thread at a time.
 * Iteration order is unspecified. String hashes are seeded per process, so that keys chosen by a
 * peer cannot be made to collide.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct covey_map_entry;

struct covey_map {
    struct covey_map_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

/* An empty map; no allocation. */
#define COVEY_MAP_EMPTY                                                                            \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

/* Frees the map's memory and keys, not the values; the map is then empty. */
void covey_map_clear(struct covey_map *map);

/* Sets the value of a key, replacing an earlier one. value must not be NULL. ENOMEM leaves the map
 * as it was. */
enum covey_status covey_map_set(struct covey_map *map, const char *key, void *value) COVEY_MUST_USE;
enum covey_status covey_map_set_u64(struct covey_map *map, uint64_t key,
                                    void *value) COVEY_MUST_USE;

/* The value of a key, or NULL. */
void *covey_map_get(const struct covey_map *map, const char *key);
void *covey_map_get_u64(const struct covey_map *map, uint64_t key);

/* Removes a key and returns its value, or NULL where there was none. */
void *covey_map_remove(struct covey_map *map, const char *key);
void *covey_map_remove_u64(struct covey_map *map, uint64_t key);

/*
 * Walks the values: start with *cursor = 0; false at the end. The map must not change meanwhile.
 * key (may be NULL) receives the string key, borrowed, or NULL for an integer key.
 */
bool covey_map_next(const struct covey_map *map, size_t *cursor, const char **key, void **value);

#endif
