#include "base/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* The lowest free number is this one. For reading only: what is written must not be taken
         * for delivered. */
        if (open("/dev/null", O_RDONLY) != fd)
            abort();
    }
}

static bool is_the_callers(int number)
{
    return number == SIGHUP || number == SIGINT || number == SIGQUIT;
}

static void reset_signals(void)
{
    struct sigaction action;
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN &&
            !is_the_callers(number))
            (void)signal(number, SIG_DFL);
    }
    /* What a file may not hold is an error of the write, as on a full disk, and not the end. */
    (void)signal(SIGXFSZ, SIG_IGN);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void covey_start(void)
{
    open_standard_descriptors();
    reset_signals();
}
