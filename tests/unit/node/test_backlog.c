#include "service/pack/backlog.h"
#include "tests/harness/harness.h"

#include <string.h>

static struct backlog backlog;
static struct backlog_message said;

static uint64_t cost(size_t text_bytes)
{
    return text_bytes + LOCAL_LOG_OVERHEAD_BYTES;
}

static void add(const char *text)
{
    const struct backlog_text piece = {
        .text = text, .length_bytes = strlen(text), .rank = 3, .stream = 1, .wall_ns = 1500000000};
    TEST_EQUAL(backlog_add(&backlog, &piece), COVEY_OK);
}

static void check_said(uint64_t offset, size_t count, const char *first)
{
    TEST_REQUIRE(backlog_say(&backlog, &said));
    TEST_EQUAL(said.log.offset, offset);
    TEST_REQUIRE(said.log.n_lines == count);
    const Covey__V1__LogLines *lines = said.log.lines[0];
    TEST_EQUAL(lines->text.len, strlen(first));
    TEST_EQUAL(memcmp(lines->text.data, first, strlen(first)), 0);
    TEST_EQUAL(lines->rank, 3);
    TEST_EQUAL(lines->stream, 1);
    TEST_EQUAL(lines->at->seconds, 1);
    TEST_EQUAL(lines->at->nanos, 500000000);
}

static void backlog_say__pieces__once_and_with_their_offset(void)
{
    backlog_open(&backlog);
    TEST_TRUE(!backlog_say(&backlog, &said));
    add("one\n");
    add("two\n");
    check_said(0, 2, "one\n");
    TEST_TRUE(!backlog_say(&backlog, &said));
    add("three\n");
    check_said(2 * cost(4), 1, "three\n");
    backlog_close(&backlog);
}

static void backlog_rewind__new_agent__what_was_not_taken_is_said_again(void)
{
    backlog_open(&backlog);
    add("one\n");
    add("two\n");
    add("three\n");
    check_said(0, 3, "one\n");
    backlog_take(&backlog, cost(4));
    backlog_rewind(&backlog);
    check_said(cost(4), 2, "two\n");
    TEST_TRUE(!backlog_say(&backlog, &said));
    backlog_close(&backlog);
}

/* An agent's word about what it was never told, and about the middle of a piece, changes nothing.
 */
static void backlog_take__wrong_offsets__changes_nothing(void)
{
    backlog_open(&backlog);
    add("one\n");
    backlog_take(&backlog, 1000);
    check_said(0, 1, "one\n");
    backlog_take(&backlog, cost(4) - 1);
    backlog_rewind(&backlog);
    check_said(0, 1, "one\n");
    backlog_take(&backlog, 1000);
    TEST_EQUAL(backlog.taken, cost(4));
    TEST_EQUAL(backlog_room(&backlog), LOCAL_LOG_WINDOW_BYTES);
    backlog_close(&backlog);
}

/* Newlines alone cost what they take: the window bounds memory whatever is written. */
static void backlog_room__short_pieces__counted_in_full(void)
{
    size_t count = 0;
    backlog_open(&backlog);
    for (; backlog_room(&backlog) >= cost(1); count++)
        add("\n");
    TEST_EQUAL(count, LOCAL_LOG_WINDOW_BYTES / cost(1));
    while (backlog_say(&backlog, &said))
        ;
    backlog_take(&backlog, cost(1));
    TEST_TRUE(backlog_room(&backlog) >= cost(1));
    backlog_close(&backlog);
}

static void backlog_say__long_pieces__fit_into_records(void)
{
    static char text[LOCAL_LOG_TEXT_BYTES];
    memset(text, 'x', sizeof(text));
    backlog_open(&backlog);
    const struct backlog_text piece = {.text = text,
                                       .length_bytes = sizeof(text),
                                       .rank = UINT32_MAX,
                                       .stream = 2,
                                       .wall_ns = INT64_MAX,
                                       .own_end = UINT64_MAX};
    for (int i = 0; i < 3; i++)
        TEST_EQUAL(backlog_add(&backlog, &piece), COVEY_OK);
    for (int i = 0; i < 100; i++)
        add("short\n");
    size_t pieces = 0;
    while (backlog_say(&backlog, &said)) {
        local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
        message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG;
        message.pack_log = &said.log;
        TEST_TRUE(covey__v1__local_message__get_packed_size(&message) <= LOCAL_RECORD_BYTES);
        pieces += said.log.n_lines;
    }
    TEST_EQUAL(pieces, 103);
    backlog_close(&backlog);
}

static const struct test_case cases[] = {
    TEST_CASE(backlog_say__pieces__once_and_with_their_offset),
    TEST_CASE(backlog_rewind__new_agent__what_was_not_taken_is_said_again),
    TEST_CASE(backlog_take__wrong_offsets__changes_nothing),
    TEST_CASE(backlog_room__short_pieces__counted_in_full),
    TEST_CASE(backlog_say__long_pieces__fit_into_records),
    {0},
};

const struct test_suite test_suites[] = {{"backlog", cases, NULL, NULL}, {0}};
