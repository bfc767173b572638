/* Programs that a benchmark starts. One thread. */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#include <stdbool.h>

/*
 * Runs a program to its end, its input and output closed, with these variables ("NAME=value", ended
 * by NULL; environment may be NULL) added to the environment. Returns its exit status, or -1, said,
 * where it could not be started or was killed. Where seconds is not NULL it is how long it took,
 * from before the fork to after the end.
 */
int bench_command(const char *const *arguments, char *const *environment, double *seconds);

/* The same with its output in a file, which is emptied first. */
int bench_command_into(const char *path, const char *const *arguments, char *const *environment,
                       double *seconds);

/*
 * Starts a program as above, without waiting for it; it is to be stopped, and dies with the caller.
 * Returns its process id, or -1, said.
 */
int bench_command_start(const char *const *arguments, char *const *environment);
void bench_command_stop(int process);

/* Whether a program is found in PATH. */
bool bench_command_found(const char *name);

#endif
