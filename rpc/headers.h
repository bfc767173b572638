/* Names and values of HTTP/2 headers. */
#ifndef RPC_HEADERS_H
#define RPC_HEADERS_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One header to send; nghttp2 copies it when it is submitted. */
static inline nghttp2_nv rpc_header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* True where text of a peer, which has no NUL, is the one expected. */
static inline bool rpc_text_is(const char *text, size_t text_bytes, const char *expected)
{
    return text_bytes == strlen(expected) && memcmp(text, expected, text_bytes) == 0;
}

#endif
