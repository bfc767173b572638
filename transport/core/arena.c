#include "transport/core/arena.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "transport/core/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS                  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define DEFAULT_BYTES          (1ull << 30)
#define DEFAULT_BYTES_A_WORKER (8ull << 20)

static uint64_t align(uint64_t offset, uint64_t to)
{
    return (offset + to - 1) / to * to;
}

static uint32_t boxes_of(uint64_t workers)
{
    uint64_t room = LAYOUT_BOXES_BYTES / sizeof(struct layout_box) / (workers * workers);
    uint32_t boxes = LAYOUT_MOST_BOXES;
    while (boxes > room && boxes > 0)
        boxes /= 2;
    return boxes < LAYOUT_LEAST_BOXES ? 0 : boxes;
}

void layout_compute(const struct layout_shape *shape, struct layout *layout)
{
    uint64_t endpoints = shape->local_count + 1ull;
    uint64_t slots_offset = sizeof(struct layout_inbox);
    layout->holder_words = (uint32_t)((endpoints + 63) / 64);
    layout->inbox_bytes = slots_offset + LAYOUT_WORKER_SLOTS * sizeof(struct layout_slot);
    layout->packs = align(sizeof(struct layout_header), 64);
    layout->ranks = align(layout->packs + shape->pack_count * sizeof(struct layout_pack), 64);
    layout->endpoints =
        align(layout->ranks + shape->worker_count * sizeof(struct layout_rank), 128);
    layout->inboxes = align(layout->endpoints + endpoints * sizeof(struct layout_endpoint), 4096);
    /* The host's inbox is the last, and longer. */
    uint64_t inboxes_end = layout->inboxes + shape->local_count * layout->inbox_bytes +
                           slots_offset + LAYOUT_HOST_SLOTS * sizeof(struct layout_slot);
    uint64_t workers = shape->local_count;
    uint64_t rings = workers * workers;
    layout->boxes = workers > 0 ? boxes_of(workers) : 0;
    layout->talking_bytes = (uint32_t)align(workers, 512) / 8;
    layout->talking = align(inboxes_end, 4096);
    layout->rings = align(layout->talking + workers * layout->talking_bytes, 4096);
    layout->box_lines = align(layout->rings + rings * sizeof(struct layout_ring), 4096);
    layout->slab_table =
        align(layout->box_lines + rings * layout->boxes * sizeof(struct layout_box), 4096);
    layout->touched_words = (shape->slab_count + 63) / 64;
    layout->touched =
        align(layout->slab_table + shape->slab_count * sizeof(struct layout_slab), 4096);
    layout->holders = align(layout->touched + endpoints * layout->touched_words * 8, 4096);
    layout->slabs = align(layout->holders + (uint64_t)shape->slab_count * LAYOUT_SLAB_BLOCKS *
                                                layout->holder_words * 8,
                          4096);
    layout->total_bytes = layout->slabs + (uint64_t)shape->slab_count * ARENA_SLAB_BYTES;
}

static uint32_t reserve_slabs(uint32_t local_count)
{
    return local_count + layout_host_reserve(local_count);
}

uint64_t arena_least_bytes(uint32_t local_count)
{
    /* Each endpoint's reserve, and as much again for what is sent by reference. */
    return 2ull * reserve_slabs(local_count) * ARENA_SLAB_BYTES;
}

static enum covey_status check_packs(const struct arena_config *config, uint32_t *local_count,
                                     struct covey_error *error)
{
    uint64_t next = 0;
    uint64_t local = 0;
    for (uint32_t i = 0; i < config->pack_count; i++) {
        const struct arena_pack *pack = &config->packs[i];
        if (pack->first_rank != next || pack->worker_count == 0 ||
            pack->node >= config->node_count || pack->worker_count > config->worker_count)
            return covey_error_set(error, COVEY_EINVAL,
                                   "arena: pack %u is not the next range of ranks on a node", i);
        next += pack->worker_count;
        if (pack->node == config->node)
            local += pack->worker_count;
    }
    if (next != config->worker_count)
        return covey_error_set(error, COVEY_EINVAL, "arena: the packs do not cover the ranks");
    if (local > ARENA_MAX_LOCAL)
        return covey_error_set(error, COVEY_ELIMIT,
                               "arena: %llu workers on one node, the limit is %u",
                               (unsigned long long)local, ARENA_MAX_LOCAL);
    *local_count = (uint32_t)local;
    return COVEY_OK;
}

