/* covey ps, cancel. */
#include "client/cli/cli.h"
#include "client/cli/flares.h"
#include "client/cli/ids.h"
#include "client/cli/simple.h"
#include "client/cli/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_FILTERS 16

enum { KEY_STATE = 0x600, KEY_LABEL, KEY_REASON, KEY_SORT };

struct ps {
    struct cli_common common;
    enum covey_flare_state states[MAX_FILTERS];
    struct covey_pair labels[MAX_FILTERS];
    struct covey_flare_filter filter;
    const char *word; /* that names the one to be shown; NULL: all are listed */
    bool all;
    bool ids_only;
    int sort; /* 1 + the index of the key; 0: as they come */
    uint32_t limit;
};

static const struct argp_option ps_options[] = {
    {"all", 'a', NULL, 0, "flares that have ended, too", 0},
    {"state", KEY_STATE, "STATE", 0, "only these: queued, running, failed, ...; repeatable", 0},
    {"label", KEY_LABEL, "KEY=VALUE", 0, "only flares with this label; repeatable", 0},
    {"limit", 'l', "N", 0, "at most so many (default 100)", 0},
    {"sort", KEY_SORT, "KEY", 0,
     "by age (the default), duration, workers, nodes, state, definition or tenant", 0},
    {"ids", 'i', NULL, 0, "ids only", 0},
    {0},
};

static enum covey_flare_state parse_state(const struct argp_state *state, const char *text)
{
    for (int i = COVEY_FLARE_QUEUED; i <= COVEY_FLARE_TIMED_OUT; i++)
        if (strcasecmp(text, covey_flare_state_name((enum covey_flare_state)i)) == 0)
            return (enum covey_flare_state)i;
    argp_error(state,
               "--state must be queued, preparing, running, ending, succeeded, failed, cancelled "
               "or timed_out, not \"%s\"",
               text);
    return COVEY_FLARE_UNSPECIFIED;
}

static int parse_key(const struct argp_state *state, const char *text)
{
    for (int i = 0; cli_flares_keys[i]; i++)
        if (strcmp(text, cli_flares_keys[i]) == 0)
            return 1 + i;
    argp_error(state,
               "--sort must be age, duration, workers, nodes, state, definition or tenant, not "
               "\"%s\"",
               text);
    return 0;
}

static error_t parse_ps(int key, char *argument, struct argp_state *state)
{
    struct ps *ps = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &ps->common;
        return 0;
    case 'a':
        ps->all = true;
        return 0;
    case KEY_STATE:
        if (ps->filter.state_count == MAX_FILTERS)
            argp_error(state, "at most %d states can be given", MAX_FILTERS);
        ps->states[ps->filter.state_count++] = parse_state(state, argument);
        return 0;
    case KEY_LABEL:
        if (ps->filter.label_count == MAX_FILTERS)
            argp_error(state, "at most %d labels can be given", MAX_FILTERS);
        ps->labels[ps->filter.label_count++] = cli_parse_pair(state, "--label", argument);
        return 0;
    case 'l':
        ps->limit = cli_parse_count(state, "--limit", argument, 1, INT32_MAX);
        return 0;
    case KEY_SORT:
        ps->sort = parse_key(state, argument);
        return 0;
    case 'i':
        ps->ids_only = true;
        return 0;
    case ARGP_KEY_ARG:
        if (ps->word)
            argp_error(state, "\"%s\" is one argument too many", argument);
        ps->word = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum covey_status list_flares(struct covey_client *client, struct ps *ps,
                                     struct covey_error *error)
{
    struct cli_flares flares = {0};
    enum covey_status status = cli_flares_fetch(client, &ps->filter, ps->limit, &flares, error);
    if (!status && ps->sort)
        cli_flares_sort(&flares, ps->sort - 1);
    if (!status && !ps->common.json && !ps->ids_only)
        cli_flares_print(&flares);
    for (size_t i = 0; !status && (ps->common.json || ps->ids_only) && i < flares.count; i++)
        printf("%s\n", ps->common.json ? flares.rows[i]->json : flares.rows[i]->id);
    cli_flares_free(&flares);
    return status;
}

int cli_ps(int argc, char **argv)
{
    static const enum covey_flare_state active[] = {COVEY_FLARE_QUEUED, COVEY_FLARE_PREPARING,
                                                    COVEY_FLARE_RUNNING, COVEY_FLARE_ENDING};
    static const struct argp_child children[] = {{&cli_common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = ps_options,
        .parser = parse_ps,
        .args_doc = "[FLARE]",
        .doc = "Lists flares that have not ended, newest first; or shows one with its workers, on "
               "a terminal until it has ended.",
        .children = children,
    };
    struct ps ps = {.limit = 100};
    struct covey_error error = {0};
    struct covey_client *client;
    argp_parse(&argp, argc, argv, 0, NULL, &ps);
    ps.filter.states = ps.states;
    ps.filter.labels = ps.labels;
    if (!ps.filter.state_count && !ps.all) {
        ps.filter.states = active;
        ps.filter.state_count = sizeof active / sizeof *active;
    }
    int failed = cli_connect_or_fail(&ps.common, &client);
    if (failed)
        return failed;
    if (ps.word) {
        char id[CLI_ID_BYTES];
        int exit_status = cli_id_find_or_fail(client, ps.word, id);
        if (!exit_status)
            exit_status = cli_workers_show(client, id, ps.common.json);
        covey_client_destroy(client);
        return exit_status;
    }
    enum covey_status status = list_flares(client, &ps, &error);
    covey_client_destroy(client);
    int unwritten = cli_finish_output();
    return status ? cli_fail(&error) : unwritten;
}

struct cancel {
    struct cli_common common;
    const char *reason;
    char *ids[CLI_MAX_WORDS];
    size_t count;
};

static const struct argp_option cancel_options[] = {
    {"reason", KEY_REASON, "TEXT", 0, "why, for the flare's events", 0}, {0}};

static error_t parse_cancel(int key, char *argument, struct argp_state *state)
{
    struct cancel *cancel = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &cancel->common;
        return 0;
    case KEY_REASON:
        cancel->reason = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (cancel->count == CLI_MAX_WORDS)
            argp_error(state, "at most %d flares can be given", CLI_MAX_WORDS);
        cancel->ids[cancel->count++] = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say which FLARE; covey ps lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_cancel(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = cancel_options,
        .parser = parse_cancel,
        .args_doc = "FLARE...",
        .doc = "Ends flares. One that has ended already stays as it is.",
        .children = children,
    };
    struct cancel cancel = {0};
    struct covey_client *client;
    argp_parse(&argp, argc, argv, 0, NULL, &cancel);
    int exit_status = cli_connect_or_fail(&cancel.common, &client);
    if (exit_status)
        return exit_status;
    for (size_t i = 0; i < cancel.count; i++) {
        struct covey_flare *flare = NULL;
        struct covey_error error = {0};
        char id[CLI_ID_BYTES];
        enum covey_status status = cli_id_find(client, cancel.ids[i], id, &error);
        if (!status)
            status = covey_client_cancel_flare(client, id, cancel.reason, 0, &flare, &error);
        if (status)
            exit_status = cli_fail(&error);
        else if (cancel.common.json)
            printf("%s\n", flare->json);
        else
            printf("%s %s\n", flare->id, cli_lowercase(covey_flare_state_name(flare->state)));
        covey_flare_free(flare);
    }
    covey_client_destroy(client);
    int unwritten = cli_finish_output();
    return exit_status ? exit_status : unwritten;
}
