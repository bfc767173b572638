/* covey flare, plan. */
#include "base/error.h"
#include "client/cli/attach.h"
#include "client/cli/cli.h"
#include "client/cli/cost.h"
#include "client/cli/ids.h"
#include "client/cli/input.h"
#include "client/cli/request.h"
#include "client/cli/save.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_DETACH = 0x500, KEY_VERSION, KEY_IDEMPOTENCY };

struct flare {
    struct cli_common common;
    struct cli_parameters parameters;
    struct cli_flare_options options;
    struct cli_attach attach;
    const char *definition;
    const char *idempotency_key;
    uint32_t version;
    bool detach;
};

static const struct argp_option flare_options[] = {
    {"detach", KEY_DETACH, NULL, 0, "print the flare's id and do not wait for its end", 0},
    {"definition-version", KEY_VERSION, "V", 0, "that version of the definition (default: newest)",
     0},
    {"idempotency-key", KEY_IDEMPOTENCY, "KEY", 0,
     "a second request with this key is the same flare", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct flare *flare = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &flare->parameters;
        state->child_inputs[1] = &flare->options;
        state->child_inputs[2] = &flare->attach;
        state->child_inputs[3] = &flare->common;
        return 0;
    case KEY_DETACH:
        flare->detach = true;
        return 0;
    case KEY_VERSION:
        flare->version = cli_parse_count(state, "--definition-version", argument, 1, INT32_MAX);
        return 0;
    case KEY_IDEMPOTENCY:
        if (strlen(argument) > 128)
            argp_error(state, "--idempotency-key must have at most 128 bytes");
        flare->idempotency_key = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (flare->definition)
            argp_error(state, "\"%s\" is one argument too many", argument);
        flare->definition = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say which DEFINITION; covey definitions lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child flare_children[] = {{&cli_parameters_argp, 0, NULL, 0},
                                                   {&cli_options_argp, 0, NULL, 0},
                                                   {&cli_attach_argp, 0, NULL, 0},
                                                   {&cli_common_argp, 0, NULL, 0},
                                                   {0}};

static void fill_request(const struct flare *flare, struct covey_flare_request *request)
{
    *request = (struct covey_flare_request){
        .definition = flare->definition,
        .definition_version = flare->version,
        .options = cli_flare_options_of(&flare->options),
        .idempotency_key = flare->idempotency_key,
    };
    cli_parameters_apply(&flare->parameters, request);
}

static int submit_detached(struct covey_client *client, struct covey_flare_request *request,
                           const struct cli_attach *attach)
{
    struct covey_flare *submitted = NULL;
    struct covey_error error = {0};
    enum covey_status status = cli_input_put(client, attach->stdin_to, request, &error);
    if (!status)
        status = covey_client_flare(client, request, 0, &submitted, &error);
    if (!status) {
        cli_id_remember(submitted->id);
        printf("%s\n", attach->json ? submitted->json : submitted->id);
    }
    covey_flare_free(submitted);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}

int cli_flare(int argc, char **argv)
{
    static const struct argp argp = {
        .options = flare_options,
        .parser = parse_option,
        .args_doc = "DEFINITION",
        .doc = "Starts a flare of a definition, shows its progress and what its workers write, and "
               "prints their results. Ctrl-C cancels it.",
        .children = flare_children,
    };
    struct flare flare = {.attach.life_fd = -1};
    struct covey_error error = {0};
    struct covey_flare_request request;
    struct covey_client *client;
    argp_parse(&argp, argc, argv, 0, NULL, &flare);
    enum covey_status status = cli_results_check(flare.attach.results_folder, &error);
    if (!status)
        status = cli_parameters_load(&flare.parameters, &error);
    if (!status)
        status = cli_connect(&flare.common, &client, NULL, &error);
    int exit_status;
    if (status) {
        exit_status = cli_fail(&error);
    } else {
        fill_request(&flare, &request);
        flare.attach.json = flare.common.json;
        exit_status = flare.detach ? submit_detached(client, &request, &flare.attach)
                                   : cli_attach(client, &request, &flare.attach);
    }
    cli_parameters_free(&flare.parameters);
    return exit_status;
}

/* By rank, where its workers are bound. */
static void print_cpus(const struct covey_pack *pack)
{
    for (size_t i = 0; i < pack->cpu_count; i++)
        printf("%s%" PRIu32, i ? " " : "  cpus ", pack->cpus[i]);
}

static void print_alternatives(const struct covey_plan *plan, uint32_t workers)
{
    static const char *const packings[] = {"", "heterogeneous", "homogeneous", "mixed"};
    static const char *const placements[] = {"", "pack", "strict-pack", "spread", "strict-spread"};
    for (size_t i = 0; i < plan->alternative_count; i++) {
        const struct covey_alternative *other = &plan->alternatives[i];
        printf("would start now with --packing %s --placement %s",
               packings[(unsigned)other->packing % 4], placements[(unsigned)other->placement % 5]);
        if (other->granularity)
            printf(" -g %" PRIu32, other->granularity);
        printf(": %" PRIu32 " pack%s on %" PRIu32 " node%s, ", other->packs,
               other->packs == 1 ? "" : "s", other->cost.nodes, other->cost.nodes == 1 ? "" : "s");
        cli_print_cost(&other->cost, workers);
    }
}

static void print_plan(const struct covey_plan *plan, uint32_t workers)
{
    char time[CLI_TEXT_BYTES];
    if (plan->placeable)
        printf("would start now: %" PRIu32 " worker%s in %zu pack%s\n", workers,
               workers == 1 ? "" : "s", plan->pack_count, plan->pack_count == 1 ? "" : "s");
    else
        printf("%s: %s\n", plan->impossible ? "can never be placed" : "would have to wait",
               plan->reason);
    if (plan->estimated_wait_ns >= 0)
        printf("would start in about %s, if nothing else comes\n",
               cli_rough_text(time, plan->estimated_wait_ns));
    else if (*plan->no_estimate)
        printf("no estimate of when: %s\n", plan->no_estimate);
    cli_print_cost(&plan->cost, workers);
    if (plan->pack_count)
        printf("%-6s %-24s %8s  %s\n", "PACK", "NODE", "WORKERS", "RANKS");
    for (size_t i = 0; i < plan->pack_count; i++) {
        const struct covey_pack *pack = &plan->packs[i];
        printf("%-6" PRIu32 " %-24s %8" PRIu32 "  %" PRIu32 "-%" PRIu32, pack->id, pack->node,
               pack->workers, pack->first_rank, pack->first_rank + pack->workers - 1);
        print_cpus(pack);
        printf("\n");
    }
    print_alternatives(plan, workers);
}

static const struct argp_option plan_options[] = {
    {"definition-version", KEY_VERSION, "V", 0, "that version of the definition (default: newest)",
     0},
    {0},
};

static error_t parse_plan_option(int key, char *argument, struct argp_state *state)
{
    struct flare *flare = state->input;
    if (key != ARGP_KEY_INIT)
        return parse_option(key, argument, state);
    state->child_inputs[0] = &flare->parameters;
    state->child_inputs[1] = &flare->options;
    state->child_inputs[2] = &flare->common;
    return 0;
}

int cli_plan(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_parameters_argp, 0, NULL, 0},
                                                 {&cli_options_argp, 0, NULL, 0},
                                                 {&cli_common_argp, 0, NULL, 0},
                                                 {0}};
    static const struct argp argp = {
        .options = plan_options,
        .parser = parse_plan_option,
        .args_doc = "DEFINITION",
        .doc = "Shows where a flare would go now, and why not. Exit status 3: it can never be "
               "placed, or not now.",
        .children = children,
    };
    struct flare flare = {0};
    struct covey_error error = {0};
    struct covey_flare_request request;
    struct covey_client *client = NULL;
    struct covey_plan *plan = NULL;
    argp_parse(&argp, argc, argv, 0, NULL, &flare);
    enum covey_status status = cli_parameters_load(&flare.parameters, &error);
    if (!status)
        status = cli_connect(&flare.common, &client, NULL, &error);
    if (!status) {
        fill_request(&flare, &request);
        status = covey_client_plan_flare(client, &request, 0, &plan, &error);
    }
    if (!status && flare.common.json)
        printf("%s\n", plan->json);
    else if (!status)
        print_plan(plan, cli_parameters_workers(&flare.parameters));
    int exit_status = status ? cli_fail(&error) : cli_finish_output();
    if (!status && !exit_status && !plan->placeable)
        exit_status = CLI_UNPLACEABLE;
    covey_plan_free(plan);
    covey_client_destroy(client);
    cli_parameters_free(&flare.parameters);
    return exit_status;
}