static enum covey_status make_shape(const struct arena_config *config, struct layout_shape *shape,
                                    struct covey_error *error)
{
    memset(shape, 0, sizeof(*shape));
    size_t id_length = config->flare_id ? strlen(config->flare_id) : 0;
    if (id_length >= ARENA_FLARE_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "arena: the flare's id is too long");
    if (config->worker_count == 0 || config->worker_count > ARENA_MAX_WORKERS)
        return covey_error_set(error, COVEY_ELIMIT, "arena: %u workers; 1 to %u are possible",
                               config->worker_count, ARENA_MAX_WORKERS);
    if (config->node >= config->node_count || config->node_count > config->worker_count ||
        config->pack_count > config->worker_count)
        return covey_error_set(error, COVEY_EINVAL, "arena: more nodes or packs than workers");
    uint32_t local_count = 0;
    enum covey_status status = check_packs(config, &local_count, error);
    if (status)
        return status;
    uint64_t least = arena_least_bytes(local_count);
    uint64_t size = config->size_bytes;
    if (size == 0)
        size = least + DEFAULT_BYTES + DEFAULT_BYTES_A_WORKER * local_count;
    if (size < least || size / ARENA_SLAB_BYTES > LAYOUT_MAX_SLABS)
        return covey_error_set(error, COVEY_EINVAL,
                               "arena: %llu bytes for %u workers; at least %llu are needed",
                               (unsigned long long)size, local_count, (unsigned long long)least);
    shape->magic = LAYOUT_MAGIC;
    shape->version = LAYOUT_VERSION;
    shape->worker_count = config->worker_count;
    shape->node_count = config->node_count;
    shape->node = config->node;
    shape->pack_count = config->pack_count;
    shape->local_count = local_count;
    shape->slab_count = (uint32_t)(size / ARENA_SLAB_BYTES);
    if (id_length)
        memcpy(shape->flare_id, config->flare_id, id_length);
    struct layout layout;
    layout_compute(shape, &layout);
    shape->total_bytes = layout.total_bytes;
    return COVEY_OK;
}

/* Tables by rank, private to the process, so that nobody can change them under us. */
static enum covey_status make_tables(struct arena *arena, const struct arena_pack *packs)
{
    const struct layout_shape *shape = &arena->shape;
    arena->packs = covey_memdup(packs, shape->pack_count * sizeof(*packs));
    arena->rank_pack = covey_calloc(shape->worker_count, sizeof(uint32_t));
    arena->rank_local = covey_calloc(shape->worker_count, sizeof(uint32_t));
    arena->local_rank = covey_calloc(shape->local_count + 1ull, sizeof(uint32_t));
    if (!arena->packs || !arena->rank_pack || !arena->rank_local || !arena->local_rank)
        return COVEY_ENOMEM;
    uint32_t local = 0;
    for (uint32_t i = 0; i < shape->pack_count; i++) {
        for (uint32_t k = 0; k < packs[i].worker_count; k++) {
            uint32_t rank = packs[i].first_rank + k;
            bool here = packs[i].node == shape->node;
            arena->rank_pack[rank] = i;
            arena->rank_local[rank] = here ? local : UINT32_MAX;
            if (here)
                arena->local_rank[local++] = rank;
        }
    }
    return COVEY_OK;
}

static enum covey_status map_memory(struct arena *arena, struct covey_error *error)
{
    void *base = mmap(NULL, arena->shape.total_bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_NORESERVE, arena->fd, 0);
    if (base == MAP_FAILED)
        return covey_error_set_errno(error, errno, "arena: cannot map %llu bytes",
                                     (unsigned long long)arena->shape.total_bytes);
    arena->base = base;
    return COVEY_OK;
}

