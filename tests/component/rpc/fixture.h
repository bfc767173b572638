/*
 * A server of covey.test.Echo and a channel to it on one loop, and a client that notes all that
 * happens to a call.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "rpc/rpc.h"
#include "tests/component/rpc/echo_service.h"

#include <stdbool.h>
#include <stddef.h>

struct fixture {
    uv_loop_t loop;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct rpc_server_options server_options;
    struct rpc_channel_options channel_options;
    char address[256];
    bool server_done;
    bool channel_done;
    struct echo echo;       /* what the service noted */
    char authorization[64]; /* of the last call, as authorize saw it */
    bool refuse;            /* authorize says no */
    bool trust;             /* whoever connects */
};

/* Options with the defaults; the test may change them before fixture_start. */
void fixture_init(struct fixture *fixture);

/* Listens on address and opens a channel to it. tls may be NULL. */
void fixture_start(struct fixture *fixture, const char *address, const struct rpc_tls *server_tls,
                   const struct rpc_tls *client_tls);

/* "unix:..." in the test's folder. */
const char *fixture_unix_address(void);

/* The two halves of fixture_start. */
void fixture_start_server(struct fixture *fixture, const char *address, const struct rpc_tls *tls);
void fixture_start_channel(struct fixture *fixture, const char *target);

/* Stops both, runs the loop until all is closed and checks that it is. */
void fixture_stop(struct fixture *fixture);
void fixture_stop_server(struct fixture *fixture, int64_t grace_ns);

/* Runs the loop until condition(data); false after two minutes. */
bool fixture_run(struct fixture *fixture, bool (*condition)(void *data), void *data);

/* Runs the loop until *progress has stood still for many rounds: what can happen has happened. */
void fixture_settle(struct fixture *fixture, const size_t *progress);

/* Lets the held call read on. */
void fixture_resume(struct fixture *fixture);

/* One call as its client sees it. */
struct client {
    struct rpc_call *call; /* NULL once ended */
    size_t messages;
    size_t payload_bytes;
    uint32_t last_count;
    char last_text[64];
    bool ended;
    enum rpc_code code;
    char message[512];
    size_t to_send; /* notes that on_writable still sends */
    size_t sent;
    size_t note_bytes;
    bool full;        /* the queue was at its high-water mark */
    bool pause_first; /* pauses at the first message */
};

enum covey_status client_start(struct fixture *fixture, struct client *client, const char *method,
                               const struct rpc_call_options *options);
enum covey_status client_send(struct client *client, const char *text, uint32_t count,
                              size_t payload_bytes);

/* Sends to_send notes as flow control allows, then half-closes. */
void client_stream(struct client *client);

/* A unary or server-streaming call from start to end. */
void client_call(struct fixture *fixture, struct client *client, const char *method,
                 const char *text, uint32_t count, size_t payload_bytes);

bool client_ended(void *client);
bool client_has_message(void *client);

#endif
