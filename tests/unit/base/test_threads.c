/* What base/ promises to be thread-safe, used from several threads; ThreadSanitizer watches. */
#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { thread_count = 4, passes = 2000 };

static _Atomic int counted;

static void run_threads(void *(*body)(void *))
{
    pthread_t threads[thread_count];
    for (int i = 0; i < thread_count; i++)
        TEST_REQUIRE(pthread_create(&threads[i], NULL, body, NULL) == 0);
    for (int i = 0; i < thread_count; i++)
        TEST_REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void *pass_points(void *unused)
{
    (void)unused;
    for (int i = 0; i < passes; i++) {
        if (covey_fault(COVEY_FAULT_PACK_FORK))
            atomic_fetch_add(&counted, 1);
    }
    return NULL;
}

static void fault_pass__several_threads__fires_once(void)
{
    setenv("COVEY_FAULT", "pack_fork:1000", 1);
    TEST_REQUIRE(covey_fault_init(NULL) == COVEY_OK);
    unsetenv("COVEY_FAULT");
    atomic_store(&counted, 0);
    run_threads(pass_points);
    TEST_EQUAL(atomic_load(&counted), 1);
}

static void *allocate(void *unused)
{
    (void)unused;
    for (int i = 0; i < passes; i++) {
        void *memory = covey_malloc(16);
        if (memory)
            atomic_fetch_add(&counted, 1);
        free(memory);
    }
    return NULL;
}

static void fail_after__several_threads__counts_exactly(void)
{
    atomic_store(&counted, 0);
    covey_memory_fail_after(1234);
    run_threads(allocate);
    covey_memory_fail_after(-1);
    TEST_EQUAL(atomic_load(&counted), 1234);
}

static void *own_map(void *unused)
{
    (void)unused;
    struct covey_map map = COVEY_MAP_EMPTY;
    if (covey_map_set(&map, "key", &counted) == COVEY_OK && covey_map_get(&map, "key") == &counted)
        atomic_fetch_add(&counted, 1);
    covey_map_clear(&map);
    return NULL;
}

static void map__first_use_in_several_threads__agrees_on_the_seed(void)
{
    atomic_store(&counted, 0);
    run_threads(own_map);
    TEST_EQUAL(atomic_load(&counted), thread_count);
}

static void *write_log(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        covey_log_set_level(COVEY_LOG_INFO);
        log_info("%s", "the same text in every line");
    }
    return NULL;
}

static void log__several_threads__lines_never_mix(void)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", test_folder());
    int file = open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    TEST_REQUIRE(file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    run_threads(write_log);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    FILE *lines = fopen(path, "re");
    TEST_REQUIRE(lines != NULL);
    char line[2048];
    int count = 0;
    while (fgets(line, sizeof(line), lines)) {
        TEST_TRUE(strstr(line, "Z info covey: the same text in every line\n") == line + 23);
        count++;
    }
    (void)fclose(lines);
    TEST_EQUAL(count, thread_count * 100);
}

static const struct test_case cases[] = {
    TEST_CASE(fault_pass__several_threads__fires_once),
    TEST_CASE(fail_after__several_threads__counts_exactly),
    TEST_CASE(map__first_use_in_several_threads__agrees_on_the_seed),
    TEST_CASE(log__several_threads__lines_never_mix),
    {0},
};

const struct test_suite test_suites[] = {{"threads", cases, NULL, NULL}, {0}};