/* Everything is zero, which is right for queues and bells; reserves have owners from the start. */
static void fill_in(struct arena *arena)
{
    const struct layout_shape *shape = &arena->shape;
    layout_header(arena)->shape = *shape;
    struct layout_pack *packs = (struct layout_pack *)(arena->base + arena->layout.packs);
    for (uint32_t i = 0; i < shape->pack_count; i++) {
        packs[i].first_rank = arena->packs[i].first_rank;
        packs[i].worker_count = arena->packs[i].worker_count;
        packs[i].node = arena->packs[i].node;
    }
    for (uint32_t i = 0; i < reserve_slabs(shape->local_count); i++) {
        uint32_t endpoint = i < shape->local_count ? i : shape->local_count;
        struct layout_slab *slab = layout_slab(arena, i);
        atomic_store(&slab->kind, 1 + LAYOUT_RESERVE_CLASS);
        atomic_store(&slab->owner, LAYOUT_SLAB_OWNED + endpoint);
    }
}

enum covey_status arena_create(const struct arena_config *config, struct arena **out,
                               struct covey_error *error)
{
    struct layout_shape shape;
    enum covey_status status = make_shape(config, &shape, error);
    if (status)
        return status;
    struct arena *arena = covey_calloc(1, sizeof(*arena));
    if (!arena)
        return covey_error_set(error, COVEY_ENOMEM, "arena: out of memory");
    arena->shape = shape;
    arena->host_event_fd = -1;
    layout_compute(&shape, &arena->layout);
    arena->fd = memfd_create("covey-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (arena->fd < 0) {
        status = covey_error_set_errno(error, errno, "arena: memfd_create");
        goto failed;
    }
    if (ftruncate(arena->fd, (off_t)shape.total_bytes) || fcntl(arena->fd, F_ADD_SEALS, SEALS)) {
        status = covey_error_set_errno(error, errno, "arena: cannot size and seal the memory");
        goto failed;
    }
    status = make_tables(arena, config->packs);
    if (status) {
        covey_error_set(error, status, "arena: out of memory");
        goto failed;
    }
    status = map_memory(arena, error);
    if (status)
        goto failed;
    fill_in(arena);
    *out = arena;
    return COVEY_OK;
failed:
    arena_destroy(arena);
    return status;
}

/* The descriptor's size is checked against the shape, the shape against itself. */
static enum covey_status check_shape(int fd, const struct layout_shape *shape,
                                     struct covey_error *error)
{
    if (shape->magic != LAYOUT_MAGIC)
        return covey_error_set(error, COVEY_EPROTO, "arena: the memory is no arena");
    if (shape->version != LAYOUT_VERSION)
        return covey_error_set(error, COVEY_EVERSION, "arena: version %u, this is %u",
                               shape->version, LAYOUT_VERSION);
    struct stat info;
    if (fstat(fd, &info))
        return covey_error_set_errno(error, errno, "arena: fstat");
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return covey_error_set(error, COVEY_EPROTO, "arena: the memory is not sealed");
    struct layout layout;
    if (shape->worker_count == 0 || shape->worker_count > ARENA_MAX_WORKERS ||
        shape->local_count > ARENA_MAX_LOCAL || shape->local_count > shape->worker_count ||
        shape->node_count > shape->worker_count || shape->node >= shape->node_count ||
        shape->pack_count > shape->worker_count || shape->slab_count > LAYOUT_MAX_SLABS ||
        shape->slab_count < 2 * reserve_slabs(shape->local_count) ||
        shape->flare_id[ARENA_FLARE_BYTES - 1] != '\0')
        return covey_error_set(error, COVEY_EPROTO, "arena: its counts cannot be");
    layout_compute(shape, &layout);
    if (shape->total_bytes != layout.total_bytes || (uint64_t)info.st_size != layout.total_bytes)
        return covey_error_set(error, COVEY_EPROTO, "arena: its size does not fit its counts");
    return COVEY_OK;
}

