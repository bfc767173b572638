/* Following a flare to its end: progress, events, logs; Ctrl-C. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "client/cli/lines.h"
#include "client/cli/loop.h"
#include "covey/client.h"

#include <stdbool.h>
#include <stdint.h>

struct cli_follow {
    struct covey_client *client;
    const char *id;
    uint64_t from_sequence;
    bool json;          /* events and log lines as JSON */
    bool events;        /* print events for people */
    bool logs;          /* print log lines */
    bool owner;         /* Ctrl-C cancels the flare; else it only ends the following */
    int life_fd;        /* see struct cli_loop */
    int64_t timeout_ns; /* 0: none */

    /* Used within. */
    struct cli_loop loop;
    struct cli_lines lines;
    struct covey_flare *flare; /* as the watch has seen it last */
    bool watched;
    bool logged;
    bool log_came; /* in this turn */
    bool done;
    bool cancelling;
    bool output_failed;
    struct covey_error error;
};

/*
 * Follows until the flare has ended and its logs are printed. *flare is then the caller's.
 * ECANCELLED: the user left before. EIO: what is shown cannot be written; the owner's flare is
 * cancelled. ETIMEOUT, EUNAVAILABLE, ENOTFOUND.
 */
enum covey_status cli_follow(struct cli_follow *follow, struct covey_flare **flare,
                             struct covey_error *error) COVEY_MUST_USE;

/* The exit status that a flare's end stands for. */
int cli_exit_of_flare(const struct covey_flare *flare);

/* Says why a flare has not succeeded; nothing where it has. */
void cli_say_end(const struct covey_flare *flare);

#endif
