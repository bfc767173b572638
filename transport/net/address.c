#include "transport/net/backend.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool is_wildcard(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

enum covey_status net_address_make(const char *ip, uint16_t port, struct sockaddr_storage *address,
                                   unsigned *address_bytes)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_storage made = {0};
    unsigned made_bytes;
    if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1) {
        memcpy(&made, &v4, sizeof v4);
        made_bytes = sizeof v4;
    } else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1) {
        memcpy(&made, &v6, sizeof v6);
        made_bytes = sizeof v6;
    } else {
        return COVEY_EINVAL;
    }
    if (is_wildcard(&made))
        return COVEY_EINVAL;
    *address = made;
    *address_bytes = made_bytes;
    return COVEY_OK;
}

enum covey_status net_address_parse(const char *text, struct sockaddr_storage *address,
                                    unsigned *address_bytes)
{
    char ip[INET6_ADDRSTRLEN + 1];
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text)
        return COVEY_EINVAL;
    const char *start = text;
    size_t length = (size_t)(colon - text);
    if (*start == '[') {
        if (length < 2 || start[length - 1] != ']')
            return COVEY_EINVAL;
        start++;
        length -= 2;
    } else if (memchr(start, ':', length)) {
        return COVEY_EINVAL;
    }
    if (length >= sizeof ip)
        return COVEY_EINVAL;
    memcpy(ip, start, length);
    ip[length] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port == 0 || port > UINT16_MAX)
        return COVEY_EINVAL;
    return net_address_make(ip, (uint16_t)port, address, address_bytes);
}

void net_address_format(const struct sockaddr_storage *address, char *text, size_t text_bytes)
{
    char ip[INET6_ADDRSTRLEN];
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        if (inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip)) {
            snprintf(text, text_bytes, "%s:%u", ip, ntohs(v4->sin_port));
            return;
        }
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        if (inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof ip)) {
            snprintf(text, text_bytes, "[%s]:%u", ip, ntohs(v6->sin6_port));
            return;
        }
    }
    snprintf(text, text_bytes, "?");
}
