#include "rpc/address.h"

#include "base/error.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static enum covey_status parse_unix(const char *path, struct rpc_address *address,
                                    struct covey_error *error)
{
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address->local.sun_path)
        return covey_error_set(error, COVEY_EINVAL,
                               "a unix socket's path must have 1 to %zu bytes: \"%s\"",
                               sizeof address->local.sun_path - 1, path);
    address->is_unix = true;
    address->local.sun_family = AF_UNIX;
    memcpy(address->local.sun_path, path, length + 1);
    strcpy(address->host, "localhost");
    return COVEY_OK;
}

static bool is_port(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 5)
        return false;
    long port = strtol(text, &end, 10);
    return *end == '\0' && port <= 65535;
}

enum covey_status rpc_address_parse(const char *text, struct rpc_address *address,
                                    struct covey_error *error)
{
    memset(address, 0, sizeof *address);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, address, error);
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t host_bytes = colon ? (size_t)(colon - text) : 0;
    if (host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']') {
        host++;
        host_bytes -= 2;
    } else if (memchr(host, ':', host_bytes)) {
        host_bytes = 0; /* an IPv6 address without brackets is ambiguous */
    }
    if (host_bytes == 0 || host_bytes >= sizeof address->host || !is_port(colon + 1))
        return covey_error_set(error, COVEY_EINVAL,
                               "\"%s\" is no address: use host:port or unix:/path", text);
    memcpy(address->host, host, host_bytes);
    memcpy(address->port, colon + 1, strlen(colon + 1) + 1);
    return COVEY_OK;
}

bool rpc_address_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
    }
    return address->sa_family == AF_UNIX;
}

char *rpc_address_format(const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        return covey_asprintf("%s:%u", host, (unsigned)ntohs(v4->sin_port));
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    return covey_asprintf("[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
}
