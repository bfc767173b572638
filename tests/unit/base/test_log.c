#include "base/io.h"
#include "base/log.h"
#include "tests/harness/harness.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int saved_stderr = -1;
static int pipe_fds[2];
static char said[8192];

static void capture_start(void)
{
    TEST_REQUIRE(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0);
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    TEST_REQUIRE(dup2(pipe_fds[1], STDERR_FILENO) == STDERR_FILENO);
}

/* What was written to standard error since, in said. */
static const char *capture_end(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(pipe_fds[1]);
    covey_close(&saved_stderr);
    ssize_t length = read(pipe_fds[0], said, sizeof(said) - 1);
    close(pipe_fds[0]);
    said[length > 0 ? length : 0] = '\0';
    return said;
}

/* Where the text after "2026-01-31T12:00:00.123Z " starts, or NULL where that is not how it starts.
 */
static const char *after_stamp(const char *line)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)line[i]) : line[i] != shape[i])
            return NULL;
    }
    return line + sizeof(shape) - 1;
}

static void log__record__has_stamp_level_program_and_text(void)
{
    covey_log_init("covey-test");
    capture_start();
    log_info("node joined name=%s slots=%d", "n1", 8);
    const char *text = after_stamp(capture_end());
    TEST_REQUIRE(text != NULL);
    TEST_EQUAL_STRING(text, "info covey-test: node joined name=n1 slots=8\n");
}

static void log__another_descriptor__nothing_on_standard_error(void)
{
    int ends[2];
    char got[256] = "";
    TEST_REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    capture_start();
    covey_log_set_fd(ends[1]);
    log_info("elsewhere");
    covey_log_set_fd(STDERR_FILENO);
    TEST_EQUAL_STRING(capture_end(), "");
    TEST_TRUE(read(ends[0], got, sizeof(got) - 1) > 0);
    TEST_TRUE(strstr(got, "elsewhere") != NULL);
    covey_close(&ends[0]);
    covey_close(&ends[1]);
}

static void log__control_characters__become_question_marks(void)
{
    capture_start();
    log_warn("a\nb\rc\td\033[31me\177f\001 gr\xc3\xbc\xc3\x9f");
    const char *text = after_stamp(capture_end());
    TEST_REQUIRE(text != NULL);
    TEST_EQUAL_STRING(text, "warn covey-test: a?b?c?d?[31me?f? gr\xc3\xbc\xc3\x9f\n");
}

static void log__long_record__is_one_line_that_is_cut(void)
{
    capture_start();
    log_error("%04000d", 0);
    const char *text = capture_end();
    size_t length = strlen(text);
    TEST_TRUE(length > 900 && length <= 1024);
    TEST_TRUE(strchr(text, '\n') == text + length - 1);
}

static void log__longest_program_name__still_ends_its_line(void)
{
    static char name[3000];
    memset(name, 'p', sizeof(name) - 1);
    covey_log_init(name);
    capture_start();
    log_error("text");
    const char *text = capture_end();
    covey_log_init("covey-test");
    TEST_TRUE(strlen(text) <= 1024);
    TEST_EQUAL(text[strlen(text) - 1], '\n');
}

static void log__above_the_level__is_dropped(void)
{
    capture_start();
    covey_log_set_level(COVEY_LOG_WARN);
    log_info("not written");
    log_debug("not written");
    log_warn("one");
    covey_log_set_level(COVEY_LOG_DEBUG);
    log_debug("two");
    covey_log_set_level(COVEY_LOG_INFO);
    const char *text = capture_end();
    TEST_TRUE(strstr(text, "not written") == NULL);
    TEST_TRUE(strstr(text, "warn covey-test: one\n") != NULL);
    TEST_TRUE(strstr(text, "debug covey-test: two\n") != NULL);
}

static void log__errno__is_preserved_and_printable(void)
{
    capture_start();
    errno = ENOENT;
    log_error("cannot open: %m");
    int after = errno;
    const char *text = capture_end();
    TEST_EQUAL(after, ENOENT);
    TEST_TRUE(strstr(text, "No such file or directory") != NULL);
}

static void log__standard_error_is_closed__is_survived(void)
{
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    close(STDERR_FILENO);
    errno = EINTR;
    log_error("to nobody");
    TEST_EQUAL(errno, EINTR);
    dup2(saved_stderr, STDERR_FILENO);
    covey_close(&saved_stderr);
}

static void parse_level__names__and_nothing_else(void)
{
    enum covey_log_level level = COVEY_LOG_WARN;
    TEST_TRUE(covey_log_parse_level("error", &level) && level == COVEY_LOG_ERROR);
    TEST_TRUE(covey_log_parse_level("debug", &level) && level == COVEY_LOG_DEBUG);
    TEST_TRUE(!covey_log_parse_level("Debug", &level) && level == COVEY_LOG_DEBUG);
    TEST_TRUE(!covey_log_parse_level("", &level) && level == COVEY_LOG_DEBUG);
}

