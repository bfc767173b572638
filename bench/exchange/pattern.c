#include "bench/exchange/pattern.h"

#include <string.h>

enum { word_bytes = sizeof(uint64_t), number_bits = 20 };

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

uint64_t pattern_seed(uint64_t run, uint64_t call, int sender, int receiver, size_t number)
{
    uint64_t seed = mix(run + call);
    seed = mix(seed + (uint64_t)sender);
    seed = mix(seed + (uint64_t)receiver);
    return mix(seed + number);
}

/* Cheap on purpose: a core writes it about as fast as its memory takes it. */
static uint64_t word(uint64_t seed, size_t place)
{
    uint64_t value = seed + place * 0x9e3779b97f4a7c15;
    return value ^ (value >> 29);
}

static uint64_t last_word(uint64_t seed, size_t place, size_t length_bytes)
{
    return word(seed, place) & ((1ULL << (8 * length_bytes)) - 1);
}

void pattern_fill(void *bytes, size_t length_bytes, uint64_t seed)
{
    size_t words = length_bytes / word_bytes, rest = length_bytes % word_bytes;
    char *next = bytes;
    for (size_t i = 0; i < words; i++, next += word_bytes) {
        uint64_t value = word(seed, i);
        memcpy(next, &value, word_bytes);
    }
    uint64_t value = last_word(seed, words, rest);
    memcpy(next, &value, rest);
}

uint64_t pattern_sum(size_t length_bytes, uint64_t seed)
{
    size_t words = length_bytes / word_bytes;
    uint64_t sum = 0;
    for (size_t i = 0; i < words; i++)
        sum += word(seed, i);
    return sum + last_word(seed, words, length_bytes % word_bytes);
}

uint64_t pattern_read(const void *bytes, size_t length_bytes)
{
    size_t words = length_bytes / word_bytes;
    const char *next = bytes;
    uint64_t sum = 0, value = 0;
    for (size_t i = 0; i < words; i++, next += word_bytes) {
        memcpy(&value, next, word_bytes);
        sum += value;
    }
    value = 0;
    memcpy(&value, next, length_bytes % word_bytes);
    return sum + value;
}

static double number(uint64_t seed, size_t place)
{
    return (double)(uint32_t)(word(seed, place) >> (64 - number_bits));
}

void pattern_fill_numbers(double *numbers, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = number(seed, i);
}

double pattern_sum_numbers(size_t count, uint64_t seed)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += number(seed, i);
    return sum;
}

double pattern_read_numbers(const double *numbers, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}
