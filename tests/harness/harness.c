#include "tests/harness/harness.h"

#include "base/clock.h"
#include "base/io.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(COVEY_COVERAGE)
void __gcov_dump(void);
#endif

static char folder[64];

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
    abort();
}

void test_child_exit(int status)
{
#if defined(COVEY_COVERAGE)
    __gcov_dump();
#endif
    _exit(status);
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
