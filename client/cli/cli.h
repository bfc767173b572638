/*
 * What the verbs of `covey` share. One verb is one function with argc and argv of its own; its
 * value is the program's exit status.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "client/cli/complain.h"
#include "client/cli/output.h"
#include "client/cli/text.h"
#include "client/cli/values.h"
#include "covey/client.h"

#include <argp.h>
#include <stdbool.h>

/* The options that every verb which talks to a controller has. */
struct cli_common {
    const char *server;
    const char *token;
    const char *ca_file;
    const char *certificate_file;
    const char *key_file;
    bool tls;
    bool json;
    bool is_default_socket;    /* server was found, not given */
    const char *server_source; /* the file or variable that names it; NULL: none of them */
};

/* The argp of cli_common: a child of each verb's, whose input it is. */
extern const struct argp cli_common_argp;

/* Says what failed, but for a reader of our output that has gone: the exit status. */
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
