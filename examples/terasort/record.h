/* Sort-benchmark records as gensort lays them out: 100 bytes, of which the first 10 are the key. */
#ifndef TERASORT_RECORD_H
#define TERASORT_RECORD_H

#include <stdint.h>
#include <string.h>
#include <zlib.h>

enum { record_bytes = 100, key_bytes = 10 };

static inline int record_compare(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, key_bytes);
}

/* A record's share of a checksum: the sum over all records, modulo 2^64, does not depend on their
 * order. */
static inline uint64_t record_checksum(const uint8_t *record)
{
    return crc32(0, record, record_bytes);
}

#endif
