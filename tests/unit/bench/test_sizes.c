#include "bench/messages/sizes.h"
#include "tests/harness/harness.h"

#include <string.h>

static void expect(const char *text, const uint64_t *bytes, size_t count)
{
    struct sizes sizes;
    TEST_REQUIRE(sizes_parse(text, &sizes) == 0);
    TEST_REQUIRE(sizes.count == count);
    for (size_t i = 0; i < count; i++)
        TEST_TRUE(sizes.bytes[i] == bytes[i]);
}

static void parse__list__each(void)
{
    expect("8", (const uint64_t[]){8}, 1);
    expect("8,64K,1M", (const uint64_t[]){8, 65536, 1048576}, 3);
    expect("3,1", (const uint64_t[]){3, 1}, 2);
}

static void parse__range__doubles(void)
{
    expect("8..64", (const uint64_t[]){8, 16, 32, 64}, 4);
    expect("8..63", (const uint64_t[]){8, 16, 32}, 3);
    expect("8..8", (const uint64_t[]){8}, 1);
    expect("1K..1M*32", (const uint64_t[]){1024, 32768, 1048576}, 3);
    expect("1,4..8,2", (const uint64_t[]){1, 4, 8, 2}, 4);
}

static void parse__range_to_the_largest__ends(void)
{
    struct sizes sizes;
    TEST_TRUE(sizes_parse("1..8191P", &sizes) == 0);
    TEST_TRUE(sizes.count == 63);
}

static void parse__none__refused(void)
{
    static const char *const texts[] = {"",    "0",    "x",     "8,",        ",8",
                                        "8..", "..8",  "64..8", "8..64*1",   "8..64*x",
                                        "-1",  "8 64", "0..64", "8..64..128"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sizes sizes = {.count = 77};
        TEST_TRUE(sizes_parse(texts[i], &sizes) < 0);
        TEST_TRUE(sizes.count == 77);
    }
}

static void parse__too_many__refused(void)
{
    char text[2 * sizes_most + 2];
    struct sizes sizes;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 == 0 ? '8' : ',';
    text[sizeof(text) - 3] = '\0';
    TEST_TRUE(sizes_parse(text, &sizes) == 0);
    text[sizeof(text) - 3] = ',';
    text[sizeof(text) - 1] = '\0';
    TEST_TRUE(sizes_parse(text, &sizes) < 0);
}

static void write__round_and_not__unit(void)
{
    char text[size_text_bytes];
    size_write(65536, text);
    TEST_EQUAL_STRING(text, "64 KiB");
    size_write(1000, text);
    TEST_EQUAL_STRING(text, "1000 B");
    size_write(1ULL << 40, text);
    TEST_EQUAL_STRING(text, "1024 GiB");
}

static const struct test_case cases[] = {
    TEST_CASE(parse__list__each),
    TEST_CASE(parse__range__doubles),
    TEST_CASE(parse__range_to_the_largest__ends),
    TEST_CASE(parse__none__refused),
    TEST_CASE(parse__too_many__refused),
    TEST_CASE(write__round_and_not__unit),
    {0},
};

const struct test_suite test_suites[] = {{"sizes", cases, NULL, NULL}, {0}};
