#include "base/process.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void process_start_time__runs_or_has_ended__is_told_apart(void)
{
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        pause();
        test_child_exit(0);
    }
    uint64_t own = covey_process_start_time(getpid());
    TEST_TRUE(own > 0);
    TEST_TRUE(covey_process_start_time(pid) >= own);
    TEST_EQUAL(kill(pid, SIGKILL), 0);
    siginfo_t info;
    TEST_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    TEST_EQUAL(covey_process_start_time(pid), 0); /* not reaped yet */
    TEST_EQUAL(waitpid(pid, NULL, 0), pid);
    TEST_EQUAL(covey_process_start_time(pid), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(process_start_time__runs_or_has_ended__is_told_apart),
    {0},
};

const struct test_suite test_suites[] = {{"process", cases, NULL, NULL}, {0}};
