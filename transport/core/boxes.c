#include "transport/core/boxes.h"

#include "base/fault.h"
#include "base/memory.h"
#include "transport/core/bell.h"

#include <stdlib.h>
#include <string.h>

/* A ring that was found empty so often in a row, among more than a few, is left alone until its
 * producer says that it talks again. */
#define IDLE_LOOKS  256u
#define ALWAYS_LOOK 4u

#define FETCH_AHEAD 8u

/* Of a payload, as much as a box could hold that has nothing else. */
#define PAYLOAD_WORDS LAYOUT_BOX_WORDS

struct boxes_out {
    uint32_t posted;
    uint32_t taken; /* as last read */
};

struct boxes_in {
    uint32_t taken;
    uint32_t told; /* of taken, what the producer can read */
    uint32_t idle; /* looks that found nothing */
    bool talking;
};

/* ---- descriptors in 7 words ---- */

/* Which words a box has, in their order; what is zero is left out. */
enum part {
    PART_COMMUNICATOR = 1,
    PART_SEQUENCE = 2,
    PART_TAG = 4,
    PART_LENGTH = 8,
    PART_COOKIE = 16,
    PART_ARGUMENT = 32,
    PART_ALL = 63,
};

/* A box's words, and what may lie behind them while it is packed or unpacked. */
struct packed {
    uint64_t words[LAYOUT_BOX_WORDS + PAYLOAD_WORDS];
    uint32_t count;
    uint32_t parts;
};

static inline void put(struct packed *packed, enum part part, uint64_t word)
{
    if (word == 0)
        return;
    packed->words[packed->count++] = word;
    packed->parts |= part;
}

static inline uint64_t get(struct packed *packed, enum part part)
{
    return packed->parts & part ? packed->words[packed->count++] : 0;
}

static inline uint64_t payload_bytes(const struct descriptor_header *header)
{
    switch (header->payload) {
    case DESCRIPTOR_NONE:
        return 0;
    case DESCRIPTOR_INLINE:
        return header->length;
    default:
        return sizeof(struct descriptor_block);
    }
}

/* What it needs, in bytes: it may be more than a box has. */
static inline uint64_t pack(struct packed *packed, const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    bool bare = header->payload == DESCRIPTOR_NONE;
    packed->count = packed->parts = 0;
    put(packed, PART_COMMUNICATOR, header->communicator);
    put(packed, PART_SEQUENCE, header->sequence);
    put(packed, PART_TAG, (uint32_t)header->tag);
    put(packed, PART_LENGTH, bare ? header->length : 0);
    put(packed, PART_COOKIE, header->cookie);
    put(packed, PART_ARGUMENT, header->argument);
    if (!bare)
        memcpy(&packed->words[packed->count], descriptor->inline_bytes,
               PAYLOAD_WORDS * sizeof *packed->words);
    return packed->count * sizeof *packed->words + payload_bytes(header);
}

/*
 * The stamp: position + 1 in the upper half, then kind, how the payload comes, parts, and the
 * length of an inline payload. One word says all of it, so that nothing is half there.
 */
static inline uint64_t make_stamp(uint32_t position, const struct descriptor_header *header,
                                  uint32_t parts)
{
    uint64_t inline_bytes = header->payload == DESCRIPTOR_INLINE ? header->length : 0;
    return (uint64_t)(position + 1) << 32 | (uint64_t)(header->kind & 0xff) << 24 |
           (uint64_t)(header->payload & 0xf) << 20 | (uint64_t)parts << 8 | inline_bytes;
}

static inline bool is_stamped(uint64_t stamp, uint32_t position)
{
    return (uint32_t)(stamp >> 32) == position + 1;
}

