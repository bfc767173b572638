/*
 * Decoding of what a peer sent. protobuf-c follows nesting by recursion without a bound, trusts
 * every string and allocates whatever the bytes ask for; so the bytes are walked first, along the
 * descriptor, for depth and for strings (the decoded form has lost their length), and the memory is
 * counted while it decodes.
 */
#include "base/memory.h"
#include "proto/strings.h"
#include "rpc/rpc.h"

#include <malloc.h>
#include <stdlib.h>

/* What an allocation costs beside its bytes: the heap's header and rounding. */
#define ALLOCATION_OVERHEAD_BYTES 16

struct budget {
    size_t left_bytes;
    bool exceeded;
    bool out_of_memory;
};

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
    enum covey_status status = proto_strings_check(descriptor, bytes, length_bytes);
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
