/* What a descriptor that a worker wrote, or a header that came over the network, must be to be
 * taken: one node of two, with ranks 0 and 1 here and 2 and 3 there. */
#include "one_node.h"
#include "transport/core/engine.h"
#include "transport/core/host_port.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST  2u /* its endpoint: behind the two workers */
#define BYTES 1000u

static struct arena *half_of_two(void)
{
    static const struct arena_pack packs[] = {{0, 2, 0}, {2, 2, 1}};
    const struct arena_config config = {
        .flare_id = "unit", .worker_count = 4, .node_count = 2, .pack_count = 2, .packs = packs};
    struct arena *arena = NULL;
    TEST_REQUIRE(arena_create(&config, &arena, NULL) == COVEY_OK);
    return arena;
}

static uint32_t count(const struct covey_list *list)
{
    uint32_t nodes = 0;
    for (const struct covey_list *at = list->next; at != list; at = at->next)
        nodes++;
    return nodes;
}

static void check(bool is_as_wanted, size_t row)
{
    if (!is_as_wanted)
        fprintf(stderr, "row %zu\n", row);
    TEST_TRUE(is_as_wanted);
}

struct row {
    uint16_t kind;
    uint16_t payload;
    uint32_t source;
    uint32_t destination;
    uint64_t length;
    bool taken;
};

static struct descriptor descriptor_of(const struct row *row)
{
    return (struct descriptor){.header = {.kind = row->kind,
                                          .payload = row->payload,
                                          .source = row->source,
                                          .destination = row->destination,
                                          .communicator = 40, /* which nobody has made yet */
                                          .length = row->length}};
}

/* What an engine takes of a communicator that is not made yet waits for that. */
static bool is_kept(struct engine *engine, const struct descriptor *descriptor)
{
    uint32_t before = count(&engine->strays);
    TEST_REQUIRE(inbox_post(engine->arena, 1, engine->endpoint, descriptor));
    engine_progress(engine);
    return count(&engine->strays) > before;
}

static void engine_progress__table_of_descriptors__takes_what_is_sound(void)
{
    static const struct row rows[] = {
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 0, 0, true},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_INLINE, 1, 0, DESCRIPTOR_INLINE_BYTES, true},
        {DESCRIPTOR_OFFER, DESCRIPTOR_NONE, 1, 0, UINT64_MAX, true},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 3, 0, 0, true},
        {0, DESCRIPTOR_NONE, 1, 0, 0, false},
        {DESCRIPTOR_KINDS, DESCRIPTOR_NONE, 1, 0, 0, false},
        {UINT16_MAX, DESCRIPTOR_NONE, 1, 0, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 4, 0, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, UINT32_MAX, 0, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 1, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 2, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 0, 1, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_INLINE, 1, 0, DESCRIPTOR_INLINE_BYTES + 1, false},
        {DESCRIPTOR_OFFER, DESCRIPTOR_INLINE, 1, 0, 8, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_PRIVATE, 1, 0, 8, false},
        {DESCRIPTOR_MESSAGE, UINT16_MAX, 1, 0, 8, false},
    };
    struct arena *arena = half_of_two();
    struct engine *engine = NULL;
    TEST_REQUIRE(engine_create(arena, 0, 0, &engine) == COVEY_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct descriptor descriptor = descriptor_of(&rows[i]);
        check(is_kept(engine, &descriptor) == rows[i].taken, i);
    }
    engine_destroy(engine);
    arena_destroy(arena);
}

static void engine_progress__more_messages_than_it_gave_leave_for__drops_them(void)
{
    struct arena *arena = half_of_two();
    struct engine *engine = NULL;
    TEST_REQUIRE(engine_create(arena, 0, 0, &engine) == COVEY_OK);
    struct descriptor descriptor =
        descriptor_of(&(struct row){DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 3, 0, 0, true});
    const uint32_t window = credit_window_of(4).messages;
    for (uint32_t i = 0; i < window; i++)
        TEST_TRUE(is_kept(engine, &descriptor));
    TEST_TRUE(!is_kept(engine, &descriptor));
    descriptor.header.source = 2;
    TEST_TRUE(is_kept(engine, &descriptor)); /* it has leave of its own */
    engine_destroy(engine);
    arena_destroy(arena);
}

/* A block of `from` that it lends to an endpoint, as a message would. */
static struct descriptor_block lend(struct memory *from, uint32_t to)
{
    struct descriptor_block block;
    TEST_REQUIRE(memory_allocate(from, BYTES, MEMORY_OWNED, &block));
    TEST_REQUIRE(memory_grant(from, to, &block) == MEMORY_GRANTED);
    memory_granted(from);
    return block;
}

