/*
 * What flares cost the journal: pages written to its log, bytes kept, and how long the log becomes,
 * all looked at on the disk. COVEY_JOURNAL_FLARES=10000 makes it the measurement of
 * docs/benchmarks.md; without it there are fewer, and nothing here depends on how fast they end.
 */
#include "base/clock.h"
#include "service/controller/messages.h"
#include "tests/component/controller/cluster.h"
#include "tests/harness/harness.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AGENTS      4
#define UNDER_WAY   64
#define FRAME_BYTES (4096 + 24)
#define LOG_HEADER  32

static struct cluster cluster;
static struct answer answers[UNDER_WAY];

static uint64_t file_bytes(const char *name)
{
    char path[256];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/controller/%s", cluster.state_dir, name);
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

#define KEEP_ALL "1000000"

static void start(uint32_t slots, const char *keep_count)
{
    cluster_start(&cluster, NULL, "--log-level", "warn", "--keep-count", keep_count, NULL);
    cluster_deploy(&cluster);
    for (unsigned i = 0; i < AGENTS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", i);
        struct agent *agent = cluster_agent(&cluster, name, slots);
        agent->finish = true;
        TEST_REQUIRE(agent_attach(agent));
    }
}

/* ---- the log ---- */

/* The first words of journal.db-shm, as SQLite documents them: the log's length in frames, and a
 * salt that changes whenever the log begins again. */
struct log_index {
    uint32_t version, unused, changes;
    uint8_t is_initialised, big_endian;
    uint16_t page_bytes;
    uint32_t frames, pages, checksum[2], salt[2];
};

struct log_watch {
    uint64_t frames; /* of logs that were there before */
    struct log_index last;
    uint64_t longest_bytes;
    bool counts;        /* rows as well */
    uint64_t most_kept; /* of flares that had ended */
};

/* Rows of flares that have ended, as another program sees them. */
static uint64_t kept(void)
{
    char path[256];
    sqlite3 *database;
    sqlite3_stmt *count;
    (void)snprintf(path, sizeof path, "%s/controller/journal.db", cluster.state_dir);
    TEST_REQUIRE(sqlite3_open_v2(path, &database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
    TEST_REQUIRE(sqlite3_prepare_v2(database, "SELECT count(*) FROM flares WHERE ended_ns>0", -1,
                                    &count, NULL) == SQLITE_OK);
    TEST_REQUIRE(sqlite3_step(count) == SQLITE_ROW);
    uint64_t flares = (uint64_t)sqlite3_column_int64(count, 0);
    (void)sqlite3_finalize(count);
    (void)sqlite3_close(database);
    return flares;
}

static void look(struct log_watch *watch)
{
    if (watch->counts) {
        uint64_t flares = kept();
        watch->most_kept = flares > watch->most_kept ? flares : watch->most_kept;
    }
    char path[256];
    struct log_index now;
    (void)snprintf(path, sizeof path, "%s/controller/journal.db-shm", cluster.state_dir);
    FILE *file = fopen(path, "rb");
    TEST_REQUIRE(file != NULL);
    TEST_REQUIRE(fread(&now, sizeof now, 1, file) == 1);
    (void)fclose(file);
    if (now.salt[0] != watch->last.salt[0] && watch->last.is_initialised)
        watch->frames += watch->last.frames;
    watch->last = now;
    uint64_t length_bytes = file_bytes("journal.db-wal");
    if (length_bytes > watch->longest_bytes)
        watch->longest_bytes = length_bytes;
}

/* ---- load ---- */

struct load {
    unsigned wanted, begun, gone_before;
    uint32_t workers;
    unsigned target;
    struct log_watch watch;
};

static unsigned gone(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < cluster.agent_count; i++)
        count += cluster.agents[i].gone;
    return count;
}

static void begin(struct load *load, struct answer *answer)
{
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = load->workers;
    answer_clear(answer);
    cluster_begin(&cluster, answer, "/covey.v1.Covey/Flare", &request.base);
    load->begun++;
}

/* Keeps flares under way, and says whether as many are gone as are waited for. */
static bool keep_going(void *data)
{
    struct load *load = data;
    unsigned over = gone() - load->gone_before;
    for (size_t i = 0; i < UNDER_WAY && load->begun < load->wanted; i++)
        if (!answers[i].call && load->begun - over < UNDER_WAY) {
            TEST_EQUAL(answers[i].code, RPC_OK);
            begin(load, &answers[i]);
        }
    return over >= load->target;
}

static bool all_taken(void *data)
{
    (void)data;
    for (size_t i = 0; i < cluster.agent_count; i++)
        if (cluster.agents[i].report_count)
            return false;
    return true;
}

static void run(struct load *load)
{
    memset(answers, 0, sizeof answers);
    load->begun = 0;
    load->gone_before = gone();
    for (load->target = 0; load->target < load->wanted;) {
        load->target = load->target + 50 < load->wanted ? load->target + 50 : load->wanted;
        TEST_REQUIRE(cluster_run(&cluster, keep_going, load));
        look(&load->watch);
    }
    TEST_TRUE(cluster_run(&cluster, all_taken, NULL));
    for (size_t i = 0; i < UNDER_WAY; i++)
        answer_clear(&answers[i]);
    look(&load->watch);
}

static unsigned flares_wanted(void)
{
    const char *text = getenv("COVEY_JOURNAL_FLARES");
    return text ? (unsigned)strtoul(text, NULL, 10) : 1000;
}

/* ---- cases ---- */

static void flare__alone__writes_few_pages(void)
{
    start(1, KEEP_ALL);
    struct load load = {.wanted = 1, .workers = 1};
    run(&load);
    uint64_t most = 0;
    uint64_t sum = 0;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = file_bytes("journal.db-wal");
        run(&load);
        uint64_t frames = (file_bytes("journal.db-wal") - before) / FRAME_BYTES;
        most = frames > most ? frames : most;
        sum += frames;
    }
    printf("\n    frames of the log for a lone flare: mean %.1f, most %llu\n    ", (double)sum / 20,
           (unsigned long long)most);
    TEST_TRUE(sum > 0 && sum <= 200);
    cluster_stop(&cluster);
}

/* Bytes of the journal, whose log was moved into it when coveyd ended. */
static double measure(uint32_t slots, uint32_t workers, unsigned flares)
{
    start(slots, KEEP_ALL);
    struct load load = {.wanted = flares, .workers = workers};
    int64_t began_ns = covey_now_ns();
    run(&load);
    double seconds = (double)(covey_now_ns() - began_ns) / 1e9;
    TEST_TRUE(load.watch.longest_bytes < 64 << 20);
    cluster_stop(&cluster);
    TEST_EQUAL(file_bytes("journal.db-wal"), 0);
    double bytes = (double)file_bytes("journal.db") / flares;
    printf(
        "\n    %u flares of %u workers, %.0f a second: %.1f frames and %.0f bytes a flare, log at "
        "most %.1f MiB\n    ",
        flares, workers, flares / seconds,
        (double)(load.watch.frames + load.watch.last.frames) / flares, bytes,
        (double)load.watch.longest_bytes / (1 << 20));
    return bytes;
}

static void flares__many__journal_stays_small(void)
{
    unsigned flares = flares_wanted();
    double one = measure(8, 1, flares);
    double many = measure(33, 33, flares / 10);
    printf("%.0f bytes a further worker\n    ", (many - one) / 32);
    TEST_TRUE(one < 2560);
    TEST_TRUE((many - one) / 32 < 300);
}

static bool few_are_kept(void *data)
{
    (void)data;
    return kept() <= 100;
}

/* How far behind it ever was is a figure; that it comes to its end a promise. */
static void flares__many_beside_retention__few_are_kept(void)
{
    unsigned flares = flares_wanted();
    start(8, "100");
    struct load load = {.wanted = flares, .workers = 1, .watch.counts = true};
    int64_t began_ns = covey_now_ns();
    run(&load);
    double seconds = (double)(covey_now_ns() - began_ns) / 1e9;
    TEST_TRUE(cluster_run(&cluster, few_are_kept, NULL));
    look(&load.watch);
    printf(
        "\n    %u flares beside a retention that keeps 100, %.0f a second: at most %llu kept, %.1f "
        "frames a flare\n    ",
        flares, flares / seconds, (unsigned long long)load.watch.most_kept,
        (double)(load.watch.frames + load.watch.last.frames) / flares);
    TEST_TRUE(load.watch.longest_bytes < 64 << 20);
    cluster_stop(&cluster);
}

static const struct test_case journal[] = {TEST_CASE(flare__alone__writes_few_pages),
                                           TEST_CASE(flares__many__journal_stays_small),
                                           TEST_CASE(flares__many_beside_retention__few_are_kept),
                                           {0}};

const struct test_suite test_suites[] = {{"journal", journal, NULL, NULL}, {0}};
