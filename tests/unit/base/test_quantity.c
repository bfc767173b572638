/* Sizes and times as people write them. */
#include "base/clock.h"
#include "base/quantity.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void parse_size__table__bytes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"7B", 7},
        {"64K", 64 << 10},
        {"64KiB", 64 << 10},
        {"512M", 512ULL << 20},
        {"2G", 2ULL << 30},
        {"2GiB", 2ULL << 30},
        {"2g", 2ULL << 30},
        {"2gib", 2ULL << 30},
        {"1.5G", 3ULL << 29},
        {"0.5K", 512},
        {"0.0009765625K", 0}, /* only nine digits of a fraction count */
        {"1T", 1ULL << 40},
        {"16383P", 16383ULL << 50},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char *const bad[] = {
        "",
        " 1",
        "1 ",
        "1 G",
        "G",
        "-1",
        "+1",
        "2GB",
        "2Gi",
        "2KB",
        "1.",
        ".5",
        "1.5.5",
        "1e3",
        "0x10",
        "1Q",
        "18446744073709551616",
        "16384P",
        "99999999999999999999999999999",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t bytes = 1;
        TEST_EQUAL(covey_parse_size(good[i].text, &bytes), COVEY_OK);
        TEST_EQUAL(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t bytes = 7;
        TEST_EQUAL(covey_parse_size(bad[i], &bytes), COVEY_EINVAL);
        TEST_EQUAL(bytes, 7);
    }
}

static void parse_time__table__nanoseconds(void)
{
    static const struct {
        const char *text;
        int64_t duration_ns;
    } good[] = {
        {"0", 0},
        {"30", 30 * COVEY_NS_PER_S},
        {"7ns", 7},
        {"7us", 7000},
        {"250ms", 250 * COVEY_NS_PER_MS},
        {"0.25s", 250 * COVEY_NS_PER_MS},
        {"30s", 30 * COVEY_NS_PER_S},
        {"5m", 300 * COVEY_NS_PER_S},
        {"5min", 300 * COVEY_NS_PER_S},
        {"1.5h", 5400 * COVEY_NS_PER_S},
        {"7d", 604800 * COVEY_NS_PER_S},
        {"9223372036854775807ns", INT64_MAX},
    };
    static const char *const bad[] = {"",
                                      "s",
                                      "-1s",
                                      "1 s",
                                      "5M",
                                      "5S",
                                      "1sec",
                                      "1h30m",
                                      "1.",
                                      "1w",
                                      "9223372036854775808ns",
                                      "106752d"};
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t duration_ns = 1;
        TEST_EQUAL(covey_parse_time(good[i].text, &duration_ns), COVEY_OK);
        TEST_EQUAL(duration_ns, good[i].duration_ns);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t duration_ns = 7;
        TEST_EQUAL(covey_parse_time(bad[i], &duration_ns), COVEY_EINVAL);
        TEST_EQUAL(duration_ns, 7);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(parse_size__table__bytes),
    TEST_CASE(parse_time__table__nanoseconds),
    {0},
};

const struct test_suite test_suites[] = {{"base_quantity", cases, NULL, NULL}, {0}};
