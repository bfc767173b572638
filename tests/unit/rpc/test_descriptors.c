#include "base/memory.h"
#include "rpc/descriptors.h"
#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

extern const uint8_t test_descriptor_set[];
extern const size_t test_descriptor_set_bytes;

static void rpc_descriptors__a_set__is_found_by_file_and_symbol(void)
{
    struct rpc_descriptors descriptors = {0};
    TEST_EQUAL(rpc_descriptors_add(&descriptors, test_descriptor_set, test_descriptor_set_bytes),
               COVEY_OK);
    struct rpc_descriptor_file *file = covey_map_get(&descriptors.names, "tree.proto");
    TEST_REQUIRE(file != NULL);
    static const char *const symbols[] = {
        "covey.test.Tree",      "covey.test.Tree.name",        "covey.test.Tree.kind",
        "covey.test.Tree.blob", "covey.test.Tree.LabelsEntry", "covey.test.Tree.LabelsEntry.key",
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        TEST_TRUE(covey_map_get(&descriptors.symbols, symbols[i]) == file);
    TEST_TRUE(!covey_map_get(&descriptors.symbols, "covey.test.Tree.no"));
    TEST_TRUE(!covey_map_get(&descriptors.symbols, "Tree"));
    TEST_TRUE(covey_map_get(&descriptors.messages, "covey.test.Tree") == file);
    TEST_TRUE(!covey_map_get(&descriptors.messages, "covey.test.Tree.name"));
    /* A second copy of a file changes nothing. */
    TEST_EQUAL(rpc_descriptors_add(&descriptors, test_descriptor_set, test_descriptor_set_bytes),
               COVEY_OK);
    TEST_TRUE(covey_map_get(&descriptors.names, "tree.proto") == file);
    rpc_descriptors_free(&descriptors);
}

/* file "a" { package "p"; enum E { V } }, file "b" imports "a", file "c" imports "b" and "x". */
static const char imports[] = "\x0a\x10\x0a\x01"
                              "a\x12\x01p\x2a\x08\x0a\x01"
                              "E\x12\x03\x0a\x01V"
                              "\x0a\x06\x0a\x01"
                              "b\x1a\x01"
                              "a\x0a\x09\x0a\x01"
                              "c\x1a\x01"
                              "b\x1a\x01x";

static void rpc_descriptors_closure__imports_of_imports__come_once(void)
{
    struct rpc_descriptors descriptors = {0};
    const struct rpc_descriptor_file *files[8] = {NULL};
    TEST_REQUIRE(rpc_descriptors_add(&descriptors, (const uint8_t *)imports, sizeof imports - 1) ==
                 COVEY_OK);
    TEST_TRUE(covey_map_get(&descriptors.symbols, "p.E") != NULL);
    TEST_TRUE(covey_map_get(&descriptors.symbols, "p.V") != NULL);
    struct rpc_descriptor_file *file = covey_map_get(&descriptors.names, "c");
    TEST_REQUIRE(file != NULL);
    TEST_EQUAL(rpc_descriptors_closure(&descriptors, file, files, 8), 3);
    TEST_EQUAL_STRING(files[0]->name, "c");
    TEST_EQUAL_STRING(files[1]->name, "b");
    TEST_EQUAL_STRING(files[2]->name, "a");
    TEST_EQUAL(rpc_descriptors_closure(&descriptors, file, files, 2), 2);
    TEST_EQUAL(rpc_descriptors_closure(&descriptors, file, files, 0), 0);
    rpc_descriptors_free(&descriptors);
}

/* Of a newer form than ours. */
static void rpc_descriptors_add__fields_that_are_none_of_ours__are_passed_over(void)
{
    static const char set[] = "\x12\x04\xff\xff\xff\xff" /* bytes of another number */
                              "\x08\x05"                 /* our number, and no bytes */
                              "\x0a\x03\x0a\x01"
                              "a";
    struct rpc_descriptors descriptors = {0};
    TEST_EQUAL(rpc_descriptors_add(&descriptors, (const uint8_t *)set, sizeof set - 1), COVEY_OK);
    TEST_TRUE(covey_map_get(&descriptors.names, "a") != NULL);
    TEST_TRUE(covey_map_get(&descriptors.names, "") == NULL);
    rpc_descriptors_free(&descriptors);
}

/* A length in two bytes, whatever it is. */
#define LENGTH(length) (uint8_t)(0x80 | ((length)&0x7f)), (uint8_t)((length) >> 7)

/* A set with one file that has messages in messages, so deep; returns its length. */
static size_t nest(uint8_t set[512], unsigned depth)
{
    static const uint8_t innermost[] = {0x0a, 1, 'm'};
    size_t length = sizeof innermost;
    memcpy(set, innermost, sizeof innermost);
    for (unsigned level = 0; level < depth; level++) {
        const uint8_t head[] = {0x0a, 1, 'm', 0x1a, LENGTH(length)};
        memmove(set + sizeof head, set, length);
        memcpy(set, head, sizeof head);
        length += sizeof head;
    }
    const uint8_t head[] = {0x0a, LENGTH(length + 3), 0x22, LENGTH(length)};
    memmove(set + sizeof head, set, length);
    memcpy(set, head, sizeof head);
    return length + sizeof head;
}

static void rpc_descriptors_add__messages_in_messages__to_a_depth(void)
{
    uint8_t set[512];
    for (unsigned depth = 0; depth < 36; depth++) {
        struct rpc_descriptors descriptors = {0};
        size_t length = nest(set, depth);
        TEST_EQUAL(rpc_descriptors_add(&descriptors, set, length),
                   depth <= 32 ? COVEY_OK : COVEY_EPROTO);
        TEST_TRUE(covey_map_get(&descriptors.messages, depth ? "m.m" : "m") != NULL);
        rpc_descriptors_free(&descriptors);
    }
}

static void rpc_descriptors_add__malformed__is_refused(void)
{
    for (size_t i = 1; i < sizeof imports - 1; i++) {
        struct rpc_descriptors descriptors = {0};
        enum covey_status status = rpc_descriptors_add(&descriptors, (const uint8_t *)imports, i);
        TEST_TRUE(status == COVEY_EPROTO || i == 18 || i == 26);
        rpc_descriptors_free(&descriptors);
    }
}

static void rpc_descriptors_add__out_of_memory__says_so(void)
{
    enum covey_status status = COVEY_ENOMEM;
    for (int64_t successes = 0; status != COVEY_OK && successes < 1000; successes++) {
        struct rpc_descriptors descriptors = {0};
        covey_memory_fail_after(successes);
        status = rpc_descriptors_add(&descriptors, (const uint8_t *)imports, sizeof imports - 1);
        covey_memory_fail_after(-1);
        TEST_TRUE(status == COVEY_OK || status == COVEY_ENOMEM);
        rpc_descriptors_free(&descriptors);
    }
    TEST_EQUAL(status, COVEY_OK);
}

static const struct test_case cases[] = {
    TEST_CASE(rpc_descriptors__a_set__is_found_by_file_and_symbol),
    TEST_CASE(rpc_descriptors_closure__imports_of_imports__come_once),
    TEST_CASE(rpc_descriptors_add__fields_that_are_none_of_ours__are_passed_over),
    TEST_CASE(rpc_descriptors_add__messages_in_messages__to_a_depth),
    TEST_CASE(rpc_descriptors_add__malformed__is_refused),
    TEST_CASE(rpc_descriptors_add__out_of_memory__says_so),
    {0},
};

const struct test_suite test_suites[] = {{"rpc descriptors", cases, NULL, NULL}, {0}};
