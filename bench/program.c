#include "bench/program.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void bench_watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool bench_interrupted(void)
{
    return interrupted != 0;
}

const char *bench_file(const char *name)
{
    static char path[PATH_MAX + 256];
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0) {
        perror("covey-bench: /proc/self/exe");
        return NULL;
    }
    self[length] = 0;
    *strrchr(self, '/') = 0;
    if (strncmp(name, "lib:", 4) == 0)
        snprintf(path, sizeof(path), "%s/%s/%s", self, BENCH_LIBRARY_FOLDER, name + 4);
    else
        snprintf(path, sizeof(path), "%s/%s", self, name);
    if (access(path, R_OK) == 0)
        return path;
    fprintf(stderr, "covey-bench: %s is not there\n", path);
    return NULL;
}
