#include "base/buffer.h"
#include "base/memory.h"
#include "rpc/rpc.h"
#include "tests/harness/harness.h"
#include "tree.pb-c.h"

#include <string.h>

#define BUDGET ((size_t)1024 << 10)

static const ProtobufCMessageDescriptor *const descriptor = &covey__test__tree__descriptor;

static enum covey_status decode(const void *bytes, size_t length_bytes, size_t budget_bytes)
{
    ProtobufCMessage *message = NULL;
    enum covey_status status = rpc_decode(descriptor, bytes, length_bytes, budget_bytes, &message);
    TEST_TRUE((status == COVEY_OK) == (message != NULL));
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    return status;
}

static void rpc_decode__table_of_inputs__gives_the_status(void)
{
    static const struct {
        const char *bytes;
        size_t length_bytes;
        enum covey_status status;
    } rows[] = {
#define ROW(text, status) {text, sizeof(text) - 1, status}
        ROW("", COVEY_OK),
        ROW("\x0a\x05hello", COVEY_OK),
        ROW("\x0a\x00", COVEY_OK),
        ROW("\x0a\x06hello", COVEY_EPROTO), /* the string is cut off */
        ROW("\x0a", COVEY_EPROTO),          /* no length */
        ROW("\x0a\xff", COVEY_EPROTO),      /* half a length */
        ROW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", COVEY_EPROTO), /* 2^64 - 1 */
        ROW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", COVEY_EPROTO),
        ROW("\x0a\xff\xff\xff\xff\x0f", COVEY_EPROTO), /* 2^32 - 1 */
        ROW("\x00\x00", COVEY_EPROTO),                 /* field 0 */
        ROW("\x0b", COVEY_EPROTO),                     /* a group starts */
        ROW("\x0c", COVEY_EPROTO),                     /* a group ends */
        ROW("\x0e\x00", COVEY_EPROTO),                 /* wire type 6 */
        ROW("\x0a\x02\xc3\x28", COVEY_EPROTO),         /* bad UTF-8 */
        ROW("\x0a\x03"
            "a\0b",
            COVEY_EPROTO),                                     /* NUL */
        ROW("\x12\x02\xc3\x28", COVEY_EPROTO),                 /* in a repeated string */
        ROW("\x1a\x04\x0a\x02\xc3\x28", COVEY_EPROTO),         /* in a map's key */
        ROW("\x1a\x04\x12\x02\xc3\x28", COVEY_EPROTO),         /* in a map's value */
        ROW("\x22\x02\xc3\x28", COVEY_EPROTO),                 /* in a oneof */
        ROW("\x2a\x02\xc3\x28", COVEY_OK),                     /* bytes are not text */
        ROW("\x32\x04\x0a\x02\xc3\x28", COVEY_EPROTO),         /* in a message in a oneof */
        ROW("\x3a\x04\x0a\x02\xc3\x28", COVEY_EPROTO),         /* in a repeated message */
        ROW("\x4a\x06\x4a\x04\x0a\x02\xc3\x28", COVEY_EPROTO), /* two levels down */
        ROW("\x3a\x7f\x0a\x00", COVEY_EPROTO), /* a message longer than its parent */
        ROW("\x42\x03\x01\x02\x03", COVEY_OK), /* packed */
        ROW("\x40\x01\x40\x02", COVEY_OK),     /* not packed */
        ROW("\x42\x01\xff", COVEY_EPROTO),     /* a packed number cut off */
        ROW("\x51\x01\x02\x03\x04\x05\x06\x07\x08", COVEY_OK),
        ROW("\x51\x01\x02\x03", COVEY_EPROTO),
        ROW("\x5d\x01\x02\x03\x04", COVEY_OK),
        ROW("\x5d\x01", COVEY_EPROTO),
        ROW("\x08\x01", COVEY_EPROTO),         /* a string field as a number */
        ROW("\xa2\x06\x02\xc3\x28", COVEY_OK), /* unknown fields are skipped */
        ROW("\xa2\x06\x7f\xc3\x28", COVEY_EPROTO),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum covey_status status = decode(rows[i].bytes, rows[i].length_bytes, BUDGET);
        if (status != rows[i].status)
            fprintf(stderr, "row %zu: %s\n", i, covey_status_name(status));
        TEST_EQUAL(status, rows[i].status);
    }
}