struct block_row {
    uint16_t kind;
    uint64_t length;              /* in the header */
    struct descriptor_block more; /* added to the block that was lent */
    bool taken;
};

static const struct block_row block_rows[] = {
    {DESCRIPTOR_MESSAGE, BYTES, {.length = 0}, true},
    {DESCRIPTOR_MESSAGE, BYTES - 10, {.start = 10, .length = (uint64_t)-10}, true},
    {DESCRIPTOR_MESSAGE, BYTES - 1, {.length = 0}, false},
    {DESCRIPTOR_OFFER, BYTES, {.length = 0}, false},
    {DESCRIPTOR_MESSAGE, BYTES + ARENA_SLAB_BYTES, {.length = ARENA_SLAB_BYTES}, false},
    {DESCRIPTOR_MESSAGE, BYTES, {.start = ARENA_SLAB_BYTES}, false},
    {DESCRIPTOR_MESSAGE, BYTES, {.start = UINT64_MAX}, false},
    {DESCRIPTOR_MESSAGE, BYTES, {.block = 1}, false}, /* which was lent to nobody */
    {DESCRIPTOR_MESSAGE, BYTES, {.block = UINT32_MAX / 2}, false},
    {DESCRIPTOR_MESSAGE, BYTES, {.slab = UINT32_MAX / 2}, false},
};
#define BLOCK_ROWS (sizeof(block_rows) / sizeof(*block_rows))

static struct descriptor lent(const struct block_row *row, struct memory *from, uint32_t to,
                              uint32_t destination)
{
    struct descriptor descriptor = descriptor_of(
        &(struct row){row->kind, DESCRIPTOR_BLOCK, 1, destination, row->length, row->taken});
    descriptor.block = lend(from, to);
    descriptor.block.slab += row->more.slab;
    descriptor.block.block += row->more.block;
    descriptor.block.start += row->more.start;
    descriptor.block.length += row->more.length;
    return descriptor;
}

static void engine_progress__table_of_blocks__takes_what_was_lent_to_it(void)
{
    struct arena *arena = half_of_two();
    struct engine *engine = NULL;
    struct memory other;
    TEST_REQUIRE(engine_create(arena, 0, 0, &engine) == COVEY_OK);
    TEST_REQUIRE(memory_open(arena, 1, &other) == COVEY_OK);
    for (size_t i = 0; i < BLOCK_ROWS; i++) {
        struct descriptor descriptor = lent(&block_rows[i], &other, 0, 0);
        check(is_kept(engine, &descriptor) == block_rows[i].taken, i);
        /* The same once more is a hold that it has already. */
        check(!is_kept(engine, &descriptor), i);
    }
    engine_destroy(engine);
    memory_close(&other);
    arena_destroy(arena);
}

static bool is_sent(struct host_port *port, struct arena *arena,
                    const struct descriptor *descriptor)
{
    struct host_outgoing outgoing;
    TEST_REQUIRE(inbox_post(arena, 1, HOST, descriptor));
    bool sent = host_port_poll(port, &outgoing);
    if (!sent)
        return false;
    TEST_EQUAL(outgoing.length_bytes,
               descriptor->header.payload == DESCRIPTOR_NONE ? 0 : descriptor->header.length);
    host_port_release(port, &outgoing);
    return true;
}

static void host_port_poll__table_of_descriptors__sends_what_is_sound(void)
{
    static const struct row rows[] = {
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 2, 0, true},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_INLINE, 0, 3, DESCRIPTOR_INLINE_BYTES, true},
        {DESCRIPTOR_OFFER, DESCRIPTOR_NONE, 1, 2, UINT64_MAX, true},
        {DESCRIPTOR_DATA, DESCRIPTOR_INLINE, 1, 2, 8, true},
        {DESCRIPTOR_CREDIT, DESCRIPTOR_NONE, 1, 2, 0, true},
        {0, DESCRIPTOR_NONE, 1, 2, 0, false},
        {DESCRIPTOR_KINDS, DESCRIPTOR_NONE, 1, 2, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 4, 2, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 4, 0, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 2, 3, 0, false}, /* for a rank of the other node */
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 0, 0, false}, /* to one of this */
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 2, 1, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_INLINE, 1, 2, DESCRIPTOR_INLINE_BYTES + 1, false},
        {DESCRIPTOR_OFFER, DESCRIPTOR_INLINE, 1, 2, 8, false},
        {DESCRIPTOR_MESSAGE, DESCRIPTOR_PRIVATE, 1, 2, 8, false},
    };
    struct arena *arena = half_of_two();
    struct host_port *port = NULL;
    TEST_REQUIRE(host_port_create(arena, &port, NULL) == COVEY_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct descriptor descriptor = descriptor_of(&rows[i]);
        check(is_sent(port, arena, &descriptor) == rows[i].taken, i);
    }
    host_port_destroy(port);
    arena_destroy(arena);
}

