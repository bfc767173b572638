/* A flare of one's own: started, followed, and its results fetched. */
#ifndef CLI_ATTACH_H
#define CLI_ATTACH_H

#include "covey/client.h"

#include <argp.h>
#include <stdbool.h>

/* Input of cli_attach_argp. */
struct cli_attach {
    const char *results_folder;
    enum covey_stdin stdin_to;
    const struct covey_deployment *code; /* NULL: the request names a definition */
    bool quiet;
    bool json;
    int life_fd;     /* see struct cli_loop */
    bool is_private; /* the controller goes with the flare: it is not remembered */
};

extern const struct argp cli_attach_argp;

/* Starts the flare and stays until its end: the program's exit status, and what there is to say
 * said. */
int cli_attach(struct covey_client *take_client, struct covey_flare_request *request,
               const struct cli_attach *attach);

#endif
