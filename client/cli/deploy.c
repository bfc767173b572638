/* covey deploy, undeploy, definitions. */
#include "client/cli/deploy.h"

#include "base/error.h"
#include "base/memory.h"
#include "client/cli/cli.h"
#include "client/cli/mpi.h"
#include "client/cli/request.h"
#include "client/cli/search.h"
#include "client/cli/simple.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_NAME = 0x300, KEY_WORKER, KEY_ENV };

static const struct argp_option code_options[] = {
    {NULL, 0, NULL, 0, "Code:", 3},
    {"name", KEY_NAME, "NAME", 0, "the definition's name (default: from the file's)", 0},
    {"worker", KEY_WORKER, "KIND", 0, "what a worker is: process (the default) or thread", 0},
    {"env", KEY_ENV, "KEY=VALUE", 0, "environment of the workers; repeatable", 0},
    {0},
};

static error_t parse_code_option(int key, char *argument, struct argp_state *state)
{
    struct cli_code *code = state->input;
    switch (key) {
    case KEY_NAME:
        code->name = argument;
        return 0;
    case KEY_WORKER:
        if (strcmp(argument, "process") == 0)
            code->worker_kind = COVEY_WORKER_PROCESS;
        else if (strcmp(argument, "thread") == 0)
            code->worker_kind = COVEY_WORKER_THREAD;
        else
            argp_error(state, "--worker must be process or thread, not \"%s\"", argument);
        return 0;
    case KEY_ENV: {
        struct covey_pair *grown = covey_reallocarray(
            code->environment, code->environment_count + 1, sizeof *code->environment);
        if (!grown)
            return ENOMEM;
        code->environment = grown;
        grown[code->environment_count++] = cli_parse_pair(state, "--env", argument);
        return 0;
    }
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_code_argp = {.options = code_options, .parser = parse_code_option};

/* A definition's name from a file's: without folder and .so, and with - for what may not be in it.
 */
static void name_of_file(const char *file, char name[CLI_NAME_BYTES])
{
    const char *slash = strrchr(file, '/');
    const char *from = slash ? slash + 1 : file;
    size_t length = strlen(from);
    if (length > 3 && strcmp(from + length - 3, ".so") == 0)
        length -= 3;
    size_t used = 0;
    for (size_t i = 0; i < length && used < CLI_NAME_BYTES - 1; i++) {
        char c = (char)tolower((unsigned char)from[i]);
        bool inner = c == '.' || c == '_' || c == '-';
        if (!isalnum((unsigned char)c) || (c & 0x80))
            c = (char)(inner ? c : '-');
        if (used > 0 || isalnum((unsigned char)c))
            name[used++] = c;
    }
    while (used > 0 && !isalnum((unsigned char)name[used - 1]))
        used--;
    name[used] = 0;
    if (used == 0)
        snprintf(name, CLI_NAME_BYTES, "code");
}

enum covey_status cli_code_check(struct cli_code *code, struct covey_error *error)
{
    code->found = cli_search_path(code->file);
    if (code->found)
        code->file = code->found;
    enum covey_status status = covey_code_inspect(code->file, &code->kind, error);
    if (status == COVEY_ENOTFOUND && !strchr(code->file, '/'))
        status = covey_error_set(error, status,
                                 "cannot read %s: no such file here, and no such program in PATH",
                                 code->file);
    if (status)
        return status;
    if (code->argument_count && code->kind != COVEY_CODE_EXECUTABLE)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s is a shared object, which takes no arguments (\"%s\"): give its "
                               "workers parameters with --param",
                               code->file, code->arguments[0]);
    if (code->worker_kind == COVEY_WORKER_THREAD && code->kind == COVEY_CODE_EXECUTABLE)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s is a program, whose workers are processes: leave --worker "
                               "thread away, or build a shared object",
                               code->file);
    if (!code->name) {
        name_of_file(code->file, code->made_name);
        code->name = code->made_name;
    }
    return COVEY_OK;
}

struct covey_deployment cli_code_deployment(const struct cli_code *code)
{
    return (struct covey_deployment){
        .name = code->name,
        .file = code->file,
        .code_kind = code->kind,
        .worker_kind = code->worker_kind,
        .arguments = (const char *const *)code->arguments,
        .argument_count = code->argument_count,
        .environment = code->environment,
        .environment_count = code->environment_count,
    };
}

void cli_code_free(struct cli_code *code)
{
    free(code->environment);
    free(code->found);
}

bool cli_code_take_argument(struct cli_code *code, struct argp_state *state, const char *argument)
{
    if (code->file)
        return false;
    code->file = argument;
    code->arguments = state->argv + state->next;
    code->argument_count = (size_t)(state->argc - state->next);
    state->next = state->argc;
    return true;
}

struct deploy {
    struct cli_common common;
    struct cli_code code;
    struct cli_flare_options options;
};

static error_t parse_deploy(int key, char *argument, struct argp_state *state)
{
    struct deploy *deploy = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &deploy->code;
        state->child_inputs[1] = &deploy->options;
        state->child_inputs[2] = &deploy->common;
        return 0;
    case ARGP_KEY_ARG:
        cli_code_take_argument(&deploy->code, state, argument);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say which FILE to deploy");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_deploy(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_code_argp, 0, NULL, 0},
                                                 {&cli_options_argp, 0, NULL, 0},
                                                 {&cli_common_argp, 0, NULL, 0},
                                                 {0}};
    static const struct argp argp = {
        .parser = parse_deploy,
        .args_doc = "FILE [ARGUMENT...]",
        .doc = "Stores FILE, a shared object that exports covey_work(), or a program or script "
               "with its ARGUMENTs, under a name. The options of how a flare is run become "
               "defaults.",
        .children = children,
    };
    struct deploy deploy = {0};
    struct covey_error error = {0};
    struct covey_client *client = NULL;
    struct covey_definition *definition = NULL;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &deploy);
    enum covey_status status = cli_code_check(&deploy.code, &error);
    if (!status)
        cli_mpi_warn(deploy.code.file);
    if (!status)
        status = cli_connect(&deploy.common, &client, NULL, &error);
    if (!status) {
        struct covey_deployment deployment = cli_code_deployment(&deploy.code);
        deployment.defaults = cli_flare_options_of(&deploy.options);
        status = covey_client_deploy(client, &deployment, 0, &definition, &error);
    }
    if (!status && deploy.common.json)
        printf("%s\n", definition->json);
    else if (!status)
        printf("%s version %" PRIu32 "\n", definition->name, definition->version);
    covey_definition_free(definition);
    covey_client_destroy(client);
    cli_code_free(&deploy.code);
    return status ? cli_fail(&error) : cli_finish_output();
}

