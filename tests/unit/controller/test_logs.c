/* Logs of flares: kept, cut, passed on, and said again. */
#include "base/clock.h"
#include "service/common/local.h"
#include "service/controller/log_record.h"
#include "service/controller/logs.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

#define FLARE "01ARZ3NDEKTSV4RRFFQ69G5FAV"

static struct store *store;
static struct logs *logs;
static char folder[300];
static uint64_t taken[4]; /* by pack */
static uint64_t offsets[4];
static int64_t now_ns;
static struct log_reader reader;
static char shown[64 * 1024];
static struct log_source source = {.flare = FLARE, .attempt = 1};

static void on_taken(const char *flare, uint32_t pack, uint64_t offset, void *data)
{
    (void)data;
    TEST_EQUAL_STRING(flare, FLARE);
    TEST_REQUIRE(pack < 4);
    taken[pack] = offset;
}

static void open_logs(uint64_t limit_bytes)
{
    struct covey_error error = {0};
    const struct logs_options options = {NULL, limit_bytes, on_taken, NULL};
    struct logs_options with_store = options;
    TEST_REQUIRE(store_open(folder, &store, &error) == COVEY_OK);
    with_store.store = store;
    logs = logs_create(&with_store);
    TEST_REQUIRE(logs != NULL);
    reader = (struct log_reader){.flare = FLARE};
    shown[0] = '\0';
}

static void start(uint64_t limit_bytes)
{
    static unsigned number;
    (void)snprintf(folder, sizeof folder, "%s/logs%u", test_folder(), ++number);
    memset(taken, 0, sizeof taken);
    memset(offsets, 0, sizeof offsets);
    now_ns = COVEY_NS_PER_S;
    source.attempt = 1;
    source.ending = false;
    open_logs(limit_bytes);
}

static void stop(void)
{
    logs_destroy(logs);
    store_close(store);
}

static void restart(uint64_t limit_bytes)
{
    stop();
    open_logs(limit_bytes);
}

static void say_at(uint32_t pack, uint64_t offset, const char *text)
{
    Covey__V1__LogLines lines = COVEY__V1__LOG_LINES__INIT;
    Covey__V1__LogLines *list[] = {&lines};
    Covey__V1__LogChunk chunk = COVEY__V1__LOG_CHUNK__INIT;
    lines.rank = pack;
    lines.stream = 1;
    lines.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    chunk.pack = pack;
    chunk.offset = offset;
    chunk.n_lines = 1;
    chunk.lines = list;
    logs_take(logs, &source, &chunk, now_ns);
    offsets[pack] = offset + local_log_cost(list, 1);
}

static void say(uint32_t pack, const char *text)
{
    say_at(pack, offsets[pack], text);
}

/* Adds what there is to `shown`. */
static void read_all(void)
{
    struct covey_error error = {0};
    bool more = true;
    while (more) {
        const Covey__V1__StreamLogsResponse *response;
        TEST_REQUIRE(logs_read(logs, &reader, &response, &more, &error) == COVEY_OK);
        for (size_t i = 0; i < response->n_lines; i++) {
            size_t length = strlen(shown);
            TEST_REQUIRE(length + response->lines[i]->text.len < sizeof shown);
            memcpy(shown + length, response->lines[i]->text.data, response->lines[i]->text.len);
            shown[length + response->lines[i]->text.len] = '\0';
        }
        TEST_EQUAL(response->position, reader.position);
        logs_passed(logs, &reader, now_ns);
    }
}

static void take__parts__kept_in_order_and_acknowledged(void)
{
    start(4096);
    say(0, "one\n");
    say(1, "two\n");
    say(0, "three\n");
    TEST_EQUAL(taken[0], offsets[0]);
    TEST_EQUAL(taken[1], offsets[1]);
    read_all();
    TEST_EQUAL_STRING(shown, "one\ntwo\nthree\n");
    stop();
}