static void host_port_poll__table_of_blocks__sends_what_was_lent_to_it(void)
{
    struct arena *arena = half_of_two();
    struct host_port *port = NULL;
    struct memory other;
    TEST_REQUIRE(host_port_create(arena, &port, NULL) == COVEY_OK);
    TEST_REQUIRE(memory_open(arena, 1, &other) == COVEY_OK);
    for (size_t i = 0; i < BLOCK_ROWS; i++) {
        struct descriptor descriptor = lent(&block_rows[i], &other, HOST, 2);
        check(is_sent(port, arena, &descriptor) == block_rows[i].taken, i);
    }
    memory_close(&other);
    host_port_destroy(port);
    arena_destroy(arena);
}

static void host_port_poll__more_than_a_worker_may_have_under_way__drops_it(void)
{
    struct arena *arena = half_of_two();
    struct host_port *port = NULL;
    TEST_REQUIRE(host_port_create(arena, &port, NULL) == COVEY_OK);
    const struct descriptor descriptor =
        descriptor_of(&(struct row){DESCRIPTOR_MESSAGE, DESCRIPTOR_NONE, 1, 2, 0, true});
    struct host_outgoing outgoing = {0};
    const uint32_t most = 2 * flow_pair_most(4);
    for (uint32_t i = 0; i < most; i++)
        TEST_REQUIRE(inbox_post(arena, 1, HOST, &descriptor) && host_port_poll(port, &outgoing));
    TEST_TRUE(inbox_post(arena, 1, HOST, &descriptor) && !host_port_poll(port, &outgoing));
    /* Nor does what it refers to stay held. */
    struct memory other;
    struct arena_usage usage;
    TEST_REQUIRE(memory_open(arena, 1, &other) == COVEY_OK);
    const struct descriptor block = lent(&block_rows[0], &other, HOST, 2);
    TEST_TRUE(inbox_post(arena, 1, HOST, &block) && !host_port_poll(port, &outgoing));
    memory_release(&other, &block.block);
    arena_count_usage(arena, &usage);
    TEST_EQUAL(usage.blocks_held, 0);
    memory_close(&other);
    outgoing.in_arena = false;
    outgoing.header = descriptor.header;
    host_port_release(port, &outgoing);
    TEST_TRUE(inbox_post(arena, 1, HOST, &descriptor) && host_port_poll(port, &outgoing));
    host_port_destroy(port);
    arena_destroy(arena);
}

struct arrival {
    uint32_t from_node;
    struct row row;
    uint64_t bytes;
    enum covey_status status;
};

static void host_port_expect__table_of_headers__takes_what_its_node_may_say(void)
{
    static const struct arrival rows[] = {
        {1, {DESCRIPTOR_MESSAGE, 0, 2, 0, 10, 0}, 10, COVEY_OK},
        {1, {DESCRIPTOR_MESSAGE, 99, 3, 1, 0, 0}, 0, COVEY_OK},
        {1, {DESCRIPTOR_OFFER, 0, 2, 0, 10, 0}, 0, COVEY_OK},
        {1, {DESCRIPTOR_DATA, 0, 2, 0, ARENA_SLAB_BYTES, 0}, ARENA_SLAB_BYTES, COVEY_OK},
        {1, {0, 0, 2, 0, 0, 0}, 0, COVEY_EPROTO},
        {1, {DESCRIPTOR_KINDS, 0, 2, 0, 0, 0}, 0, COVEY_EPROTO},
        {1, {DESCRIPTOR_MESSAGE, 0, 4, 0, 0, 0}, 0, COVEY_EPROTO},
        {1, {DESCRIPTOR_MESSAGE, 0, 2, 4, 0, 0}, 0, COVEY_EPROTO},
        {1, {DESCRIPTOR_MESSAGE, 0, 1, 0, 0, 0}, 0, COVEY_EPROTO}, /* a rank of this node */
        {0, {DESCRIPTOR_MESSAGE, 0, 1, 0, 0, 0}, 0, COVEY_EPROTO}, /* from itself */
        {1, {DESCRIPTOR_MESSAGE, 0, 2, 3, 0, 0}, 0, COVEY_EPROTO}, /* for its own rank */
        {1, {DESCRIPTOR_MESSAGE, 0, 2, 0, 10, 0}, 9, COVEY_EPROTO},
        {1, {DESCRIPTOR_OFFER, 0, 2, 0, 10, 0}, 10, COVEY_EPROTO},
        {1,
         {DESCRIPTOR_DATA, 0, 2, 0, ARENA_SLAB_BYTES + 1, 0},
         ARENA_SLAB_BYTES + 1,
         COVEY_EPROTO},
    };
    struct arena *arena = half_of_two();
    struct host_port *port = NULL;
    TEST_REQUIRE(host_port_create(arena, &port, NULL) == COVEY_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct descriptor descriptor = descriptor_of(&rows[i].row);
        struct host_incoming *incoming;
        enum covey_status status =
            host_port_expect(port, rows[i].from_node, &descriptor.header, rows[i].bytes, &incoming);
        check(status == rows[i].status, i);
        if (!status)
            host_port_discard(port, incoming);
    }
    host_port_destroy(port);
    arena_destroy(arena);
}

