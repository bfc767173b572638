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
    store_close(store);
}

static enum covey_status add_of(struct store *store, const char *tenant, const char *id)
{
    struct store_flare flare = rows_flare(id, "");
    const struct store_event event = rows_event(1, false);
    flare.tenant = tenant;
    return store_flare_add(store, &flare, &event, NULL);
}

struct seen {
    char ids[16]; /* of one letter each; those of others in lower case */
    size_t count;
    size_t most;
};

static bool note_flare(const struct store_flare *flare, void *data)
{
    struct seen *seen = data;
    bool own = strcmp(flare->tenant, "uid:2") == 0;
    TEST_EQUAL(flare->request.length_bytes, own ? 7 : 0);
    seen->ids[seen->count++] = (char)(own ? flare->id[0] : flare->id[0] + 'a' - 'A');
    return seen->count < seen->most;
}

static void flares_before__of_a_tenant__others_are_passed_over_one_by_one(void)
{
    struct store *store = rows_open(rows_folder());
    static const char *const ids[] = {"A", "B", "C", "D", "E"};
    for (unsigned i = 0; i < 5; i++)
        TEST_EQUAL(add_of(store, i % 2 ? "uid:2" : "uid:1", ids[i]), COVEY_OK);
    struct seen seen = {.most = 10};
    TEST_EQUAL(store_flares_before(store, "uid:2", "", note_flare, &seen, NULL), COVEY_OK);
    TEST_EQUAL_STRING(seen.ids, "eDcBa");
    seen = (struct seen){.most = 2};
    TEST_EQUAL(store_flares_before(store, "uid:2", "E", note_flare, &seen, NULL), COVEY_OK);
    TEST_EQUAL_STRING(seen.ids, "Dc");
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

static unsigned count_there(struct store *store, char tenant, unsigned count)
{
    unsigned there = 0;
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%c%u", tenant, i);
        there += is_there(store, id);
    }
    return there;
}

/* Of flares 0 to count - 1 of a tenant, which is named by a letter, each ends a second later. */
static void end_many(struct store *store, char tenant, unsigned count)
{
    char name[] = {tenant, '\0'};
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%c%u", tenant, i);
        TEST_EQUAL(add_of(store, name, id), COVEY_OK);
        end_at(store, id, 1 + (int64_t)i);
    }
}

/* Until nothing is to go; in how many steps. */
static unsigned expire_all(struct store *store, int64_t after_ns, uint64_t flares, uint64_t bytes)
{
    unsigned steps = 0;
    while (expire(store, after_ns, flares, bytes, 4) > 0)
        steps++;
    return steps;
}

/* The few of a and b, which ended first, stay beside the many of c; what is more than the limit is
 * taken from who has most. */
static void expire__many_of_one_tenant__those_of_others_stay(void)
{
    const char *folder = rows_folder();
    struct store *store = rows_open(folder);
    end_many(store, 'a', 3);
    end_many(store, 'b', 12);
    end_many(store, 'c', 40);
    store_close(store);
    store = rows_open(folder); /* it is counted from the journal, too */
    TEST_EQUAL(expire_all(store, 0, 30, UINT64_MAX), 7);
    TEST_EQUAL(store_kept(store).flares, 30);
    TEST_EQUAL(count_there(store, 'a', 3), 3);
    TEST_EQUAL(count_there(store, 'b', 12), 12);
    TEST_EQUAL(count_there(store, 'c', 40), 15);
    TEST_TRUE(!is_there(store, "c24") && is_there(store, "c25"));
    /* A step takes four, so the two with most come within four of each other. */
    (void)expire_all(store, 0, 15, UINT64_MAX);
    TEST_EQUAL(store_kept(store).flares, 15);
    TEST_EQUAL(count_there(store, 'a', 3), 3);
    TEST_TRUE(count_there(store, 'b', 12) >= 4 && count_there(store, 'c', 40) >= 4);
    uint64_t bytes = store_kept(store).bytes;
    end_many(store, 'd', 20);
    (void)expire_all(store, 0, UINT64_MAX, bytes);
    TEST_TRUE(store_kept(store).bytes <= bytes);
    TEST_EQUAL(count_there(store, 'a', 3), 3);
    /* Those that are too old go, whosever they are. */
    (void)expire_all(store, INT64_MAX, UINT64_MAX, UINT64_MAX);
    TEST_EQUAL(store_kept(store).flares, 0);
    TEST_EQUAL(store_kept(store).bytes, 0);
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
    TEST_CASE(expire__many_of_one_tenant__those_of_others_stay),
    TEST_CASE(flares_before__of_a_tenant__others_are_passed_over_one_by_one),
    TEST_CASE(flare_add__disk_full__nothing_half_accepted),
    {0}};

const struct test_suite test_suites[] = {{"flares", flares, NULL, NULL}, {0}};
