#include "service/pack/lines.h"
#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

#define MOST 64

static struct line {
    char text[LINES_MAX_BYTES + 1];
    size_t length_bytes;
    bool partial;
} got[MOST];
static size_t count;

static void take(const uint8_t *text, size_t length_bytes, bool partial, void *data)
{
    (void)data;
    TEST_REQUIRE(count < MOST && length_bytes <= LINES_MAX_BYTES);
    if (length_bytes > 0)
        memcpy(got[count].text, text, length_bytes);
    got[count].text[length_bytes] = '\0';
    got[count].length_bytes = length_bytes;
    got[count++].partial = partial;
}

static void feed(struct lines *lines, const char *text)
{
    TEST_TRUE(lines_feed(lines, (const uint8_t *)text, strlen(text), take, NULL));
}

static void lines_feed__whole_lines__each_is_passed_on(void)
{
    struct lines lines = {0};
    count = 0;
    feed(&lines, "one\n\ntwo\n");
    TEST_REQUIRE(count == 3);
    TEST_EQUAL_STRING(got[0].text, "one");
    TEST_EQUAL_STRING(got[1].text, "");
    TEST_EQUAL_STRING(got[2].text, "two");
    TEST_TRUE(!got[0].partial && !got[1].partial && !got[2].partial);
    lines_finish(&lines, take, NULL);
    TEST_EQUAL(count, 3);
}

static void lines_feed__line_in_pieces__is_put_together(void)
{
    struct lines lines = {0};
    count = 0;
    feed(&lines, "a");
    feed(&lines, "b");
    feed(&lines, "c\nd");
    TEST_REQUIRE(count == 1);
    TEST_EQUAL_STRING(got[0].text, "abc");
    lines_finish(&lines, take, NULL);
    TEST_REQUIRE(count == 2);
    TEST_EQUAL_STRING(got[1].text, "d");
    TEST_TRUE(got[1].partial);
}

/* Every length around the bound, fed at once and byte by byte. */
static void lines_feed__long_lines__come_in_parts_of_the_bound(void)
{
    char *text = malloc(3 * LINES_MAX_BYTES);
    for (size_t length = LINES_MAX_BYTES - 2; length <= LINES_MAX_BYTES + 2; length++) {
        for (size_t step = 1; step <= length + 1; step += length) {
            struct lines lines = {0};
            count = 0;
            memset(text, 'x', length);
            text[length] = '\n';
            for (size_t at = 0; at < length + 1; at += step) {
                size_t piece = length + 1 - at < step ? length + 1 - at : step;
                TEST_TRUE(lines_feed(&lines, (uint8_t *)text + at, piece, take, NULL));
            }
            bool split = length > LINES_MAX_BYTES;
            TEST_REQUIRE(count == (split ? 2 : 1));
            TEST_EQUAL(got[0].length_bytes, split ? LINES_MAX_BYTES : length);
            TEST_EQUAL(got[0].partial, split);
            TEST_TRUE(!got[count - 1].partial);
            lines_finish(&lines, take, NULL);
        }
    }
    free(text);
}

static const struct test_case cases[] = {
    TEST_CASE(lines_feed__whole_lines__each_is_passed_on),
    TEST_CASE(lines_feed__line_in_pieces__is_put_together),
    TEST_CASE(lines_feed__long_lines__come_in_parts_of_the_bound),
    {0},
};

const struct test_suite test_suites[] = {{"lines", cases, NULL, NULL}, {0}};
