/* Boxes: what they carry, whose, in which order, and what neither a death nor a lie can do. */
#include "one_node.h"
#include "transport/core/boxes.h"
#include "transport/core/engine.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVER, SENDER, WORKERS };

struct pair {
    struct arena *arena;
    struct boxes to;
    struct boxes from;
};

static void open_pair(struct pair *pair, uint32_t workers)
{
    pair->arena = one_node(workers, 0);
    TEST_REQUIRE(boxes_open(pair->arena, RECEIVER, &pair->to) == COVEY_OK);
    TEST_REQUIRE(boxes_open(pair->arena, SENDER, &pair->from) == COVEY_OK);
}

static void close_pair(struct pair *pair)
{
    boxes_close(&pair->to);
    boxes_close(&pair->from);
    arena_destroy(pair->arena);
}

static struct descriptor numbered(uint64_t number)
{
    struct descriptor descriptor = {.header = {.kind = DESCRIPTOR_MESSAGE,
                                               .payload = DESCRIPTOR_INLINE,
                                               .communicator = 7,
                                               .sequence = number,
                                               .length = sizeof number}};
    memcpy(descriptor.inline_bytes, &number, sizeof number);
    return descriptor;
}

static enum boxes_posted post(struct pair *pair, uint64_t number)
{
    struct descriptor descriptor = numbered(number);
    return boxes_post(pair->arena, &pair->from, RECEIVER, &descriptor);
}

/* The number of the next descriptor, or UINT64_MAX when there is none. */
static uint64_t take(struct pair *pair)
{
    struct descriptor descriptor;
    if (!boxes_take(pair->arena, &pair->to, &descriptor))
        return UINT64_MAX;
    uint64_t number;
    memcpy(&number, descriptor.inline_bytes, sizeof number);
    TEST_EQUAL(number, descriptor.header.sequence);
    return number;
}

static bool same(const struct descriptor *a, const struct descriptor *b)
{
    const struct descriptor_header *x = &a->header;
    const struct descriptor_header *y = &b->header;
    if (x->kind != y->kind || x->payload != y->payload || x->tag != y->tag ||
        x->communicator != y->communicator || x->sequence != y->sequence ||
        x->length != y->length || x->cookie != y->cookie || x->argument != y->argument)
        return false;
    if (x->payload == DESCRIPTOR_INLINE)
        return memcmp(a->inline_bytes, b->inline_bytes, x->length) == 0;
    return x->payload != DESCRIPTOR_BLOCK || memcmp(&a->block, &b->block, sizeof a->block) == 0;
}

/* Header fields that are or are not zero, and every payload, in all their combinations. */
static struct descriptor variant(uint32_t number, uint32_t inline_bytes)
{
    struct descriptor descriptor = {0};
    struct descriptor_header *header = &descriptor.header;
    uint64_t word = 0x8000000000000001ull + number;
    header->kind = (uint16_t)(1 + number % (DESCRIPTOR_KINDS - 1));
    header->payload = (uint16_t)(number % 3);
    header->communicator = number & 4 ? word : 0;
    header->sequence = number & 8 ? word : 0;
    header->tag = number & 16 ? INT32_MAX : number & 32 ? -5 : 0;
    header->cookie = number & 64 ? word : 0;
    header->argument = number & 128 ? word : 0;
    header->length = header->payload == DESCRIPTOR_NONE && number & 256 ? word : 0;
    if (header->payload == DESCRIPTOR_INLINE) {
        header->length = inline_bytes;
        for (uint32_t i = 0; i < inline_bytes; i++)
            descriptor.inline_bytes[i] = (uint8_t)(number + i);
    } else if (header->payload == DESCRIPTOR_BLOCK) {
        descriptor.block = (struct descriptor_block){number, ~number, word, word + 1};
        header->length = descriptor.block.length;
    }
    return descriptor;
}

/* Bytes that a descriptor has where what is zero is left out. */
static uint64_t bytes_of(const struct descriptor *descriptor)
{
    const struct descriptor_header *header = &descriptor->header;
    const uint64_t parts[] = {header->communicator, header->sequence, (uint32_t)header->tag,
                              header->cookie, header->argument};
    uint64_t words = 0;
    for (int i = 0; i < 5; i++)
        words += parts[i] != 0;
    switch (header->payload) {
    case DESCRIPTOR_INLINE:
        return 8 * words + header->length;
    case DESCRIPTOR_BLOCK:
        return 8 * words + sizeof descriptor->block;
    default:
        return 8 * (words + (header->length != 0));
    }
}

