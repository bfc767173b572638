/* What bounds an agent: slow readers, weaker isolation, other users. */
#include "tests/component/node/plans.h"
#include "tests/component/node/processes.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* AddressSanitizer keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_BYTES (512U << 20)
#else
#define GROWTH_BYTES (8U << 20)
#endif

static size_t resident_bytes(pid_t pid)
{
    char path[64];
    struct covey_buffer text = {0};
    struct covey_error error;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    TEST_REQUIRE(covey_file_read(path, 4096, &text, &error) == COVEY_OK);
    TEST_REQUIRE(covey_buffer_append(&text, "", 1) == COVEY_OK);
    const char *second = strchr((char *)text.data, ' ');
    size_t pages = second ? strtoul(second, NULL, 10) : 0;
    covey_buffer_free(&text);
    return pages * (size_t)getpagesize();
}

static bool time_is_over(struct fixture *fixture, void *data)
{
    (void)fixture;
    return covey_now_ns() > *(int64_t *)data;
}

/* 3 workers write 27 MB, and the controller does not read: they wait, and nothing piles up. */
static void log__controller_does_not_read__workers_wait_and_memory_is_bounded(void)
{
    struct fixture *fixture = fixture_create();
    struct flare_plan plan = plan_of("SLOWREADER", "flood 40000", 3);
    fixture_start_node(fixture, 0, NULL, NULL);
    size_t before = resident_bytes(fixture->nodes[0].pid);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 3, LONG));
    fixture->pause_reading = true;
    TEST_TRUE(fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK, plan.id, 0, LONG) !=
              NULL);
    /* There is no event for "nothing grows any more": one second is enough to write it all. */
    int64_t until_ns = covey_now_ns() + S;
    TEST_TRUE(fixture_until(fixture, time_is_over, &until_ns, LONG));
    size_t pack = resident_bytes(processes_find(plan.id, "covey-pack", 0));
    TEST_TRUE(resident_bytes(fixture->nodes[0].pid) < before + GROWTH_BYTES);
    TEST_TRUE(pack < (size_t)(64 << 20));
    TEST_TRUE(fixture_log_lines(fixture, plan.id) < 120000);
    fixture->pause_reading = false;
    rpc_call_resume(fixture->nodes[0].call);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    end_flare(fixture, &plan);
    TEST_EQUAL(fixture_log_lines(fixture, plan.id), 120000);
    fixture_destroy(fixture);
}

/* Nobody reads the log at the end either: the flare goes in time all the same. */
static void stop__log_is_stuck__gone_in_time(void)
{
    struct fixture *fixture = fixture_create();
    struct flare_plan plan = plan_of("STUCKLOG", "flood 100000", 2);
    fixture_start_node(fixture, 0, NULL, NULL);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    fixture->pause_reading = true;
    TEST_TRUE(fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK, plan.id, 0, LONG) !=
              NULL);
    fixture_stop_flare(fixture, &plan, 0);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    fixture->pause_reading = false;
    rpc_call_resume(fixture->nodes[0].call);
    TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    fixture_destroy(fixture);
}

static void check_isolation(const char *kind, const char *parameter, const char *id)
{
    const char *const arguments[] = {"--isolation", kind, NULL};
    struct fixture *fixture = fixture_create();
    struct flare_plan plan = plan_of(id, parameter, 3);
    fixture_start_node(fixture, 0, arguments, NULL);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 3, LONG));
    if (strcmp(parameter, "descendants") == 0)
        TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    end_flare(fixture, &plan);
    fixture_destroy(fixture);
}

static void isolation__every_kind__nothing_is_left(void)
{
    check_isolation("pid-namespace", "descendants", "PIDNS");
    check_isolation("environment", "descendants", "ENVIRON");
    check_isolation("environment", "stubborn", "ENVIRON2");
}

static void isolation__cgroup__nothing_is_left(void)
{
    if (access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) < 0 &&
        access("/sys/fs/cgroup/cgroup.procs", W_OK) < 0) {
        printf("skipped: no writable cgroup v2 ");
        return;
    }
    check_isolation("cgroup", "descendants", "CGROUP");
    check_isolation("cgroup", "stubborn", "CGROUP2");
}

/* The whole test again as nobody, who has no privilege but user namespaces. */
static void user__without_privilege__flare_runs_and_is_gone(void)
{
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || !nobody) {
        printf("skipped: not root ");
        return;
    }
    struct fixture *fixture = fixture_create();
    struct flare_plan plan = plan_of("NOBODY", "hello", 3);
    const char *socket = strchr(fixture->address, ':') + 1;
    TEST_EQUAL(chmod(test_folder(), 0777), 0);
    TEST_EQUAL(chown(socket, nobody->pw_uid, nobody->pw_gid), 0);
    fixture->run_as = nobody->pw_uid;
    fixture_start_node(fixture, 0, NULL, NULL);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 2, LONG)->worker->exit_status, 0);
    TEST_TRUE(fixture_pid(fixture, plan.id, 0) > 1);
    end_flare(fixture, &plan);
    plan = plan_of("NOBODY2", "descendants", 3);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    end_flare(fixture, &plan);
    fixture_destroy(fixture);
}

static const struct test_case bounds[] = {
    TEST_CASE(log__controller_does_not_read__workers_wait_and_memory_is_bounded),
    TEST_CASE(stop__log_is_stuck__gone_in_time),
    TEST_CASE(isolation__every_kind__nothing_is_left),
    TEST_CASE(isolation__cgroup__nothing_is_left),
    TEST_CASE(user__without_privilege__flare_runs_and_is_gone),
    {0},
};

const struct test_suite test_suites[] = {
    {"bounds", bounds, NULL, NULL},
    {0},
};
