/* The percent-encoding of grpc-message. */
#ifndef RPC_PERCENT_H
#define RPC_PERCENT_H

#include "base/buffer.h"

/* Appends text encoded, then a NUL that does not count. ENOMEM. */
enum covey_status rpc_percent_encode(const char *text, struct covey_buffer *encoded) COVEY_MUST_USE;

/* Decodes in place; a '%' that starts no escape stays as it is, and so does an escaped NUL. */
void rpc_percent_decode(char *text);

#endif
