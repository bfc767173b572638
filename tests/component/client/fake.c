#include "tests/component/client/fake.h"

#include "tests/harness/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pid;
static int input; /* closed: the controller ends */

const char *fake_address(void)
{
    static char address[256];
    snprintf(address, sizeof address, "unix:%s/fake.sock", test_folder());
    return address;
}

bool fake_start(void)
{
    int in[2], out[2];
    char byte;
    const char *address = fake_address(); /* here: the child has no folder of its own */
    if (pipe(in) || pipe(out))
        return false;
    pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execl(FAKE_CONTROLLER, FAKE_CONTROLLER, "--listen", address, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    bool ready = pid > 0 && read(out[0], &byte, 1) == 1;
    close(out[0]);
    input = in[1];
    return ready;
}

bool fake_stop(void)
{
    int status;
    close(input);
    bool reaped = waitpid(pid, &status, 0) == pid;
    return reaped && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void fake_kill(void)
{
    kill(pid, SIGKILL);
    (void)fake_stop();
}

/* This program exports no covey_work(), but it is a program. */
static const char *copy_self(char path[256], const char *name, const char *size)
{
    char command[700];
    if (*path)
        return path;
    snprintf(path, 256, "%s/%s", test_folder(), name);
    snprintf(command, sizeof command, "cp /proc/%d/exe %s && truncate -s %s %s", (int)getpid(),
             path, size, path);
    return system(command) == 0 ? path : NULL;
}

const char *fake_code(void)
{
    static char path[256];
    return copy_self(path, "code", "+0");
}

const char *fake_big_code(void)
{
    static char path[256];
    return copy_self(path, "big", "5M");
}
