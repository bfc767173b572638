/* gRPC's length-prefixed messages, and their compression. */
#ifndef RPC_FRAMING_H
#define RPC_FRAMING_H

#include "base/buffer.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_FRAME_HEADER_BYTES 5

/* One message in a run of received bytes. */
struct rpc_frame {
    const uint8_t *bytes;
    size_t length_bytes;
    bool compressed;
};

/*
 * The message that starts at bytes. OK: *frame is it. EAGAIN: not all of it is there yet. ELIMIT:
 * it announces more than limit_bytes (frame->length_bytes says how much). EPROTO: not a message.
 */
enum covey_status rpc_frame_parse(const uint8_t *bytes, size_t length_bytes, size_t limit_bytes,
                                  struct rpc_frame *frame) COVEY_MUST_USE;

/* Appends a message, serialised and framed. ELIMIT: longer than limit_bytes. ENOMEM. */
enum covey_status rpc_frame_append(struct covey_buffer *buffer, const ProtobufCMessage *message,
                                   size_t limit_bytes) COVEY_MUST_USE;

/* Appends the inflated form of gzip bytes. ELIMIT: more than limit_bytes. EPROTO: not gzip. */
enum covey_status rpc_gunzip(const uint8_t *bytes, size_t length_bytes, size_t limit_bytes,
                             struct covey_buffer *inflated) COVEY_MUST_USE;

#endif
