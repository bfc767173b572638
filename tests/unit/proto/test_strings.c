#include "base/memory.h"
#include "proto/strings.h"
#include "tests/harness/harness.h"
#include "tree.pb-c.h"

#include <stdlib.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const descriptor = &covey__test__tree__descriptor;

struct row {
    const char *bytes;
    size_t length_bytes;
    const char *mended; /* of the same length */
    size_t bad;
};

#define ROW(bytes, mended, bad)                                                                    \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, mended, bad                                                      \
    }

static const struct row rows[] = {
    ROW("", "", 0),
    ROW("\x0a\x05hello", "\x0a\x05hello", 0),
    ROW("\x0a\x02\xc3\x28", "\x0a\x02?(", 1),
    ROW("\x0a\x03"
        "a\0b",
        "\x0a\x03"
        "a?b",
        1),
    ROW("\x12\x01\xff\x12\x01\xfe", "\x12\x01?\x12\x01?", 2),                 /* repeated */
    ROW("\x1a\x06\x0a\x01\xff\x12\x01\xff", "\x1a\x06\x0a\x01?\x12\x01?", 2), /* a map */
    ROW("\x2a\x01\xff", "\x2a\x01\xff", 0),                                   /* bytes */
    ROW("\x4a\x05\x4a\x03\x0a\x01\xff", "\x4a\x05\x4a\x03\x0a\x01?", 1),      /* two levels down */
    ROW("\xa2\x06\x01\xff", "\xa2\x06\x01\xff", 0),                           /* unknown */
};

static void mend__any_place__is_mended_where_it_lies(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[32];
        memcpy(bytes, rows[i].bytes, rows[i].length_bytes);
        TEST_EQUAL(proto_strings_check(descriptor, bytes, rows[i].length_bytes),
                   rows[i].bad ? COVEY_EPROTO : COVEY_OK);
        TEST_EQUAL(proto_strings_mend(descriptor, bytes, rows[i].length_bytes), rows[i].bad);
        TEST_EQUAL(memcmp(bytes, rows[i].mended, rows[i].length_bytes), 0);
        TEST_EQUAL(proto_strings_check(descriptor, bytes, rows[i].length_bytes), COVEY_OK);
    }
}

static void mend__malformed_or_nested_too_deep__is_left_as_it_is(void)
{
    uint8_t cut[] = {0x0a, 0x02, 0xff, 0xff, 0x0a, 0x7f, 'x'};
    TEST_EQUAL(proto_strings_mend(descriptor, cut, sizeof cut), 1);
    TEST_EQUAL(proto_strings_check(descriptor, cut, sizeof cut), COVEY_EPROTO);
    /* Field `one` in itself, each length in two bytes. */
    static uint8_t nested[3 * (PROTO_DEPTH_MAX + 1)];
    for (size_t i = 0; i <= PROTO_DEPTH_MAX; i++) {
        size_t inside = sizeof nested - 3 * (i + 1);
        nested[3 * i] = 0x4a;
        nested[3 * i + 1] = (uint8_t)(0x80 | (inside & 0x7f));
        nested[3 * i + 2] = (uint8_t)(inside >> 7);
    }
    TEST_EQUAL(proto_strings_check(descriptor, nested, sizeof nested), COVEY_ELIMIT);
    TEST_EQUAL(proto_strings_mend(descriptor, nested, sizeof nested), 0);
    TEST_EQUAL(proto_strings_check(descriptor, nested + 3, sizeof nested - 3), COVEY_OK);
}

static void find_bad__nested_field__is_named_with_those_around_it(void)
{
    char field[PROTO_FIELD_BYTES] = "x";
    Covey__Test__Tree tree = COVEY__TEST__TREE__INIT;
    Covey__Test__Tree child = COVEY__TEST__TREE__INIT;
    Covey__Test__Tree *children[] = {&child};
    char good[] = "gr\xc3\xbcn";
    char bad[] = "gr\xfcn";
    tree.name = good;
    proto_strings_find_bad(&tree.base, field);
    TEST_EQUAL_STRING(field, "");
    tree.n_children = 1;
    tree.children = children;
    child.name = bad;
    proto_strings_find_bad(&tree.base, field);
    TEST_EQUAL_STRING(field, "children.name");
    tree.name = bad;
    proto_strings_find_bad(&tree.base, field);
    TEST_EQUAL_STRING(field, "name");
    covey_memory_fail_after(0);
    proto_strings_find_bad(&tree.base, field);
    covey_memory_fail_after(-1);
    TEST_EQUAL_STRING(field, "");
}

static const struct test_case cases[] = {
    TEST_CASE(mend__any_place__is_mended_where_it_lies),
    TEST_CASE(mend__malformed_or_nested_too_deep__is_left_as_it_is),
    TEST_CASE(find_bad__nested_field__is_named_with_those_around_it),
    {0},
};

const struct test_suite test_suites[] = {{"strings", cases, NULL, NULL}, {0}};