static inline void unpack(const struct layout_box *box, uint64_t stamp,
                          struct descriptor *descriptor)
{
    struct descriptor_header *header = &descriptor->header;
    struct packed packed = {.parts = stamp >> 8 & PART_ALL};
    memcpy(packed.words, box->words, sizeof box->words);
    header->kind = stamp >> 24 & 0xff;
    header->payload = stamp >> 20 & 0xf;
    header->communicator = get(&packed, PART_COMMUNICATOR);
    header->sequence = get(&packed, PART_SEQUENCE);
    header->tag = (int32_t)get(&packed, PART_TAG);
    header->length = get(&packed, PART_LENGTH);
    header->cookie = get(&packed, PART_COOKIE);
    header->argument = get(&packed, PART_ARGUMENT);
    if (header->payload == DESCRIPTOR_NONE)
        return;
    memcpy(descriptor->inline_bytes, &packed.words[packed.count],
           PAYLOAD_WORDS * sizeof *packed.words);
    header->length = header->payload == DESCRIPTOR_BLOCK ? descriptor->block.length : stamp & 0xff;
    if (packed.count * sizeof *packed.words + payload_bytes(header) > sizeof box->words)
        header->kind = 0; /* no honest box: the engine's check drops it */
}

/* ---- the producer ---- */

static bool is_full(const struct arena *arena, struct boxes *boxes, uint32_t to)
{
    struct boxes_out *out = &boxes->out[to];
    if (out->posted - out->taken < arena->layout.boxes)
        return false;
    struct layout_ring *ring = layout_ring(arena, to, boxes->endpoint);
    out->taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (out->posted - out->taken < arena->layout.boxes)
        return false;
    atomic_store(&ring->space_wanted, 1);
    out->taken = atomic_load(&ring->taken);
    return out->posted - out->taken >= arena->layout.boxes;
}

/* The line of a box that comes soon is brought here meanwhile: the store of a stamp is waited for.
 */
static inline void fetch_ahead(const struct layout_box *box)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" ::"m"(*box));
#else
    __builtin_prefetch(box, 1);
#endif
}

static void say_talking(const struct arena *arena, uint32_t from, uint32_t to)
{
    _Atomic uint64_t *word = &layout_talking(arena, to)[from / 64];
    uint64_t bit = 1ull << from % 64;
    if (!(atomic_load(word) & bit))
        atomic_fetch_or(word, bit);
}

enum boxes_posted boxes_post(const struct arena *arena, struct boxes *boxes, uint32_t to,
                             const struct descriptor *descriptor)
{
    if (to >= boxes->peers)
        return BOXES_UNFIT;
    struct packed packed;
    if (pack(&packed, descriptor) > sizeof(((struct layout_box *)NULL)->words))
        return BOXES_UNFIT;
    if (is_full(arena, boxes, to))
        return BOXES_FULL;
    uint32_t position = boxes->out[to].posted++;
    struct layout_box *box = layout_box(arena, to, boxes->endpoint, position);
    fetch_ahead(layout_box(arena, to, boxes->endpoint, position + FETCH_AHEAD));
    memcpy(box->words, packed.words, sizeof box->words);
    covey_fault(COVEY_FAULT_WORKER_CLAIM);
    atomic_store(&box->stamp, make_stamp(position, &descriptor->header, packed.parts));
    covey_fault(COVEY_FAULT_WORKER_PUBLISH);
    say_talking(arena, boxes->endpoint, to);
    bell_ring(arena, to);
    return BOXES_POSTED;
}

/* ---- the consumer ---- */

static inline const struct layout_box *
next_box(const struct arena *arena, const struct boxes *boxes, uint32_t from, uint64_t *stamp)
{
    uint32_t position = boxes->in[from].taken;
    const struct layout_box *box = layout_box(arena, boxes->endpoint, from, position);
    *stamp = atomic_load_explicit(&box->stamp, memory_order_acquire);
    return is_stamped(*stamp, position) ? box : NULL;
}

static void listen_to(struct boxes *boxes, uint32_t from)
{
    boxes->in[from].talking = true;
    boxes->in[from].idle = 0;
    boxes->talking[boxes->talking_count++] = from;
}

/* Those who have begun to talk since the last look. */
static void hear_of_new(const struct arena *arena, struct boxes *boxes)
{
    for (uint32_t at = 0; at < boxes->peers; at += 64) {
        uint64_t word = atomic_load_explicit(&layout_talking(arena, boxes->endpoint)[at / 64],
                                             memory_order_acquire);
        for (; word != 0 && boxes->talking_count < boxes->peers; word &= word - 1) {
            uint32_t from = at + (uint32_t)__builtin_ctzll(word);
            if (from < boxes->peers && !boxes->in[from].talking)
                listen_to(boxes, from);
        }
    }
}

