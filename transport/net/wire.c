#include "transport/net/wire.h"

/* magic 4, version 1, kind 1, header length 2, payload length 8, session 8, zero 8 */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_KIND = 5,
    AT_HEADER = 6,
    AT_PAYLOAD = 8,
    AT_SESSION = 16,
    AT_ZERO = 24
};

void net_frame_encode(const struct net_frame *frame, uint8_t head[NET_WIRE_HEAD_BYTES])
{
    net_put_u32(head + AT_MAGIC, NET_WIRE_MAGIC);
    head[AT_VERSION] = NET_WIRE_VERSION;
    head[AT_KIND] = frame->kind;
    net_put_u16(head + AT_HEADER, (uint16_t)frame->header_bytes);
    net_put_u64(head + AT_PAYLOAD, frame->payload_bytes);
    net_put_u64(head + AT_SESSION, frame->session);
    net_put_u64(head + AT_ZERO, 0);
}

/* The header length that a kind must have; -1: any up to the limit. */
static int header_length(uint8_t kind)
{
    switch (kind) {
    case NET_FRAME_HELLO:
        return NET_HELLO_BYTES;
    case NET_FRAME_HELLO_ACK:
        return NET_HELLO_ACK_BYTES;
    case NET_FRAME_CONFIRM:
        return NET_CONFIRM_BYTES;
    case NET_FRAME_REJECT:
        return NET_REJECT_BYTES;
    case NET_FRAME_GOODBYE:
        return 0;
    default:
        return -1;
    }
}

enum covey_status net_frame_decode(const uint8_t *bytes, size_t length_bytes,
                                   uint64_t payload_bytes, struct net_frame *frame)
{
    if (length_bytes < NET_WIRE_HEAD_BYTES || net_get_u32(bytes + AT_MAGIC) != NET_WIRE_MAGIC)
        return COVEY_EPROTO;
    if (bytes[AT_VERSION] != NET_WIRE_VERSION)
        return COVEY_EVERSION;
    uint8_t kind = bytes[AT_KIND];
    size_t header_bytes = net_get_u16(bytes + AT_HEADER);
    if (kind < NET_FRAME_HELLO || kind > NET_FRAME_GOODBYE || header_bytes > NET_HEADER_BYTES_MAX ||
        length_bytes != NET_WIRE_HEAD_BYTES + header_bytes ||
        net_get_u64(bytes + AT_PAYLOAD) != payload_bytes || net_get_u64(bytes + AT_ZERO) != 0)
        return COVEY_EPROTO;
    int exact = header_length(kind);
    if (exact >= 0 && header_bytes != (size_t)exact)
        return COVEY_EPROTO;
    if (kind != NET_FRAME_MESSAGE && payload_bytes != 0)
        return COVEY_EPROTO;
    *frame = (struct net_frame){.kind = kind,
                                .session = net_get_u64(bytes + AT_SESSION),
                                .header = bytes + NET_WIRE_HEAD_BYTES,
                                .header_bytes = header_bytes,
                                .payload_bytes = payload_bytes};
    return COVEY_OK;
}

uint64_t net_frame_session(const uint8_t *bytes, size_t length_bytes)
{
    return length_bytes < NET_WIRE_HEAD_BYTES ? 0 : net_get_u64(bytes + AT_SESSION);
}

static void greeting_encode(const struct net_greeting *greeting, uint8_t *bytes)
{
    net_put_u32(bytes, greeting->from);
    net_put_u32(bytes + 4, greeting->to);
    memcpy(bytes + 8, greeting->nonce, NET_NONCE_BYTES);
    memcpy(bytes + 8 + NET_NONCE_BYTES, greeting->proof, NET_DIGEST_BYTES);
}

static void greeting_decode(const uint8_t *bytes, struct net_greeting *greeting)
{
    greeting->from = net_get_u32(bytes);
    greeting->to = net_get_u32(bytes + 4);
    memcpy(greeting->nonce, bytes + 8, NET_NONCE_BYTES);
    memcpy(greeting->proof, bytes + 8 + NET_NONCE_BYTES, NET_DIGEST_BYTES);
}

void net_hello_encode(const struct net_greeting *hello, uint8_t bytes[NET_HELLO_BYTES])
{
    memcpy(bytes, hello->flare, NET_DIGEST_BYTES);
    greeting_encode(hello, bytes + NET_DIGEST_BYTES);
}

void net_hello_decode(const uint8_t bytes[NET_HELLO_BYTES], struct net_greeting *hello)
{
    memcpy(hello->flare, bytes, NET_DIGEST_BYTES);
    greeting_decode(bytes + NET_DIGEST_BYTES, hello);
}

void net_hello_ack_encode(const struct net_greeting *ack, uint8_t bytes[NET_HELLO_ACK_BYTES])
{
    greeting_encode(ack, bytes);
}

void net_hello_ack_decode(const uint8_t bytes[NET_HELLO_ACK_BYTES], struct net_greeting *ack)
{
    *ack = (struct net_greeting){0};
    greeting_decode(bytes, ack);
}
