/* What waits for the journal: nobody is told of what is not written. */
#include "base/fault.h"
#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS COVEY_NS_PER_MS
#define S  COVEY_NS_PER_S

static struct core core;
static struct core_link a, b;
static unsigned accepted, refused;
static char last[ULID_BYTES];

static void on_accepted(const char *flare, const struct covey_error *error, void *data)
{
    (void)data;
    accepted += error == NULL;
    refused += error != NULL;
    if (error)
        TEST_EQUAL(error->status, COVEY_ENOSPACE);
    memcpy(last, flare, sizeof last);
}

static void start(void)
{
    core_start(&core);
    core.options.on_accepted = on_accepted;
    core_restart(&core);
    accepted = refused = 0;
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
}

static void arm(const char *fault)
{
    if (fault)
        (void)setenv("COVEY_FAULT", fault, 1);
    else
        (void)unsetenv("COVEY_FAULT");
    TEST_REQUIRE(covey_fault_init(NULL) == COVEY_OK);
}

/* Time passes, and nodes are heard. */
static void live(int64_t duration_ns)
{
    Covey__V1__Heartbeat heartbeat = COVEY__V1__HEARTBEAT__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    for (int64_t left_ns = duration_ns; left_ns > 0; left_ns -= 250 * MS) {
        core_pass(&core, left_ns < 250 * MS ? left_ns : 250 * MS);
        TEST_EQUAL(core_say(&core, &a, &message, false), COVEY_OK);
        TEST_EQUAL(core_say(&core, &b, &message, false), COVEY_OK);
    }
}

static bool is_known(const char *id)
{
    bool ended;
    return controller_find(core.controller, &core.caller, id, &ended, &core.error) == COVEY_OK;
}

static void submit__before_the_turn__nobody_is_told(void)
{
    char id[ULID_BYTES];
    start();
    TEST_EQUAL(core_submit(&core, 4, 0, id), COVEY_OK);
    TEST_EQUAL(accepted, 0);
    TEST_TRUE(controller_deadline_ns(core.controller) <= core.now_ns);
    controller_turn(core.controller);
    TEST_EQUAL(accepted, 1);
    TEST_EQUAL_STRING(last, id);
    TEST_EQUAL(a.prepares, 1);
    core_stop(&core);
}

static void submit__disk_full__refused_and_forgotten(void)
{
    char id[ULID_BYTES];
    char other[ULID_BYTES];
    start();
    arm("journal_append:1:fail");
    TEST_EQUAL(core_submit(&core, 4, 0, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(refused, 1);
    TEST_EQUAL(accepted, 0);
    TEST_TRUE(!is_known(id));
    TEST_EQUAL(a.prepares + b.prepares, 0);
    TEST_EQUAL(core_slots_used(&core, "a") + core_slots_used(&core, "b"), 0);
    TEST_EQUAL(core_submit(&core, 4, 0, other), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(accepted, 1);
    TEST_EQUAL(a.prepares, 1);
    arm(NULL);
    core_restart(&core);
    TEST_TRUE(!is_known(id) && is_known(other));
    core_stop(&core);
}

/* The end of one lets the other be placed, which cannot be written for a second. */
static void placed__disk_full__nodes_are_told_later(void)
{
    char id[ULID_BYTES];
    char next[ULID_BYTES];
    start();
    TEST_EQUAL(core_submit(&core, 4, 0, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_EQUAL(core_submit(&core, 4, 0, next), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(accepted, 2);
    for (uint32_t rank = 0; rank < 4; rank++)
        TEST_EQUAL(core_worker_ended(&core, rank < 2 ? &a : &b, id, rank, 0), COVEY_OK);
    live(60 * MS);
    TEST_EQUAL(a.acknowledged, a.sequence);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    arm("journal_append:1:fail");
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, next), FLARE_PREPARING);
    TEST_EQUAL(a.prepares, 1);
    TEST_EQUAL(refused, 0);
    live(500 * MS);
    TEST_EQUAL(a.prepares, 1);
    live(500 * MS);
    TEST_EQUAL(a.prepares, 2);
    TEST_EQUAL(b.acknowledged, b.sequence);
    TEST_EQUAL(core_state(&core, id), FLARE_SUCCEEDED);
    arm(NULL);
    core_stop(&core);
}

/* Many at once are one write; the next is there when its window is over. */
static void submit__many_in_a_window__written_together(void)
{
    char id[ULID_BYTES];
    start();
    for (unsigned i = 0; i < 30; i++)
        TEST_EQUAL(core_submit(&core, 4, 0, id), COVEY_OK);
    TEST_EQUAL(accepted, 0);
    controller_turn(core.controller);
    TEST_EQUAL(accepted, 30);
    TEST_EQUAL(core_submit(&core, 4, 0, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(accepted, 30);
    TEST_TRUE(controller_deadline_ns(core.controller) <= core.now_ns + 10 * MS);
    live(10 * MS);
    TEST_EQUAL(accepted, 31);
    live(100 * MS);
    TEST_EQUAL(core_submit(&core, 4, 0, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(accepted, 32); /* it is quiet again: nobody waits */
    core_stop(&core);
}

/* Rows are numbered from 1. */
static void damage(const char *sql)
{
    char path[300];
    sqlite3 *database;
    (void)snprintf(path, sizeof path, "%s/journal.db", core.folder);
    TEST_REQUIRE(sqlite3_open(path, &database) == SQLITE_OK);
    TEST_REQUIRE(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK);
    TEST_EQUAL(sqlite3_changes(database), 1);
    (void)sqlite3_close(database);
}

/* One whose row, and one whose event, cannot be read are left out; the third is there. */
static void replay__damaged_rows__only_they_are_left_out(void)
{
    char ids[3][ULID_BYTES];
    start();
    for (unsigned i = 0; i < 3; i++)
        TEST_EQUAL(core_submit(&core, 4, 0, ids[i]), COVEY_OK);
    controller_turn(core.controller);
    damage("UPDATE flares SET request=x'ff' WHERE number=1");
    damage("UPDATE events SET body=x'ff' WHERE key=(2<<24|1)");
    core_restart(&core);
    TEST_EQUAL(core_state(&core, ids[2]), FLARE_QUEUED);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach(&core, &b, "b", 2, NULL, 0) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, ids[2]), FLARE_PREPARING);
    core_stop(&core);
}

static const struct test_case writing[] = {TEST_CASE(submit__before_the_turn__nobody_is_told),
                                           TEST_CASE(submit__disk_full__refused_and_forgotten),
                                           TEST_CASE(placed__disk_full__nodes_are_told_later),
                                           TEST_CASE(submit__many_in_a_window__written_together),
                                           TEST_CASE(replay__damaged_rows__only_they_are_left_out),
                                           {0}};

const struct test_suite test_suites[] = {{"writing", writing, NULL, NULL}, {0}};
