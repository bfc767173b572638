/* What a call is inside: shared by both sides and by the connection under it. */
#ifndef RPC_CALL_H
#define RPC_CALL_H

#include "base/buffer.h"
#include "base/list.h"
#include "rpc/account.h"
#include "rpc/framing.h"
#include "rpc/rpc.h"
#include "rpc/turn.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_connection;
struct rpc_channel;
struct rpc_route;

/* An empty buffer larger than this is not kept for the next message. */
#define RPC_CALL_KEEP_BYTES ((size_t)8 << 10)

enum rpc_encoding { RPC_ENCODING_IDENTITY, RPC_ENCODING_GZIP, RPC_ENCODING_UNKNOWN };

struct rpc_call {
    struct rpc_turn *turn;
    struct rpc_account *account;       /* referenced */
    struct rpc_connection *connection; /* referenced; NULL: a client's call that waits for one */
    const struct rpc_limits *limits;
    struct covey_list due_link;
    struct covey_list connection_link; /* in the connection's calls, or the channel's waiting */
    int32_t stream_id;                 /* 0: no stream, or no longer */
    bool is_server;

    const struct rpc_call_events *events;
    void *data;
    const ProtobufCMessageDescriptor *receives;
    bool mends_text;
    struct rpc_deadline watch; /* for the first of the three below, or earlier */
    int64_t deadline_ns;       /* of the whole call */
    int64_t arrive_by_ns;      /* server: of the next message */
    int64_t stalled_at_ns;     /* server: the client has taken nothing until then */
    size_t held_bytes;         /* counted in its purse */

    struct covey_buffer metadata; /* the peer's: key NUL value NUL ... */
    size_t metadata_bytes;        /* as HTTP/2 counts them, ones dropped included */
    enum rpc_encoding encoding;
    bool headers_complete;
    bool headers_too_large;
    const char *exhausted; /* set: the call ends with RESOURCE_EXHAUSTED, for this reason */

    struct covey_buffer in; /* received, not yet delivered, from in_offset on */
    size_t in_offset;
    size_t uncredited_bytes; /* received, not yet given back to the peer's window */
    bool peer_closed;        /* END_STREAM has come */
    bool peer_close_told;
    bool paused;
    ProtobufCMessage *first; /* server, unary request: decoded, not yet delivered */

    struct covey_buffer out; /* framed, not yet given to nghttp2, from out_offset on */
    size_t out_offset;
    bool deferred; /* nghttp2 waits for rpc_call_wake */
    bool closed;   /* client: half-closed; server: finished */
    bool blocked;  /* rpc_call_writable was false */
    bool moved;    /* something of out was taken */
    bool tell_writable;
    bool scheduled;

    bool over;  /* code and message are final, no stream is attached */
    bool drain; /* what was received is still delivered before on_end */
    enum rpc_code code;
    char *message; /* may be NULL: then fixed_message */
    const char *fixed_message;

    /* server */
    struct rpc_server *server;
    const struct rpc_route *route;
    char *path;
    bool is_stranger; /* what it holds is in its connection's purse */
    bool begun;       /* on_call was asked */
    bool authorized;
    bool response_begun; /* response headers were submitted */
    bool trailers_sent;
    const char *bad_request; /* what the headers lack, as a grpc-message; static */
    enum rpc_code bad_request_code;
    const char *http_status_wanted; /* not gRPC: the answer, once the request has ended; static */

    /* client */
    struct rpc_channel *channel;
    struct covey_buffer request_metadata;
    size_t request_metadata_count;
    int http_status;
    bool is_grpc; /* by its content-type */
    enum rpc_code trailer_code;
    bool has_trailer_code;
    char *trailer_message;
};

/* A call with nothing in it yet. Holds references on the turn and the account. NULL: out of memory.
 */
struct rpc_call *rpc_call_create(struct rpc_turn *turn, struct rpc_account *account,
                                 const struct rpc_limits *limits, bool is_server);

/* Moves it to another account, which then knows whose it is. */
void rpc_call_move(struct rpc_call *call, struct rpc_account *account);

/* Counts anew what it holds; false where that is more than its purse may have. */
bool rpc_call_charge(struct rpc_call *call);

/* For a call that nobody has been told of: frees it at once. */
void rpc_call_discard(struct rpc_call *call);

void rpc_call_due(struct rpc_call *call);

/* Delivers what there is to the call's owner; from the turn only. May free the call. */
void rpc_call_run(struct rpc_call *call);

/* Binds to a stream of a connection, or lets go of it (the stream may go on by itself). */
void rpc_call_attach(struct rpc_call *call, struct rpc_connection *connection, int32_t stream_id);
void rpc_call_detach(struct rpc_call *call);

/* As detach, but resets the stream where there is one. */
void rpc_call_reset(struct rpc_call *call, uint32_t error_code);

/* Fixes the outcome, unless it is fixed; on_end follows. drain: after what was received. */
void rpc_call_conclude(struct rpc_call *call, enum rpc_code code, const char *message, bool drain);

/* Notes code and message without ending anything. */
void rpc_call_set_status(struct rpc_call *call, enum rpc_code code, const char *message);

/* Sets the deadline and watches for it. ENOMEM. */
enum covey_status rpc_call_arm(struct rpc_call *call, int64_t timeout_ns) COVEY_MUST_USE;

/* Framed, and not yet given to nghttp2. */
static inline size_t rpc_call_queued_bytes(const struct rpc_call *call)
{
    return call->out.length_bytes - call->out_offset;
}

/* Server: ends the call where its client takes nothing of what waits for it for too long. */
void rpc_call_watch_stall(struct rpc_call *call);

/* From the turn: it has passed. */
void rpc_call_on_deadline(struct rpc_call *call);

/* nghttp2 may read the out queue again. */
void rpc_call_wake(struct rpc_call *call);

/* The peer, or the socket, may take more: tells the owner where it was told to wait. */
void rpc_call_unblock(struct rpc_call *call);

/* Adds one pair of the peer's headers; counts against the limit. */
void rpc_call_add_metadata(struct rpc_call *call, const char *key, size_t key_bytes,
                           const char *value, size_t value_bytes);

/* Takes the next whole message of what was received, or NULL where there is none yet, or the call
 * had to be refused for it. */
ProtobufCMessage *rpc_call_next_message(struct rpc_call *call);

/* From the connection. */
void rpc_call_on_bytes(struct rpc_call *call, const uint8_t *bytes, size_t length_bytes);
ssize_t rpc_call_read_out(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
                          size_t size_bytes, uint32_t *flags, nghttp2_data_source *source,
                          void *data);
void rpc_call_on_stream_closed(struct rpc_call *call, uint32_t error_code);
void rpc_call_on_connection_lost(struct rpc_call *call, const char *reason);

/* The two sides. */
bool rpc_server_call_begin(struct rpc_call *call); /* false: on_call cannot be asked yet */
void rpc_server_call_headers_done(struct rpc_call *call);
void rpc_server_call_header(struct rpc_call *call, const char *key, size_t key_bytes,
                            const char *value, size_t value_bytes);
void rpc_server_call_respond(struct rpc_call *call);
void rpc_server_call_trailers(struct rpc_call *call);
void rpc_server_call_expire(struct rpc_call *call, const char *why);
void rpc_client_call_header(struct rpc_call *call, const char *key, size_t key_bytes,
                            const char *value, size_t value_bytes);
void rpc_client_call_headers_done(struct rpc_call *call);
void rpc_client_call_trailers_done(struct rpc_call *call);
enum covey_status rpc_client_call_submit(struct rpc_call *call,
                                         struct rpc_connection *connection) COVEY_MUST_USE;

#endif
