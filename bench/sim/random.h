/* Numbers drawn at random, the same for the same seed on every machine. One thread. */
#ifndef BENCH_SIM_RANDOM_H
#define BENCH_SIM_RANDOM_H

#include <stdint.h>

struct sim_random {
    uint64_t state;
};

/* Streams of one seed are independent of each other: one for each purpose, so that a change of one
 * distribution leaves what the others draw as it was. */
struct sim_random sim_random_create(uint64_t seed, uint64_t stream);

/* 64 random bits. */
uint64_t sim_random_bits(struct sim_random *random);

/* Uniform, above 0 and below 1. */
double sim_random_unit(struct sim_random *random);

/* Exponential with this mean. */
double sim_random_exponential(struct sim_random *random, double mean);

#endif
