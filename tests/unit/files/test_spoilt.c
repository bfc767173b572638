/* Every file that is read, spoilt in every way: nothing crashes, and a refusal names the file. */
#include "base/error.h"
#include "tests/harness/harness.h"
#include "tests/unit/files/readers.h"
#include "tests/unit/files/spoil.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPOIL(what) spoil_all(reader_##what##_sound, strlen(reader_##what##_sound), reader_##what)

static void config_load__spoilt_files__one_sentence(void)
{
    SPOIL(settings);
}

static void tokens_load__spoilt_files__one_sentence(void)
{
    SPOIL(tokens);
}

static void token_file_read__spoilt_files__one_sentence(void)
{
    SPOIL(token);
}

static void sim_swf_read__spoilt_files__one_sentence(void)
{
    SPOIL(trace);
}

static void graph_read__spoilt_files__one_sentence(void)
{
    SPOIL(graph);
}

static void graph_read__header_that_says_too_much__no_memory_for_it(void)
{
    static const char text[] = "nodes 4000000000 edges 1\none\n0 0\n";
    struct covey_error error = {0};
    char path[] = "/tmp/covey-graph-XXXXXX";
    int fd = mkstemp(path);
    TEST_REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    TEST_EQUAL(reader_graph(path, &error), COVEY_EINVAL);
    TEST_TRUE(strstr(error.message, "too short for the names of 4000000000 nodes") != NULL);
    (void)close(fd);
    (void)unlink(path);
}

static const struct test_case cases[] = {
    TEST_CASE(config_load__spoilt_files__one_sentence),
    TEST_CASE(tokens_load__spoilt_files__one_sentence),
    TEST_CASE(token_file_read__spoilt_files__one_sentence),
    TEST_CASE(sim_swf_read__spoilt_files__one_sentence),
    TEST_CASE(graph_read__spoilt_files__one_sentence),
    TEST_CASE(graph_read__header_that_says_too_much__no_memory_for_it),
    {0},
};

const struct test_suite test_suites[] = {{"spoilt", cases, NULL, NULL}, {0}};
