#ifndef RPC_UTF8_H
#define RPC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True for well-formed UTF-8 (no overlong form, no surrogate, nothing past U+10FFFF) without NUL.
 */
bool rpc_utf8_valid(const uint8_t *bytes, size_t length_bytes);

#endif
