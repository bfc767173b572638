/* Code on the command line: a file, its arguments, and what its workers are. */
#ifndef CLI_DEPLOY_H
#define CLI_DEPLOY_H

#include "covey/client.h"

#include <argp.h>
#include <stdbool.h>

/* The longest name of a definition, with its NUL. */
#define CLI_NAME_BYTES 64

/* Input of cli_code_argp. */
struct cli_code {
    const char *file;
    const char *name;
    char **arguments;
    size_t argument_count;
    enum covey_worker_kind worker_kind;
    struct covey_pair *environment;
    size_t environment_count;
    /* Filled in by cli_code_check. */
    char *found; /* the file, where it was found in PATH */
    enum covey_code_kind kind;
    char made_name[CLI_NAME_BYTES];
};

extern const struct argp cli_code_argp;

/* Takes FILE, and all that follows it as its arguments. False where FILE was given already. */
bool cli_code_take_argument(struct cli_code *code, struct argp_state *state, const char *argument);

/* Looks at the file and names the definition. What it says are sentences for the user. */
enum covey_status cli_code_check(struct cli_code *code, struct covey_error *error) COVEY_MUST_USE;

/* As libcovey takes it; borrowed. */
struct covey_deployment cli_code_deployment(const struct cli_code *code);

void cli_code_free(struct cli_code *code);

#endif
