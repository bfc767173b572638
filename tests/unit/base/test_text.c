#include "base/error.h"
#include "base/text.h"
#include "tests/harness/harness.h"

#include <string.h>

#define EURO "\xe2\x82\xac"
#define BIRD "\xf0\x9f\x90\xa6"

static void valid__table__accepts_only_well_formed_text(void)
{
    static const struct {
        const char *bytes;
        bool valid;
    } rows[] = {
        {"", true},
        {"ascii", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},         /* overlong NUL */
        {"\xc1\xbf", false},         /* overlong */
        {"\xe0\x9f\xbf", false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xf4\x90\x80\x80", false}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xc3", false},
        {"\xe2\x82", false},
        {"\xf0\x90\x80", false},
        {"\xe2\x82z", false},
        {"\xc3\xc3", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        TEST_EQUAL(covey_text_valid(rows[i].bytes, strlen(rows[i].bytes)), rows[i].valid);
    TEST_TRUE(!covey_text_valid("a\0b", 3));
}

static void fit__every_limit__ends_at_a_character(void)
{
    static const char text[] = "a\xc3\xbc" EURO BIRD "z";
    static const int fits[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t limit = 0; limit < sizeof fits / sizeof *fits; limit++) {
        TEST_EQUAL(covey_text_fit(text, limit), fits[limit]);
        TEST_TRUE(covey_text_valid(text, (size_t)covey_text_fit(text, limit)));
    }
    TEST_EQUAL(covey_text_fit(text, SIZE_MAX), 11);
    TEST_EQUAL(covey_text_fit("", 0), 0);
    /* What is no UTF-8 is cut anywhere. */
    TEST_EQUAL(covey_text_fit("\x80\x80\x80\x80\x80\x80", 5), 5);
}

static void mend__every_byte_of_no_character__becomes_a_question_mark(void)
{
    static const struct {
        const char *bytes;
        const char *mended;
        size_t bad;
    } rows[] = {
        {"", "", 0},
        {"a" EURO BIRD, "a" EURO BIRD, 0},
        {"a\xe2\x82", "a??", 2},
        {"\xe2\x82z", "??z", 2},
        {"\xff" EURO "\x80", "?" EURO "?", 2},
        {"\xed\xa0\x80", "???", 3},
        {"\xc3\xc3\xbc", "?\xc3\xbc", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[32];
        memcpy(text, rows[i].bytes, strlen(rows[i].bytes) + 1);
        TEST_EQUAL(covey_text_mend(text, strlen(text)), rows[i].bad);
        TEST_EQUAL_STRING(text, rows[i].mended);
    }
    char with_nul[] = "a\0b";
    TEST_EQUAL(covey_text_mend(with_nul, 3), 1);
    TEST_EQUAL_STRING(with_nul, "a?b");
}

static void tame__control_characters__become_question_marks(void)
{
    char text[] = "a\nb\x1b[31mc\x7f" EURO "\xc2\x9b"
                  "31m\xc2\xa0\xc3\x9b";
    covey_text_tame(text);
    TEST_EQUAL_STRING(text, "a?b?[31mc?" EURO "??31m\xc2\xa0\xc3\x9b");
}

static void print__every_size__is_cut_between_characters_and_says_so(void)
{
    char whole[400];
    size_t length = 0;
    for (size_t i = 0; i < 60; i++) {
        const char *next = i % 3 == 0 ? EURO : i % 3 == 1 ? BIRD : "\xc3\xbc";
        memcpy(whole + length, next, strlen(next) + 1);
        length += strlen(next);
    }
    for (size_t size = 1; size < length + 8; size++) {
        char text[400];
        memset(text, 'x', sizeof text);
        size_t written = covey_text_print(text, size, "stopped: %s", whole);
        TEST_REQUIRE(written < size && text[written] == '\0' && strlen(text) == written);
        TEST_TRUE(covey_text_valid(text, written));
        bool fits = size > length + strlen("stopped: ");
        TEST_TRUE(fits || size < 16 || strcmp(text + written - 3, "...") == 0);
        TEST_TRUE(!fits || strcmp(text + 9, whole) == 0);
        /* No more is lost than the mark and a part of one character. */
        TEST_TRUE(fits || written + 4 >= size);
    }
}

static void print__arguments_that_are_no_utf8__are_mended(void)
{
    char text[64];
    TEST_EQUAL(covey_text_print(text, sizeof text, "'%s' is no name", "a\xff\xe2\x82"), 17);
    TEST_EQUAL_STRING(text, "'a??"
                            "?' is no name");
    TEST_EQUAL(covey_text_print(text, sizeof text, "%s", ""), 0);
    TEST_EQUAL_STRING(text, "");
}

static void error_set__long_text_of_a_user__stays_valid(void)
{
    char reason[3 * COVEY_ERROR_MESSAGE_BYTES] = "";
    for (size_t shift = 0; shift < 4; shift++) {
        memset(reason, 'x', shift);
        for (size_t at = shift; at + 4 < sizeof reason; at += 4)
            memcpy(reason + at, BIRD, sizeof BIRD);
        struct covey_error error;
        (void)covey_error_set(&error, COVEY_EINVAL, "cancelled: %s", reason);
        TEST_TRUE(covey_text_valid(error.message, strlen(error.message)));
        TEST_TRUE(strlen(error.message) > COVEY_ERROR_MESSAGE_BYTES - 8);
        (void)covey_error_set_errno(&error, 2, "cannot open %s", reason);
        TEST_TRUE(covey_text_valid(error.message, strlen(error.message)));
    }
}

static const struct test_case cases[] = {
    TEST_CASE(valid__table__accepts_only_well_formed_text),
    TEST_CASE(fit__every_limit__ends_at_a_character),
    TEST_CASE(mend__every_byte_of_no_character__becomes_a_question_mark),
    TEST_CASE(tame__control_characters__become_question_marks),
    TEST_CASE(print__every_size__is_cut_between_characters_and_says_so),
    TEST_CASE(print__arguments_that_are_no_utf8__are_mended),
    TEST_CASE(error_set__long_text_of_a_user__stays_valid),
    {0},
};

const struct test_suite test_suites[] = {{"text", cases, NULL, NULL}, {0}};
