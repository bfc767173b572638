/* covey watch, wait, logs, results. */
#include "base/clock.h"
#include "base/error.h"
#include "client/cli/cli.h"
#include "client/cli/follow.h"
#include "client/cli/progress.h"
#include "client/cli/save.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_FROM = 0x700, KEY_TIMEOUT, KEY_RANK, KEY_RESULTS, KEY_RAW };

/* The arguments of all four; each has some of the options. */
struct target {
    struct cli_common common;
    const char *id;
    uint32_t from;
    int64_t timeout_ns;
    uint32_t *ranks;
    size_t rank_count;
    bool follow;
    bool quiet;
    bool plain;
    bool raw;
    const char *folder;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct target *target = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &target->common;
        return 0;
    case KEY_FROM:
        target->from = cli_parse_count(state, "--from", argument, 1, INT32_MAX);
        return 0;
    case KEY_TIMEOUT:
        target->timeout_ns = cli_parse_duration(state, "--timeout", argument);
        return 0;
    case KEY_RANK:
        cli_parse_ranks(state, argument, &target->ranks, &target->rank_count);
        return 0;
    case KEY_RESULTS:
        target->folder = argument;
        return 0;
    case KEY_RAW:
        target->raw = true;
        return 0;
    case 'f':
        target->follow = true;
        return 0;
    case 'q':
        target->quiet = true;
        return 0;
    case 'p':
        target->plain = true;
        return 0;
    case ARGP_KEY_ARG:
        if (target->id)
            argp_error(state, "\"%s\" is one argument too many", argument);
        target->id = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say which FLARE; covey ps lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&cli_common_argp, 0, NULL, 0}, {0}};

/* Parses, and connects. */
static int begin(int argc, char **argv, const struct argp_option *options, const char *doc,
                 struct target *target, struct covey_client **client)
{
    const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "FLARE",
        .doc = doc,
        .children = children,
    };
    argp_parse(&argp, argc, argv, 0, NULL, target);
    if (target->common.json)
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    int failed = cli_connect_or_fail(&target->common, client);
    if (failed)
        free(target->ranks);
    return failed;
}

int cli_watch(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"from", KEY_FROM, "SEQUENCE", 0, "begin with that event (default: the first)", 0},
        {"timeout", KEY_TIMEOUT, "TIME", 0, "give up after: 30s, 5m; exit status 5", 0},
        {0},
    };
    struct target target = {0};
    struct covey_client *client;
    struct covey_flare *flare;
    struct covey_error error = {0};
    int exit_status = begin(argc, argv, options,
                            "Prints the events of a flare until it has ended. The exit status is "
                            "the flare's.",
                            &target, &client);
    if (exit_status)
        return exit_status;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    cli_progress_begin(true);
    struct cli_follow follow = {.client = client,
                                .id = target.id,
                                .from_sequence = target.from,
                                .json = target.common.json,
                                .events = true,
                                .life_fd = -1,
                                .timeout_ns = target.timeout_ns};
    if (cli_follow(&follow, &flare, &error)) {
        exit_status = cli_fail(&error);
    } else {
        if (target.common.json)
            printf("%s\n", flare->json);
        exit_status = cli_exit_of_flare(flare);
    }
    covey_flare_free(flare);
    covey_client_destroy(client);
    int unwritten = cli_finish_output();
    return exit_status ? exit_status : unwritten;
}

int cli_wait(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"timeout", KEY_TIMEOUT, "TIME", 0, "give up after: 30s, 5m; exit status 5", 0},
        {"quiet", 'q', NULL, 0, "no progress and no summary", 0},
        {0},
    };
    struct target target = {0};
    struct covey_client *client;
    struct covey_flare *flare;
    struct covey_error error = {0};
    int exit_status = begin(argc, argv, options,
                            "Waits for the end of a flare. The exit status is the flare's: 0 "
                            "succeeded, 1 failed, 5 time limit, 130 cancelled. Ctrl-C only ends "
                            "the waiting.",
                            &target, &client);
    if (exit_status)
        return exit_status;
    cli_progress_begin(target.quiet);
    struct cli_follow follow = {.client = client,
                                .id = target.id,
                                .json = target.common.json,
                                .life_fd = -1,
                                .timeout_ns = target.timeout_ns};
    if (cli_follow(&follow, &flare, &error)) {
        exit_status = cli_fail(&error);
    } else {
        cli_progress_summary(flare, -1);
        cli_say_end(flare);
        if (target.common.json)
            printf("%s\n", flare->json);
        exit_status = cli_exit_of_flare(flare);
    }
    covey_flare_free(flare);
    covey_client_destroy(client);
    int unwritten = cli_finish_output();
    return exit_status ? exit_status : unwritten;
}

struct printing {
    struct cli_lines lines;
    bool json;
};

static void on_log(void *data, const struct covey_log_line *line)
{
    struct printing *printing = data;
    if (printing->json)
        printf("%s\n", line->json);
    else
        cli_lines_print(&printing->lines, line);
}

int cli_logs(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"follow", 'f', NULL, 0, "go on until the flare has ended", 0},
        {"rank", KEY_RANK, "RANKS", 0, "only these: 0,3,8-11", 0},
        {"plain", 'p', NULL, 0, "lines without the rank before them", 0},
        {0},
    };
    struct target target = {0};
    struct covey_client *client;
    struct covey_error error = {0};
    int failed = begin(argc, argv, options,
                       "Prints what the workers of a flare wrote, by line, with their rank. "
                       "Standard output goes to standard output, standard error to standard error.",
                       &target, &client);
    if (failed)
        return failed;
    struct printing printing = {.json = target.common.json, .lines.plain = target.plain};
    const struct covey_callbacks callbacks = {.on_log = on_log, .data = &printing};
    enum covey_status status =
        covey_client_logs(client, target.id, (struct covey_ranks){target.ranks, target.rank_count},
                          target.follow, -1, &callbacks, &error);
    cli_lines_finish(&printing.lines);
    covey_client_destroy(client);
    free(target.ranks);
    int unwritten = cli_finish_output();
    return status ? cli_fail(&error) : unwritten;
}

int cli_results(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"results", KEY_RESULTS, "DIR", 0, "save each as DIR/rank-NNNNN", 0},
        {"rank", KEY_RANK, "RANKS", 0, "only these: 0,3,8-11", 0},
        {"raw", KEY_RAW, NULL, 0, "the bytes of all, one after the other, and nothing else", 0},
        {0},
    };
    struct target target = {0};
    struct covey_client *client;
    struct covey_error error = {0};
    int failed = begin(argc, argv, options,
                       "Prints the results of a flare that has ended, by rank: short text as it "
                       "is, of others the length.",
                       &target, &client);
    if (failed)
        return failed;
    struct cli_results results = {
        .folder = target.folder, .json = target.common.json, .raw = target.raw};
    enum covey_status status = cli_results_fetch(
        client, target.id, (struct covey_ranks){target.ranks, target.rank_count}, &results, &error);
    covey_client_destroy(client);
    free(target.ranks);
    int unwritten = cli_finish_output();
    return status ? cli_fail(&error) : unwritten;
}
