#include "bench/messages/compare.h"
#include "bench/messages/json.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void spans__apart__better_or_worse(void)
{
    const struct span low = {2, 1, 3}, high = {5, 4, 6};
    TEST_TRUE(compare_spans(&low, &high, true) == VERDICT_BETTER);
    TEST_TRUE(compare_spans(&low, &high, false) == VERDICT_WORSE);
    TEST_TRUE(compare_spans(&high, &low, true) == VERDICT_WORSE);
    TEST_TRUE(compare_spans(&high, &low, false) == VERDICT_BETTER);
}

static void spans__in_common__same(void)
{
    const struct span low = {2, 1, 4}, high = {5, 4, 6};
    TEST_TRUE(compare_spans(&low, &high, true) == VERDICT_SAME);
    TEST_TRUE(compare_spans(&high, &low, false) == VERDICT_SAME);
    TEST_TRUE(compare_spans(&low, &low, true) == VERDICT_SAME);
}

static void json__members__found_by_path(void)
{
    static const char object[] = "{\"skip\": [1, {\"a\": 9}], \"a\": {\"b\": -1.5e1, \"c\": {}}, "
                                 "\"name\": \"8 B, x\", \"peer\": null}\n";
    double value = 0;
    char text[8];
    TEST_TRUE(json_is_object(object));
    TEST_TRUE(json_number(object, "a.b", &value) && value == -15);
    TEST_TRUE(json_string(object, "name", text, sizeof(text)));
    TEST_EQUAL_STRING(text, "8 B, x");
    TEST_TRUE(!json_string(object, "name", text, 6));
    TEST_TRUE(!json_string(object, "peer", text, sizeof(text)));
    TEST_TRUE(!json_number(object, "a", &value));
    TEST_TRUE(!json_number(object, "a.d", &value));
    TEST_TRUE(!json_number(object, "name.x", &value));
}

static void json__none__refused(void)
{
    static const char *const texts[] = {"",           "[]",         "{",           "{\"a\"}",
                                        "{\"a\":}",   "{\"a\":1,}", "{\"a\":1} x", "{\"a\":nul}",
                                        "{\"a\":\"}", "{a:1}",      "{\"a\":[1,}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        TEST_TRUE(!json_is_object(texts[i]));
}

static void find__last_of_its_name_and_peer(void)
{
    static const char lines[] =
        "{\"name\":\"x\",\"peer\":null,\"value\":1,\"spread\":{\"p10\":1,\"p90\":1},\"valid\":true}"
        "\n"
        "{\"name\":\"x\",\"peer\":\"ucx\",\"value\":2,\"spread\":{\"p10\":1,\"p90\":3},"
        "\"ratio\":{\"median\":5,\"p10\":4,\"p90\":6},\"valid\":false}\n"
        "{\"name\":\"x\",\"peer\":null,\"value\":7,\"spread\":{\"p10\":6,\"p90\":8},\"valid\":true}"
        "\n";
    char path[] = "/tmp/covey-compare-XXXXXX";
    struct past past;
    int fd = mkstemp(path);
    TEST_REQUIRE(fd >= 0);
    TEST_TRUE(write(fd, lines, sizeof(lines) - 1) == (ssize_t)sizeof(lines) - 1);
    TEST_TRUE(compare_find(path, "x", "", &past) == 1);
    TEST_TRUE(past.value.median == 7 && past.value.p10 == 6 && past.ratio.median == 0 &&
              past.valid);
    TEST_TRUE(compare_find(path, "x", "ucx", &past) == 1);
    TEST_TRUE(past.value.p90 == 3 && past.ratio.p90 == 6 && !past.valid);
    TEST_TRUE(compare_find(path, "y", "", &past) == 0);
    TEST_TRUE(write(fd, "{}{}\n", 5) == 5);
    TEST_TRUE(compare_find(path, "x", "", &past) < 0);
    close(fd);
    unlink(path);
    TEST_TRUE(compare_find(path, "x", "", &past) < 0);
}

static const struct test_case cases[] = {
    TEST_CASE(spans__apart__better_or_worse),   TEST_CASE(spans__in_common__same),
    TEST_CASE(json__members__found_by_path),    TEST_CASE(json__none__refused),
    TEST_CASE(find__last_of_its_name_and_peer), {0},
};

const struct test_suite test_suites[] = {{"compare", cases, NULL, NULL}, {0}};
