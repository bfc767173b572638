#include "client/cli/request.h"

#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "client/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PARAMETER_BYTES ((size_t)1 << 30)

enum {
    KEY_PACKING = 0x200,
    KEY_PLACEMENT,
    KEY_SLOTS,
    KEY_MEMORY,
    KEY_CPUS,
    KEY_TIME_LIMIT,
    KEY_PRIORITY,
    KEY_LABEL,
    KEY_COMMUNICATION_TIMEOUT,
    KEY_MAX_RESTARTS,
    KEY_SELECT,
    KEY_TOLERATE,
    KEY_GPUS,
    KEY_RESOURCE,
    KEY_PREEMPTIBLE,
    KEY_WAIT_FOR_NODES,
    KEY_MAX_PACKS,
    KEY_MAX_NODES,
    KEY_PARAM,
    KEY_PARAMS_FILE,
    KEY_CWD,
    KEY_CORE_DUMPS,
};

static const struct argp_option flare_options[] = {
    {NULL, 0, NULL, 0, "How the flare is run:", 2},
    {"packing", KEY_PACKING, "HOW", 0, "heterogeneous, homogeneous or mixed (the default)", 0},
    {"granularity", 'g', "G", 0, "workers per pack (homogeneous) or per unit (mixed)", 0},
    {"placement", KEY_PLACEMENT, "WHERE", 0,
     "pack (the default), strict-pack, spread or strict-spread", 0},
    {"slots-per-worker", KEY_SLOTS, "S", 0, "slots that each worker takes (default 1)", 0},
    {"memory", KEY_MEMORY, "SIZE", 0, "memory set aside for each worker: 512M, 2G", 0},
    {"cpus", KEY_CPUS, "C", 0, "cpus of each worker; whole ones are its own, and bind it: 0.5, 2",
     0},
    {"gpus", KEY_GPUS, "N", 0, "gpus that each worker takes", 0},
    {"resource", KEY_RESOURCE, "NAME=N", 0,
     "so much of a resource that nodes declare, for each worker; repeatable", 0},
    {"select", KEY_SELECT, "TERM", 0,
     "only nodes with this label: key=value, key!=value, key or !key; repeatable", 0},
    {"tolerate", KEY_TOLERATE, "TAINT", 0,
     "nodes with this taint, too: key=value, or key; repeatable", 0},
    {"max-packs", KEY_MAX_PACKS, "N", 0, "at most so many packs", 0},
    {"max-nodes", KEY_MAX_NODES, "N", 0, "at most so many nodes", 0},
    {"preemptible", KEY_PREEMPTIBLE, NULL, 0,
     "it may be stopped for a flare of higher priority; --max-restarts says what then", 0},
    {"wait-for-nodes", KEY_WAIT_FOR_NODES, NULL, 0,
     "queue it, too, where all known nodes could never hold it: others may come", 0},
    {"time-limit", KEY_TIME_LIMIT, "TIME", 0, "end the flare after: 30s, 5m, 1h", 0},
    {"communication-timeout", KEY_COMMUNICATION_TIMEOUT, "TIME", 0,
     "how long a communication call waits at most (default 60s)", 0},
    {"priority", KEY_PRIORITY, "P", 0, "-1000 to 1000; higher goes first", 0},
    {"max-restarts", KEY_MAX_RESTARTS, "N", 0,
     "start the whole gang again so often when it loses a node or must leave one (default 0)", 0},
    {"label", KEY_LABEL, "KEY=VALUE", 0, "to find the flare by; repeatable", 0},
    {"cwd", KEY_CWD, "DIR", 0,
     "where the workers start, on each node (run: here, where the node has this folder; else a "
     "folder of the flare's own)",
     0},
    {"core-dumps", KEY_CORE_DUMPS, NULL, 0, "workers that crash may leave core dumps", 0},
    {0},
};

/* The value of a name in a list that starts at 1 and ends with NULL. */
static int parse_choice(const struct argp_state *state, const char *option, const char *text,
                        const char *const *names)
{
    char list[128];
    size_t used = 0;
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0)
            return i + 1;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    argp_error(state, "%s must be one of %s, not \"%s\"", option, list, text);
    return 0;
}

static uint32_t parse_cpus(const struct argp_state *state, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0.001 && value <= 100000))
        argp_error(state, "--cpus must be a number like 0.5 or 2, not \"%s\"", text);
    return (uint32_t)(value * 1000 + 0.5);
}

static struct covey_amount parse_amount(const struct argp_state *state, char *text)
{
    struct covey_pair pair = cli_parse_pair(state, "--resource", text);
    return (struct covey_amount){pair.key, cli_parse_size(state, "--resource", pair.value)};
}

/* A folder of the nodes; one that is said relative to this one must be here, too. */
static const char *parse_folder(const struct argp_state *state, const char *text)
{
    static char found[PATH_MAX];
    if (*text == '/')
        return text;
    if (!realpath(text, found))
        argp_error(state, "--cwd must be an absolute path, or a folder that is here, not \"%s\"",
                   text);
    return found;
}