int cli_undeploy(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    cli_parse_words(argc, argv, "DEFINITION",
                    "Deletes every version of a definition. Flares that were accepted go on.", 1, 1,
                    &words);
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    enum covey_status status = covey_client_delete_definition(client, words.words[0], 0, &error);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : CLI_OK;
}

int cli_definitions(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_definition_list *list = NULL;
    cli_parse_words(argc, argv, "", "Lists the newest version of each definition.", 0, 0, &words);
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    enum covey_status status = covey_client_list_definitions(client, 0, &list, &error);
    if (!status && !words.common.json)
        printf("%-24s %7s  %-13s %10s  %s\n", "NAME", "VERSION", "KIND", "SIZE", "DEPLOYED");
    for (size_t i = 0; !status && i < list->count; i++) {
        const struct covey_definition *definition = &list->definitions[i];
        char size[CLI_TEXT_BYTES], time[CLI_TEXT_BYTES];
        if (words.common.json)
            printf("%s\n", definition->json);
        else
            printf("%-24s %7" PRIu32 "  %-13s %10s  %s\n", definition->name, definition->version,
                   cli_lowercase(covey_code_kind_name(definition->code_kind)),
                   cli_size_text(size, definition->code_bytes),
                   cli_time_text(time, definition->created_at_ns));
    }
    covey_definition_list_free(list);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}
