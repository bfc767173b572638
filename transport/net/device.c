#include "transport/net/device.h"

#include "base/io.h"
#include "transport/net/backend.h"

#include <dirent.h>
#include <glob.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct in_addr *v4(const struct sockaddr *address)
{
    return &((const struct sockaddr_in *)(const void *)address)->sin_addr;
}

/* An exact match, or, since all of 127.0.0.0/8 is ours, one on the loopback's network. */
static bool carries(const struct ifaddrs *interface, const struct sockaddr_storage *address)
{
    if (!interface->ifa_addr || interface->ifa_addr->sa_family != address->ss_family)
        return false;
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *own = (const struct sockaddr_in6 *)(void *)interface->ifa_addr;
        return memcmp(&own->sin6_addr, &((const struct sockaddr_in6 *)address)->sin6_addr,
                      sizeof own->sin6_addr) == 0;
    }
    in_addr_t mask = htonl(INADDR_BROADCAST);
    if (interface->ifa_flags & IFF_LOOPBACK && interface->ifa_netmask)
        mask = v4(interface->ifa_netmask)->s_addr;
    in_addr_t wanted = ((const struct sockaddr_in *)address)->sin_addr.s_addr;
    return ((v4(interface->ifa_addr)->s_addr ^ wanted) & mask) == 0;
}

/* The kernel lists for each port of an RDMA device the interfaces its addresses are of. */
static void find_rdma(struct net_device *device)
{
    glob_t files;
    if (glob("/sys/class/infiniband/*/ports/*/gid_attrs/ndevs/*", GLOB_NOSORT, NULL, &files))
        return;
    for (size_t i = 0; i < files.gl_pathc && !*device->rdma; i++) {
        char name[64], port[8];
        struct covey_buffer contents = {0};
        if (sscanf(files.gl_pathv[i], "/sys/class/infiniband/%63[^/]/ports/%7[0-9]/", name, port) !=
            2)
            continue;
        /* An unused row is there and unreadable. */
        if (covey_file_read(files.gl_pathv[i], 256, &contents, NULL) == COVEY_OK &&
            contents.length_bytes == strlen(device->interface) + 1 &&
            memcmp(contents.data, device->interface, contents.length_bytes - 1) == 0)
            snprintf(device->rdma, sizeof device->rdma, "%s:%s", name, port);
        covey_buffer_free(&contents);
    }
    globfree(&files);
}

enum covey_status net_device_find(const char *ip, struct net_device *device)
{
    struct sockaddr_storage address;
    unsigned address_bytes;
    enum covey_status status = net_address_make(ip, 0, &address, &address_bytes);
    if (status != COVEY_OK)
        return status;
    struct ifaddrs *interfaces;
    if (getifaddrs(&interfaces) < 0)
        return COVEY_EIO;
    *device = (struct net_device){0};
    status = COVEY_EUNAVAILABLE;
    for (struct ifaddrs *next = interfaces; next; next = next->ifa_next) {
        if (!carries(next, &address))
            continue;
        snprintf(device->interface, sizeof device->interface, "%s", next->ifa_name);
        status = COVEY_OK;
        break;
    }
    freeifaddrs(interfaces);
    if (status == COVEY_OK)
        find_rdma(device);
    return status;
}

bool net_port_free(const char *ip, uint16_t port)
{
    struct sockaddr_storage address;
    unsigned address_bytes;
    if (net_address_make(ip, port, &address, &address_bytes) != COVEY_OK)
        return false;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool is_free = bind(fd, (const struct sockaddr *)&address, (socklen_t)address_bytes) == 0 &&
                   listen(fd, 1) == 0;
    covey_close(&fd);
    return is_free;
}

static uint16_t own_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

/* Calls visit for each descriptor of this process that is a socket with an internet port, until it
 * returns false. */
static void each_socket(bool (*visit)(int fd, uint16_t port, void *data), void *data)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return;
    bool going = true;
    for (struct dirent *entry; going && (entry = readdir(folder));) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (*entry->d_name == '.' || fd == dirfd(folder))
            continue;
        uint16_t port = own_port(fd);
        if (port)
            going = visit(fd, port, data);
    }
    closedir(folder);
}

struct listened {
    uint16_t port;
    bool found;
};

static bool note_listener(int fd, uint16_t port, void *data)
{
    struct listened *wanted = data;
    int listening = 0;
    socklen_t length = sizeof listening;
    if (port == wanted->port &&
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening)
        wanted->found = true;
    return !wanted->found;
}

bool net_port_listened(uint16_t port)
{
    struct listened wanted = {.port = port};
    each_socket(note_listener, &wanted);
    return wanted.found;
}

static bool no_lingering(int fd, uint16_t port, void *data)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (port == *(const uint16_t *)data)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return true;
}

void net_port_no_lingering(uint16_t port)
{
    if (port)
        each_socket(no_lingering, &port);
}