/* Which nodes, and what of them. */
static error_t parse_node_option(int key, char *argument, struct argp_state *state)
{
    struct cli_flare_options *set = state->input;
    struct covey_flare_options *options = &set->options;
    switch (key) {
    case KEY_SELECT:
        if (options->selector_count == CLI_MAX_TERMS)
            argp_error(state, "--select can be given %d times at most", CLI_MAX_TERMS);
        set->selector[options->selector_count++] = argument;
        return 0;
    case KEY_TOLERATE:
        if (options->toleration_count == CLI_MAX_TERMS)
            argp_error(state, "--tolerate can be given %d times at most", CLI_MAX_TERMS);
        set->tolerations[options->toleration_count++] = argument;
        return 0;
    case KEY_RESOURCE:
        if (options->resource_count == CLI_MAX_TERMS)
            argp_error(state, "--resource can be given %d times at most", CLI_MAX_TERMS);
        set->resources[options->resource_count++] = parse_amount(state, argument);
        return 0;
    case KEY_GPUS:
        options->gpus = cli_parse_count(state, "--gpus", argument, 0, 65536);
        return 0;
    case KEY_PREEMPTIBLE:
        options->preemptible = true;
        return 0;
    case KEY_WAIT_FOR_NODES:
        options->wait_for_nodes = true;
        return 0;
    case KEY_MAX_PACKS:
        options->max_packs = cli_parse_count(state, "--max-packs", argument, 1, INT32_MAX);
        return 0;
    case KEY_MAX_NODES:
        options->max_nodes = cli_parse_count(state, "--max-nodes", argument, 1, INT32_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_flare_option(int key, char *argument, struct argp_state *state)
{
    static const char *const packings[] = {"heterogeneous", "homogeneous", "mixed", NULL};
    static const char *const placements[] = {"pack", "strict-pack", "spread", "strict-spread",
                                             NULL};
    struct cli_flare_options *set = state->input;
    struct covey_flare_options *options = &set->options;
    switch (key) {
    case KEY_PACKING:
        options->packing = (enum covey_packing)parse_choice(state, "--packing", argument, packings);
        return 0;
    case 'g':
        options->granularity = cli_parse_count(state, "--granularity", argument, 1, INT32_MAX);
        return 0;
    case KEY_PLACEMENT:
        options->placement =
            (enum covey_placement)parse_choice(state, "--placement", argument, placements);
        return 0;
    case KEY_SLOTS:
        options->slots = cli_parse_count(state, "--slots-per-worker", argument, 1, INT32_MAX);
        return 0;
    case KEY_MEMORY:
        options->memory_bytes = cli_parse_size(state, "--memory", argument);
        return 0;
    case KEY_CPUS:
        options->milli_cpus = parse_cpus(state, argument);
        return 0;
    case KEY_TIME_LIMIT:
        options->time_limit_ns = cli_parse_duration(state, "--time-limit", argument);
        return 0;
    case KEY_COMMUNICATION_TIMEOUT:
        options->communication_timeout_ns =
            cli_parse_duration(state, "--communication-timeout", argument);
        return 0;
    case KEY_PRIORITY:
        options->priority = cli_parse_integer(state, "--priority", argument, -1000, 1000);
        return 0;
    case KEY_MAX_RESTARTS:
        options->max_restarts = cli_parse_count(state, "--max-restarts", argument, 0, 1000);
        return 0;
    case KEY_LABEL:
        if (options->label_count == CLI_MAX_LABELS)
            argp_error(state, "at most %d labels can be given", CLI_MAX_LABELS);
        set->labels[options->label_count++] = cli_parse_pair(state, "--label", argument);
        return 0;
    case KEY_CWD:
        options->working_folder = parse_folder(state, argument);
        options->working_folder_must_exist = true;
        return 0;
    case KEY_CORE_DUMPS:
        options->core_dumps = true;
        return 0;
    default:
        return parse_node_option(key, argument, state);
    }
}

const struct argp cli_options_argp = {.options = flare_options, .parser = parse_flare_option};

void cli_flare_options_start_here(struct cli_flare_options *set)
{
    static char here[PATH_MAX];
    if (!set->options.working_folder && getcwd(here, sizeof here) && *here == '/' &&
        covey_text_valid(here, strlen(here)))
        set->options.working_folder = here;
}

struct covey_flare_options cli_flare_options_of(const struct cli_flare_options *set)
{
    struct covey_flare_options options = set->options;
    options.labels = set->labels;
    options.selector = set->selector;
    options.tolerations = set->tolerations;
    options.resources = set->resources;
    return options;
}

static const struct argp_option parameter_options[] = {
    {NULL, 0, NULL, 0, "Workers:", 1},
    {"workers", 'n', "N", 0, "how many workers (default: one per parameter, else 1)", 0},
    {"param", KEY_PARAM, "TEXT", 0,
     "a worker's parameter, or @FILE for a file's content; once: each worker's, repeated: one per "
     "worker",
     0},
    {"params-file", KEY_PARAMS_FILE, "FILE", 0, "parameters: a line per worker", 0},
    {0},
};

static error_t parse_parameter_option(int key, char *argument, struct argp_state *state)
{
    struct cli_parameters *parameters = state->input;
    switch (key) {
    case 'n':
        /* As mpirun has it: "-np 4". */
        if (strcmp(argument, "p") == 0 && state->next < state->argc)
            argument = state->argv[state->next++];
        parameters->workers = cli_parse_count(state, "-n", argument, 1, INT32_MAX);
        return 0;
    case KEY_PARAM: {
        char **given = covey_reallocarray(parameters->given, parameters->given_count + 1,
                                          sizeof *parameters->given);
        if (!given)
            return ENOMEM;
        parameters->given = given;
        given[parameters->given_count++] = argument;
        return 0;
    }
    case KEY_PARAMS_FILE:
        parameters->file = argument;
        return 0;
    case ARGP_KEY_END:
        if (parameters->file && parameters->given_count)
            argp_error(state, "give --param or --params-file, not both");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_parameters_argp = {.options = parameter_options,
                                         .parser = parse_parameter_option};

/* Where a parameter lies in the contents, which move while they grow. */
struct span {
    size_t start_bytes;
    size_t length_bytes;
};

static enum covey_status load_given(struct cli_parameters *parameters, struct span *spans,
                                    struct covey_error *error)
{
    for (size_t i = 0; i < parameters->given_count; i++) {
        const char *text = parameters->given[i];
        size_t start_bytes = parameters->contents.length_bytes;
        enum covey_status status;
        if (*text == '@')
            status = covey_file_read(text + 1, MAX_PARAMETER_BYTES, &parameters->contents, error);
        else if ((status = covey_buffer_append(&parameters->contents, text, strlen(text))))
            covey_error_set(error, status, "out of memory");
        if (status)
            return status;
        spans[i] = (struct span){start_bytes, parameters->contents.length_bytes - start_bytes};
    }
    return COVEY_OK;
}

static size_t count_lines(const struct covey_buffer *text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text->length_bytes; i++)
        lines += text->data[i] == '\n';
    return lines + (text->length_bytes && text->data[text->length_bytes - 1] != '\n');
}

static void find_lines(const struct covey_buffer *text, struct span *spans, size_t count)
{
    size_t start_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *line = text->data + start_bytes;
        const uint8_t *end = memchr(line, '\n', text->length_bytes - start_bytes);
        size_t length_bytes = end ? (size_t)(end - line) : text->length_bytes - start_bytes;
        spans[i] = (struct span){start_bytes, length_bytes};
        start_bytes += length_bytes + 1;
    }
}

static enum covey_status make_list(struct cli_parameters *parameters, const struct span *spans,
                                   size_t count, struct covey_error *error)
{
    parameters->list = covey_calloc(count, sizeof *parameters->list);
    if (!parameters->list)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        parameters->list[i] = (struct covey_bytes){
            spans[i].length_bytes ? parameters->contents.data + spans[i].start_bytes : NULL,
            spans[i].length_bytes};
    parameters->list_count = count;
    if (parameters->workers && count != 1 && count != parameters->workers)
        return covey_error_set(error, COVEY_EINVAL,
                               "-n asks for %u workers, but there are %zu parameters: leave -n "
                               "away, or give as many",
                               parameters->workers, count);
    if (parameters->workers && parameters->file && count != parameters->workers)
        return covey_error_set(error, COVEY_EINVAL,
                               "-n asks for %u workers, but %s has 1 line: leave -n away, or give "
                               "as many",
                               parameters->workers, parameters->file);
    return COVEY_OK;
}

enum covey_status cli_parameters_load(struct cli_parameters *parameters, struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    size_t count = parameters->given_count;
    if (parameters->file) {
        status =
            covey_file_read(parameters->file, MAX_PARAMETER_BYTES, &parameters->contents, error);
        if (status)
            return status;
        count = count_lines(&parameters->contents);
        if (count == 0)
            return covey_error_set(error, COVEY_EINVAL,
                                   "%s has no lines, so there would be no workers",
                                   parameters->file);
    }
    if (count == 0)
        return COVEY_OK;
    struct span *spans = covey_calloc(count, sizeof *spans);
    if (!spans)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (parameters->file)
        find_lines(&parameters->contents, spans, count);
    else
        status = load_given(parameters, spans, error);
    if (!status)
        status = make_list(parameters, spans, count, error);
    free(spans);
    return status;
}

uint32_t cli_parameters_workers(const struct cli_parameters *parameters)
{
    if (parameters->workers)
        return parameters->workers;
    return parameters->list_count ? (uint32_t)parameters->list_count : 1;
}

void cli_parameters_apply(const struct cli_parameters *parameters,
                          struct covey_flare_request *request)
{
    if (parameters->list_count > 1) {
        request->parameters = parameters->list;
        request->parameter_count = parameters->list_count;
        return;
    }
    request->workers = cli_parameters_workers(parameters);
    if (parameters->list_count)
        request->parameter = parameters->list[0];
}

void cli_parameters_free(struct cli_parameters *parameters)
{
    covey_buffer_free(&parameters->contents);
    free(parameters->list);
    free(parameters->given);
}