static void host_port_expect__more_than_a_pair_may_have_under_way__says_so(void)
{
    struct arena *arena = half_of_two();
    struct host_port *port = NULL;
    struct host_incoming *incoming = NULL;
    const uint32_t most = flow_pair_most(4);
    struct host_incoming **all = calloc(most, sizeof(struct host_incoming *));
    TEST_REQUIRE(all && host_port_create(arena, &port, NULL) == COVEY_OK);
    struct descriptor_header header = {.kind = DESCRIPTOR_MESSAGE, .source = 2, .destination = 0};
    for (uint32_t i = 0; i < most; i++)
        TEST_REQUIRE(host_port_expect(port, 1, &header, 0, &all[i]) == COVEY_OK);
    TEST_EQUAL(host_port_expect(port, 1, &header, 0, &incoming), COVEY_ELIMIT);
    header.source = 3;
    TEST_REQUIRE(host_port_expect(port, 1, &header, 0, &incoming) == COVEY_OK);
    host_port_discard(port, incoming);
    header.source = 2;
    host_port_discard(port, all[0]);
    TEST_REQUIRE(host_port_expect(port, 1, &header, 0, &all[0]) == COVEY_OK);
    arena_mark_ended(arena, 0, ARENA_DIED, "killed");
    TEST_EQUAL(host_port_expect(port, 1, &header, 0, &incoming), COVEY_EPEER);
    TEST_EQUAL(host_port_make_room(port, all[0]), COVEY_EPEER);
    for (uint32_t i = 0; i < most; i++)
        TEST_EQUAL(host_port_deliver(port, all[i]), COVEY_EPEER);
    free(all);
    host_port_destroy(port);
    arena_destroy(arena);
}

/* Whatever its end is, the room of what has come is given back. */
static void host_port_deliver__destination_has_died__gives_its_room_back(void)
{
    for (int reaped = 0; reaped < 2; reaped++) {
        struct arena *arena = half_of_two();
        struct host_port *port = NULL;
        struct host_incoming *incoming = NULL;
        struct arena_usage usage;
        const uint32_t dead = 0;
        TEST_REQUIRE(host_port_create(arena, &port, NULL) == COVEY_OK);
        const struct descriptor_header header = {
            .kind = DESCRIPTOR_MESSAGE, .source = 2, .destination = dead, .length = BYTES};
        TEST_REQUIRE(host_port_expect(port, 1, &header, BYTES, &incoming) == COVEY_OK);
        TEST_REQUIRE(host_port_make_room(port, incoming) == COVEY_OK);
        arena_count_usage(arena, &usage);
        TEST_EQUAL(usage.blocks_held, 1);
        if (reaped) /* its memory is cleaned up before all are told of its end */
            arena_reap(arena, &dead, 1);
        else
            arena_mark_ended(arena, dead, ARENA_DIED, "killed");
        TEST_EQUAL(host_port_deliver(port, incoming), COVEY_EPEER);
        arena_count_usage(arena, &usage);
        TEST_EQUAL(usage.blocks_held, 0);
        host_port_destroy(port);
        arena_destroy(arena);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(engine_progress__table_of_descriptors__takes_what_is_sound),
    TEST_CASE(engine_progress__more_messages_than_it_gave_leave_for__drops_them),
    TEST_CASE(engine_progress__table_of_blocks__takes_what_was_lent_to_it),
    TEST_CASE(host_port_poll__table_of_descriptors__sends_what_is_sound),
    TEST_CASE(host_port_poll__table_of_blocks__sends_what_was_lent_to_it),
    TEST_CASE(host_port_poll__more_than_a_worker_may_have_under_way__drops_it),
    TEST_CASE(host_port_expect__table_of_headers__takes_what_its_node_may_say),
    TEST_CASE(host_port_expect__more_than_a_pair_may_have_under_way__says_so),
    TEST_CASE(host_port_deliver__destination_has_died__gives_its_room_back),
    {0},
};

const struct test_suite test_suites[] = {{.name = "checks", .cases = cases}, {0}};
