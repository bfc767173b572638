/*
 * gRPC over HTTP/2, both sides, event-driven on one libuv loop.
 *
 * Threads: everything here belongs to the thread that runs the loop; callbacks come from uv_run on
 * it, never from inside the call that caused them. Callbacks must not block. Strings and messages
 * given to a callback are borrowed until it returns. Destruction is asynchronous: the done callback
 * says when the last handle is closed.
 *
 * A call is the same thing on both sides: a stream of messages each way and one status at its end.
 * The server gets it from a registered method, the client makes it. A call is over, and its handle
 * invalid, when on_end has returned; on_end comes exactly once for each call, whatever happened.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "covey/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

/* The status codes of gRPC, as its specification numbers them. */
enum rpc_code {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. */
const char *rpc_code_name(enum rpc_code code);

struct rpc_call;
struct rpc_server;
struct rpc_channel;

/* What happens to a call. Any may be NULL but on_end. data is what the call was given. */
struct rpc_call_events {
    /* One whole message, decoded and checked (budget, UTF-8). It is freed after the callback. */
    void (*on_message)(struct rpc_call *call, const ProtobufCMessage *message, void *data);
    /* In place of on_message, a message that cannot be decoded; why is EPROTO or ELIMIT. True: the
     * call goes on without it. False, or no such function: it ends the call. */
    bool (*on_bad_message)(struct rpc_call *call, enum covey_status why, const uint8_t *bytes,
                           size_t length_bytes, void *data);
    /* Server side: the client will send no more. */
    void (*on_half_close)(struct rpc_call *call, void *data);
    /* The call is writable, after rpc_call_writable was false. */
    void (*on_writable)(struct rpc_call *call, void *data);
    /* After rpc_call_schedule: the call has its turn beside others'. Not after it was finished. */
    void (*on_turn)(struct rpc_call *call, void *data);
    /* The call is over. Client: the status from the trailers, or what stood in for it. Server: how
     * it ended (the finished status; CANCELLED on reset or lost connection; DEADLINE_EXCEEDED).
     * message is never NULL. */
    void (*on_end)(struct rpc_call *call, enum rpc_code code, const char *message, void *data);
};

/*
 * Queues one message. It is serialised at once; *message stays the caller's. The queue is unbounded
 * for one message, so a stream asks rpc_call_writable before each and else waits for on_writable.
 * ELIMIT: longer than the peer's or our limit, or all that waits for this caller would be more than
 * it may hold. EPRECONDITION: the sending side is closed. ENOMEM.
 * A server's message, and one of a call that mends text, is made valid where a string is not UTF-8;
 * EINVAL: any other is refused (proto/strings.h can name the field).
 */
enum covey_status rpc_call_send(struct rpc_call *call,
                                const ProtobufCMessage *message) COVEY_MUST_USE;

/* Whether more should be sent: less waits than the high-water mark and, on a server, than the
 * client's window takes. After false on_writable follows; a stream whose client takes nothing for
 * stall_timeout_ns ends. */
bool rpc_call_writable(struct rpc_call *call);

/* on_turn comes once, when other callers have had their turns: for an owner that has more to do
 * than it should at once. */
void rpc_call_schedule(struct rpc_call *call);

/*
 * Stops and restarts the delivery of messages; while stopped, flow control stops the peer. Does not
 * nest. A client's paused call whose server has finished ends only when it is resumed, so that
 * nothing is lost; any other ending comes at once.
 */
void rpc_call_pause(struct rpc_call *call);
void rpc_call_resume(struct rpc_call *call);

/*
 * From now on a string that is not UTF-8 is mended ('?' for each bad byte) in what comes and in
 * what is sent, and not refused: for what people read, where a message with a bad text is worth
 * more than none. Call it before messages come: in on_call, or after rpc_channel_call.
 */
void rpc_call_mend_text(struct rpc_call *call);

/* The user's pointer, as given to every callback. */
void rpc_call_set_data(struct rpc_call *call, void *data);
void *rpc_call_data(const struct rpc_call *call);

/* The value of a metadata key of the peer (initial metadata), or NULL. Borrowed until the call
 * ends. */
const char *rpc_call_metadata(const struct rpc_call *call, const char *key);

/* When the call must be over on this machine's monotonic clock; COVEY_NEVER_NS where there is no
 * deadline. */
int64_t rpc_call_deadline_ns(const struct rpc_call *call);

/* ---- server ---- */

struct rpc_method {
    const char *name; /* "Flare" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    bool client_streaming;
    bool server_streaming;
    /*
     * A call has come. Returns the events to follow it by (static storage) and sets *data, or
     * finishes the call and returns NULL. Messages follow through on_message; for a unary request
     * the call is half-closed by then, and anything but exactly one message has been refused
     * already.
     */
    const struct rpc_call_events *(*on_call)(struct rpc_call *call, void *service_data,
                                             void **data);
};

struct rpc_service {
    const char *name; /* "covey.v1.Covey" */
    const struct rpc_method *methods;
    size_t method_count;
};

/* Who is at the other end of a connection. */
struct rpc_peer {
    bool is_unix; /* then uid, gid and pid are from SO_PEERCRED, else -1 */
    uid_t uid;
    gid_t gid;
    pid_t pid;
    bool is_tls;
    bool is_loopback;
    const char *address; /* "unix:/path", "127.0.0.1:5000"; borrowed */
    const char
        *certificate_name; /* the common name of the certificate that a client has proved to
                              be its own, where the server asks for one; NULL: none; borrowed */
};

/* On whose account a call is. */
struct rpc_identity {
    char name[96];    /* calls of one name share what they may hold, over all connections */
    bool is_alone;    /* each of its connections has an account of its own, whatever the name */
    bool is_urgent;   /* its calls go before others' */
    bool is_stranger; /* it is nobody known; name is not looked at */
};

struct rpc_limits {
    size_t message_bytes;       /* largest message received or sent; default 4 MiB */
    size_t decode_budget_bytes; /* memory that one decoded message may take; default 16 x
                                   message_bytes */
    size_t held_bytes;          /* received and not yet delivered, or queued and not yet sent, over
                                   all calls of one identity (of a server) or of a channel; a call
                                   that goes beyond it ends with RESOURCE_EXHAUSTED; default 64 MiB
                                 */
    size_t stranger_bytes;      /* the same over all calls of one connection that are of nobody
                                   known; default 16 KiB */
    size_t metadata_bytes;      /* header list; default 16 KiB */
    uint32_t connections;       /* a server's open connections; beyond it those that nobody known
                                   uses, and then idle ones, give way; default 4096 */
    uint32_t connections_each;  /* of one identity; default 256 */
    uint32_t connections_reserved; /* beyond all these, for those whom the server trusts; default 64
                                    */
    uint32_t streams;              /* concurrent streams per connection; default 256 */
    uint32_t calls_each; /* open calls of one identity, over all connections; default 512 */
    size_t send_high_water_bytes; /* rpc_call_writable turns false; default 256 KiB; low-water is
                                     half of it */
    int64_t keepalive_ns;         /* idle time before a PING; default 10 s; negative: none */
    int64_t keepalive_timeout_ns; /* for its answer; default 10 s */
    int64_t handshake_timeout_ns; /* connect, TLS, preface, SETTINGS; default 5 s */
    int64_t parting_timeout_ns;   /* after our last word, for the peer to end too; default 1 s */
    int64_t stranger_timeout_ns;  /* from a request's first header to its whole first message, until
                                     it is known whose it is; default 5 s */
    int64_t request_timeout_ns;   /* the same from then on; default 30 s */
    int64_t stall_timeout_ns; /* a server's stream of which nothing is taken ends; default 5 min */
};

/* The defaults above. */
void rpc_limits_init(struct rpc_limits *limits);

struct rpc_tls {
    const char *certificate_file; /* PEM chain; for a client, its own, or NULL */
    const char *key_file;         /* PEM; a file that others may read is refused (EACCES) */
    const char
        *ca_file; /* PEM: whom to trust; a server that has it asks the client for a certificate */
    const char *server_name; /* client: checked against the certificate; NULL: the target's host */
};

struct rpc_server_options {
    struct rpc_limits limits;
    bool allow_plaintext;          /* plaintext beyond loopback and unix sockets */
    bool reflection;               /* serve grpc.reflection.v1 and v1alpha from descriptor_set */
    const uint8_t *descriptor_set; /* a serialised FileDescriptorSet, imports included; borrowed for
                                      the server's life */
    size_t descriptor_set_bytes;
    /*
     * Asked when the headers of a call have come, before any of its body is kept: says whose it is,
     * or finishes the call (UNAUTHENTICATED) and returns false. It looks at the metadata and does
     * nothing else with the call, which is still inside what received it. NULL: everyone may call,
     * and each connection has an account of its own.
     */
    bool (*authorize)(struct rpc_call *call, const struct rpc_peer *peer, const char *full_method,
                      struct rpc_identity *identity, void *data);
    /* Whether who connects may use the reserved connections, and is never evicted. NULL: nobody. */
    bool (*is_trusted)(const struct rpc_peer *peer, void *data);
    void *data;
};

/*
 * Creates a server with no services and no listener, and grpc.health.v1 built in. EINVAL: the
 * descriptor set is malformed. ENOMEM. What a failure leaves is freed when the loop next runs.
 */
enum covey_status rpc_server_create(uv_loop_t *loop, const struct rpc_server_options *options,
                                    struct rpc_server **server,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Adds a service (borrowed for the server's life). data is passed to on_call as service_data. */
enum covey_status rpc_server_add(struct rpc_server *server, const struct rpc_service *service,
                                 void *data) COVEY_MUST_USE;

/*
 * Listens on "unix:/path" (made with mode 0600; a stale socket is replaced, a live one is EEXISTS)
 * or "host:port" (port 0: any). tls NULL: plaintext, refused (EINVAL) for a non-loopback address
 * unless allow_plaintext. A host name is looked up at once, which may block. bound (may be NULL)
 * receives the address with its real port, up to bound_bytes.
 */
enum covey_status rpc_server_listen(struct rpc_server *server, const char *address,
                                    const struct rpc_tls *tls, char *bound, size_t bound_bytes,
                                    struct covey_error *error) COVEY_MUST_USE;

/* What grpc.health.v1 answers for a service name ("" is the server as a whole); watchers are told.
 */
void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving);

/*
 * Stops: no new connections, GOAWAY to the old, open calls may finish until the grace is over, then
 * are cancelled. done (may be NULL) is called when nothing is left; the server is freed right after
 * it. Called again before that, it may only shorten the grace, and done replaces the earlier one.
 */
void rpc_server_stop(struct rpc_server *server, int64_t grace_ns, void (*done)(void *data),
                     void *data);

/* Server side: a whole message must come from now on within a time, or the call ends with
 * DEADLINE_EXCEEDED. The first is expected anyway (stranger_timeout_ns, request_timeout_ns). */
void rpc_call_expect(struct rpc_call *call, int64_t timeout_ns);

/* The other end of a server-side call. Borrowed until the call ends. */
const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);

/* Ends a server-side call: queued messages go first, then trailers. message may be NULL. on_end
 * follows. */
void rpc_call_finish(struct rpc_call *call, enum rpc_code code, const char *message);

/* As rpc_call_finish, from a status and, where error is not NULL and set, its message. */
void rpc_call_fail(struct rpc_call *call, enum covey_status status,
                   const struct covey_error *error);

/* One message, then OK. For unary and client-streaming methods. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message);

/* ---- client ---- */

struct rpc_channel_options {
    struct rpc_limits limits;
    const struct rpc_tls *tls; /* NULL: plaintext; copied */
    const char
        *token; /* sent as "authorization: Bearer TOKEN" with each call; copied; may be NULL */
    bool allow_plaintext;     /* plaintext beyond loopback and unix sockets; default false */
    int64_t reconnect_min_ns; /* back-off between connection attempts; default 20 ms */
    int64_t reconnect_max_ns; /* default 2 s */
};

/* Defaults: rpc_limits_init, plaintext, no token. */
void rpc_channel_options_init(struct rpc_channel_options *options);

/*
 * A channel to "unix:/path" or "host:port". It connects at the first call, and again when the
 * connection was lost; calls made while it connects wait for that attempt and fail with UNAVAILABLE
 * if it fails. Never blocks.
 */
enum covey_status rpc_channel_create(uv_loop_t *loop, const char *target,
                                     const struct rpc_channel_options *options,
                                     struct rpc_channel **channel,
                                     struct covey_error *error) COVEY_MUST_USE;

/* Cancels its calls, closes and frees it; done (may be NULL) is called last. */
void rpc_channel_destroy(struct rpc_channel *channel, void (*done)(void *data), void *data);

struct rpc_metadata {
    const char *key;
    const char *value;
};

struct rpc_call_options {
    int64_t timeout_ns;                  /* from now; negative: none */
    const struct rpc_metadata *metadata; /* copied */
    size_t metadata_count;
};

/*
 * Starts a call of "/package.Service/Method". options may be NULL (no deadline). Errors of the
 * network come by on_end.
 */
enum covey_status rpc_channel_call(struct rpc_channel *channel, const char *full_method,
                                   const ProtobufCMessageDescriptor *response,
                                   const struct rpc_call_events *events, void *data,
                                   const struct rpc_call_options *options,
                                   struct rpc_call **call) COVEY_MUST_USE;

/* Client: no more messages from this side. */
void rpc_call_half_close(struct rpc_call *call);

/* Client: ends the call with CANCELLED, here and at the server. on_end follows. */
void rpc_call_cancel(struct rpc_call *call);

/* ---- decoding, for whoever has bytes from elsewhere (files, local sockets) ---- */

/*
 * Decodes with a memory budget and checks that every string is UTF-8 without NUL.
 * EPROTO: malformed. ELIMIT: over the budget, or nested deeper than 64. ENOMEM. The message is
 * freed with protobuf_c_message_free_unpacked(m, NULL).
 */
enum covey_status rpc_decode(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                             size_t length_bytes, size_t budget_bytes,
                             ProtobufCMessage **message) COVEY_MUST_USE;

#endif
