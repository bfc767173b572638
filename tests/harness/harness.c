#include "tests/harness/harness.h"

#include "base/clock.h"
#include "base/io.h"

#include <CUnit/Basic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if defined(COVEY_COVERAGE)
void __gcov_dump(void);
#endif

static char folder[64];
static pid_t folder_owner;

static void remove_folder(void)
{
    if (*folder && covey_remove_tree(folder) != COVEY_OK)
        fprintf(stderr, "could not remove %s\n", folder);
}

const char *test_folder(void)
{
    if (!*folder) {
        strcpy(folder, "/tmp/covey-test-XXXXXX");
        if (!mkdtemp(folder)) {
            perror("mkdtemp");
            abort();
        }
        folder_owner = getpid();
        (void)atexit(remove_folder);
    }
    return folder;
}

void test_skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    fflush(stdout);
    exit(77);
}

void test_require_failed(const char *condition, const char *file, unsigned line)
{
    CU_assertImplementation(CU_FALSE, line, condition, file, "", CU_TRUE);
    if (folder_owner == getpid()) /* not where it ended in a forked child */
        remove_folder();
    abort();
}

void test_child_exit(int status)
{
#if defined(COVEY_COVERAGE)
    __gcov_dump();
#endif
    _exit(status);
}

int64_t test_starved_ns(void)
{
    char line[256] = "";
    FILE *pressure = fopen("/proc/pressure/cpu", "re");
    if (pressure) {
        if (!fgets(line, sizeof line, pressure)) /* the first is of "some" */
            *line = '\0';
        fclose(pressure);
    }
    const char *waited_us = strstr(line, "total=");
    return waited_us ? strtoll(waited_us + strlen("total="), NULL, 10) * 1000 : 0;
}

int64_t test_rested_ns(void)
{
    return covey_now_ns() - test_starved_ns();
}

/* Whose ports they are says a name that the kernel forgets with its owner. */
uint16_t test_ports(void)
{
    enum { FIRST = 17000, BLOCK = 64, BLOCKS = 230 };
    static uint16_t mine;
    for (int i = 0; !mine && i < BLOCKS; i++) {
        int block = (getpid() + i) % BLOCKS;
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int length =
            snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "covey-test-ports-%d", block);
        socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
        int owner = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* until the program ends */
        TEST_REQUIRE(owner >= 0);
        if (bind(owner, (struct sockaddr *)&name, bytes) == 0)
            mine = (uint16_t)(FIRST + BLOCK * block);
        else
            close(owner);
    }
    TEST_REQUIRE(mine);
    return mine;
}

bool test_wait(bool (*condition)(void *data), void *data, int64_t timeout_ns)
{
    int64_t deadline_ns = covey_deadline_ns(covey_now_ns(), timeout_ns);
    while (!condition(data)) {
        if (covey_now_ns() > deadline_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

static int add_suite(const struct test_suite *suite, const char *filter)
{
    CU_pSuite added = CU_add_suite(suite->name, suite->setup, suite->teardown);
    if (!added)
        return -1;
    for (const struct test_case *test = suite->cases; test->name; test++) {
        if (filter && !strstr(test->name, filter))
            continue;
        if (!CU_add_test(added, test->name, test->run))
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : NULL;
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    for (const struct test_suite *suite = test_suites; suite->name; suite++) {
        if (add_suite(suite, filter) < 0) {
            fprintf(stderr, "cannot register %s: %s\n", suite->name, CU_get_error_msg());
            return 2;
        }
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_ErrorCode failed_to_run = CU_basic_run_tests();
    bool failed = failed_to_run != CUE_SUCCESS || CU_get_number_of_failures() > 0 ||
                  CU_get_number_of_suites_failed() > 0 || CU_get_number_of_tests_run() == 0;
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
