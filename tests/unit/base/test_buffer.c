#include "base/buffer.h"
#include "base/memory.h"
#include "tests/harness/harness.h"

#include <stdint.h>
#include <string.h>

static void append__many_pieces__keeps_them_in_order(void)
{
    struct covey_buffer buffer = {0};
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t piece[3] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
        TEST_REQUIRE(covey_buffer_append(&buffer, piece, sizeof(piece)) == COVEY_OK);
    }
    TEST_EQUAL(buffer.length_bytes, 15000);
    TEST_TRUE(buffer.capacity_bytes >= buffer.length_bytes);
    for (unsigned i = 0; i < 5000; i++) {
        TEST_EQUAL(buffer.data[3 * (size_t)i], (uint8_t)i);
        TEST_EQUAL(buffer.data[3 * (size_t)i + 1], (uint8_t)(i >> 8));
    }
    covey_buffer_free(&buffer);
    TEST_TRUE(buffer.data == NULL && buffer.length_bytes == 0 && buffer.capacity_bytes == 0);
}

static void append__nothing__needs_no_pointer_and_no_memory(void)
{
    struct covey_buffer buffer = {0};
    TEST_EQUAL(covey_buffer_append(&buffer, NULL, 0), COVEY_OK);
    TEST_TRUE(buffer.data == NULL);
    covey_buffer_free(&buffer);
}

static void reserve__sum_overflows__fails_and_changes_nothing(void)
{
    struct covey_buffer buffer = {0};
    TEST_REQUIRE(covey_buffer_append(&buffer, "abc", 3) == COVEY_OK);
    TEST_EQUAL(covey_buffer_reserve(&buffer, SIZE_MAX), COVEY_ENOMEM);
    TEST_EQUAL(covey_buffer_reserve(&buffer, SIZE_MAX - 3), COVEY_ENOMEM);
    TEST_EQUAL(buffer.length_bytes, 3);
    TEST_EQUAL(memcmp(buffer.data, "abc", 3), 0);
    covey_buffer_free(&buffer);
}

static void reserve__room_is_there__keeps_the_memory(void)
{
    struct covey_buffer buffer = {0};
    TEST_REQUIRE(covey_buffer_reserve(&buffer, 1) == COVEY_OK);
    TEST_EQUAL(buffer.capacity_bytes, 64);
    const uint8_t *before = buffer.data;
    TEST_REQUIRE(covey_buffer_reserve(&buffer, 64) == COVEY_OK);
    TEST_TRUE(buffer.data == before);
    TEST_REQUIRE(covey_buffer_reserve(&buffer, 65) == COVEY_OK);
    TEST_EQUAL(buffer.capacity_bytes, 128);
    covey_buffer_free(&buffer);
}

static void printf__text__is_a_string_without_its_nul_in_the_length(void)
{
    struct covey_buffer buffer = {0};
    TEST_REQUIRE(covey_buffer_printf(&buffer, "%s=%d", "rank", 3) == COVEY_OK);
    TEST_REQUIRE(covey_buffer_printf(&buffer, "%s", "") == COVEY_OK);
    TEST_REQUIRE(covey_buffer_printf(&buffer, "%0100d", 1) == COVEY_OK);
    TEST_EQUAL(buffer.length_bytes, 106);
    TEST_EQUAL(strlen((const char *)buffer.data), 106);
    TEST_EQUAL(strncmp((const char *)buffer.data, "rank=300", 8), 0);
    covey_buffer_free(&buffer);
}

static void printf__text_fills_the_room__its_nul_has_room_too(void)
{
    struct covey_buffer buffer = {0};
    TEST_REQUIRE(covey_buffer_reserve(&buffer, 64) == COVEY_OK);
    TEST_REQUIRE(buffer.capacity_bytes == 64);
    TEST_REQUIRE(covey_buffer_printf(&buffer, "%064d", 1) == COVEY_OK);
    TEST_EQUAL(buffer.length_bytes, 64);
    TEST_TRUE(buffer.capacity_bytes > 64);
    TEST_TRUE(buffer.data[63] == '1' && buffer.data[64] == '\0');
    covey_buffer_free(&buffer);
}

static void consume__part_and_more_than_all__moves_the_rest(void)
{
    struct covey_buffer buffer = {0};
    covey_buffer_consume(&buffer, 10);
    TEST_REQUIRE(covey_buffer_append(&buffer, "abcdef", 6) == COVEY_OK);
    covey_buffer_consume(&buffer, 0);
    TEST_EQUAL(buffer.length_bytes, 6);
    covey_buffer_consume(&buffer, 4);
    TEST_EQUAL(buffer.length_bytes, 2);
    TEST_EQUAL(memcmp(buffer.data, "ef", 2), 0);
    covey_buffer_consume(&buffer, 3);
    TEST_EQUAL(buffer.length_bytes, 0);
    covey_buffer_free(&buffer);
}

static void every_call__memory_runs_out__leaves_the_buffer_as_it_was(void)
{
    struct covey_buffer buffer = {0};
    TEST_REQUIRE(covey_buffer_append(&buffer, "abc", 3) == COVEY_OK);
    uint8_t large[100] = {0};
    covey_memory_fail_after(0);
    enum covey_status appended = covey_buffer_append(&buffer, large, sizeof(large));
    enum covey_status printed = covey_buffer_printf(&buffer, "%0100d", 1);
    covey_memory_fail_after(-1);
    TEST_EQUAL(appended, COVEY_ENOMEM);
    TEST_EQUAL(printed, COVEY_ENOMEM);
    TEST_EQUAL(buffer.length_bytes, 3);
    TEST_EQUAL(memcmp(buffer.data, "abc", 3), 0);
    covey_buffer_free(&buffer);
}

static const struct test_case cases[] = {
    TEST_CASE(append__many_pieces__keeps_them_in_order),
    TEST_CASE(append__nothing__needs_no_pointer_and_no_memory),
    TEST_CASE(reserve__sum_overflows__fails_and_changes_nothing),
    TEST_CASE(reserve__room_is_there__keeps_the_memory),
    TEST_CASE(printf__text__is_a_string_without_its_nul_in_the_length),
    TEST_CASE(printf__text_fills_the_room__its_nul_has_room_too),
    TEST_CASE(consume__part_and_more_than_all__moves_the_rest),
    TEST_CASE(every_call__memory_runs_out__leaves_the_buffer_as_it_was),
    {0},
};

const struct test_suite test_suites[] = {{"buffer", cases, NULL, NULL}, {0}};
