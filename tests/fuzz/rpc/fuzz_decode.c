/* Any bytes as a message with every way of nesting: decoded within the budget, or refused. */
#include "rpc/rpc.h"
#include "tree.pb-c.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
    ProtobufCMessage *message = NULL;
    enum covey_status status =
        rpc_decode(&covey__test__tree__descriptor, bytes, length_bytes, 256 * 1024, &message);
    if ((status == COVEY_OK) != (message != NULL))
        abort();
    if (!message)
        return 0;
    /* What was accepted can be said again, and is accepted again. */
    size_t packed_bytes = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(packed_bytes + 1);
    if (!packed)
        abort();
    protobuf_c_message_pack(message, packed);
    protobuf_c_message_free_unpacked(message, NULL);
    status =
        rpc_decode(&covey__test__tree__descriptor, packed, packed_bytes, SIZE_MAX / 2, &message);
    if (status != COVEY_OK)
        abort();
    protobuf_c_message_free_unpacked(message, NULL);
    free(packed);
    return 0;
}
