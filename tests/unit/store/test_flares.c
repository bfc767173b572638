/* Flares and events in the journal: what is written is read again, what fails changes nothing. */
#include "tests/harness/harness.h"
#include "tests/unit/store/rows.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void flare_add__opened_again__is_there(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_OK);
    TEST_EQUAL(rows_add(store, "B", ""), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, false), COVEY_OK);
    TEST_EQUAL(rows_append(store, "B", 2, true), COVEY_OK);
    store_close(store);
    store = rows_open(folder);
    TEST_EQUAL(rows_live(store), 1);
    TEST_EQUAL(rows_events(store, "A"), 2);
    TEST_EQUAL(rows_events(store, "B"), 2);
    unsigned all = 0;
    TEST_EQUAL(store_flares_before(store, NULL, "", rows_count, &all, NULL), COVEY_OK);
    TEST_EQUAL(all, 2);
    all = 0;
    TEST_EQUAL(store_flares_before(store, "uid:2", "", rows_count, &all, NULL), COVEY_OK);
    TEST_EQUAL(all, 0);
    store_close(store);
}

static bool take_bytes(struct store_bytes bytes, void *data)
{
    *(size_t *)data = bytes.length_bytes;
    return true;
}

static void parameters__until_the_end__are_there(void)
{
    struct store *store = rows_open(rows_folder());
    size_t length = 0;
    struct store_flare flare = rows_flare("A", "");
    const struct store_event event = rows_event(1, false);
    flare.parameters = rows_bytes("parameters");
    TEST_EQUAL(store_flare_add(store, &flare, &event, NULL), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, false), COVEY_OK);
    TEST_EQUAL(store_parameters(store, "A", take_bytes, &length, NULL), COVEY_OK);
    TEST_EQUAL(length, 10);
    TEST_EQUAL(rows_append(store, "A", 3, true), COVEY_OK);
    length = 0;
    TEST_EQUAL(store_parameters(store, "A", take_bytes, &length, NULL), COVEY_OK);
    TEST_EQUAL(length, 0);
    store_close(store);
}

static void batch__one_write_fails__all_undone(void)
{
    struct store *store = rows_open(rows_folder());
    TEST_EQUAL(store_batch_begin(store, NULL), COVEY_OK);
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, true), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, true), COVEY_EEXISTS);
    TEST_EQUAL(store_batch_end(store, COVEY_EEXISTS, NULL), COVEY_EEXISTS);
    TEST_EQUAL(rows_events(store, "A"), 0);
    TEST_EQUAL(store_kept(store).flares, 0);
    TEST_EQUAL(store_batch_begin(store, NULL), COVEY_OK);
    TEST_EQUAL(rows_add(store, "A", ""), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, true), COVEY_OK);
    TEST_EQUAL(store_batch_end(store, COVEY_OK, NULL), COVEY_OK);
    TEST_EQUAL(rows_events(store, "A"), 2);
    TEST_EQUAL(store_kept(store).flares, 1);
    TEST_EQUAL(rows_append(store, "B", 1, false), COVEY_ENOTFOUND);
    store_close(store);
}

static void flare_add__same_key_or_sequence__refused(void)
{
    struct store *store = rows_open(rows_folder());
    TEST_EQUAL(rows_add(store, "A", "key"), COVEY_OK);
    TEST_EQUAL(rows_add(store, "B", "key"), COVEY_EEXISTS);
    TEST_EQUAL(rows_add(store, "A", "other"), COVEY_EEXISTS);
    TEST_EQUAL(rows_live(store), 1);
    TEST_EQUAL(rows_append(store, "A", 1, true), COVEY_EEXISTS);
    TEST_EQUAL(rows_live(store), 1); /* its state was not changed either */
    unsigned found = 0;
    TEST_EQUAL(store_flare_by_key(store, "uid:1", "key", rows_count, &found, NULL), COVEY_OK);
    TEST_EQUAL(found, 1);
    store_close(store);
}

static uint32_t expire(struct store *store, int64_t after_ns, uint64_t flares, uint64_t bytes,
                       uint32_t most)
{
    const struct store_keep keep = {after_ns, flares, bytes};
    uint32_t removed;
    TEST_EQUAL(store_expire(store, &keep, most, &removed, NULL), COVEY_OK);
    return removed;
}

static void expire__ended__all_of_it_goes(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    TEST_EQUAL(rows_add(store, "A", "key"), COVEY_OK);
    TEST_EQUAL(rows_add(store, "live", ""), COVEY_OK);
    TEST_EQUAL(store_result_write(store, "A", 3, 0, "result", 6, 100, NULL), COVEY_OK);
    struct iovec line = {(char *)(uintptr_t) "line", 4};
    TEST_EQUAL(store_log_write(store, "A", 0, &line, 1, NULL), COVEY_OK);
    TEST_EQUAL(rows_append(store, "A", 2, true), COVEY_OK);
    TEST_EQUAL(store_spool_bytes(store, "A"), 10);
    TEST_EQUAL(expire(store, INT64_MAX, 0, 0, 10), 1);
    TEST_EQUAL(rows_events(store, "A"), 0);
    TEST_EQUAL(rows_live(store), 1);
    TEST_EQUAL(store_spool_bytes(store, "A"), 0);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/results/A", folder);
    TEST_TRUE(access(path, F_OK) != 0);
    TEST_EQUAL(rows_add(store, "B", "key"), COVEY_OK); /* the key is free again */
    store_close(store);
}

