#include "client/cli/attach.h"

#include "base/clock.h"
#include "client/cli/cli.h"
#include "client/cli/follow.h"
#include "client/cli/ids.h"
#include "client/cli/input.h"
#include "client/cli/progress.h"
#include "client/cli/save.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_RESULTS = 0x400, KEY_STDIN };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Following:", 4},
    {"results", KEY_RESULTS, "DIR", 0, "save each worker's result as DIR/rank-NNNNN", 0},
    {"stdin", KEY_STDIN, "WHO", 0,
     "who reads standard input: 0 (the worker of rank 0), all, or none (the default)", 0},
    {"quiet", 'q', NULL, 0, "no progress and no summary", 0},
    {0},
};

static enum covey_stdin parse_stdin(const struct argp_state *state, const char *who)
{
    if (strcmp(who, "0") == 0)
        return COVEY_STDIN_FIRST;
    if (strcmp(who, "all") == 0)
        return COVEY_STDIN_ALL;
    if (strcmp(who, "none") != 0)
        argp_error(state, "--stdin must be 0, all or none, not \"%s\"", who);
    return COVEY_STDIN_NONE;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is argp's */
static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct cli_attach *attach = state->input;
    switch (key) {
    case KEY_RESULTS:
        attach->results_folder = argument;
        return 0;
    case KEY_STDIN:
        attach->stdin_to = parse_stdin(state, argument);
        return 0;
    case 'q':
        attach->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_attach_argp = {.options = options, .parser = parse_option};

static bool has_results(const struct covey_flare *flare)
{
    for (size_t i = 0; i < flare->worker_count; i++)
        if (flare->workers[i].result_bytes)
            return true;
    return false;
}

/* What the flare has left behind: results, the reason of its end, the summary. */
static int finish(struct covey_client *client, const struct covey_flare *flare,
                  const struct cli_attach *attach)
{
    struct cli_results results = {.folder = attach->results_folder, .json = attach->json};
    struct covey_error error = {0};
    int64_t results_ns = -1;
    enum covey_status status = COVEY_OK;
    if (has_results(flare) || attach->results_folder) {
        int64_t start_ns = covey_now_ns();
        status = cli_results_fetch(client, flare->id, (struct covey_ranks){0}, &results, &error);
        results_ns = covey_now_ns() - start_ns;
    }
    fflush(stdout);
    if (!status && attach->results_folder)
        cli_progress_say("%" PRIu32 " results in %s", results.count, attach->results_folder);
    cli_progress_summary(flare, results_ns);
    cli_say_end(flare);
    if (attach->json)
        printf("%s\n", flare->json);
    int failed = status ? cli_fail(&error) : cli_finish_output();
    int exit_status = cli_exit_of_flare(flare);
    return exit_status ? exit_status : failed;
}

static enum covey_status submit(struct covey_client *client, struct covey_flare_request *request,
                                const struct cli_attach *attach, struct covey_flare **submitted,
                                struct covey_error *error)
{
    enum covey_status status = cli_input_put(client, attach->stdin_to, request, error);
    if (status)
        return status;
    return attach->code ? covey_client_run(client, attach->code, request, 0, submitted, error)
                        : covey_client_flare(client, request, 0, submitted, error);
}

int cli_attach(struct covey_client *take_client, struct covey_flare_request *request,
               const struct cli_attach *attach)
{
    struct covey_flare *submitted = NULL;
    struct covey_flare *flare;
    struct covey_error error = {0};
    struct covey_client *client = take_client;
    cli_progress_begin(attach->quiet);
    if (attach->json)
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    enum covey_status status = submit(client, request, attach, &submitted, &error);
    if (status) {
        covey_client_destroy(client);
        return cli_fail(&error);
    }
    if (!attach->is_private)
        cli_id_remember(submitted->id);
    cli_progress_show(NULL, submitted);
    struct cli_follow follow = {
        .client = client,
        .id = submitted->id,
        .json = attach->json,
        .logs = true,
        .owner = true,
        .life_fd = attach->life_fd,
    };
    int exit_status;
    if (cli_follow(&follow, &flare, &error))
        exit_status = cli_fail(&error);
    else
        exit_status = finish(client, flare, attach);
    covey_flare_free(flare);
    /* Callbacks of what was left behind point into this frame. */
    covey_client_destroy(client);
    covey_flare_free(submitted);
    return exit_status;
}