static void boxes_post__any_descriptor__comes_as_it_was_or_does_not_fit(void)
{
    struct pair pair;
    open_pair(&pair, WORKERS);
    for (uint32_t number = 0; number < 512 * 3; number++) {
        struct descriptor sent = variant(number, number % (DESCRIPTOR_INLINE_BYTES + 1));
        struct descriptor taken;
        enum boxes_posted posted = boxes_post(pair.arena, &pair.from, RECEIVER, &sent);
        bool fits = bytes_of(&sent) <= 56;
        TEST_EQUAL(posted, fits ? BOXES_POSTED : BOXES_UNFIT);
        TEST_EQUAL(boxes_ready(pair.arena, &pair.to), fits);
        TEST_EQUAL(boxes_take(pair.arena, &pair.to, &taken), fits);
        if (fits)
            TEST_TRUE(same(&sent, &taken) && taken.header.source == SENDER &&
                      taken.header.destination == RECEIVER);
    }
    close_pair(&pair);
}

static void boxes_post__ring_is_full__refused_until_some_are_taken(void)
{
    struct pair pair;
    open_pair(&pair, WORKERS);
    uint32_t boxes = pair.arena->layout.boxes;
    for (uint64_t i = 0; i < boxes; i++)
        TEST_EQUAL(post(&pair, i), BOXES_POSTED);
    TEST_EQUAL(post(&pair, boxes), BOXES_FULL);
    for (uint64_t i = 0; i < boxes / 4; i++)
        TEST_EQUAL(take(&pair), i);
    for (uint64_t i = 0; i < boxes / 4; i++)
        TEST_EQUAL(post(&pair, boxes + i), BOXES_POSTED);
    TEST_EQUAL(post(&pair, 0), BOXES_FULL);
    for (uint64_t i = boxes / 4; i < boxes + boxes / 4; i++)
        TEST_EQUAL(take(&pair), i);
    TEST_EQUAL(take(&pair), UINT64_MAX);
    close_pair(&pair);
}

/* It sleeps, and is rung when a part of the ring is free. */
static void boxes_take__the_sender_found_it_full__rung(void)
{
    struct pair pair;
    open_pair(&pair, WORKERS);
    while (post(&pair, 1) == BOXES_POSTED) {
    }
    struct layout_endpoint *sender = layout_endpoint(pair.arena, SENDER);
    uint32_t before = atomic_load(&sender->bell);
    atomic_store(&sender->sleeping, 1);
    while (take(&pair) != UINT64_MAX) {
    }
    TEST_EQUAL(atomic_load(&sender->bell), before + 1);
    close_pair(&pair);
}

static void boxes_post__the_receiver_sleeps__rung(void)
{
    struct pair pair;
    open_pair(&pair, WORKERS);
    struct layout_endpoint *receiver = layout_endpoint(pair.arena, RECEIVER);
    atomic_store(&receiver->sleeping, 1);
    TEST_EQUAL(post(&pair, 1), BOXES_POSTED);
    TEST_EQUAL(atomic_load(&receiver->bell), 1);
    TEST_EQUAL(atomic_load(&receiver->sleeping), 0);
    close_pair(&pair);
}

/* All talk, fall silent until nobody looks into their rings, and talk again. */
static void boxes_take__many_were_silent__heard_again(void)
{
    enum { MANY = 12 };
    struct pair pair;
    struct boxes senders[MANY];
    open_pair(&pair, MANY);
    for (uint32_t i = 1; i < MANY; i++)
        TEST_REQUIRE(boxes_open(pair.arena, i, &senders[i]) == COVEY_OK);
    for (uint64_t round = 0; round < 20; round++) {
        uint32_t heard = 0;
        for (uint32_t i = 1; i < MANY; i++) {
            struct descriptor descriptor = numbered(round);
            TEST_EQUAL(boxes_post(pair.arena, &senders[i], RECEIVER, &descriptor), BOXES_POSTED);
        }
        TEST_TRUE(boxes_ready(pair.arena, &pair.to));
        while (take(&pair) == round)
            heard++;
        TEST_EQUAL(heard, MANY - 1);
        for (int looks = 0; looks < 2000; looks++)
            TEST_REQUIRE(take(&pair) == UINT64_MAX);
        TEST_TRUE(pair.to.talking_count <= 4);
        TEST_TRUE(!boxes_ready(pair.arena, &pair.to));
    }
    for (uint32_t i = 1; i < MANY; i++)
        boxes_close(&senders[i]);
    close_pair(&pair);
}

