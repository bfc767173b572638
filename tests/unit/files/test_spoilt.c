/* Every file that is read, spoilt in every way: nothing crashes, and a refusal names the file. */
#include "tests/harness/harness.h"
#include "tests/unit/files/readers.h"
#include "tests/unit/files/spoil.h"

#include <string.h>

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

static const struct test_case cases[] = {
    TEST_CASE(config_load__spoilt_files__one_sentence),
    TEST_CASE(tokens_load__spoilt_files__one_sentence),
    TEST_CASE(token_file_read__spoilt_files__one_sentence),
    TEST_CASE(sim_swf_read__spoilt_files__one_sentence),
    TEST_CASE(graph_read__spoilt_files__one_sentence),
    {0},
};

const struct test_suite test_suites[] = {{"spoilt", cases, NULL, NULL}, {0}};
