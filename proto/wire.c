#include "proto/wire.h"

#define MAX_FIELD_NUMBER 536870911

static bool read_varint(struct proto_wire *wire, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct proto_wire *wire, uint64_t length_bytes)
{
    if (length_bytes > (uint64_t)(wire->end - wire->at))
        return false;
    wire->at += length_bytes;
    return true;
}

static bool read_value(struct proto_wire *wire, struct proto_wire_field *field)
{
    uint64_t value;
    switch (field->type) {
    case PROTO_WIRE_VARINT:
        return read_varint(wire, &field->value);
    case PROTO_WIRE_64BIT:
        return skip(wire, 8);
    case PROTO_WIRE_32BIT:
        return skip(wire, 4);
    case PROTO_WIRE_BYTES:
        if (!read_varint(wire, &value))
            return false;
        field->bytes = wire->at;
        field->length_bytes = (size_t)value;
        return skip(wire, value);
    default:
        return false; /* groups, which proto3 has not */
    }
}

bool proto_wire_next(struct proto_wire *wire, struct proto_wire_field *field)
{
    if (wire->at == wire->end || !wire->at)
        return false;
    uint64_t tag;
    if (read_varint(wire, &tag) && tag >> 3 >= 1 && tag >> 3 <= MAX_FIELD_NUMBER) {
        field->number = (uint32_t)(tag >> 3);
        field->type = (enum proto_wire_type)(tag & 7);
        if (read_value(wire, field))
            return true;
    }
    wire->at = NULL;
    return false;
}
