/*
 * What can still be told of a message between agent and controller that cannot be decoded: both
 * directions carry a oneof of messages, and nearly all of those begin with the id of a flare.
 */
#ifndef SERVICE_COMMON_ENVELOPE_H
#define SERVICE_COMMON_ENVELOPE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_FLARE_BYTES 32

struct envelope {
    uint64_t epoch;                      /* of an AttachRequest */
    uint64_t sequence;                   /* of an AttachRequest */
    uint32_t body;                       /* the number of the body's field; 0: none was found */
    char flare_id[ENVELOPE_FLARE_BYTES]; /* "": none, or none that is an id */
};

/* Reads as far as the bytes can be followed. */
void envelope_read(const uint8_t *bytes, size_t length_bytes, struct envelope *envelope);

/* The flare that a decoded body is about; "" where it is about none. */
const char *envelope_flare_of(const ProtobufCMessage *body);

#endif
