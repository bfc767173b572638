#include "proto/strings.h"

#include "base/memory.h"
#include "base/text.h"
#include "proto/wire.h"

#include <stdlib.h>

struct walk;

/* What is done to a string that is not valid. False ends the walk. */
typedef bool on_bad(struct walk *walk, uint8_t *bytes, size_t length_bytes);

struct walk {
    on_bad *on_bad;
    size_t bad;
    /* The fields around the one that is looked at, and itself. */
    const ProtobufCFieldDescriptor *path[PROTO_DEPTH_MAX + 1];
    unsigned depth;
    char *name;
};

static enum covey_status visit(struct walk *walk, const ProtobufCMessageDescriptor *descriptor,
                               struct proto_wire wire)
{
    struct proto_wire_field found;
    while (proto_wire_next(&wire, &found)) {
        if (found.type != PROTO_WIRE_BYTES)
            continue;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, found.number);
        if (!field)
            continue;
        walk->path[walk->depth] = field;
        if (field->type == PROTOBUF_C_TYPE_STRING &&
            !covey_text_valid(found.bytes, found.length_bytes) &&
            !walk->on_bad(walk, (uint8_t *)(uintptr_t)found.bytes, found.length_bytes))
            return COVEY_EPROTO;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (walk->depth == PROTO_DEPTH_MAX)
            return COVEY_ELIMIT;
        walk->depth++;
        enum covey_status status =
            visit(walk, field->descriptor, proto_wire_over(found.bytes, found.length_bytes));
        if (status)
            return status;
        walk->depth--;
    }
    return wire.at == wire.end ? COVEY_OK : COVEY_EPROTO;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is that of all that look */
static bool refuse(struct walk *walk, uint8_t *bytes, size_t length_bytes)
{
    (void)walk;
    (void)bytes;
    (void)length_bytes;
    return false;
}

enum covey_status proto_strings_check(const ProtobufCMessageDescriptor *descriptor,
                                      const uint8_t *bytes, size_t length_bytes)
{
    struct walk walk = {.on_bad = refuse};
    return visit(&walk, descriptor, proto_wire_over(bytes, length_bytes));
}

static bool mend(struct walk *walk, uint8_t *bytes, size_t length_bytes)
{
    (void)covey_text_mend(bytes, length_bytes);
    walk->bad++;
    return true;
}

size_t proto_strings_mend(const ProtobufCMessageDescriptor *descriptor, uint8_t *bytes,
                          size_t length_bytes)
{
    struct walk walk = {.on_bad = mend};
    /* Malformed from some point on: what came before it is mended, and nobody can read the rest. */
    (void)!visit(&walk, descriptor, proto_wire_over(bytes, length_bytes));
    return walk.bad;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): likewise */
static bool name(struct walk *walk, uint8_t *bytes, size_t length_bytes)
{
    (void)bytes;
    (void)length_bytes;
    size_t used = 0;
    for (unsigned i = 0; i <= walk->depth; i++)
        used += covey_text_print(walk->name + used, PROTO_FIELD_BYTES - used, "%s%s", i ? "." : "",
                                 walk->path[i]->name);
    return false;
}

void proto_strings_find_bad(const ProtobufCMessage *message, char field[PROTO_FIELD_BYTES])
{
    struct walk walk = {.on_bad = name, .name = field};
    size_t length_bytes = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = covey_malloc(length_bytes ? length_bytes : 1);
    field[0] = '\0';
    if (!bytes)
        return;
    (void)protobuf_c_message_pack(message, bytes);
    (void)!visit(&walk, message->descriptor, proto_wire_over(bytes, length_bytes));
    free(bytes);
}
