#include "bench/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static _Noreturn void become(const char *output, const char *const *arguments,
                             char *const *environment)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (null < 0 || out < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
        fprintf(stderr, "covey-bench: cannot open %s: %s\n", output, strerror(errno));
        _exit(127);
    }
    for (; environment && *environment; environment++)
        putenv(*environment);
    execvp(arguments[0], (char *const *)arguments);
    fprintf(stderr, "covey-bench: cannot start %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

static pid_t start_program(const char *output, const char *const *arguments,
                           char *const *environment)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        fprintf(stderr, "covey-bench: cannot fork: %s\n", strerror(errno));
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
            _exit(127);
        become(output, arguments, environment);
    }
    return child;
}

int bench_command_start(const char *const *arguments, char *const *environment)
{
    return start_program("/dev/null", arguments, environment);
}

void bench_command_stop(int process)
{
    kill(process, SIGTERM);
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
        ;
}

bool bench_command_found(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *end; path; path = *end ? end + 1 : NULL) {
        char file[PATH_MAX];
        end = strchrnul(path, ':');
        int length = snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path, name);
        if (length > 0 && (size_t)length < sizeof(file) && access(file, X_OK) == 0)
            return true;
    }
    return false;
}

int bench_command(const char *const *arguments, char *const *environment, double *seconds)
{
    return bench_command_into("/dev/null", arguments, environment, seconds);
}

int bench_command_into(const char *path, const char *const *arguments, char *const *environment,
                       double *seconds)
{
    double start = now();
    pid_t child = start_program(path, arguments, environment);
    if (child < 0)
        return -1;
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    if (seconds)
        *seconds = now() - start;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    fprintf(stderr, "covey-bench: %s was killed by signal %d\n", arguments[0], WTERMSIG(status));
    return -1;
}
