#include "base/map.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct covey_map_entry {
    uint64_t hash;
    uint64_t number;
    char *key;   /* owned; NULL for an integer key */
    void *value; /* NULL: the entry is free */
};

struct lookup {
    uint64_t hash;
    uint64_t number;
    const char *key;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t process_seed(void)
{
    static uint64_t seed;
    uint64_t known = __atomic_load_n(&seed, __ATOMIC_RELAXED);
    while (known == 0) {
        if (getrandom(&known, sizeof(known), GRND_NONBLOCK) != (ssize_t)sizeof(known))
            known = (uint64_t)(uintptr_t)&seed;
        known |= 1;
        uint64_t none = 0;
        if (!__atomic_compare_exchange_n(&seed, &none, known, 0, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            known = none;
    }
    return known;
}

static struct lookup lookup_string(const char *key)
{
    uint64_t hash = process_seed();
    for (const unsigned char *byte = (const unsigned char *)key; *byte; byte++)
        hash = mix(hash ^ *byte) + 0x9e3779b97f4a7c15ULL;
    return (struct lookup){.hash = hash, .key = key};
}

static struct lookup lookup_number(uint64_t number)
{
    return (struct lookup){.hash = mix(number + 0x9e3779b97f4a7c15ULL), .number = number};
}

static bool same_key(const struct covey_map_entry *entry, const struct lookup *wanted)
{
    if (entry->hash != wanted->hash)
        return false;
    if (!wanted->key || !entry->key)
        return !wanted->key && !entry->key && entry->number == wanted->number;
    return strcmp(entry->key, wanted->key) == 0;
}

static size_t distance(const struct covey_map *map, size_t position, uint64_t hash)
{
    return (position - (size_t)hash) & (map->capacity - 1);
}

static struct covey_map_entry *find(const struct covey_map *map, const struct lookup *wanted)
{
    if (map->capacity == 0)
        return NULL;
    size_t mask = map->capacity - 1;
    size_t position = (size_t)wanted->hash & mask;
    for (size_t probed = 0;; probed++, position = (position + 1) & mask) {
        struct covey_map_entry *entry = &map->entries[position];
        if (!entry->value || distance(map, position, entry->hash) < probed)
            return NULL;
        if (same_key(entry, wanted))
            return entry;
    }
}

static void place(struct covey_map *map, struct covey_map_entry incoming)
{
    size_t mask = map->capacity - 1;
    size_t position = (size_t)incoming.hash & mask;
    for (size_t probed = 0;; probed++, position = (position + 1) & mask) {
        struct covey_map_entry *entry = &map->entries[position];
        if (!entry->value) {
            *entry = incoming;
            return;
        }
        size_t theirs = distance(map, position, entry->hash);
        if (theirs < probed) {
            struct covey_map_entry richer = *entry;
            *entry = incoming;
            incoming = richer;
            probed = theirs;
        }
    }
}

static enum covey_status grow(struct covey_map *map)
{
    size_t capacity = map->capacity ? map->capacity * 2 : 16;
    struct covey_map bigger = {covey_calloc(capacity, sizeof(*bigger.entries)), capacity,
                               map->count};
    if (!bigger.entries)
        return COVEY_ENOMEM;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].value)
            place(&bigger, map->entries[i]);
    }
    free(map->entries);
    *map = bigger;
    return COVEY_OK;
}

static enum covey_status set(struct covey_map *map, struct lookup wanted, void *value)
{
    struct covey_map_entry *known = find(map, &wanted);
    if (known) {
        known->value = value;
        return COVEY_OK;
    }
    if ((map->count + 1) * 8 > map->capacity * 7) {
        enum covey_status status = grow(map);
        if (status)
            return status;
    }
    char *key = NULL;
    if (wanted.key) {
        key = covey_strdup(wanted.key);
        if (!key)
            return COVEY_ENOMEM;
    }
    place(map, (struct covey_map_entry){wanted.hash, wanted.number, key, value});
    map->count++;
    return COVEY_OK;
}

static void *take(struct covey_map *map, struct lookup wanted)
{
    struct covey_map_entry *entry = find(map, &wanted);
    if (!entry)
        return NULL;
    void *value = entry->value;
    free(entry->key);
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(entry - map->entries);
    for (;;) {
        size_t next = (hole + 1) & mask;
        struct covey_map_entry *follower = &map->entries[next];
        if (!follower->value || distance(map, next, follower->hash) == 0)
            break;
        map->entries[hole] = *follower;
        hole = next;
    }
    map->entries[hole] = (struct covey_map_entry){0};
    map->count--;
    return value;
}

void covey_map_clear(struct covey_map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        free(map->entries[i].key);
    free(map->entries);
    *map = (struct covey_map)COVEY_MAP_EMPTY;
}

enum covey_status covey_map_set(struct covey_map *map, const char *key, void *value)
{
    return set(map, lookup_string(key), value);
}

enum covey_status covey_map_set_u64(struct covey_map *map, uint64_t key, void *value)
{
    return set(map, lookup_number(key), value);
}

void *covey_map_get(const struct covey_map *map, const char *key)
{
    struct lookup wanted = lookup_string(key);
    struct covey_map_entry *entry = find(map, &wanted);
    return entry ? entry->value : NULL;
}

void *covey_map_get_u64(const struct covey_map *map, uint64_t key)
{
    struct lookup wanted = lookup_number(key);
    struct covey_map_entry *entry = find(map, &wanted);
    return entry ? entry->value : NULL;
}

void *covey_map_remove(struct covey_map *map, const char *key)
{
    return take(map, lookup_string(key));
}

void *covey_map_remove_u64(struct covey_map *map, uint64_t key)
{
    return take(map, lookup_number(key));
}

bool covey_map_next(const struct covey_map *map, size_t *cursor, const char **key, void **value)
{
    while (*cursor < map->capacity) {
        struct covey_map_entry *entry = &map->entries[(*cursor)++];
        if (!entry->value)
            continue;
        if (key)
            *key = entry->key;
        *value = entry->value;
        return true;
    }
    return false;
}