static void take__said_again__kept_once(void)
{
    start(4096);
    say(0, "one\n");
    uint64_t second = offsets[0];
    say(0, "two\n");
    taken[0] = 0;
    say_at(0, 0, "one\n");
    TEST_EQUAL(taken[0], second + 4 + LOCAL_LOG_OVERHEAD_BYTES);
    restart(4096);
    say_at(0, second, "two\n");
    TEST_EQUAL(taken[0], offsets[0]);
    say(0, "three\n");
    read_all();
    TEST_EQUAL_STRING(shown, "one\ntwo\nthree\n");
    stop();
}

/* A gang that runs again has packs of the same numbers, whose logs begin anew. */
static void take__another_attempt__begins_anew(void)
{
    start(4096);
    say(0, "first\n");
    source.attempt = 2;
    offsets[0] = 0;
    say(0, "second\n");
    restart(4096);
    say(0, "third\n");
    read_all();
    TEST_EQUAL_STRING(shown, "first\nsecond\nthird\n");
    stop();
}

static void take__a_part_is_missing__marked(void)
{
    start(4096);
    say(0, "one\n");
    say_at(0, offsets[0] + 100, "two\n");
    read_all();
    TEST_EQUAL_STRING(shown, "one\ncovey: 100 bytes of output are missing here\ntwo\n");
    stop();
}

/* What a killed controller did not write whole comes again. */
static void open__torn_end__cut_off(void)
{
    for (uint64_t left = 1; left < 2 * sizeof(struct log_record); left += 13) {
        start(4096);
        say(0, "one\n");
        uint64_t second = offsets[0];
        say(0, "a line that is longer than the header of its record is, so that all is tried\n");
        uint64_t end = store_log_size(store, FLARE);
        TEST_EQUAL(store_log_cut(store, FLARE, end - left, NULL), COVEY_OK);
        restart(4096);
        say_at(0, second, "two\n");
        read_all();
        TEST_EQUAL_STRING(shown, "one\ntwo\n");
        stop();
    }
}

static const char limit_mark[] =
    "covey: the log reached its limit of 150 bytes: what follows is not kept\n";

static void take__over_the_limit__whole_lines_kept_and_marked(void)
{
    char expected[256];
    start(150);
    say(0, "one\n");
    say(0, "two\nthree\nthis is longer than what there is room for, and so is not kept at all\n");
    say(0, "four\n");
    TEST_EQUAL(taken[0], offsets[0]);
    read_all();
    (void)snprintf(expected, sizeof expected, "one\ntwo\nthree\n%s", limit_mark);
    TEST_EQUAL_STRING(shown, expected);
    /* It stays so. */
    restart(150);
    say(0, "five\n");
    TEST_EQUAL(taken[0], offsets[0]);
    read_all();
    TEST_EQUAL_STRING(shown, expected);
    stop();
}

/* A log of which "kept\n" is kept, and that is followed. */
static void start_cut(void)
{
    start(60);
    TEST_EQUAL(logs_follow(logs, &reader), COVEY_OK);
    say(0, "kept\n");
    say(0, "this is the first line that is not kept\n");
    TEST_TRUE(taken[0] < offsets[0]);
}

static void follow__over_the_limit__passed_on_then_acknowledged(void)
{
    start_cut();
    read_all();
    TEST_EQUAL(taken[0], offsets[0]);
    say(0, "two\n");
    TEST_TRUE(taken[0] < offsets[0]);
    read_all();
    TEST_EQUAL(taken[0], offsets[0]);
    TEST_TRUE(strncmp(shown, "kept\ncovey: the log reached", 26) == 0);
    TEST_TRUE(strstr(shown, "not kept\nthis is the first line that is not kept\ntwo\n") != NULL);
    logs_leave(logs, &reader, now_ns);
    say(0, "three\n");
    TEST_EQUAL(taken[0], offsets[0]);
    stop();
}

/* It is not acknowledged, and a reader is not given it, twice. */
static void follow__said_again_over_the_limit__passed_on_once(void)
{
    start_cut();
    uint64_t second = 5 + LOCAL_LOG_OVERHEAD_BYTES;
    say_at(0, second, "this is the first line that is not kept\n");
    TEST_EQUAL(taken[0], 0 + second);
    read_all();
    TEST_EQUAL(taken[0], offsets[0]);
    const char *found = strstr(shown, "first line");
    TEST_TRUE(found && !strstr(found + 1, "first line"));
    logs_leave(logs, &reader, now_ns);
    stop();
}

