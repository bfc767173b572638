/* Reading protobuf's wire format without a descriptor. Every length is checked. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto_wire {
    const uint8_t *at;
    const uint8_t *end;
};

enum proto_wire_type {
    PROTO_WIRE_VARINT = 0,
    PROTO_WIRE_64BIT = 1,
    PROTO_WIRE_BYTES = 2,
    PROTO_WIRE_32BIT = 5,
};

struct proto_wire_field {
    uint32_t number;
    enum proto_wire_type type;
    uint64_t value;       /* PROTO_WIRE_VARINT */
    const uint8_t *bytes; /* PROTO_WIRE_BYTES */
    size_t length_bytes;
};

/* Over length_bytes from bytes, which may be NULL where there are none. */
static inline struct proto_wire proto_wire_over(const uint8_t *bytes, size_t length_bytes)
{
    return (struct proto_wire){bytes, length_bytes ? bytes + length_bytes : bytes};
}

/* Reads the next field. False, for ever after, at the end (wire->at == wire->end) and where the
 * bytes are malformed (wire->at is NULL). */
bool proto_wire_next(struct proto_wire *wire, struct proto_wire_field *field);

#endif
