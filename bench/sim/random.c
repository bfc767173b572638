#include "bench/sim/random.h"

#include <math.h>

/* A counter in steps of the golden ratio, each value scrambled by two rounds of shift and multiply
 * (the scheme known as SplitMix64). */
static const uint64_t golden_step = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t scramble(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

struct sim_random sim_random_create(uint64_t seed, uint64_t stream)
{
    return (struct sim_random){scramble(scramble(seed + golden_step) + stream)};
}

uint64_t sim_random_bits(struct sim_random *random)
{
    random->state += golden_step;
    return scramble(random->state);
}

double sim_random_unit(struct sim_random *random)
{
    /* The middles of 2^52 equal parts: neither 0 nor 1 is among them. */
    return ((double)(sim_random_bits(random) >> 12) + 0.5) / 0x1p52;
}

double sim_random_exponential(struct sim_random *random, double mean)
{
    return -mean * log(sim_random_unit(random));
}
