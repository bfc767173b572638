/* Reading protobuf's wire format without a descriptor. Every length is checked. */
#ifndef RPC_WIRE_H
#define RPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_wire {
    const uint8_t *at;
    const uint8_t *end;
};

enum rpc_wire_type {
    RPC_WIRE_VARINT = 0,
    RPC_WIRE_64BIT = 1,
    RPC_WIRE_BYTES = 2,
    RPC_WIRE_32BIT = 5,
};

struct rpc_wire_field {
    uint32_t number;
    enum rpc_wire_type type;
    const uint8_t *bytes; /* RPC_WIRE_BYTES */
    size_t length_bytes;
};

/* Over length_bytes from bytes, which may be NULL where there are none. */
static inline struct rpc_wire rpc_wire_over(const uint8_t *bytes, size_t length_bytes)
{
    return (struct rpc_wire){bytes, length_bytes ? bytes + length_bytes : bytes};
}

/* Reads the next field. False, for ever after, at the end (wire->at == wire->end) and where the
 * bytes are malformed (wire->at is NULL). */
bool rpc_wire_next(struct rpc_wire *wire, struct rpc_wire_field *field);

#endif