static void init__environment__sets_the_level_or_warns(void)
{
    setenv("COVEY_LOG", "error", 1);
    covey_log_init("covey-test");
    TEST_TRUE(covey_log_enabled(COVEY_LOG_ERROR) && !covey_log_enabled(COVEY_LOG_WARN));
    covey_log_set_level(COVEY_LOG_INFO);
    setenv("COVEY_LOG", "loud", 1);
    capture_start();
    covey_log_init("covey-test");
    TEST_TRUE(strstr(capture_end(), "value=\"loud\"") != NULL);
    TEST_TRUE(covey_log_enabled(COVEY_LOG_INFO) && !covey_log_enabled(COVEY_LOG_DEBUG));
    setenv("COVEY_LOG", "", 1);
    covey_log_init("covey-test");
    unsetenv("COVEY_LOG");
    TEST_TRUE(covey_log_enabled(COVEY_LOG_INFO));
}

static void keep_error__errors_and_others__holds_the_last_error(void)
{
    char kept[256] = "";
    int fd = memfd_create("errors", MFD_CLOEXEC);
    capture_start();
    covey_log_keep_error(fd);
    log_error("the first, and longer than the second");
    log_error("the second\n");
    log_warn("no error");
    covey_log_keep_error(-1);
    log_error("not kept");
    (void)capture_end();
    TEST_TRUE(pread(fd, kept, sizeof(kept) - 1, 0) > 0);
    TEST_EQUAL_STRING(kept, "the second?");
    close(fd);
}

static void allow__a_flood__lets_a_burst_through_and_counts_the_rest(void)
{
    struct covey_log_limit limit = {0};
    uint64_t unsaid = 99;
    int written = 0;
    for (int i = 0; i < 1000; i++)
        written += covey_log_allow(&limit, 5 + i, &unsaid);
    TEST_EQUAL(written, COVEY_LOG_BURST);
    TEST_EQUAL(unsaid, 0);
    TEST_TRUE(!covey_log_allow(&limit, 5 + COVEY_LOG_BURST_NS - 1, &unsaid));
    TEST_TRUE(covey_log_allow(&limit, 5 + COVEY_LOG_BURST_NS, &unsaid));
    TEST_EQUAL(unsaid, 1000 - COVEY_LOG_BURST + 1);
    TEST_TRUE(covey_log_allow(&limit, 6 + COVEY_LOG_BURST_NS, &unsaid));
    TEST_EQUAL(unsaid, 0);
}

static uint64_t length_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* Another process that has the file open goes on in it. */
static void keep_below__file_grows__older_records_go(void)
{
    char path[256];
    char older[300];
    (void)snprintf(path, sizeof path, "%s/rotated.log", test_folder());
    (void)snprintf(older, sizeof older, "%s.1", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int other = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    TEST_REQUIRE(fd >= 0 && other >= 0);
    covey_log_set_fd(fd);
    covey_log_keep_below(10000);
    for (unsigned i = 0; i < 2000; i++)
        log_info("record number=%u", i);
    log_info("the last");
    TEST_TRUE(length_of(path) < 10000 + 65 * 100);
    TEST_TRUE(length_of(older) > 10000 && length_of(older) < 10000 + 65 * 100);
    TEST_EQUAL(write(other, "other\n", 6), 6);
    struct covey_buffer text = {0};
    TEST_EQUAL(covey_file_read(path, 1 << 20, &text, NULL), COVEY_OK);
    TEST_TRUE(text.length_bytes > 16 &&
              memcmp((char *)text.data + text.length_bytes - 15, "the last\nother\n", 15) == 0);
    TEST_TRUE(memchr(text.data, 0, text.length_bytes) == NULL);
    covey_buffer_free(&text);
    covey_log_keep_below(0);
    covey_log_set_fd(STDERR_FILENO);
    covey_close(&fd);
    covey_close(&other);
}

static const struct test_case cases[] = {
    TEST_CASE(keep_below__file_grows__older_records_go),
    TEST_CASE(keep_error__errors_and_others__holds_the_last_error),
    TEST_CASE(allow__a_flood__lets_a_burst_through_and_counts_the_rest),
    TEST_CASE(log__record__has_stamp_level_program_and_text),
    TEST_CASE(log__another_descriptor__nothing_on_standard_error),
    TEST_CASE(log__control_characters__become_question_marks),
    TEST_CASE(log__long_record__is_one_line_that_is_cut),
    TEST_CASE(log__longest_program_name__still_ends_its_line),
    TEST_CASE(log__above_the_level__is_dropped),
    TEST_CASE(log__errno__is_preserved_and_printable),
    TEST_CASE(log__standard_error_is_closed__is_survived),
    TEST_CASE(parse_level__names__and_nothing_else),
    TEST_CASE(init__environment__sets_the_level_or_warns),
    {0},
};

const struct test_suite test_suites[] = {{"log", cases, NULL, NULL}, {0}};
