/* covey-bench as a program: when it is to stop, and the files that belong to it. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stdbool.h>

/* From then on SIGINT and SIGTERM are remembered. */
void bench_watch_signals(void);

/* True once SIGINT or SIGTERM has come; loops look at it between two runs. */
bool bench_interrupted(void);

/*
 * The path of a file that belongs to covey-bench: beside the program itself ("covey"), or in its
 * library folder ("lib:idle.so"). Static storage until the next call; NULL, said, where there is
 * no such file.
 */
const char *bench_file(const char *name);

#endif
