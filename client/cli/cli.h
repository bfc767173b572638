/*
 * What the verbs of `covey` share. One verb is one function with argc and argv of its own; its
 * value is the program's exit status.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "covey/client.h"

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/* The exit statuses of every verb. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the flare failed; also: out of memory, disk full and the like */
    CLI_BAD_INPUT = 2,   /* arguments, files, or a request that the controller refused */
    CLI_UNPLACEABLE = 3, /* it can never be placed on this cluster */
    CLI_UNREACHABLE = 4, /* the controller */
    CLI_TIME_LIMIT = 5,  /* of the flare, or of waiting for it */
    CLI_CANCELLED = 130,
};

/* The options that every verb which talks to a controller has. */
struct cli_common {
    const char *server;
    const char *token;
    const char *ca_file;
    const char *certificate_file;
    const char *key_file;
    bool tls;
    bool json;
    bool is_default_socket; /* server was found, not given */
};

/* The argp of cli_common: a child of each verb's, whose input it is. */
extern const struct argp cli_common_argp;

/* "covey VERB", as it begins each message. Set by main. */
extern const char *cli_name;

/* Prints "covey VERB: message" on standard error. */
void cli_complain(const char *format, ...) COVEY_PRINTF(1, 2);

/* The exit status of a failed call; cli_fail says the error's message, too. */
int cli_exit_of(enum covey_status status);
int cli_fail(const struct covey_error *error);

/*
 * Finds the server: --server, COVEY_SERVER, the user's configuration, the default socket where
 * something listens on it. ENOTFOUND where there is none.
 */
enum covey_status cli_find_server(struct cli_common *common,
                                  struct covey_error *error) COVEY_MUST_USE;

/* Finds the server, connects and compares versions. info (may be NULL) is then the caller's. */
enum covey_status cli_connect(struct cli_common *common, struct covey_client **client,
                              struct covey_server_info **info,
                              struct covey_error *error) COVEY_MUST_USE;

/* As cli_connect, but says what is wrong: the exit status, 0 with *client set. */
int cli_connect_or_fail(struct cli_common *common, struct covey_client **client);

/* ---- values of options; on a malformed one argp_error ends the program with CLI_BAD_INPUT ---- */

uint32_t cli_parse_count(const struct argp_state *state, const char *option, const char *text,
                         uint32_t least, uint32_t most);
int32_t cli_parse_integer(const struct argp_state *state, const char *option, const char *text,
                          int32_t least, int32_t most);
/* Sizes and times as base/quantity.h has them, above 0. */
uint64_t cli_parse_size(const struct argp_state *state, const char *option, const char *text);
int64_t cli_parse_duration(const struct argp_state *state, const char *option, const char *text);
/* "key=value" cut into the pair; text is changed and kept. */
struct covey_pair cli_parse_pair(const struct argp_state *state, const char *option, char *text);
/* "0,3,8-11": *ranks is allocated. */
void cli_parse_ranks(const struct argp_state *state, const char *text, uint32_t **ranks,
                     size_t *count);

/* ---- output ---- */

/* "1.2 ms", "3.4 s"; "2.0 MiB"; "2026-01-31 12:00:00". Into text, which is returned. */
#define CLI_TEXT_BYTES 32
/* "4 s", "3 min", "2 h", "5 d": how long about. */
const char *cli_rough_text(char text[CLI_TEXT_BYTES], int64_t duration_ns);
const char *cli_duration_text(char text[CLI_TEXT_BYTES], int64_t duration_ns);
const char *cli_size_text(char text[CLI_TEXT_BYTES], uint64_t bytes);
const char *cli_time_text(char text[CLI_TEXT_BYTES], int64_t wall_ns);

/* "succeeded" for "SUCCEEDED". Static storage, overwritten by the fourth next call. */
const char *cli_lowercase(const char *name);

/* Ends what was printed: CLI_OK, or CLI_FAILED where standard output has failed. */
int cli_finish_output(void);

/* ---- the verbs ---- */

int cli_blobs(int argc, char **argv);
int cli_cancel(int argc, char **argv);
int cli_definitions(int argc, char **argv);
int cli_deploy(int argc, char **argv);
int cli_down(int argc, char **argv);
int cli_drain(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_flare(int argc, char **argv);
int cli_logs(int argc, char **argv);
int cli_nodes(int argc, char **argv);
int cli_plan(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_results(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_undeploy(int argc, char **argv);
int cli_undrain(int argc, char **argv);
int cli_up(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_wait(int argc, char **argv);
int cli_watch(int argc, char **argv);

#endif
