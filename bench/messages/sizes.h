/* Lengths of messages as a user lists them. */
#ifndef BENCH_MESSAGES_SIZES_H
#define BENCH_MESSAGES_SIZES_H

#include <stddef.h>
#include <stdint.h>

enum { sizes_most = 64 };

struct sizes {
    uint64_t bytes[sizes_most];
    size_t count;
};

/*
 * "8", "8,64K,1M", "8..1K" (doubling: 8, 16, ... 1K) or "8..1M*8", and such with commas between.
 * -1, with the result untouched: none of it, a length of 0, or more than sizes_most.
 */
int sizes_parse(const char *text, struct sizes *sizes);

/* A length as people read it: "64 KiB", "1000 B". At least 24 bytes of text. */
enum { size_text_bytes = 24 };
void size_write(uint64_t bytes, char *text);

#endif
