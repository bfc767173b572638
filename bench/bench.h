/* covey-bench: what its subcommands share. One thread. Failures are said on standard error where
 * they happen. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses, as those of covey. */
enum { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_BAD_INPUT = 2 };

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

/* True once SIGINT or SIGTERM has come; loops look at it between two runs. */
bool bench_interrupted(void);

/*
 * The path of a file that belongs to covey-bench: beside the program itself ("covey"), or in its
 * library folder ("lib:idle.so"). Static storage until the next call; NULL, said, where there is
 * no such file.
 */
const char *bench_file(const char *name);

#endif
