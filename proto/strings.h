/*
 * The strings of a message in wire form. They must be UTF-8 without NUL, and protobuf-c checks
 * neither; after it has decoded them their length is lost, and with it a NUL inside. So the bytes
 * are walked along the message's descriptor, before they are decoded or after they are packed.
 */
#ifndef PROTO_STRINGS_H
#define PROTO_STRINGS_H

#include "covey/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* Messages nest as deep as this, and no deeper. */
#define PROTO_DEPTH_MAX 64

/* Room for the name of a field with those around it: "definition.environment.value". */
#define PROTO_FIELD_BYTES 96

/* EPROTO: malformed, or a string is not valid. ELIMIT: nested too deep. */
enum covey_status proto_strings_check(const ProtobufCMessageDescriptor *descriptor,
                                      const uint8_t *bytes, size_t length_bytes) COVEY_MUST_USE;

/* Makes every string valid where it lies ('?' for each bad byte: no length changes); returns how
 * many were not. What is malformed, or nested too deep, is left for whoever decodes it. */
size_t proto_strings_mend(const ProtobufCMessageDescriptor *descriptor, uint8_t *bytes,
                          size_t length_bytes);

/* Names the first field of a message that holds a string which is not valid; field is "" where all
 * are, or memory is short. */
void proto_strings_find_bad(const ProtobufCMessage *message, char field[PROTO_FIELD_BYTES]);

#endif
