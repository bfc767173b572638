/* gRPC status codes: what other numbering maps to them. */
#ifndef RPC_CODE_H
#define RPC_CODE_H

#include "rpc/rpc.h"

#include <stdint.h>

/* What the gRPC specification makes of a response without grpc-status. */
enum rpc_code rpc_code_from_http(int http_status);

/* What it makes of an HTTP/2 error code that ended a stream without trailers. */
enum rpc_code rpc_code_from_h2(uint32_t error_code);

/* A grpc-status value; UNKNOWN for what is none. */
enum rpc_code rpc_code_parse(const char *text);

#endif
