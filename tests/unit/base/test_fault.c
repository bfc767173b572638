#include "base/fault.h"
#include "tests/harness/harness.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static enum covey_status init_with(const char *value, struct covey_error *error)
{
    memset(error, 0, sizeof(*error));
    setenv("COVEY_FAULT", value, 1);
    enum covey_status status = covey_fault_init(error);
    unsetenv("COVEY_FAULT");
    return status;
}

/* First in the suite: later cases arm points of this process. */
static void pass__nothing_armed__never_fails(void)
{
    struct covey_error error;
    unsetenv("COVEY_FAULT");
    TEST_EQUAL(covey_fault_init(&error), COVEY_OK);
    TEST_EQUAL(init_with("", &error), COVEY_OK);
    TEST_TRUE(!covey_fault_armed);
    for (int point = 0; point < COVEY_FAULT_POINTS; point++)
        TEST_TRUE(!covey_fault((enum covey_fault_point)point));
}

static void init__bad_text__names_the_fault(void)
{
    static const struct {
        const char *text, *named;
    } rows[] = {
        {"no_such_point", "no_such_point"},
        {"node_start:0", "\"0\""},
        {"node_start:-1", "\"-1\""},
        {"node_start:two", "\"two\""},
        {"node_start:1x", "\"1x\""},
        {"node_start:99999999999999999999", "99999999999999999999"},
        {"node_start:1:explode", "explode"},
        {"node_start:1:fail:again", "node_start"},
        {":", "\"\""},
        {"node_start,bogus", "bogus"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct covey_error error;
        TEST_EQUAL(init_with(rows[i].text, &error), COVEY_EINVAL);
        TEST_TRUE(strstr(error.message, rows[i].named) != NULL);
    }
    char longer[600];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct covey_error error;
    TEST_EQUAL(init_with(longer, &error), COVEY_EINVAL);
    TEST_TRUE(strstr(error.message, "longer") != NULL);
}

static void pass__third_pass_armed__fails_then_and_only_then(void)
{
    struct covey_error error;
    TEST_REQUIRE(init_with("pack_fork:3,host_arena:1:fail", &error) == COVEY_OK);
    TEST_TRUE(covey_fault_armed);
    TEST_TRUE(!covey_fault(COVEY_FAULT_PACK_FORK));
    TEST_TRUE(!covey_fault(COVEY_FAULT_PACK_FORK));
    TEST_TRUE(covey_fault(COVEY_FAULT_PACK_FORK));
    TEST_TRUE(!covey_fault(COVEY_FAULT_PACK_FORK));
    TEST_TRUE(covey_fault(COVEY_FAULT_HOST_ARENA));
    TEST_TRUE(!covey_fault(COVEY_FAULT_PACK_LOAD));
}

/* Runs one pass of worker_claim in a child armed with text; its wait status. */
static int child_status(const char *text, int wait_options)
{
    pid_t child = fork();
    if (child == 0) {
        struct covey_error error;
        if (init_with(text, &error) != COVEY_OK)
            test_child_exit(2);
        test_child_exit(covey_fault(COVEY_FAULT_WORKER_CLAIM) ? 1 : 0);
    }
    int status = -1;
    TEST_REQUIRE(child > 0);
    TEST_REQUIRE(waitpid(child, &status, wait_options) == child);
    if (WIFSTOPPED(status)) {
        int ended;
        kill(child, SIGCONT);
        TEST_REQUIRE(waitpid(child, &ended, 0) == child);
        TEST_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    }
    return status;
}

static void pass__action_kill__ends_the_process_by_sigkill(void)
{
    int status = child_status("worker_claim:1:kill", 0);
    TEST_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void pass__action_stop__stops_and_goes_on_unharmed(void)
{
    int status = child_status("worker_claim:1:stop", WUNTRACED);
    TEST_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

/* Runs one pass in the first process of a pid namespace; its wait status. -1: there can be none. */
static int first_process_status(const char *text)
{
    pid_t middle = fork();
    if (middle == 0) {
        if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            test_child_exit(1);
        pid_t first = fork();
        if (first == 0) {
            struct covey_error error;
            alarm(60);
            if (init_with(text, &error) == COVEY_OK)
                covey_fault(COVEY_FAULT_WORKER_CLAIM);
            test_child_exit(3);
        }
        int status = 0;
        if (strstr(text, "stop")) {
            /* It neither ends nor goes on: only this ends it. */
            struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, first, 0), .events = POLLIN};
            if (poll(&ended, 1, 50) == 0)
                kill(first, SIGKILL);
        }
        waitpid(first, &status, 0);
        test_child_exit(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    int status = -1;
    TEST_REQUIRE(middle > 0 && waitpid(middle, &status, 0) == middle);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1 ? -1 : status;
}

static void pass__first_process_of_a_namespace__ends_or_waits_too(void)
{
    int status = first_process_status("worker_claim:1:kill");
    if (status == -1) {
        printf("(not tried: no pid namespace can be made here) ");
        return;
    }
    TEST_TRUE(WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3);
    status = first_process_status("worker_claim:1:stop");
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == SIGKILL);
}

static void pass__later_pass_armed__child_is_unharmed(void)
{
    int status = child_status("worker_claim:2:kill", 0);
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const struct test_case cases[] = {
    TEST_CASE(pass__nothing_armed__never_fails),
    TEST_CASE(init__bad_text__names_the_fault),
    TEST_CASE(pass__third_pass_armed__fails_then_and_only_then),
    TEST_CASE(pass__action_kill__ends_the_process_by_sigkill),
    TEST_CASE(pass__action_stop__stops_and_goes_on_unharmed),
    TEST_CASE(pass__later_pass_armed__child_is_unharmed),
    TEST_CASE(pass__first_process_of_a_namespace__ends_or_waits_too),
    {0},
};

const struct test_suite test_suites[] = {{"fault", cases, NULL, NULL}, {0}};
