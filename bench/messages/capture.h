/* The output of a program that a benchmark starts. One thread; failures are said. */
#ifndef BENCH_MESSAGES_CAPTURE_H
#define BENCH_MESSAGES_CAPTURE_H

/* Runs a program as bench_command does, and brings its output, to be freed; NULL where it failed.
 */
char *capture(const char *const *arguments, char *const *environment);

#endif
