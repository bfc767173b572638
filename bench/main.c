#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

static const struct bench_command commands[] = {
    {"startup", "from the call to the last worker in user code", bench_startup},
    {"output", "lines of many workers, in one file", bench_output},
    {"plan", "a plan through the API, while others wait", bench_plan},
    {"scheduler", "the scheduler alone, beside a plain first-fit", bench_scheduler},
    {"latency", "messages between two, there and back", bench_messages},
    {"rate", "small messages between pairs, many under way", bench_messages},
    {"bandwidth", "large messages between pairs, several under way", bench_messages},
    {"barrier", "until all have come", bench_messages},
    {"bcast", "one worker's data to all", bench_messages},
    {"reduce", "numbers of all added up, at one", bench_messages},
    {"allreduce", "the same, for all", bench_messages},
    {"gather", "a block of each, at one", bench_messages},
    {"scatter", "a block for each, from one", bench_messages},
    {"allgather", "a block of each, at all", bench_messages},
    {"alltoall", "a block of each for each", bench_messages},
};
enum { command_count = sizeof(commands) / sizeof(commands[0]) };

static void usage(FILE *out)
{
    fprintf(out, "Usage: covey-bench COMMAND [OPTION...]\n\n"
                 "Measures Covey, and what people use instead of it, in the same run.\n\n");
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n  -?, --help       this; covey-bench COMMAND --help says more\n"
                 "  -V, --version    the version\n");
}

int main(int argc, char **argv)
{
    bench_watch_signals();
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            char title[64];
            snprintf(title, sizeof(title), "covey-bench %s", name);
            argv[1] = title;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0) {
        usage(stdout);
        return BENCH_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("covey-bench " COVEY_VERSION);
        return BENCH_OK;
    }
    if (*name)
        fprintf(stderr, "covey-bench: no command is called \"%s\"; see covey-bench --help\n", name);
    else
        usage(stderr);
    return BENCH_BAD_INPUT;
}
