/*
 * TLS over memory: records in, plaintext out, and back. No sockets here. Contexts may be shared by
 * many sessions of one thread.
 */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include "base/buffer.h"
#include "rpc/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_tls_context;
struct rpc_tls_session;

enum rpc_tls_state { RPC_TLS_WAITING, RPC_TLS_OPEN, RPC_TLS_FAILED };

/* Loads the files. With error filled in: EINVAL: a file is missing, malformed or does not match.
 * EACCES: others may read the key. */
enum covey_status rpc_tls_context_create(const struct rpc_tls *tls, bool is_server,
                                         struct rpc_tls_context **context,
                                         struct covey_error *error) COVEY_MUST_USE;
void rpc_tls_context_destroy(struct rpc_tls_context *context);

/* One connection. server_name (client): whose certificate is expected. NULL: out of memory. */
struct rpc_tls_session *rpc_tls_session_create(struct rpc_tls_context *context,
                                               const char *server_name);
void rpc_tls_session_destroy(struct rpc_tls_session *session);

/* The common name of the certificate that a client has shown, once the handshake is over; NULL
 * where it was not asked for one, or its name is of no use. Borrowed. */
const char *rpc_tls_peer_name(const struct rpc_tls_session *session);

/* Goes on with the handshake. FAILED fills *reason (valid until the next call). */
enum rpc_tls_state rpc_tls_handshake(struct rpc_tls_session *session, const char **reason);

/* Records from the peer. */
enum covey_status rpc_tls_give_records(struct rpc_tls_session *session, const uint8_t *bytes,
                                       size_t length_bytes) COVEY_MUST_USE;

/* Appends the records made for the peer. */
enum covey_status rpc_tls_take_records(struct rpc_tls_session *session,
                                       struct covey_buffer *records) COVEY_MUST_USE;

/* Plaintext from the peer: false where there is none now, or, with *reason set, never will be. */
bool rpc_tls_read(struct rpc_tls_session *session, uint8_t *bytes, size_t size_bytes,
                  size_t *length_bytes, const char **reason);

/* Plaintext for the peer; all of it becomes records. */
enum covey_status rpc_tls_write(struct rpc_tls_session *session, const uint8_t *bytes,
                                size_t length_bytes) COVEY_MUST_USE;

/* Makes the closing alert. */
void rpc_tls_shutdown(struct rpc_tls_session *session);

/* Whether a connection that begins with these bytes speaks TLS; length_bytes is above 0. */
bool rpc_tls_is_record(const uint8_t *bytes, size_t length_bytes);
bool rpc_tls_is_server(const struct rpc_tls_session *session);

#endif
