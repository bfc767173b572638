/* The options that say how a flare is to be run: shared by run, flare, plan and (without workers)
 * deploy. */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include "base/buffer.h"
#include "covey/client.h"

#include <argp.h>

#define CLI_MAX_LABELS 64
#define CLI_MAX_TERMS  16

/* How it is to be run; input of cli_options_argp. */
struct cli_flare_options {
    struct covey_flare_options options;
    struct covey_pair labels[CLI_MAX_LABELS];
    const char *selector[CLI_MAX_TERMS];
    const char *tolerations[CLI_MAX_TERMS];
    struct covey_amount resources[CLI_MAX_TERMS];
};

extern const struct argp cli_options_argp;

/* The workers start in this folder, where their nodes have it, unless something else was said. */
void cli_flare_options_start_here(struct cli_flare_options *set);

/* The labels, too. Borrowed from set. */
struct covey_flare_options cli_flare_options_of(const struct cli_flare_options *set);

/* How many workers, and their parameters; input of cli_parameters_argp. */
struct cli_parameters {
    uint32_t workers; /* -n, or 0 */
    char **given;     /* --param, in order */
    size_t given_count;
    const char *file; /* --params-file */
    /* What cli_parameters_load makes of them. */
    struct covey_buffer contents;
    struct covey_bytes *list;
    size_t list_count;
};

extern const struct argp cli_parameters_argp;

/* Reads files and checks that the numbers agree. EINVAL, and what reading gives. */
enum covey_status cli_parameters_load(struct cli_parameters *parameters,
                                      struct covey_error *error) COVEY_MUST_USE;

/* Puts them into a request, which borrows them; their number is cli_parameters_workers. */
void cli_parameters_apply(const struct cli_parameters *parameters,
                          struct covey_flare_request *request);
uint32_t cli_parameters_workers(const struct cli_parameters *parameters);

void cli_parameters_free(struct cli_parameters *parameters);

#endif
