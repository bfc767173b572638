/* Settings from file, environment and flags, and what is said of wrong ones. */
#include "base/clock.h"
#include "base/io.h"
#include "service/common/config.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char *name;
    struct config_strings listen;
    uint64_t count;
    uint64_t size_bytes;
    int64_t grace_ns;
};

static const struct config_option options[] = {
    {"test-name", CONFIG_STRING, offsetof(struct settings, name), 0, 0, "NAME", "a name"},
    {"test-listen", CONFIG_STRINGS, offsetof(struct settings, listen), 0, 0, "ADDRESS", "a list"},
    {"test-count", CONFIG_NUMBER, offsetof(struct settings, count), 1, 100, "NUMBER", "a number"},
    {"test-size", CONFIG_BYTES, offsetof(struct settings, size_bytes), 0, 1 << 30, "SIZE", "size"},
    {"test-grace", CONFIG_DURATION, offsetof(struct settings, grace_ns), 0, 3600 * COVEY_NS_PER_S,
     "TIME", "a time"},
};

static const struct config_program program = {"test", "A test.", "/nowhere/config.yaml", options,
                                              sizeof options / sizeof *options};

static struct settings settings;
static struct covey_error error;
static char path[256];

static void write_file(const char *text)
{
    (void)snprintf(path, sizeof path, "%s/c.yaml", test_folder());
    TEST_REQUIRE(covey_file_write(path, text, strlen(text), 0600, NULL) == COVEY_OK);
}

static enum covey_status load(const char *flag)
{
    char config[300];
    (void)snprintf(config, sizeof config, "--config=%s", path);
    char *arguments[] = {(char *)(uintptr_t) "test", config, (char *)(uintptr_t)flag, NULL};
    memset(&settings, 0, sizeof settings);
    memset(&error, 0, sizeof error);
    return config_load(&program, flag ? 3 : 2, arguments, &settings, &error);
}

static void refuse(const char *file, const char *flag, const char *part)
{
    write_file(file);
    TEST_EQUAL(load(flag), COVEY_EINVAL);
    bool said = strstr(error.message, part) != NULL;
    if (!said)
        fprintf(stderr, "expected '%s' in: %s\n", part, error.message);
    TEST_TRUE(said);
    config_free(&program, &settings);
}

static void load__file__every_type(void)
{
    write_file("# all of them\n"
               "test_name: \"x y\"\n"
               "test_listen: [a, b]\n"
               "test_count: 7\n"
               "test_size: 64KiB\n"
               "test_grace: 250ms\n");
    TEST_EQUAL(load(NULL), COVEY_OK);
    TEST_EQUAL_STRING(settings.name, "x y");
    TEST_EQUAL(settings.listen.count, 2);
    TEST_EQUAL_STRING(settings.listen.rows[1], "b");
    TEST_EQUAL(settings.count, 7);
    TEST_EQUAL(settings.size_bytes, 65536);
    TEST_EQUAL(settings.grace_ns, 250 * COVEY_NS_PER_MS);
    config_free(&program, &settings);
}

static void load__empty_file__keeps_defaults(void)
{
    write_file("");
    TEST_EQUAL(load(NULL), COVEY_OK);
    TEST_TRUE(settings.name == NULL);
    write_file("# nothing\n");
    TEST_EQUAL(load(NULL), COVEY_OK);
}

static void load__flag_environment_file__first_wins(void)
{
    write_file("test_count: 1\ntest_listen: [file]\n");
    TEST_EQUAL(load(NULL), COVEY_OK);
    TEST_EQUAL(settings.count, 1);
    config_free(&program, &settings);
    (void)setenv("COVEY_TEST_COUNT", "2", 1);
    (void)setenv("COVEY_TEST_LISTEN", "x,y,z", 1);
    TEST_EQUAL(load(NULL), COVEY_OK);
    TEST_EQUAL(settings.count, 2);
    TEST_EQUAL(settings.listen.count, 3);
    config_free(&program, &settings);
    TEST_EQUAL(load("--test-count=3"), COVEY_OK);
    TEST_EQUAL(settings.count, 3);
    config_free(&program, &settings);
    (void)unsetenv("COVEY_TEST_COUNT");
    (void)unsetenv("COVEY_TEST_LISTEN");
}

static void load__wrong_file__names_the_line(void)
{
    refuse("test_count: 1\n\ntest_colour: red\n", NULL, "c.yaml:3: there is no setting");
    refuse("test_count: 1\ntest_grace: 10w\n", NULL, "c.yaml:2: test_grace: '10w' is not a time");
    refuse("# x\ntest_count: 101\n", NULL, "c.yaml:2: test_count: '101' is out of range");
    refuse("test_count: -1\n", NULL, "c.yaml:1: test_count: '-1' is not a whole number");
    refuse("test_size: 5MB\n", NULL,
           "c.yaml:1: test_size: '5MB' is not a size such as 4096, 512M, 2G or 2GiB");
    refuse("test_count: 1\ntest_count: 2\n", NULL, "c.yaml:2: 'test_count' is set twice");
    refuse("test_name: x\ntest_listen: just-one\n", NULL, "c.yaml:2");
    refuse("test_count: [1]\n", NULL, "c.yaml:1");
    refuse("- a\n- b\n", NULL, "c.yaml:1");
    refuse("test_name: 'open\n", NULL, "c.yaml:");
    refuse("test_size: 99999999999TiB\n", NULL, "is not a size");
}

static void load__wrong_flag_or_variable__names_it(void)
{
    refuse("", "--test-count=many", "--test-count: 'many'");
    refuse("", "stray", "'stray' is not expected");
    (void)setenv("COVEY_TEST_GRACE", "soon", 1);
    refuse("", NULL, "COVEY_TEST_GRACE: 'soon'");
    (void)unsetenv("COVEY_TEST_GRACE");
    (void)snprintf(path, sizeof path, "/nowhere/at/all.yaml");
    TEST_TRUE(load(NULL) != COVEY_OK);
    TEST_TRUE(strstr(error.message, "/nowhere/at/all.yaml") != NULL);
}

static void parse_number__no_number__refused(void)
{
    static const char *const bad[] = {"", "+1", "-1", "1K", "1.5", " 1", "18446744073709551616"};
    uint64_t number = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        TEST_EQUAL(config_parse_number(bad[i], &number), COVEY_EINVAL);
    TEST_EQUAL(number, 7);
    TEST_EQUAL(config_parse_number("18446744073709551615", &number), COVEY_OK);
    TEST_TRUE(number == UINT64_MAX);
}

static const struct test_case config[] = {TEST_CASE(load__file__every_type),
                                          TEST_CASE(load__empty_file__keeps_defaults),
                                          TEST_CASE(load__flag_environment_file__first_wins),
                                          TEST_CASE(load__wrong_file__names_the_line),
                                          TEST_CASE(load__wrong_flag_or_variable__names_it),
                                          TEST_CASE(parse_number__no_number__refused),
                                          {0}};

const struct test_suite test_suites[] = {{"config", config, NULL, NULL}, {0}};
