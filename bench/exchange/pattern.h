/* Data of messages: fresh for each, and known to both sides from a seed. Thread-safe. */
#ifndef BENCH_EXCHANGE_PATTERN_H
#define BENCH_EXCHANGE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* The seed of a message, from that of the run. */
uint64_t pattern_seed(uint64_t run, uint64_t call, int sender, int receiver, size_t number);

/* Writes bytes, and what the sum of such bytes is. Sums are of words of 64 bits, the last one
 * filled up with zeros. */
void pattern_fill(void *bytes, size_t length_bytes, uint64_t seed);
uint64_t pattern_sum(size_t length_bytes, uint64_t seed);

/* Reads every byte. */
uint64_t pattern_read(const void *bytes, size_t length_bytes);

/* The same with numbers that add up exactly: whole ones below 2^20. */
void pattern_fill_numbers(double *numbers, size_t count, uint64_t seed);
double pattern_sum_numbers(size_t count, uint64_t seed);
double pattern_read_numbers(const double *numbers, size_t count);

#endif
