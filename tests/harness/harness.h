/*
 * What every CUnit program here shares: one table of suites, one main.
 *
 * A test file defines `const struct test_suite test_suites[]`, ended by an empty row; a suite lists
 * its cases, named <function>__<condition>__<outcome>. The program ends non-zero on any failure,
 * and a case can skip the whole program (exit 77) with a reason. With an argument, only the cases
 * whose name contains it run.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stdint.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

struct test_suite {
    const char *name;
    const struct test_case *cases; /* ended by {0} */
    int (*setup)(void);            /* before the suite; non-zero fails it; may be NULL */
    int (*teardown)(void);         /* after it; may be NULL */
};

#define TEST_CASE(function)                                                                        \
    {                                                                                              \
#function, function                                                                        \
    }

extern const struct test_suite test_suites[];

/* Ends the program as skipped, saying why. */
void test_skip(const char *reason) __attribute__((noreturn));

/* A folder that exists until the program ends, then goes with all that is in it. Static storage. */
const char *test_folder(void);

/* Ends a forked child of a test at once: its coverage is kept, the parent's folder is too. */
void test_child_exit(int status) __attribute__((noreturn));

/*
 * The monotonic clock for promises of speed: time in which somebody on this machine waited for a
 * cpu does not count (/proc/pressure/cpu; where that is not there, all time counts). What is
 * promised is what a machine at rest does; a busy one is no fault.
 */
int64_t test_rested_ns(void);
int64_t test_starved_ns(void); /* the time that does not count, from some beginning */

/* The first of 64 TCP ports that no other test has while this program runs. */
uint16_t test_ports(void);

/* Waits until condition(data) is true: polls until the deadline, false past it. For what gives no
 * event to wait on. */
bool test_wait(bool (*condition)(void *data), void *data, int64_t timeout_ns);

#define TEST_EQUAL_STRING(actual, expected) CU_ASSERT_STRING_EQUAL(actual, expected)
#define TEST_EQUAL(actual, expected)        CU_ASSERT_EQUAL(actual, expected)
#define TEST_TRUE(condition)                CU_ASSERT_TRUE(condition)
/* Ends the case when it does not hold. */
#define TEST_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_require_failed(#condition, __FILE__, __LINE__);                                   \
    } while (0)

/* Behind TEST_REQUIRE; apart, so that a reader of the code and the analyzer see that it ends. */
void test_require_failed(const char *condition, const char *file, unsigned line)
    __attribute__((noreturn));

#endif
