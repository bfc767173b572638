#include "rpc/framing.h"

#include "base/memory.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_ONLY      (15 + 16) /* zlib's window bits, with the gzip wrapping */
#define INFLATE_STEP   65536
#define MAX_FRAME_SIZE UINT32_MAX

enum covey_status rpc_frame_parse(const uint8_t *bytes, size_t length_bytes, size_t limit_bytes,
                                  struct rpc_frame *frame)
{
    if (length_bytes == 0)
        return COVEY_EAGAIN;
    if (bytes[0] > 1)
        return COVEY_EPROTO;
    if (length_bytes < RPC_FRAME_HEADER_BYTES)
        return COVEY_EAGAIN;
    frame->compressed = bytes[0] == 1;
    frame->length_bytes =
        (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | (size_t)bytes[4];
    frame->bytes = bytes + RPC_FRAME_HEADER_BYTES;
    if (frame->length_bytes > limit_bytes)
        return COVEY_ELIMIT;
    return length_bytes - RPC_FRAME_HEADER_BYTES < frame->length_bytes ? COVEY_EAGAIN : COVEY_OK;
}

enum covey_status rpc_frame_append(struct covey_buffer *buffer, const ProtobufCMessage *message,
                                   size_t limit_bytes)
{
    size_t length_bytes = protobuf_c_message_get_packed_size(message);
    if (length_bytes > limit_bytes || length_bytes > MAX_FRAME_SIZE)
        return COVEY_ELIMIT;
    enum covey_status status = covey_buffer_reserve(buffer, RPC_FRAME_HEADER_BYTES + length_bytes);
    if (status)
        return status;
    uint8_t *end = buffer->data + buffer->length_bytes;
    end[0] = 0;
    end[1] = (uint8_t)(length_bytes >> 24);
    end[2] = (uint8_t)(length_bytes >> 16);
    end[3] = (uint8_t)(length_bytes >> 8);
    end[4] = (uint8_t)length_bytes;
    protobuf_c_message_pack(message, end + RPC_FRAME_HEADER_BYTES);
    buffer->length_bytes += RPC_FRAME_HEADER_BYTES + length_bytes;
    return COVEY_OK;
}

static void *zlib_allocate(void *data, unsigned count, unsigned size_bytes)
{
    (void)data;
    return covey_reallocarray(NULL, count, size_bytes);
}

static void zlib_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

/* One byte beyond the limit is asked for: it tells "exactly the limit" from "more". */
static enum covey_status inflate_all(z_stream *stream, size_t limit_bytes,
                                     struct covey_buffer *inflated)
{
    size_t start = inflated->length_bytes;
    for (;;) {
        size_t left = limit_bytes + 1 - (inflated->length_bytes - start);
        size_t step = left < INFLATE_STEP ? left : INFLATE_STEP;
        enum covey_status status = covey_buffer_reserve(inflated, step);
        if (status)
            return status;
        stream->next_out = inflated->data + inflated->length_bytes;
        stream->avail_out = (uInt)step;
        int result = inflate(stream, Z_NO_FLUSH);
        inflated->length_bytes += step - stream->avail_out;
        if (inflated->length_bytes - start > limit_bytes)
            return COVEY_ELIMIT;
        if (result == Z_STREAM_END)
            return stream->avail_in == 0 ? COVEY_OK : COVEY_EPROTO;
        if (result == Z_MEM_ERROR)
            return COVEY_ENOMEM;
        if (result != Z_OK)
            return COVEY_EPROTO;
    }
}

enum covey_status rpc_gunzip(const uint8_t *bytes, size_t length_bytes, size_t limit_bytes,
                             struct covey_buffer *inflated)
{
    z_stream stream = {.zalloc = zlib_allocate, .zfree = zlib_free};
    if (inflateInit2(&stream, GZIP_ONLY) != Z_OK)
        return COVEY_ENOMEM;
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)length_bytes;
    enum covey_status status = inflate_all(&stream, limit_bytes, inflated);
    inflateEnd(&stream);
    return status;
}
