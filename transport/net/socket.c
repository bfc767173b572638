#include "transport/net/socket.h"

#include "base/error.h"
#include "base/io.h"
#include "transport/net/backend.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define SILENT_MS 4000

enum covey_status net_socket_listen(const char *ip, uint16_t port, char *text, size_t text_bytes,
                                    int *listener)
{
    struct sockaddr_storage address;
    unsigned address_bytes;
    const int on = 1;
    enum covey_status status = net_address_make(ip, port, &address, &address_bytes);
    if (status != COVEY_OK)
        return status;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)address_bytes;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
        net_address_format(&address, text, text_bytes);
        *listener = fd;
        return COVEY_OK;
    }
    status = errno == EADDRINUSE ? COVEY_EAGAIN : covey_status_from_errno(errno);
    covey_close(&fd);
    return status;
}

enum covey_status net_socket_connect(const char *ip, const char *address, int *connection)
{
    struct sockaddr_storage to, from;
    unsigned to_bytes, from_bytes;
    const int on = 1;
    enum covey_status status = net_address_parse(address, &to, &to_bytes);
    if (status == COVEY_OK)
        status = net_address_make(ip, 0, &from, &from_bytes);
    if (status != COVEY_OK)
        return status;
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return covey_status_from_errno(errno);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, (socklen_t)from_bytes) < 0 ||
        (connect(fd, (struct sockaddr *)&to, (socklen_t)to_bytes) < 0 && errno != EINPROGRESS)) {
        status = covey_status_from_errno(errno);
        covey_close(&fd);
        return status;
    }
    *connection = fd;
    return COVEY_OK;
}

int net_socket_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void net_socket_prepare(int connection)
{
    /* A machine that is gone without a word is noticed within about 4 s. */
    const int on = 1, idle_s = 1, interval_s = 1, count = 3;
    (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(connection, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(connection, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(connection, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

int net_socket_error(int connection)
{
    int error_number = 0;
    socklen_t length = sizeof error_number;
    if (getsockopt(connection, SOL_SOCKET, SO_ERROR, &error_number, &length) < 0)
        return errno;
    return error_number;
}

bool net_socket_is_silent(int connection)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return false;
    /* Probes of a closed window come at ever longer intervals: their answers are old, too. */
    return info.tcpi_last_ack_recv > SILENT_MS &&
           (info.tcpi_retransmits > 1 || info.tcpi_probes > 1);
}
