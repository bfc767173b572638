#include "transport/net/mac.h"

#include <string.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static uint32_t load_big(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_big(uint8_t *bytes, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(word >> (24 - 8 * i));
}

static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t schedule[64];
    for (size_t i = 0; i < 16; i++)
        schedule[i] = load_big(block + 4 * i);
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = schedule[i - 15], b = schedule[i - 2];
        schedule[i] = schedule[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + schedule[i - 7] +
                      (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        uint32_t first = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                         ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + schedule[i];
        uint32_t second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                          ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += v[i];
}

void net_sha256_begin(struct net_sha256 *hash)
{
    *hash = (struct net_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void net_sha256_add(struct net_sha256 *hash, const void *bytes, size_t length_bytes)
{
    const uint8_t *next = bytes;
    hash->length_bytes += length_bytes;
    while (length_bytes > 0) {
        size_t part = sizeof hash->block - hash->filled_bytes;
        if (part > length_bytes)
            part = length_bytes;
        memcpy(hash->block + hash->filled_bytes, next, part);
        hash->filled_bytes += part;
        next += part;
        length_bytes -= part;
        if (hash->filled_bytes == sizeof hash->block) {
            compress(hash->state, hash->block);
            hash->filled_bytes = 0;
        }
    }
}

void net_sha256_end(struct net_sha256 *hash, uint8_t digest[NET_DIGEST_BYTES])
{
    uint64_t bits = hash->length_bytes * 8;
    static const uint8_t padding[64] = {0x80};
    size_t pad = (hash->filled_bytes < 56 ? 56 : 120) - hash->filled_bytes;
    net_sha256_add(hash, padding, pad);
    uint8_t length[8];
    store_big(length, (uint32_t)(bits >> 32));
    store_big(length + 4, (uint32_t)bits);
    net_sha256_add(hash, length, sizeof length);
    for (size_t i = 0; i < 8; i++)
        store_big(digest + 4 * i, hash->state[i]);
    net_wipe(hash, sizeof *hash);
}

void net_mac(const uint8_t secret[NET_SECRET_BYTES], const struct net_span *spans,
             size_t span_count, uint8_t digest[NET_DIGEST_BYTES])
{
    uint8_t pad[64] = {0};
    struct net_sha256 hash;
    memcpy(pad, secret, NET_SECRET_BYTES);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36;
    net_sha256_begin(&hash);
    net_sha256_add(&hash, pad, sizeof pad);
    for (size_t i = 0; i < span_count; i++)
        net_sha256_add(&hash, spans[i].bytes, spans[i].length_bytes);
    net_sha256_end(&hash, digest);

    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    net_sha256_begin(&hash);
    net_sha256_add(&hash, pad, sizeof pad);
    net_sha256_add(&hash, digest, NET_DIGEST_BYTES);
    net_sha256_end(&hash, digest);
    net_wipe(pad, sizeof pad);
}

bool net_equal_constant_time(const void *one, const void *other, size_t length_bytes)
{
    const volatile uint8_t *a = one, *b = other;
    uint8_t difference = 0;
    for (size_t i = 0; i < length_bytes; i++)
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    return difference == 0;
}

void net_wipe(void *bytes, size_t length_bytes)
{
    explicit_bzero(bytes, length_bytes);
}
