/* covey run. */
#include "base/error.h"
#include "client/cli/attach.h"
#include "client/cli/cli.h"
#include "client/cli/deploy.h"
#include "client/cli/mpi.h"
#include "client/cli/private.h"
#include "client/cli/progress.h"
#include "client/cli/request.h"
#include "client/cli/save.h"

#include <stdio.h>
#include <stdlib.h>

#define PRIVATE_NODES 2

/* What covey-node takes as --slots. */
#define MAX_NODE_SLOTS 1023

struct run {
    struct cli_common common;
    struct cli_parameters parameters;
    struct cli_flare_options options;
    struct cli_code code;
    struct cli_attach attach;
    struct cli_private server;
    bool is_private;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct run *run = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &run->parameters;
        state->child_inputs[1] = &run->options;
        state->child_inputs[2] = &run->code;
        state->child_inputs[3] = &run->attach;
        state->child_inputs[4] = &run->common;
        return 0;
    case ARGP_KEY_ARG:
        cli_code_take_argument(&run->code, state, argument);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say which FILE to run");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum covey_status start_private(struct run *run, struct covey_error *error)
{
    uint64_t per_worker = run->options.options.slots ? run->options.options.slots : 1;
    uint64_t workers = cli_parameters_workers(&run->parameters);
    uint64_t slots = (workers + PRIVATE_NODES - 1) / PRIVATE_NODES * per_worker;
    if (slots > MAX_NODE_SLOTS)
        return covey_error_set(error, COVEY_EINVAL,
                               "%lu workers are too many for this machine alone: at most %lu, or "
                               "name a larger cluster with --server",
                               (unsigned long)workers,
                               (unsigned long)(MAX_NODE_SLOTS / per_worker * PRIVATE_NODES));
    cli_progress_step("starting a private controller and 2 nodes");
    enum covey_status status =
        cli_private_start(&run->server, PRIVATE_NODES, (uint32_t)slots, error);
    if (status)
        return status;
    run->is_private = true;
    run->common.server = run->server.cluster.server;
    run->attach.life_fd = run->server.news_fd;
    run->attach.is_private = true;
    return COVEY_OK;
}

static enum covey_status connect_to_server(struct run *run, struct covey_client **client,
                                           struct covey_error *error)
{
    enum covey_status status = cli_find_server(&run->common, error);
    if (status == COVEY_ENOTFOUND)
        status = start_private(run, error);
    if (!status)
        status = cli_connect(&run->common, client, NULL, error);
    if (!status && run->is_private)
        status = cli_cluster_wait(&run->server.cluster, *client, error);
    return status;
}

static int start_and_attach(struct run *run, struct covey_client *client)
{
    struct covey_deployment code = cli_code_deployment(&run->code);
    struct covey_flare_request request = {.options = cli_flare_options_of(&run->options)};
    cli_parameters_apply(&run->parameters, &request);
    run->attach.code = &code;
    run->attach.json = run->common.json;
    int exit_status = cli_attach(client, &request, &run->attach);
    run->attach.code = NULL;
    return exit_status;
}

int cli_run(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_parameters_argp, 0, NULL, 0}, {&cli_options_argp, 0, NULL, 0},
        {&cli_code_argp, 0, NULL, 0},       {&cli_attach_argp, 0, NULL, 0},
        {&cli_common_argp, 0, NULL, 0},     {0}};
    static const struct argp argp = {
        .parser = parse_option,
        .args_doc = "FILE [ARGUMENT...]",
        .doc =
            "Runs FILE, a shared object that exports covey_work(), or a program or script with its "
            "ARGUMENTs, as one flare: starts the workers together, shows what they write, prints "
            "their results; nothing stays deployed. A name without a slash of which there is no "
            "file here is looked for in PATH. Without a controller it starts a private one with 2 "
            "nodes, and leaves nothing of it behind. Ctrl-C cancels the flare.",
        .children = children,
    };
    static struct run run = {.attach.life_fd = -1};
    struct covey_error error = {0};
    struct covey_client *client = NULL;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &run);
    cli_flare_options_start_here(&run.options);
    cli_progress_begin(run.attach.quiet);
    enum covey_status status = cli_code_check(&run.code, &error);
    if (!status)
        status = cli_results_check(run.attach.results_folder, &error);
    if (!status)
        status = cli_parameters_load(&run.parameters, &error);
    if (!status && cli_parameters_workers(&run.parameters) > 1)
        cli_mpi_warn(run.code.file);
    if (!status)
        status = connect_to_server(&run, &client, &error);
    cli_progress_hide();
    int exit_status;
    if (status) {
        covey_client_destroy(client);
        exit_status = cli_fail(&error);
    } else {
        exit_status = start_and_attach(&run, client);
    }
    if (run.is_private)
        cli_private_stop(&run.server);
    cli_parameters_free(&run.parameters);
    cli_code_free(&run.code);
    return exit_status;
}
