#include "base/surroundings.h"

#include "base/error.h"
#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From here on a call fails with EPERM in this process. */
static void deny(unsigned number)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(steps) / sizeof(*steps), steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(99);
}

static int status_of(int (*check)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(check());
    int status;
    TEST_REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int only_the_kept_are_left(void)
{
    for (int fd = 20; fd < 60; fd++) {
        if (dup2(0, fd) != fd)
            return 1;
    }
    covey_close_others(50, 30);
    for (int fd = 3; fd < 100; fd++) {
        if (is_open(fd) != (fd == 30 || fd == 50))
            return 2;
    }
    covey_close_others(-1, 50);
    covey_close_range(5, 4);
    return is_open(0) && is_open(2) && !is_open(30) && is_open(50) ? 0 : 3;
}

static int only_the_kept_are_left_without_the_call(void)
{
    deny(SYS_close_range);
    return only_the_kept_are_left();
}

static int only_the_kept_are_left_without_proc(void)
{
    deny(SYS_close_range);
    deny(SYS_openat);
    return only_the_kept_are_left();
}

static void close_others__with_and_without_the_call__leaves_the_kept(void)
{
    TEST_EQUAL(status_of(only_the_kept_are_left), 0);
    TEST_EQUAL(status_of(only_the_kept_are_left_without_the_call), 0);
    TEST_EQUAL(status_of(only_the_kept_are_left_without_proc), 0);
}

static void check__nothing_is_denied__ok(void)
{
    TEST_EQUAL(covey_surroundings_check(NULL), COVEY_OK);
}

static int named(unsigned number, const char *name)
{
    struct covey_error error = {0};
    deny(number);
    return covey_surroundings_check(&error) == COVEY_EPRECONDITION && strstr(error.message, name)
               ? 0
               : 1;
}

static int pidfd_open_is_named(void)
{
    return named(SYS_pidfd_open, "pidfd_open ");
}

static int pidfd_send_signal_is_named(void)
{
    return named(SYS_pidfd_send_signal, "pidfd_send_signal ");
}

static int memfd_create_is_named(void)
{
    return named(SYS_memfd_create, "memfd_create ");
}

static void check__a_call_is_denied__named(void)
{
    TEST_EQUAL(status_of(pidfd_open_is_named), 0);
    TEST_EQUAL(status_of(pidfd_send_signal_is_named), 0);
    TEST_EQUAL(status_of(memfd_create_is_named), 0);
}

static int limit_is_named(int which, rlim_t value, rlim_t most, const char *said)
{
    struct covey_error error = {0};
    struct rlimit limit = {value, most};
    if (setrlimit(which, &limit) < 0)
        return 99;
    enum covey_status status = covey_surroundings_check(&error);
    if (!said)
        return status == COVEY_OK && getrlimit(which, &limit) == 0 && limit.rlim_cur > value ? 0
                                                                                             : 1;
    return status == COVEY_EPRECONDITION && strstr(error.message, said) ? 0 : 2;
}

static int hard_stack(void)
{
    return limit_is_named(RLIMIT_STACK, 128 << 10, 128 << 10, "stack limit is 128 KiB");
}

static int soft_stack(void)
{
    return limit_is_named(RLIMIT_STACK, 128 << 10, 8 << 20, NULL);
}

static int hard_files(void)
{
    return limit_is_named(RLIMIT_NOFILE, 20, 20, "open files is 20");
}

static int soft_files(void)
{
    return limit_is_named(RLIMIT_NOFILE, 20, 1024, NULL);
}

static int file_size(void)
{
    return limit_is_named(RLIMIT_FSIZE, 64 << 10, 64 << 10, "files may have 64 KiB");
}

static void check__a_limit_is_low__raised_or_named(void)
{
    TEST_EQUAL(status_of(hard_stack), 0);
    TEST_EQUAL(status_of(soft_stack), 0);
    TEST_EQUAL(status_of(hard_files), 0);
    TEST_EQUAL(status_of(soft_files), 0);
    TEST_EQUAL(status_of(file_size), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(close_others__with_and_without_the_call__leaves_the_kept),
    TEST_CASE(check__nothing_is_denied__ok),
    TEST_CASE(check__a_call_is_denied__named),
    TEST_CASE(check__a_limit_is_low__raised_or_named),
    {0},
};

const struct test_suite test_suites[] = {{"surroundings", cases, NULL, NULL}, {0}};
