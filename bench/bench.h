/* covey-bench: what its subcommands share. One thread. Failures are said on standard error where
 * they happen. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "bench/program.h"

/* Exit statuses. DISTURBED: measured, but the machine was not as in earlier runs. */
enum { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_BAD_INPUT = 2, BENCH_DISTURBED = 3 };

/* A subcommand: its name, a line for --help, and its main function; argv[0] names it. */
struct bench_command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

int bench_startup(int argc, char **argv);
int bench_output(int argc, char **argv);
int bench_plan(int argc, char **argv);
int bench_scheduler(int argc, char **argv);
int bench_messages(int argc, char **argv);

#endif
