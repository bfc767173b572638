/* The API as a serialised FileDescriptorSet, imports and comments included: what server reflection
 * answers from. */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t covey_descriptor_set[];
extern const size_t covey_descriptor_set_bytes;

#endif
