/* covey: the verbs, and their dispatch. */
#include "client/cli/cli.h"
#include "client/cli/output.h"

#include "base/log.h"
#include "base/start.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct verb {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

static const struct verb verbs[] = {
    {"run", "run a file as one flare, from start to results", cli_run},
    {"up", "start a controller and nodes on this machine", cli_up},
    {"down", "stop what up has started", cli_down},
    {"status", "show the controller, its nodes and what runs", cli_status},
    {"deploy", "store code under a name", cli_deploy},
    {"undeploy", "delete a definition", cli_undeploy},
    {"definitions", "list definitions", cli_definitions},
    {"flare", "start a flare of a definition", cli_flare},
    {"plan", "show where a flare would go", cli_plan},
    {"explain", "say why a flare is where it is", cli_explain},
    {"ps", "list flares", cli_ps},
    {"watch", "follow the events of a flare", cli_watch},
    {"wait", "wait for the end of a flare", cli_wait},
    {"logs", "show what the workers wrote", cli_logs},
    {"results", "show or save the results", cli_results},
    {"cancel", "end a flare", cli_cancel},
    {"nodes", "list the nodes", cli_nodes},
    {"drain", "take a node out of placement", cli_drain},
    {"undrain", "put a drained node back", cli_undrain},
    {"blobs", "show which code the controller has", cli_blobs},
    {"version", "show the versions of covey and of the controller", cli_version},
};

#define VERB_COUNT (sizeof verbs / sizeof *verbs)

COVEY_API const char *argp_program_version = "covey " COVEY_VERSION;

static const struct verb *chosen;
static const char *server_before_verb;
static int verb_index;

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    switch (key) {
    case 's':
        server_before_verb = argument;
        return 0;
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < VERB_COUNT; i++)
            if (strcmp(argument, verbs[i].name) == 0)
                chosen = &verbs[i];
        if (!chosen)
            argp_error(state, "there is no verb \"%s\"; covey --help lists them", argument);
        verb_index = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say what to do; covey --help lists the verbs");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"server", 's', "ADDRESS", 0, "the controller: host:port or unix:/path", 0},
    {NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0},
    {0}};

static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_PRE_DOC)
        return (char *)text;
    char *list = NULL;
    size_t list_bytes;
    FILE *out = open_memstream(&list, &list_bytes);
    if (!out)
        return (char *)text;
    fputs("Runs burst-parallel jobs: one call, N workers, together.\n\nVerbs:\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-12s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\ncovey VERB --help says more about one.", out);
    fclose(out);
    return list;
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .args_doc = "VERB [ARGUMENT...]",
    .doc = "Runs jobs.",
    .help_filter = help_filter,
};

/* Help and other text that is written on the way out must arrive, too. */
static void at_exit(void)
{
    if (cli_finish_output() != CLI_OK)
        _exit(cli_output_exit(CLI_FAILED));
}

int main(int argc, char **argv)
{
    static char name[64];
    covey_start();
    argp_err_exit_status = CLI_BAD_INPUT;
    covey_log_init("covey");
    signal(SIGPIPE, SIG_IGN);
    if (atexit(at_exit) != 0)
        return CLI_FAILED;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, NULL);
    if (server_before_verb && setenv("COVEY_SERVER", server_before_verb, 1))
        return CLI_FAILED;
    snprintf(name, sizeof name, "covey %s", chosen->name);
    cli_name = name;
    argv[verb_index] = name;
    return cli_output_exit(chosen->run(argc - verb_index, argv + verb_index));
}
