/* Which devices of this machine carry an address, and which ports are free on it. Thread-safe. */
#ifndef TRANSPORT_NET_DEVICE_H
#define TRANSPORT_NET_DEVICE_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_device {
    char interface[32]; /* "eth0" */
    char rdma[72];      /* "mlx5_0:1"; empty where the interface has no RDMA device */
};

/* EUNAVAILABLE: no interface of this machine has the (numeric) address. */
enum covey_status net_device_find(const char *ip, struct net_device *device) COVEY_MUST_USE;

/* Whether a listener could take the port now; another process may still be quicker. */
bool net_port_free(const char *ip, uint16_t port);

/* Whether this process listens on the port (on any address). */
bool net_port_listened(uint16_t port);

/*
 * Makes the sockets of this process whose own port this is vanish at close, without a TIME_WAIT
 * that would keep the port from the next host for a minute; also those that a listener of this port
 * will accept, and also where the process is killed. For sockets that are not ours to set
 * SO_REUSEADDR on. Nothing for port 0.
 */
void net_port_no_lingering(uint16_t port);

#endif
