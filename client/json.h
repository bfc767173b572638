/*
 * Messages as JSON: protobuf's JSON mapping, driven by the descriptors, with two choices of ours.
 *  - Names are those of the .proto files (snake_case), and fields that hold their default are
 *    written too, but not unset messages and oneofs: a filter finds what it names.
 *  - An enum's value is its name without the prefix that repeats the enum's: SUCCEEDED for
 *    FLARE_STATE_SUCCEEDED. A number that has no name is written as the number.
 */
#ifndef CLIENT_JSON_H
#define CLIENT_JSON_H

#include "base/buffer.h"
#include "covey/status.h"

#include <protobuf-c/protobuf-c.h>

/* Appends a message as one line of JSON, without a newline. ENOMEM; EINVAL where a Timestamp or
 * Duration is out of its range. */
enum covey_status client_json_message(struct covey_buffer *out,
                                      const ProtobufCMessage *message) COVEY_MUST_USE;

/* The name of an enum's value as it is written; NULL for a number that has none. */
const char *client_json_enum_name(const ProtobufCEnumDescriptor *descriptor, int value);

/* Appends text as a JSON string with its quotes. */
enum covey_status client_json_string(struct covey_buffer *out, const char *text) COVEY_MUST_USE;

#endif
