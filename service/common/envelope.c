#include "service/common/envelope.h"

#include "proto/wire.h"
#include "service/common/local.h"

#include <string.h>

/* Of AttachRequest; those of AttachResponse are all bodies. */
enum { FIELD_EPOCH = 1, FIELD_SEQUENCE = 2 };

/* Of every body that is about a flare. */
enum { FIELD_FLARE_ID = 1 };

static void read_flare_id(struct envelope *envelope, const struct proto_wire_field *body)
{
    struct proto_wire wire = proto_wire_over(body->bytes, body->length_bytes);
    struct proto_wire_field found;
    envelope->flare_id[0] = '\0';
    while (proto_wire_next(&wire, &found)) {
        if (found.number != FIELD_FLARE_ID || found.type != PROTO_WIRE_BYTES ||
            found.length_bytes >= sizeof envelope->flare_id)
            continue;
        memcpy(envelope->flare_id, found.bytes, found.length_bytes);
        envelope->flare_id[found.length_bytes] = '\0';
    }
    if (!local_flare_id_valid(envelope->flare_id))
        envelope->flare_id[0] = '\0';
}

void envelope_read(const uint8_t *bytes, size_t length_bytes, struct envelope *envelope)
{
    struct proto_wire wire = proto_wire_over(bytes, length_bytes);
    struct proto_wire_field found;
    *envelope = (struct envelope){0};
    while (proto_wire_next(&wire, &found)) {
        if (found.type == PROTO_WIRE_VARINT && found.number == FIELD_EPOCH)
            envelope->epoch = found.value;
        if (found.type == PROTO_WIRE_VARINT && found.number == FIELD_SEQUENCE)
            envelope->sequence = found.value;
        if (found.type != PROTO_WIRE_BYTES)
            continue;
        envelope->body = found.number;
        read_flare_id(envelope, &found);
    }
}

const char *envelope_flare_of(const ProtobufCMessage *body)
{
    const ProtobufCFieldDescriptor *field =
        body ? protobuf_c_message_descriptor_get_field(body->descriptor, FIELD_FLARE_ID) : NULL;
    if (!field || field->type != PROTOBUF_C_TYPE_STRING || strcmp(field->name, "flare_id") != 0)
        return "";
    const char *const *value = (const void *)((const char *)body + field->offset);
    return *value ? *value : "";
}