static void follow__too_slow__not_waited_for_and_told(void)
{
    start_cut();
    now_ns += LOGS_PATIENCE_NS - 1;
    logs_tick(logs, now_ns);
    TEST_TRUE(taken[0] < offsets[0]);
    TEST_EQUAL(logs_deadline_ns(logs), now_ns + 1);
    now_ns++;
    logs_tick(logs, now_ns);
    TEST_EQUAL(taken[0], offsets[0]);
    /* It has yet to catch up. */
    say(0, "two\nthree\n");
    logs_tick(logs, now_ns);
    TEST_EQUAL(taken[0], offsets[0]);
    read_all();
    TEST_TRUE(strstr(shown, "not kept\ncovey: 3 lines are not shown here") != NULL);
    TEST_TRUE(strstr(shown, "two") == NULL);
    say(0, "four\n");
    TEST_TRUE(taken[0] < offsets[0]);
    read_all();
    TEST_EQUAL(taken[0], offsets[0]);
    TEST_TRUE(strstr(shown, "too slow\nfour\n") != NULL);
    logs_leave(logs, &reader, now_ns);
    stop();
}

static void follow__ending__nobody_is_waited_for_and_nothing_is_lost(void)
{
    start_cut();
    logs_hurry(logs, FLARE);
    TEST_EQUAL(taken[0], offsets[0]);
    source.ending = true;
    say(0, "last\n");
    TEST_EQUAL(taken[0], offsets[0]);
    logs_end(logs, FLARE);
    read_all();
    TEST_TRUE(strstr(shown, "not kept\nlast\n") != NULL);
    logs_leave(logs, &reader, now_ns);
    TEST_EQUAL(logs_deadline_ns(logs), COVEY_NEVER_NS);
    stop();
}

static void read__ranks__only_theirs(void)
{
    const uint32_t ranks[] = {1};
    start(4096);
    say(0, "zero\n");
    say(1, "one\n");
    say(2, "two\n");
    reader.ranks = ranks;
    reader.rank_count = 1;
    read_all();
    TEST_EQUAL_STRING(shown, "one\n");
    stop();
}

static void read__from_a_position__goes_on_there(void)
{
    struct covey_error error = {0};
    const Covey__V1__StreamLogsResponse *response;
    bool more;
    start(4096);
    say(0, "one\n");
    read_all();
    uint64_t position = reader.position;
    say(0, "two\n");
    restart(4096);
    reader.position = position;
    read_all();
    TEST_EQUAL_STRING(shown, "two\n");
    reader.position = 1;
    TEST_EQUAL(logs_read(logs, &reader, &response, &more, &error), COVEY_EINVAL);
    reader.position = UINT64_MAX;
    TEST_EQUAL(logs_read(logs, &reader, &response, &more, &error), COVEY_EINVAL);
    reader.position = 1000000;
    TEST_EQUAL(logs_read(logs, &reader, &response, &more, &error), COVEY_OK);
    TEST_TRUE(!more);
    stop();
}

static const struct test_case cases[] = {
    TEST_CASE(take__parts__kept_in_order_and_acknowledged),
    TEST_CASE(take__said_again__kept_once),
    TEST_CASE(take__another_attempt__begins_anew),
    TEST_CASE(take__a_part_is_missing__marked),
    TEST_CASE(open__torn_end__cut_off),
    TEST_CASE(take__over_the_limit__whole_lines_kept_and_marked),
    TEST_CASE(follow__over_the_limit__passed_on_then_acknowledged),
    TEST_CASE(follow__said_again_over_the_limit__passed_on_once),
    TEST_CASE(follow__too_slow__not_waited_for_and_told),
    TEST_CASE(follow__ending__nobody_is_waited_for_and_nothing_is_lost),
    TEST_CASE(read__ranks__only_theirs),
    TEST_CASE(read__from_a_position__goes_on_there),
    {0},
};

const struct test_suite test_suites[] = {{"logs", cases, NULL, NULL}, {0}};
