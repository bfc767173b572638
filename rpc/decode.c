/*
 * Decoding of what a peer sent. protobuf-c follows nesting by recursion without a bound, trusts
 * every string and allocates whatever the bytes ask for; so the bytes are walked first, along the
 * descriptor, for depth and for strings (the decoded form has lost their length), and the memory is
 * counted while it decodes.
 */
#include "base/memory.h"
#include "rpc/rpc.h"
#include "rpc/utf8.h"

#include <malloc.h>
#include <stdlib.h>

#define MAX_DEPTH 64

/* What an allocation costs beside its bytes: the heap's header and rounding. */
#define ALLOCATION_OVERHEAD_BYTES 16

struct budget {
    size_t left_bytes;
    bool exceeded;
    bool out_of_memory;
};

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static bool read_varint(struct reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct reader *reader, uint64_t length_bytes)
{
    if (length_bytes > (uint64_t)(reader->end - reader->at))
        return false;
    reader->at += length_bytes;
    return true;
}

static enum covey_status check_message(const ProtobufCMessageDescriptor *descriptor,
                                       struct reader reader, unsigned depth);

static enum covey_status check_delimited(const ProtobufCFieldDescriptor *field,
                                         struct reader *reader, unsigned depth)
{
    uint64_t length_bytes;
    if (!read_varint(reader, &length_bytes))
        return COVEY_EPROTO;
    struct reader inner = {reader->at, NULL};
    if (!skip(reader, length_bytes))
        return COVEY_EPROTO;
    inner.end = reader->at;
    if (!field)
        return COVEY_OK;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return rpc_utf8_valid(inner.at, (size_t)length_bytes) ? COVEY_OK : COVEY_EPROTO;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(field->descriptor, inner, depth + 1);
    return COVEY_OK;
}

static enum covey_status check_field(const ProtobufCMessageDescriptor *descriptor,
                                     struct reader *reader, unsigned depth)
{
    uint64_t tag;
    uint64_t ignored;
    if (!read_varint(reader, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
        return COVEY_EPROTO;
    switch (tag & 7) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(reader, &ignored) ? COVEY_OK : COVEY_EPROTO;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(reader, 8) ? COVEY_OK : COVEY_EPROTO;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(reader, 4) ? COVEY_OK : COVEY_EPROTO;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return check_delimited(
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3)), reader,
            depth);
    default:
        return COVEY_EPROTO; /* groups, which proto3 has not */
    }
}

static enum covey_status check_message(const ProtobufCMessageDescriptor *descriptor,
                                       struct reader reader, unsigned depth)
{
    if (depth > MAX_DEPTH)
        return COVEY_ELIMIT;
    while (reader.at < reader.end) {
        enum covey_status status = check_field(descriptor, &reader, depth);
        if (status)
            return status;
    }
    return COVEY_OK;
}

static void *allocate(void *data, size_t size_bytes)
{
    struct budget *budget = data;
    if (size_bytes > budget->left_bytes ||
        budget->left_bytes - size_bytes < ALLOCATION_OVERHEAD_BYTES) {
        budget->exceeded = true;
        return NULL;
    }
    void *memory = covey_malloc(size_bytes);
    if (!memory) {
        budget->out_of_memory = true;
        return NULL;
    }
    size_t taken = malloc_usable_size(memory) + ALLOCATION_OVERHEAD_BYTES;
    budget->left_bytes -= taken < budget->left_bytes ? taken : budget->left_bytes;
    return memory;
}

static void release(void *data, void *memory)
{
    struct budget *budget = data;
    if (!memory)
        return;
    budget->left_bytes += malloc_usable_size(memory) + ALLOCATION_OVERHEAD_BYTES;
    free(memory);
}

enum covey_status rpc_decode(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                             size_t length_bytes, size_t budget_bytes, ProtobufCMessage **message)
{
    struct reader reader = {bytes, bytes + length_bytes};
    enum covey_status status = check_message(descriptor, reader, 0);
    if (status)
        return status;
    struct budget budget = {.left_bytes = budget_bytes};
    ProtobufCAllocator allocator = {allocate, release, &budget};
    *message = protobuf_c_message_unpack(descriptor, &allocator, length_bytes, bytes);
    if (*message)
        return COVEY_OK;
    if (budget.exceeded)
        return COVEY_ELIMIT;
    return budget.out_of_memory ? COVEY_ENOMEM : COVEY_EPROTO;
}