/* A message nested `depth` times in field `one`, built from the inside. */
static void nest(struct covey_buffer *buffer, size_t depth, uint8_t tag)
{
    size_t room = depth * 5 + 16;
    TEST_REQUIRE(covey_buffer_reserve(buffer, room) == COVEY_OK);
    uint8_t *at = buffer->data + room;
    size_t length = 0;
    for (size_t i = 0; i < depth; i++) {
        uint8_t header[8];
        size_t header_bytes = 0;
        header[header_bytes++] = tag;
        size_t left = length;
        do {
            header[header_bytes++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
            left >>= 7;
        } while (left);
        at -= header_bytes;
        memcpy(at, header, header_bytes);
        length += header_bytes;
    }
    memmove(buffer->data, at, length);
    buffer->length_bytes = length;
}

static void rpc_decode__nested_too_deep__is_over_the_limit(void)
{
    static const uint8_t tags[] = {0x4a, 0x3a, 0x32}; /* single, repeated, in a oneof */
    for (size_t i = 0; i < sizeof tags; i++) {
        struct covey_buffer buffer = {0};
        nest(&buffer, 60, tags[i]);
        TEST_EQUAL(decode(buffer.data, buffer.length_bytes, BUDGET), COVEY_OK);
        covey_buffer_free(&buffer);
        nest(&buffer, 65, tags[i]);
        TEST_EQUAL(decode(buffer.data, buffer.length_bytes, BUDGET), COVEY_ELIMIT);
        covey_buffer_free(&buffer);
        nest(&buffer, 800000, tags[i]);
        TEST_EQUAL(decode(buffer.data, buffer.length_bytes, BUDGET), COVEY_ELIMIT);
        covey_buffer_free(&buffer);
    }
}

static void rpc_decode__more_memory_than_the_budget__is_over_the_limit(void)
{
    static uint8_t bytes[((size_t)4 << 20)];
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 0x12; /* an empty string in `words` */
    TEST_EQUAL(decode(bytes, sizeof bytes, ((size_t)64 << 20)), COVEY_ELIMIT);
    TEST_EQUAL(decode(bytes, sizeof bytes, SIZE_MAX / 2), COVEY_OK);
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 0x3a; /* an empty message in `children` */
    TEST_EQUAL(decode(bytes, sizeof bytes, ((size_t)64 << 20)), COVEY_ELIMIT);
    /* Many small ones, none of them large: it is their sum that counts. */
    TEST_EQUAL(decode(bytes, 20000, ((size_t)1024 << 10)), COVEY_ELIMIT);
    TEST_EQUAL(decode(bytes, 20000, ((size_t)8 << 20)), COVEY_OK);
    TEST_EQUAL(decode(bytes, 0, 0), COVEY_ELIMIT);
    TEST_EQUAL(decode(bytes, 0, 1024), COVEY_OK);
}

static void rpc_decode__every_prefix__neither_crashes_nor_leaks(void)
{
    static const uint8_t whole[] = "\x0a\x05hello\x12\x01"
                                   "a\x12\x01"
                                   "b\x1a\x06\x0a\x01k\x12\x01v\x32\x04\x0a\x02hi\x3a\x04\x0a\x02yo"
                                   "\x42\x03\x01\x02\x03\x51\x01\x02\x03\x04\x05\x06\x07\x08";
    for (size_t i = 0; i < sizeof whole; i++)
        (void)decode(whole, i, BUDGET);
    TEST_EQUAL(decode(whole, sizeof whole - 1, BUDGET), COVEY_OK);
}

static void rpc_decode__values__are_those_sent(void)
{
    Covey__Test__Tree child = COVEY__TEST__TREE__INIT;
    Covey__Test__Tree tree = COVEY__TEST__TREE__INIT;
    Covey__Test__Tree *children[] = {&child};
    uint8_t bytes[128];
    child.name = (char[]){"\xe2\x82\xac"};
    tree.n_children = 1;
    tree.children = children;
    tree.wide = 1ull << 63;
    size_t length_bytes = covey__test__tree__pack(&tree, bytes);
    ProtobufCMessage *message;
    TEST_REQUIRE(rpc_decode(descriptor, bytes, length_bytes, BUDGET, &message) == COVEY_OK);
    const Covey__Test__Tree *got = (const Covey__Test__Tree *)message;
    TEST_EQUAL(got->n_children, 1);
    TEST_EQUAL_STRING(got->children[0]->name, "\xe2\x82\xac");
    TEST_EQUAL(got->wide, 1ull << 63);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void rpc_decode__out_of_memory__says_so(void)
{
    static const uint8_t bytes[] = "\x0a\x05hello\x3a\x04\x0a\x02yo\x12\x01"
                                   "a";
    enum covey_status status = COVEY_ENOMEM;
    for (int64_t successes = 0; status != COVEY_OK && successes < 100; successes++) {
        covey_memory_fail_after(successes);
        status = decode(bytes, sizeof bytes - 1, BUDGET);
        covey_memory_fail_after(-1);
        TEST_TRUE(status == COVEY_OK || status == COVEY_ENOMEM);
    }
    TEST_EQUAL(status, COVEY_OK);
}

static const struct test_case cases[] = {
    TEST_CASE(rpc_decode__table_of_inputs__gives_the_status),
    TEST_CASE(rpc_decode__nested_too_deep__is_over_the_limit),
    TEST_CASE(rpc_decode__more_memory_than_the_budget__is_over_the_limit),
    TEST_CASE(rpc_decode__every_prefix__neither_crashes_nor_leaks),
    TEST_CASE(rpc_decode__values__are_those_sent),
    TEST_CASE(rpc_decode__out_of_memory__says_so),
    {0},
};

const struct test_suite test_suites[] = {{"rpc decode", cases, NULL, NULL}, {0}};
