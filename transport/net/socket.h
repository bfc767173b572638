/* The TCP sockets between hosts: listeners and connections, none of which block. Thread-safe. */
#ifndef TRANSPORT_NET_SOCKET_H
#define TRANSPORT_NET_SOCKET_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Listens on a port (0: any) of a numeric address of this machine; text says where, as
 * net_address_format. EAGAIN: the port is taken. Else what the address or the system says, and then
 * errno is what the system said.
 */
enum covey_status net_socket_listen(const char *ip, uint16_t port, char *text, size_t text_bytes,
                                    int *listener) COVEY_MUST_USE;

/* Begins to connect from ip to "ip:port": the socket is writable when that is done, or failed. */
enum covey_status net_socket_connect(const char *ip, const char *address,
                                     int *connection) COVEY_MUST_USE;

/* The next connection of a listener, or -1 with errno. */
int net_socket_accept(int listener);

/* For a connection: small messages go at once, and a machine that is gone is noticed. */
void net_socket_prepare(int connection);

/*
 * Whether what was sent finds no answer, not even from the other machine's system, for 4 s. Its
 * keepalive says so only of a connection that has nothing under way. A system whose process does
 * not read is not silent.
 */
bool net_socket_is_silent(int connection);

/* How a connection that was being made has ended: 0, or an errno. */
int net_socket_error(int connection);

#endif
