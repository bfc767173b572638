/* Who may connect to a unix socket. */
#include "base/io.h"
#include "service/controller/socket.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct covey_error error;
static struct socket_access who;

static const char *path_of(const char *name)
{
    static char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat facts;
    TEST_REQUIRE(stat(path, &facts) == 0);
    return facts.st_mode & 07777;
}

static void parse__nothing_set__owner_alone(void)
{
    TEST_EQUAL(socket_access_parse(NULL, NULL, &who, &error), COVEY_OK);
    TEST_EQUAL(who.mode, 0600);
    TEST_EQUAL(who.group, (gid_t)-1);
}

static void parse__modes__three_are_taken(void)
{
    static const char *const bad[] = {"",     "0",    "0777", "0640", "0644", "0622",
                                      "0060", "1660", "rw",   "0x1b", "06600"};
    TEST_EQUAL(socket_access_parse("0660", NULL, &who, &error), COVEY_OK);
    TEST_EQUAL(who.mode, 0660);
    TEST_EQUAL(socket_access_parse("666", NULL, &who, &error), COVEY_OK);
    TEST_EQUAL(who.mode, 0666);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        TEST_EQUAL(socket_access_parse(bad[i], NULL, &who, &error), COVEY_EINVAL);
        TEST_TRUE(strstr(error.message, "socket-mode is 0600") != NULL);
    }
}

static void parse__groups__by_name_or_number_and_not_in_vain(void)
{
    TEST_EQUAL(socket_access_parse("0660", "root", &who, &error), COVEY_OK);
    TEST_EQUAL(who.group, 0);
    TEST_EQUAL(socket_access_parse("0660", "12345", &who, &error), COVEY_OK);
    TEST_EQUAL(who.group, 12345);
    TEST_EQUAL(socket_access_parse("0660", "no-such-group", &who, &error), COVEY_EINVAL);
    TEST_EQUAL(socket_access_parse("0660", "-1", &who, &error), COVEY_EINVAL);
    TEST_EQUAL(socket_access_parse("0660", "4294967295", &who, &error), COVEY_EINVAL);
    TEST_EQUAL(socket_access_parse(NULL, "root", &who, &error), COVEY_EINVAL);
    TEST_TRUE(strstr(error.message, "set it to 0660") != NULL);
}

static void folder__made_for_others__they_can_search_it(void)
{
    TEST_REQUIRE(socket_access_parse("0666", NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_folder_make(path_of("all/socket"), &who, &error), COVEY_OK);
    TEST_EQUAL(mode_of(path_of("all")), 0711);
    TEST_REQUIRE(socket_access_parse("0660", NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_folder_make(path_of("group/socket"), &who, &error), COVEY_OK);
    TEST_EQUAL(mode_of(path_of("group")), 0710);
    TEST_REQUIRE(socket_access_parse(NULL, NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_folder_make(path_of("own/socket"), &who, &error), COVEY_OK);
    TEST_EQUAL(mode_of(path_of("own")), 0700);
}

static void folder__there_and_closed__is_named_and_left_alone(void)
{
    TEST_REQUIRE(mkdir(path_of("closed"), 0700) == 0);
    TEST_REQUIRE(socket_access_parse("0666", NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_folder_make(path_of("closed/socket"), &who, &error), COVEY_EACCES);
    TEST_TRUE(strstr(error.message, path_of("closed")) != NULL);
    TEST_REQUIRE(socket_access_parse("0660", NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_folder_make(path_of("closed/socket"), &who, &error), COVEY_EACCES);
    TEST_EQUAL(mode_of(path_of("closed")), 0700);
    TEST_REQUIRE(chmod(path_of("closed"), 0710) == 0);
    TEST_EQUAL(socket_folder_make(path_of("closed/socket"), &who, &error), COVEY_OK);
    TEST_REQUIRE(socket_access_parse("0666", NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_folder_make(path_of("closed/socket"), &who, &error), COVEY_EACCES);
    TEST_REQUIRE(chmod(path_of("closed"), 0711) == 0);
    TEST_EQUAL(socket_folder_make(path_of("closed/socket"), &who, &error), COVEY_OK);
}

static void admit__mode_and_group__are_set(void)
{
    struct stat facts;
    const char *path = path_of("file");
    char group[16];
    (void)snprintf(group, sizeof group, "%u", geteuid() == 0 ? 12345U : getegid());
    TEST_REQUIRE(covey_file_write(path, "", 0, 0600, NULL) == COVEY_OK);
    TEST_REQUIRE(socket_access_parse(NULL, NULL, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_admit(path, &who, &error), COVEY_OK);
    TEST_EQUAL(mode_of(path), 0600);
    TEST_REQUIRE(socket_access_parse("0660", group, &who, &error) == COVEY_OK);
    TEST_EQUAL(socket_admit(path, &who, &error), COVEY_OK);
    TEST_REQUIRE(stat(path, &facts) == 0);
    TEST_EQUAL(facts.st_mode & 07777, 0660);
    TEST_EQUAL(facts.st_gid, who.group);
}

static const struct test_case cases[] = {
    TEST_CASE(parse__nothing_set__owner_alone),
    TEST_CASE(parse__modes__three_are_taken),
    TEST_CASE(parse__groups__by_name_or_number_and_not_in_vain),
    TEST_CASE(folder__made_for_others__they_can_search_it),
    TEST_CASE(folder__there_and_closed__is_named_and_left_alone),
    TEST_CASE(admit__mode_and_group__are_set),
    {0},
};

const struct test_suite test_suites[] = {{"socket", cases, NULL, NULL}, {0}};