static void stop_listening(const struct arena *arena, struct boxes *boxes, uint32_t slot)
{
    uint32_t from = boxes->talking[slot];
    uint64_t stamp;
    atomic_fetch_and(&layout_talking(arena, boxes->endpoint)[from / 64], ~(1ull << from % 64));
    boxes->in[from].idle = 0;
    if (next_box(arena, boxes, from, &stamp))
        return; /* it has not seen the bit clear, perhaps: it stays in our list */
    boxes->in[from].talking = false;
    boxes->talking[slot] = boxes->talking[--boxes->talking_count];
}

static void tell_taken(const struct arena *arena, struct boxes *boxes, uint32_t from)
{
    struct boxes_in *in = &boxes->in[from];
    if (in->taken - in->told < arena->layout.boxes / 4)
        return;
    struct layout_ring *ring = layout_ring(arena, boxes->endpoint, from);
    atomic_store(&ring->taken, in->taken);
    in->told = in->taken;
    if (atomic_load(&ring->space_wanted)) {
        atomic_store(&ring->space_wanted, 0);
        bell_ring(arena, from);
    }
}

/* Only after a look at all: whoever takes the place of one that goes would be passed over, and a
 * message of a sender that has ended be thought never sent. From the end, as the last one moves. */
static void stop_listening_to_idle(const struct arena *arena, struct boxes *boxes)
{
    for (uint32_t slot = boxes->talking_count; slot-- > 0 && boxes->talking_count > ALWAYS_LOOK;) {
        if (boxes->in[boxes->talking[slot]].idle > IDLE_LOOKS)
            stop_listening(arena, boxes, slot);
    }
}

bool boxes_take(const struct arena *arena, struct boxes *boxes, struct descriptor *descriptor)
{
    if (boxes->peers == 0)
        return false;
    bool found = false;
    bool some_idle = false;
    hear_of_new(arena, boxes);
    for (uint32_t looks = boxes->talking_count; looks > 0; looks--) {
        if (boxes->next >= boxes->talking_count)
            boxes->next = 0;
        uint32_t from = boxes->talking[boxes->next];
        struct boxes_in *in = &boxes->in[from];
        uint64_t stamp;
        const struct layout_box *box = next_box(arena, boxes, from, &stamp);
        if (box) {
            unpack(box, stamp, descriptor);
            descriptor->header.source = arena->local_rank[from];
            descriptor->header.destination = arena->local_rank[boxes->endpoint];
            in->taken++;
            in->idle = 0;
            boxes->next++;
            tell_taken(arena, boxes, from);
            found = true;
            break;
        }
        some_idle |= ++in->idle > IDLE_LOOKS;
        boxes->next++;
    }
    if (some_idle)
        stop_listening_to_idle(arena, boxes);
    return found;
}

bool boxes_ready(const struct arena *arena, const struct boxes *boxes)
{
    uint64_t stamp;
    for (uint32_t i = 0; i < boxes->talking_count; i++) {
        if (next_box(arena, boxes, boxes->talking[i], &stamp))
            return true;
    }
    for (uint32_t from = 0; from < boxes->peers; from++) {
        uint64_t word = atomic_load(&layout_talking(arena, boxes->endpoint)[from / 64]);
        if ((word >> from % 64 & 1) && !boxes->in[from].talking)
            return true;
    }
    return false;
}

/* ---- */

enum covey_status boxes_open(const struct arena *arena, uint32_t endpoint, struct boxes *boxes)
{
    *boxes = (struct boxes){.endpoint = endpoint};
    if (arena->layout.boxes == 0)
        return COVEY_OK;
    uint32_t peers = arena->shape.local_count;
    boxes->out = covey_calloc(peers, sizeof *boxes->out);
    boxes->in = covey_calloc(peers, sizeof *boxes->in);
    boxes->talking = covey_calloc(peers, sizeof *boxes->talking);
    if (!boxes->out || !boxes->in || !boxes->talking) {
        boxes_close(boxes);
        return COVEY_ENOMEM;
    }
    boxes->peers = peers;
    return COVEY_OK;
}

void boxes_close(struct boxes *boxes)
{
    free(boxes->out);
    free(boxes->in);
    free(boxes->talking);
    *boxes = (struct boxes){0};
}
