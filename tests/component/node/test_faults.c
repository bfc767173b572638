/* A step of PREPARE fails or dies: everything is rolled back, and the reason is told. */
#include "tests/component/node/plans.h"

#include <stdio.h>
#include <string.h>

struct fault_row {
    const char *fault;
    const char *says;
    bool two_nodes;
};

static void check_rolled_back(const struct fault_row *row)
{
    struct fixture *fixture = fixture_create();
    struct flare_plan plan = plan_of("FAULT", "hello", 3);
    char environment[64];
    plan.pack_count = 2;
    plan.packs[1].workers = 2;
    snprintf(environment, sizeof(environment), "COVEY_FAULT=%s", row->fault);
    fixture_start_node(fixture, 0, NULL, environment);
    if (row->two_nodes) {
        fixture_start_node(fixture, 1, NULL, NULL);
        plan.packs[1].node = 1;
    }
    TEST_TRUE(!fixture_run(fixture, &plan));
    const struct said *said =
        fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED, plan.id, 0, LONG);
    TEST_REQUIRE(said != NULL);
    const Covey__V1__Failure *failure = said->message->prepare_failed->failure;
    if (!strstr(failure->message, row->says))
        fprintf(stderr, "%s says: %s\n", row->fault, failure->message);
    TEST_TRUE(strstr(failure->message, row->says) != NULL);
    /* The other node was ready, or nearly. */
    if (row->two_nodes) {
        fixture_stop_flare(fixture, &plan, 0);
        TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    }
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    TEST_TRUE(fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED, plan.id, 0) ==
              NULL);
    fixture_destroy(fixture);
}

static void prepare__step_fails_or_dies__rolled_back(void)
{
    static const struct fault_row rows[] = {
        {"node_prepare", "fault node_prepare", false},
        {"node_ready", "fault node_ready", false},
        {"host_arena", "the host: fault host_arena", false},
        {"host_arena:1:kill", "the host did not get ready: it was killed by signal 9", false},
        /* The first pass is that of a host which gets warm. */
        {"host_network:2", "the host: ", true},
        {"host_network:2:kill", "the host did not get ready: it was killed by signal 9", true},
        {"pack_load", "fault pack_load", false},
        {"pack_load:1:kill", "was killed by signal", false},
        {"pack_fork:2", "fault pack_fork", false},
        {"pack_fork:2:kill", "was killed by signal", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_rolled_back(&rows[i]);
}

struct told {
    const struct flare_plan *plan;
    Covey__V1__AttachRequest__BodyCase kind;
    const char *says;
};

static bool is_told(struct fixture *fixture, void *data)
{
    const struct told *told = data;
    const struct said *said;
    for (size_t n = 0; (said = fixture_find(fixture, told->kind, told->plan->id, n)); n++) {
        const char *message = told->kind == COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED
                                  ? said->message->host_ended->failure->message
                                  : said->message->worker_ended->message;
        if (strstr(message, told->says))
            return true;
    }
    return false;
}

/* Past PREPARE: the flare is told to have failed, and ends without a trace when it is stopped. */
static void check_told(const char *fault, Covey__V1__AttachRequest__BodyCase kind, const char *says)
{
    struct fixture *fixture = fixture_create();
    struct flare_plan plan = plan_of("LATEFAULT", "exit 0", 3);
    char environment[64];
    snprintf(environment, sizeof(environment), "COVEY_FAULT=%s", fault);
    fixture_start_node(fixture, 0, NULL, environment);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    struct told told = {&plan, kind, says};
    TEST_TRUE(fixture_until(fixture, is_told, &told, LONG));
    end_flare(fixture, &plan);
    fixture_destroy(fixture);
}

static void run__step_fails_or_dies__told(void)
{
    check_told("node_start", COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED, "signal 9");
    check_told("node_exit", COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED, "its pack");
    check_told("pack_reap", COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED, "its pack");
    check_told("pack_reap:1:kill", COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED, "its pack");
}

static const struct test_case faults[] = {
    TEST_CASE(prepare__step_fails_or_dies__rolled_back),
    TEST_CASE(run__step_fails_or_dies__told),
    {0},
};

const struct test_suite test_suites[] = {
    {"faults", faults, NULL, NULL},
    {0},
};
