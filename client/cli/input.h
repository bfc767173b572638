/* Standard input for workers. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "covey/client.h"

/*
 * Puts what is on this program's standard input, to its end, where the flare's nodes will get it,
 * and names it in the request; nothing where nobody is to read it. It is put before the flare is
 * accepted, so the flare can be started again, and a worker that does not read keeps nobody
 * waiting. ELIMIT over what the controller takes as one blob.
 */
enum covey_status cli_input_put(struct covey_client *client, enum covey_stdin to,
                                struct covey_flare_request *request,
                                struct covey_error *error) COVEY_MUST_USE;

#endif