/* Whoever has nothing more to say, and ends, is believed only once a look has found nothing: so no
 * look may pass over a ring because another one was just given up. */
static void boxes_take__others_are_given_up_meanwhile__finds_what_is_there(void)
{
    enum { SENDERS = 9, ROUNDS = 3000, FEWEST = 240, LOOKS = 24 };
    struct pair pair;
    struct boxes senders[SENDERS];
    open_pair(&pair, SENDERS + 1);
    for (uint32_t i = 0; i < SENDERS; i++)
        TEST_REQUIRE(boxes_open(pair.arena, i + 1, &senders[i]) == COVEY_OK);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct descriptor descriptor = numbered(round);
        uint64_t chance = round * 2654435761u % 1000003;
        /* All talk, in an order of their own, and are silent until the first are given up. */
        for (uint64_t i = 0; i < SENDERS; i++)
            TEST_REQUIRE(boxes_post(pair.arena, &senders[(i + chance) % SENDERS], RECEIVER,
                                    &descriptor) == BOXES_POSTED &&
                         take(&pair) == round);
        for (uint64_t look = FEWEST + chance % LOOKS; look > 0; look--)
            TEST_REQUIRE(take(&pair) == UINT64_MAX);
        TEST_REQUIRE(boxes_post(pair.arena, &senders[chance / LOOKS % SENDERS], RECEIVER,
                                &descriptor) == BOXES_POSTED);
        TEST_REQUIRE(take(&pair) == round);
    }
    for (uint32_t i = 0; i < SENDERS; i++)
        boxes_close(&senders[i]);
    close_pair(&pair);
}

static void boxes_take__the_sender_died_before_the_stamp__nothing_there(void)
{
    struct pair pair;
    open_pair(&pair, WORKERS);
    TEST_EQUAL(post(&pair, 1), BOXES_POSTED);
    TEST_EQUAL(take(&pair), 1);
    struct layout_box *box = layout_box(pair.arena, RECEIVER, SENDER, 1);
    memset(box->words, 0xff, sizeof box->words);
    TEST_TRUE(!boxes_ready(pair.arena, &pair.to));
    TEST_EQUAL(take(&pair), UINT64_MAX);
    close_pair(&pair);
}

/* Stamps that are right and say anything: one descriptor each, that stays inside itself. */
static void boxes_take__stamps_lie__one_descriptor_each(void)
{
    struct pair pair;
    open_pair(&pair, WORKERS);
    TEST_EQUAL(post(&pair, 0), BOXES_POSTED);
    TEST_EQUAL(take(&pair), 0);
    uint64_t dice = 88172645463325252ull;
    for (uint32_t position = 1; position < 20000; position++) {
        struct layout_box *box = layout_box(pair.arena, RECEIVER, SENDER, position);
        memset(box->words, (int)(dice & 0xff), sizeof box->words);
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        atomic_store(&box->stamp, (uint64_t)(position + 1) << 32 | (dice & UINT32_MAX));
        struct descriptor descriptor;
        TEST_REQUIRE(boxes_take(pair.arena, &pair.to, &descriptor));
        const struct descriptor_header *header = &descriptor.header;
        TEST_TRUE(header->source == SENDER && header->destination == RECEIVER);
        TEST_TRUE(header->payload != DESCRIPTOR_INLINE || header->kind == 0 ||
                  header->length <= 56);
        TEST_REQUIRE(!boxes_take(pair.arena, &pair.to, &descriptor));
    }
    close_pair(&pair);
}

static void boxes_open__too_many_workers__by_the_inbox(void)
{
    struct pair pair;
    open_pair(&pair, 600);
    TEST_EQUAL(post(&pair, 1), BOXES_UNFIT);
    TEST_EQUAL(take(&pair), UINT64_MAX);
    TEST_TRUE(!boxes_ready(pair.arena, &pair.to));
    close_pair(&pair);
}