static void end_at(struct store *store, const char *id, int64_t at_ns)
{
    struct store_event event = rows_event(2, true);
    event.at_ns = at_ns;
    TEST_EQUAL(store_event_append(store, id, &event, NULL), COVEY_OK);
}

static bool note_event(const struct store_event *event, void *data)
{
    *(bool *)data = true;
    return event->terminal;
}

static bool is_there(struct store *store, const char *id)
{
    bool there = false;
    TEST_EQUAL(store_events(store, id, 1, note_event, &there, NULL), COVEY_OK);
    return there;
}

/* Flares A to D end in another order than they came. */
static void expire__by_time_count_and_bytes__the_longest_ended_go(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    static const char *const ids[] = {"A", "B", "C", "D"};
    for (unsigned i = 0; i < 4; i++)
        TEST_EQUAL(rows_add(store, ids[i], ""), COVEY_OK);
    for (unsigned i = 0; i < 4; i++) /* D ends at 20, A at 50 */
        end_at(store, ids[3 - i], 20 + 10 * i);
    const struct store_kept four = store_kept(store);
    TEST_EQUAL(four.flares, 4);
    TEST_EQUAL(expire(store, 20, 4, four.bytes, 10), 0);
    TEST_EQUAL(expire(store, 21, 4, four.bytes, 10), 1);
    TEST_TRUE(!is_there(store, "D"));
    TEST_TRUE(is_there(store, "A"));
    store_close(store);
    store = rows_open(folder);
    const struct store_kept three = store_kept(store);
    TEST_EQUAL(three.flares, 3);
    TEST_TRUE(three.bytes > UINT64_C(768) && three.bytes < four.bytes);
    TEST_EQUAL(expire(store, 0, 3, three.bytes - 1, 10), 1);
    TEST_TRUE(!is_there(store, "C") && is_there(store, "B"));
    TEST_EQUAL(expire(store, 0, 0, three.bytes, 1), 1); /* no more than asked for at once */
    TEST_TRUE(!is_there(store, "B") && is_there(store, "A"));
    TEST_EQUAL(expire(store, 0, 1, three.bytes, 10), 0);
    TEST_EQUAL(store_kept(store).flares, 1);
    store_close(store);
}

/* Fills the "disk" of a child process: its files may not grow past a limit. */
static int fill(const char *folder)
{
    struct store *store = rows_open(folder);
    const struct rlimit limit = {256ULL * 1024, 256ULL * 1024};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    char id[16];
    unsigned accepted = 0;
    struct covey_error error = {0};
    enum covey_status status = COVEY_OK;
    while (!status && accepted < 100000) {
        (void)snprintf(id, sizeof id, "F%06u", accepted);
        const struct store_flare flare = rows_flare(id, "");
        const struct store_event event = rows_event(1, false);
        status = store_flare_add(store, &flare, &event, &error);
        accepted += status == COVEY_OK;
    }
    if (status != COVEY_ENOSPACE || !strstr(error.message, "no space left"))
        return 2;
    /* The whole of what was accepted, and no half of what was not. */
    if (rows_live(store) != accepted || rows_events(store, id) != 0)
        return 3;
    FILE *count = fopen("/dev/fd/9", "w");
    if (!count)
        return 4;
    fprintf(count, "%u\n", accepted);
    (void)fclose(count);
    store_close(store);
    return 0;
}

static void flare_add__disk_full__nothing_half_accepted(void)
{
    const char *folder = rows_folder();
    int ends[2];
    TEST_REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], 9);
        _exit(fill(folder));
    }
    (void)close(ends[1]);
    char text[16] = "";
    TEST_TRUE(read(ends[0], text, sizeof text - 1) > 0);
    (void)close(ends[0]);
    int status;
    TEST_EQUAL(waitpid(child, &status, 0), child);
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct store *store = rows_open(folder);
    TEST_EQUAL(rows_live(store), (unsigned)strtoul(text, NULL, 10));
    TEST_EQUAL(rows_add(store, "after", ""), COVEY_OK);
    store_close(store);
}

static const struct test_case flares[] = {
    TEST_CASE(flare_add__opened_again__is_there),
    TEST_CASE(parameters__until_the_end__are_there),
    TEST_CASE(batch__one_write_fails__all_undone),
    TEST_CASE(flare_add__same_key_or_sequence__refused),
    TEST_CASE(expire__ended__all_of_it_goes),
    TEST_CASE(expire__by_time_count_and_bytes__the_longest_ended_go),
    TEST_CASE(flare_add__disk_full__nothing_half_accepted),
    {0}};

const struct test_suite test_suites[] = {{"flares", flares, NULL, NULL}, {0}};
