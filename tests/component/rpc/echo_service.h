/*
 * The service that the tests of rpc/ call, covey.test.Echo.
 *
 * Unary answers its request ("fail" fails it with NOT_FOUND, "hold" never answers, "die" sends
 * nothing and finishes OK, "large" is answered by more than the limit, "work" after 5 ms of work,
 * "bits" after count times as much, each at a turn of its own).
 * Split sends count notes of payload's size (as fast as flow control allows). Join answers with the
 * number of notes and the sum of their payloads; "fail" ends it, "pause" stops its reading. Chat
 * answers each note; "pause" stops its reading. Mend is a Chat that mends texts and answers
 * "malformed", with the length, to what it cannot decode.
 */
#ifndef ECHO_SERVICE_H
#define ECHO_SERVICE_H

#include "echo.pb-c.h"
#include "rpc/rpc.h"

#include <stddef.h>

/* What the service notes; given to rpc_server_add. */
struct echo {
    struct rpc_call *held; /* the last call that "hold" or "pause" left open */
    size_t calls_ended;
    size_t notes_sent; /* by Split */
    size_t half_closes;
    size_t works; /* how often "work" was done */
    enum rpc_code last_end;
    char last_end_message[256];
    char metadata[64]; /* the last value of "x-test" */
    struct rpc_peer peer;
    char certificate_name[64]; /* of that peer; "": none */
};

extern const struct rpc_service echo_service;

/* A note with a payload of zeros, at most 16 MiB; text is borrowed. */
Covey__Test__Note echo_note(const char *text, uint32_t count, size_t payload_bytes);

#endif
