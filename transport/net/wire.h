/*
 * The frames between hosts, as docs/wire.md describes them: encoding and checking, nothing else.
 * All integers are little-endian. Pure; thread-safe.
 */
#ifndef TRANSPORT_NET_WIRE_H
#define TRANSPORT_NET_WIRE_H

#include "covey/status.h"
#include "transport/net/mac.h"

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NET_WIRE_MAGIC      0x59564f43u /* "COVY" */
#define NET_WIRE_VERSION    1
#define NET_WIRE_HEAD_BYTES 32
#define NET_NONCE_BYTES     16

/* The longest header of the layer above that a frame carries. */
#define NET_HEADER_BYTES_MAX 512

enum net_frame_kind {
    NET_FRAME_HELLO = 1,     /* who connects, and proof: first frame of a connection */
    NET_FRAME_HELLO_ACK = 2, /* who answers, and proof */
    NET_FRAME_CONFIRM = 3,   /* proof over both nonces: the connection is up */
    NET_FRAME_REJECT = 4,    /* this connection will not be used, and why */
    NET_FRAME_MESSAGE = 5,   /* a message of the layer above */
    NET_FRAME_GOODBYE = 6,   /* an orderly end */
};

enum net_reject {
    NET_REJECT_SUPERSEDED = 1,      /* the other side's attempt is the one that counts */
    NET_REJECT_UNAUTHENTICATED = 2, /* wrong secret, flare or node */
    NET_REJECT_VERSION = 3,
};

struct net_frame {
    uint8_t kind;
    uint64_t session; /* proves that the frame is of an authenticated connection; 0 before */
    const uint8_t *header;
    size_t header_bytes;
    uint64_t payload_bytes;
};

/* Writes the fixed part; the header follows it on the wire. */
void net_frame_encode(const struct net_frame *frame, uint8_t head[NET_WIRE_HEAD_BYTES]);

/*
 * Checks and reads a frame whose header bytes are bytes[0..length) and whose payload has
 * payload_bytes. EVERSION: another version. EPROTO: anything else that is wrong. frame->header
 * points into bytes.
 */
enum covey_status net_frame_decode(const uint8_t *bytes, size_t length_bytes,
                                   uint64_t payload_bytes, struct net_frame *frame) COVEY_MUST_USE;

/* The session that a frame claims, also one that is wrong otherwise; 0 where it has none. */
uint64_t net_frame_session(const uint8_t *bytes, size_t length_bytes);

#define NET_HELLO_BYTES     (32 + 4 + 4 + NET_NONCE_BYTES + NET_DIGEST_BYTES)
#define NET_HELLO_ACK_BYTES (4 + 4 + NET_NONCE_BYTES + NET_DIGEST_BYTES)
#define NET_CONFIRM_BYTES   NET_DIGEST_BYTES
#define NET_REJECT_BYTES    4

/* What HELLO and HELLO_ACK carry; flare is the SHA-256 of the flare's id, and not in the ACK. */
struct net_greeting {
    uint8_t flare[NET_DIGEST_BYTES];
    uint32_t from;
    uint32_t to;
    uint8_t nonce[NET_NONCE_BYTES];
    uint8_t proof[NET_DIGEST_BYTES];
};

void net_hello_encode(const struct net_greeting *hello, uint8_t bytes[NET_HELLO_BYTES]);
void net_hello_decode(const uint8_t bytes[NET_HELLO_BYTES], struct net_greeting *hello);
void net_hello_ack_encode(const struct net_greeting *ack, uint8_t bytes[NET_HELLO_ACK_BYTES]);
void net_hello_ack_decode(const uint8_t bytes[NET_HELLO_ACK_BYTES], struct net_greeting *ack);

static inline void net_put_u16(uint8_t *bytes, uint16_t value)
{
    value = htole16(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void net_put_u32(uint8_t *bytes, uint32_t value)
{
    value = htole32(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void net_put_u64(uint8_t *bytes, uint64_t value)
{
    value = htole64(value);
    memcpy(bytes, &value, sizeof value);
}

static inline uint16_t net_get_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return le16toh(value);
}

static inline uint32_t net_get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static inline uint64_t net_get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

#endif
