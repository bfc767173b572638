/* Waiting for a client and for signals at once. */
#ifndef CLI_LOOP_H
#define CLI_LOOP_H

#include "client/cli/output.h"
#include "covey/client.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct cli_loop {
    struct covey_client *client;
    int signal_fd;
    int life_fd;         /* closed by the other end when the server of this client is gone; or -1 */
    int64_t deadline_ns; /* of cli_loop_run; callbacks may set it; COVEY_NEVER_NS: none */
    struct cli_output *output; /* written as it can be; NULL: none */
    sigset_t old_mask;
    /* After each turn; may be NULL. */
    void (*on_turn)(void *data);
    /* SIGINT, SIGTERM or SIGHUP has come. True: stop waiting. */
    bool (*on_signal)(void *data);
    void *data;
};

/* From here on these signals come to on_signal. */
enum covey_status cli_loop_begin(struct cli_loop *loop, struct covey_error *error) COVEY_MUST_USE;
void cli_loop_end(struct cli_loop *loop);

/* Runs the client until *done. ECANCELLED: on_signal said so. EUNAVAILABLE: life_fd. ETIMEOUT. */
enum covey_status cli_loop_run(struct cli_loop *loop, const bool *done,
                               struct covey_error *error) COVEY_MUST_USE;

#endif
