#include "bench/sim/text.h"

#include "base/error.h"
#include "base/io.h"

#include <stdbool.h>
#include <zlib.h>

enum { piece_bytes = 1 << 16, gzip_window = 15 + 16 };

static bool is_gzip(const struct covey_buffer *buffer)
{
    return buffer->length_bytes >= 2 && buffer->data[0] == 0x1f && buffer->data[1] == 0x8b;
}

/* A gzip file may be several, one after another. */
static enum covey_status inflate_all(z_stream *stream, const char *path, size_t limit_bytes,
                                     struct covey_buffer *text, struct covey_error *error)
{
    for (;;) {
        if (covey_buffer_reserve(text, piece_bytes))
            return covey_error_set(error, COVEY_ENOMEM, "no memory to unpack %s", path);
        stream->next_out = text->data + text->length_bytes;
        stream->avail_out = piece_bytes;
        int result = inflate(stream, Z_NO_FLUSH);
        text->length_bytes += piece_bytes - stream->avail_out;
        if (text->length_bytes > limit_bytes)
            return covey_error_set(error, COVEY_ELIMIT, "%s unpacks to more than %zu bytes", path,
                                   limit_bytes);
        if (result == Z_STREAM_END && stream->avail_in == 0)
            return COVEY_OK;
        if (result == Z_STREAM_END)
            result = inflateReset(stream);
        if (result != Z_OK)
            return covey_error_set(error, COVEY_EINVAL,
                                   "%s is a gzip file that is damaged or cut off", path);
    }
}

enum covey_status sim_text_read(const char *path, size_t limit_bytes, struct covey_buffer *text,
                                struct covey_error *error)
{
    enum covey_status status = covey_file_read(path, limit_bytes, text, error);
    if (status || !is_gzip(text))
        return status;
    struct covey_buffer packed = *text;
    *text = (struct covey_buffer){0};
    z_stream stream = {.next_in = packed.data, .avail_in = (uInt)packed.length_bytes};
    if (inflateInit2(&stream, gzip_window) != Z_OK) {
        status = covey_error_set(error, COVEY_ENOMEM, "no memory to unpack %s", path);
    } else {
        status = inflate_all(&stream, path, limit_bytes, text, error);
        inflateEnd(&stream);
    }
    covey_buffer_free(&packed);
    return status;
}