/* More in the boxes than one look takes: what waits in the inbox, as all that comes from other
 * nodes, has its turn all the same. */
static void engine_progress__more_in_boxes_than_it_takes__the_inbox_has_its_turn(void)
{
    enum { MANY = 40 };
    struct arena *arena = one_node(MANY, 0);
    struct engine *engine;
    struct descriptor descriptor = numbered(0);
    TEST_REQUIRE(engine_create(arena, RECEIVER, 0, &engine) == COVEY_OK);
    for (uint32_t i = 1; i < MANY; i++) {
        struct boxes boxes;
        TEST_REQUIRE(boxes_open(arena, i, &boxes) == COVEY_OK);
        while (boxes_post(arena, &boxes, RECEIVER, &descriptor) == BOXES_POSTED) {
        }
        boxes_close(&boxes);
    }
    TEST_TRUE(inbox_post(arena, SENDER, RECEIVER, &descriptor));
    engine_progress(engine);
    TEST_TRUE(boxes_ready(arena, &engine->boxes));
    TEST_TRUE(!inbox_ready(&engine->inbox));
    engine_destroy(engine);
    arena_destroy(arena);
}

/* ---- threads ---- */

enum { SENDERS = 6, EACH = 20000 };

struct producer {
    struct arena *arena;
    uint32_t endpoint;
};

static void *produce(void *data)
{
    const struct producer *producer = data;
    struct boxes boxes;
    if (boxes_open(producer->arena, producer->endpoint, &boxes) != COVEY_OK)
        return NULL;
    for (uint64_t i = 0; i < EACH; i++) {
        struct descriptor descriptor = numbered(i);
        while (boxes_post(producer->arena, &boxes, RECEIVER, &descriptor) != BOXES_POSTED)
            sched_yield();
        if (i % 1000 == 0)
            sched_yield();
    }
    boxes_close(&boxes);
    return NULL;
}

static void boxes__many_producers__each_in_order_and_whole(void)
{
    struct arena *arena = one_node(SENDERS + 1, 0);
    struct boxes to;
    pthread_t threads[SENDERS];
    struct producer producers[SENDERS];
    uint64_t next[SENDERS + 1] = {0};
    TEST_REQUIRE(boxes_open(arena, RECEIVER, &to) == COVEY_OK);
    for (uint32_t i = 0; i < SENDERS; i++) {
        producers[i] = (struct producer){arena, i + 1};
        TEST_REQUIRE(pthread_create(&threads[i], NULL, produce, &producers[i]) == 0);
    }
    bool right = true;
    for (uint64_t taken = 0; taken < SENDERS * (uint64_t)EACH;) {
        struct descriptor descriptor;
        if (!boxes_take(arena, &to, &descriptor)) {
            sched_yield();
            continue;
        }
        taken++;
        uint64_t number = next[descriptor.header.source]++;
        right &= descriptor.header.sequence == number &&
                 memcmp(descriptor.inline_bytes, &number, sizeof number) == 0;
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    TEST_TRUE(right);
    TEST_TRUE(!boxes_ready(arena, &to));
    boxes_close(&to);
    arena_destroy(arena);
}

static const struct test_case cases[] = {
    TEST_CASE(boxes_post__any_descriptor__comes_as_it_was_or_does_not_fit),
    TEST_CASE(boxes_post__ring_is_full__refused_until_some_are_taken),
    TEST_CASE(boxes_take__the_sender_found_it_full__rung),
    TEST_CASE(boxes_post__the_receiver_sleeps__rung),
    TEST_CASE(boxes_take__many_were_silent__heard_again),
    TEST_CASE(boxes_take__others_are_given_up_meanwhile__finds_what_is_there),
    TEST_CASE(boxes_take__the_sender_died_before_the_stamp__nothing_there),
    TEST_CASE(boxes_take__stamps_lie__one_descriptor_each),
    TEST_CASE(boxes_open__too_many_workers__by_the_inbox),
    TEST_CASE(engine_progress__more_in_boxes_than_it_takes__the_inbox_has_its_turn),
    TEST_CASE(boxes__many_producers__each_in_order_and_whole),
    {0},
};

const struct test_suite test_suites[] = {{"boxes", cases, NULL, NULL}, {0}};