static enum covey_status read_packs(struct arena *arena, struct covey_error *error)
{
    uint32_t count = arena->shape.pack_count;
    struct arena_pack *packs = covey_calloc(count ? count : 1, sizeof(*packs));
    if (!packs)
        return covey_error_set(error, COVEY_ENOMEM, "arena: out of memory");
    const struct layout_pack *stored = (struct layout_pack *)(arena->base + arena->layout.packs);
    for (uint32_t i = 0; i < count; i++) {
        struct layout_pack copy = stored[i];
        packs[i] = (struct arena_pack){copy.first_rank, copy.worker_count, copy.node};
    }
    struct arena_config config = {.worker_count = arena->shape.worker_count,
                                  .node_count = arena->shape.node_count,
                                  .node = arena->shape.node,
                                  .pack_count = count,
                                  .packs = packs};
    uint32_t local_count = 0;
    enum covey_status status = check_packs(&config, &local_count, error);
    if (!status && local_count != arena->shape.local_count)
        status = covey_error_set(error, COVEY_EPROTO, "arena: its packs do not fit its counts");
    else if (status)
        status = COVEY_EPROTO;
    if (!status && make_tables(arena, packs))
        status = covey_error_set(error, COVEY_ENOMEM, "arena: out of memory");
    free(packs);
    return status;
}

enum covey_status arena_map(int fd, struct arena **out, struct covey_error *error)
{
    struct arena *arena = covey_calloc(1, sizeof(*arena));
    if (!arena)
        return covey_error_set(error, COVEY_ENOMEM, "arena: out of memory");
    enum covey_status status;
    arena->host_event_fd = -1;
    arena->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (arena->fd < 0) {
        status = covey_error_set_errno(error, errno, "arena: the descriptor");
        goto failed;
    }
    ssize_t got = pread(arena->fd, &arena->shape, sizeof(arena->shape), 0);
    if (got != (ssize_t)sizeof(arena->shape)) {
        status = covey_error_set(error, COVEY_EPROTO, "arena: the memory has no header");
        goto failed;
    }
    status = check_shape(arena->fd, &arena->shape, error);
    if (status)
        goto failed;
    layout_compute(&arena->shape, &arena->layout);
    status = map_memory(arena, error);
    if (status)
        goto failed;
    status = read_packs(arena, error);
    if (status)
        goto failed;
    *out = arena;
    return COVEY_OK;
failed:
    arena_destroy(arena);
    return status;
}

void arena_destroy(struct arena *arena)
{
    if (!arena)
        return;
    if (arena->base)
        munmap(arena->base, arena->shape.total_bytes);
    covey_close(&arena->fd);
    covey_close(&arena->host_event_fd);
    free(arena->packs);
    free(arena->rank_pack);
    free(arena->rank_local);
    free(arena->local_rank);
    free(arena);
}

int arena_fd(const struct arena *arena)
{
    return arena->fd;
}

enum covey_status arena_set_host_event(struct arena *arena, int event_fd)
{
    int copy = fcntl(event_fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return covey_status_from_errno(errno);
    covey_close(&arena->host_event_fd);
    arena->host_event_fd = copy;
    return COVEY_OK;
}

const char *arena_flare_id(const struct arena *arena)
{
    return arena->shape.flare_id;
}

uint32_t arena_worker_count(const struct arena *arena)
{
    return arena->shape.worker_count;
}

uint32_t arena_node_count(const struct arena *arena)
{
    return arena->shape.node_count;
}

uint32_t arena_node(const struct arena *arena)
{
    return arena->shape.node;
}

uint32_t arena_pack_count(const struct arena *arena)
{
    return arena->shape.pack_count;
}

uint32_t arena_local_count(const struct arena *arena)
{
    return arena->shape.local_count;
}

uint32_t arena_node_of(const struct arena *arena, uint32_t rank)
{
    return arena->packs[arena->rank_pack[rank]].node;
}

uint32_t arena_pack_of(const struct arena *arena, uint32_t rank)
{
    return arena->rank_pack[rank];
}

struct arena_pack arena_pack(const struct arena *arena, uint32_t pack)
{
    return arena->packs[pack];
}

uint32_t arena_rank_of(const struct arena *arena, uint32_t local)
{
    return arena->local_rank[local];
}

bool arena_local_of(const struct arena *arena, uint32_t rank, uint32_t *local)
{
    *local = arena->rank_local[rank];
    return *local != UINT32_MAX;
}

void *arena_slabs(const struct arena *arena, uint32_t *slab_count)
{
    *slab_count = arena->shape.slab_count;
    return layout_slab_bytes(arena, 0);
}
