#include "service/node/options.h"
#include "tests/harness/harness.h"

#include <string.h>

static void node_parse_ports__table(void)
{
    static const char *const bad[] = {"",  "0",     "0-5",  "5-4", "65536", "1-65536",
                                      "a", "1-2-3", "-5-6", "1-",  "-",     "1K-5M"};
    uint32_t first = 1;
    uint32_t last = 2;
    TEST_TRUE(node_parse_ports("8500-8599", &first, &last) && first == 8500 && last == 8599);
    TEST_TRUE(node_parse_ports("9000", &first, &last) && first == 9000 && last == 9000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        TEST_TRUE(!node_parse_ports(bad[i], &first, &last) && first == 9000 && last == 9000);
}

static void node_name_valid__table(void)
{
    char name[65];
    memset(name, 'n', 64);
    name[64] = '\0';
    TEST_TRUE(!node_name_valid(name));
    name[63] = '\0';
    TEST_TRUE(node_name_valid(name) && node_name_valid("a.b-c_9"));
    TEST_TRUE(!node_name_valid("") && !node_name_valid("a/b") && !node_name_valid("a b"));
}

static void node_parse_pair__table(void)
{
    static const char *const bad[] = {"", "=", "=b", "a", "a b=c", "a=b c", "a=b=c", "\xc3\xa4=b"};
    struct node_pair pair = {0};
    char good[] = "example.org/rack=r-1";
    char empty[] = "spot=";
    char long_value[80] = "a=";
    TEST_TRUE(node_parse_pair(good, &pair));
    TEST_EQUAL_STRING(pair.key, "example.org/rack");
    TEST_EQUAL_STRING(pair.value, "r-1");
    TEST_TRUE(node_parse_pair(empty, &pair) && *pair.value == '\0');
    memset(long_value + 2, 'b', 64);
    TEST_TRUE(!node_parse_pair(long_value, &pair));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[32];
        memcpy(text, bad[i], strlen(bad[i]) + 1);
        TEST_TRUE(!node_parse_pair(text, &pair));
        TEST_EQUAL_STRING(text, bad[i]);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(node_parse_pair__table),
    TEST_CASE(node_parse_ports__table),
    TEST_CASE(node_name_valid__table),
    {0},
};

const struct test_suite test_suites[] = {{"options", cases, NULL, NULL}, {0}};
