/*
 * Proof that a peer knows the flare's secret: HMAC-SHA-256 (RFC 2104, FIPS 180-4). The secret
 * itself never crosses the network. Pure; thread-safe.
 */
#ifndef TRANSPORT_NET_MAC_H
#define TRANSPORT_NET_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_DIGEST_BYTES 32
#define NET_SECRET_BYTES 32

struct net_sha256 {
    uint32_t state[8];
    uint64_t length_bytes;
    uint8_t block[64];
    size_t filled_bytes;
};

void net_sha256_begin(struct net_sha256 *hash);
void net_sha256_add(struct net_sha256 *hash, const void *bytes, size_t length_bytes);
void net_sha256_end(struct net_sha256 *hash, uint8_t digest[NET_DIGEST_BYTES]);

/* One run of bytes that a code is made over. */
struct net_span {
    const void *bytes;
    size_t length_bytes;
};

/* HMAC-SHA-256 of the spans, one after the other. */
void net_mac(const uint8_t secret[NET_SECRET_BYTES], const struct net_span *spans,
             size_t span_count, uint8_t digest[NET_DIGEST_BYTES]);

/* Compares in a time that does not depend on where the two differ. */
bool net_equal_constant_time(const void *one, const void *other, size_t length_bytes);

/* Overwrites a secret in a way that the compiler keeps. */
void net_wipe(void *bytes, size_t length_bytes);

#endif
