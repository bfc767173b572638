#include "base/memory.h"
#include "service/pack/lines.h"
#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

static char got[256 * 1024];
static size_t got_bytes;
static size_t calls;

static void take(const uint8_t *text, size_t length_bytes, void *data)
{
    (void)data;
    TEST_REQUIRE(length_bytes > 0 && got_bytes + length_bytes < sizeof(got));
    memcpy(got + got_bytes, text, length_bytes);
    got_bytes += length_bytes;
    got[got_bytes] = '\0';
    calls++;
}

static void feed(struct lines *lines, const char *text, size_t length_bytes)
{
    static uint8_t bytes[128 * 1024];
    size_t held = lines_begin(lines, bytes);
    TEST_REQUIRE(held <= LINES_HELD_BYTES && held + length_bytes <= sizeof(bytes));
    memcpy(bytes + held, text, length_bytes);
    lines_cut(lines, bytes, held + length_bytes, take, NULL);
}

static void begin(void)
{
    got_bytes = calls = 0;
    got[0] = '\0';
}

static void lines_cut__whole_lines__come_at_once(void)
{
    struct lines lines = {0};
    begin();
    feed(&lines, "one\n\ntwo\n", 9);
    TEST_EQUAL(calls, 1);
    TEST_EQUAL_STRING(got, "one\n\ntwo\n");
    lines_finish(&lines, take, NULL);
    TEST_EQUAL(calls, 1);
}

static void lines_cut__line_in_pieces__is_put_together(void)
{
    struct lines lines = {0};
    begin();
    feed(&lines, "a", 1);
    feed(&lines, "b", 1);
    TEST_EQUAL(calls, 0);
    feed(&lines, "c\nd", 3);
    TEST_EQUAL(calls, 1);
    TEST_EQUAL_STRING(got, "abc\n");
    lines_finish(&lines, take, NULL);
    TEST_EQUAL_STRING(got, "abc\nd");
    TEST_TRUE(lines.held == NULL && lines.held_bytes == 0);
}

/* Every length around the bound, at once and byte by byte: nothing is lost, little is held. */
static void lines_cut__long_lines__come_in_parts(void)
{
    char *text = malloc(LINES_HELD_BYTES + 8);
    for (size_t length = LINES_HELD_BYTES - 2; length <= LINES_HELD_BYTES + 2; length++) {
        for (size_t step = 1; step <= length + 1; step += length) {
            struct lines lines = {0};
            begin();
            memset(text, 'x', length);
            text[length] = '\n';
            for (size_t at = 0; at < length + 1; at += step)
                feed(&lines, text + at, length + 1 - at < step ? length + 1 - at : step);
            TEST_EQUAL(got_bytes, length + 1);
            TEST_EQUAL(memcmp(got, text, length + 1), 0);
            TEST_EQUAL(calls, step == 1 && length > LINES_HELD_BYTES ? 2 : 1);
            lines_finish(&lines, take, NULL);
            TEST_EQUAL(got_bytes, length + 1);
        }
    }
    free(text);
}

static void lines_cut__no_memory__passed_on_at_once(void)
{
    struct lines lines = {0};
    begin();
    covey_memory_fail_after(0);
    feed(&lines, "one\npart", 8);
    covey_memory_fail_after(-1);
    TEST_EQUAL_STRING(got, "one\npart");
    lines_finish(&lines, take, NULL);
    TEST_EQUAL_STRING(got, "one\npart");
}

static const struct test_case cases[] = {
    TEST_CASE(lines_cut__whole_lines__come_at_once),
    TEST_CASE(lines_cut__line_in_pieces__is_put_together),
    TEST_CASE(lines_cut__long_lines__come_in_parts),
    TEST_CASE(lines_cut__no_memory__passed_on_at_once),
    {0},
};

const struct test_suite test_suites[] = {{"lines", cases, NULL, NULL}, {0}};
