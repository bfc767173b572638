/*
 * A byte stream: a TCP or unix socket on the loop, with or without TLS on it. The owner is told of
 * bytes, of the end, and of room to write; all from the loop.
 */
#ifndef RPC_TRANSPORT_H
#define RPC_TRANSPORT_H

#include "base/buffer.h"
#include "rpc/rpc.h"
#include "rpc/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct rpc_transport;

struct rpc_transport_events {
    /* The stream is up (for TLS: handshake done, h2 agreed). */
    void (*on_open)(void *owner);
    /* After as much as is read at once no more comes until rpc_transport_read_on. */
    void (*on_bytes)(void *owner, const uint8_t *bytes, size_t length_bytes);
    /* Everything given to write has left. */
    void (*on_drained)(void *owner);
    /* The other end closed, or the stream failed, for the reason given. Nothing follows but
     * on_closed, once the owner has called rpc_transport_close. */
    void (*on_failed)(void *owner, const char *reason);
    /* After rpc_transport_part: there is nothing left to wait for. */
    void (*on_parted)(void *owner);
    /* After rpc_transport_close: the handle is gone and the transport freed. */
    void (*on_closed)(void *owner);
};

#define RPC_TRANSPORT_READ_BYTES 65536

/*
 * A transport over a socket that is not yet connected or accepted. read_bytes holds
 * RPC_TRANSPORT_READ_BYTES and may be shared by all transports of a loop: nothing stays in it
 * between callbacks. NULL: out of memory.
 */
struct rpc_transport *rpc_transport_create(uv_loop_t *loop, bool is_unix, uint8_t *read_bytes,
                                           const struct rpc_transport_events *events, void *owner);

/* The handle, for uv_accept and uv_*_connect. */
uv_stream_t *rpc_transport_stream(struct rpc_transport *transport);

/* The socket is connected: starts TLS (where tls is not NULL, which it takes) and reading. */
enum covey_status rpc_transport_start(struct rpc_transport *transport,
                                      struct rpc_tls_session *take_tls) COVEY_MUST_USE;

/* Connects and then starts as above; on_open or on_failed follow. */
enum covey_status rpc_transport_connect(struct rpc_transport *transport,
                                        const struct sockaddr *address,
                                        struct rpc_tls_session *take_tls) COVEY_MUST_USE;

/* True while nothing given to write is left behind. */
bool rpc_transport_drained(const struct rpc_transport *transport);

/* Writes what it can at once and keeps the rest; only when drained. The buffer is emptied. */
enum covey_status rpc_transport_write(struct rpc_transport *transport,
                                      struct covey_buffer *buffer) COVEY_MUST_USE;

/* Reads on, where reading has rested since the last on_bytes: nobody who sends much is read twice
 * before others were read once. */
void rpc_transport_read_on(struct rpc_transport *transport);

/* What was written has all been taken by the peer, as far as the kernel knows: a close takes
 * nothing of it back. */
bool rpc_transport_arrived(const struct rpc_transport *transport);

/*
 * Says that nothing more will come, and reads away what the peer still sends until it has ended
 * too, or has sent too much; on_parted follows, and nothing else. A socket that is closed with
 * bytes in it that nobody read, or to which more come, is reset, and a reset can take from the peer
 * what was sent to it. False: the peer has ended, or could not be told, and there is nothing to
 * wait for. rpc_transport_close is called in either case, at any time.
 */
bool rpc_transport_part(struct rpc_transport *transport) COVEY_MUST_USE;

/* Closes; on_closed follows from the loop. */
void rpc_transport_close(struct rpc_transport *transport);

/* As rpc_tls_peer_name, NULL without TLS. */
const char *rpc_transport_peer_name(const struct rpc_transport *transport);

/* The socket, or -1. */
int rpc_transport_fd(const struct rpc_transport *transport);

#endif
