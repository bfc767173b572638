/* Targets: "unix:/path", "host:port", "[v6]:port". */
#ifndef RPC_ADDRESS_H
#define RPC_ADDRESS_H

#include "covey/status.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct rpc_address {
    bool is_unix;
    char host[256];
    char port[8];
    struct sockaddr_un local; /* unix only */
};

/* EINVAL, with error filled in, for what is neither. */
enum covey_status rpc_address_parse(const char *text, struct rpc_address *address,
                                    struct covey_error *error) COVEY_MUST_USE;

bool rpc_address_is_loopback(const struct sockaddr *address);

/* "127.0.0.1:80", "[::1]:80"; a new string, NULL when out of memory. */
char *rpc_address_format(const struct sockaddr *address);

#endif
