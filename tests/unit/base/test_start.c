#include "base/start.h"

#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a check in a child, whose descriptors and signals it may spoil. */
static int status_of(int (*check)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(check());
    int status;
    TEST_REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int with_descriptors_closed(void)
{
    char byte = 'x';
    for (int fd = 0; fd <= 2; fd++)
        (void)close(fd);
    covey_start();
    int next = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (next <= 2)
        return 1;
    if (read(0, &byte, 1) != 0)
        return 2;
    for (int fd = 1; fd <= 2; fd++) {
        if (write(fd, &byte, 1) != -1 || errno != EBADF)
            return 3;
    }
    return 0;
}

static void start__descriptors_are_closed__nothing_else_gets_their_numbers(void)
{
    TEST_EQUAL(status_of(with_descriptors_closed), 0);
}

static int with_one_closed(void)
{
    int ends[2];
    char byte = 'x';
    if (pipe(ends) < 0 || dup2(ends[0], 0) < 0 || dup2(ends[1], 2) < 0)
        return 1;
    (void)close(1);
    covey_start();
    return write(2, &byte, 1) == 1 && read(0, &byte, 1) == 1 && write(1, &byte, 1) == -1 ? 0 : 2;
}

static void start__some_are_open__stay_as_they_are(void)
{
    TEST_EQUAL(status_of(with_one_closed), 0);
}

static int with_signals_spoiled(void)
{
    sigset_t all, left;
    sigfillset(&all);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    covey_start();
    if (sigprocmask(SIG_SETMASK, NULL, &left) < 0 || !sigisemptyset(&left))
        return 1;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) < 0 || number == SIGKILL || number == SIGSTOP)
            continue;
        bool kept = number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGXFSZ;
        if (action.sa_handler != (kept ? SIG_IGN : SIG_DFL))
            return 2;
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    int status;
    return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 ? 0 : 3;
}

static void start__signals_are_ignored_and_blocked__as_in_a_new_process(void)
{
    TEST_EQUAL(status_of(with_signals_spoiled), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(start__descriptors_are_closed__nothing_else_gets_their_numbers),
    TEST_CASE(start__some_are_open__stay_as_they_are),
    TEST_CASE(start__signals_are_ignored_and_blocked__as_in_a_new_process),
    {0},
};

const struct test_suite test_suites[] = {{"start", cases, NULL, NULL}, {0}};
