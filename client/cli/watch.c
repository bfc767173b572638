/* covey watch, wait, logs, results. */
#include "base/clock.h"
#include "base/error.h"
#include "client/cli/cli.h"
#include "client/cli/follow.h"
#include "client/cli/ids.h"
#include "client/cli/progress.h"
#include "client/cli/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FROM = 0x700, KEY_TIMEOUT, KEY_RANK, KEY_RESULTS, KEY_RAW };

/* The arguments of all four; each has some of the options. */
struct target {
    struct cli_common common;
    const char *word; /* that names the flare */
    char id[CLI_ID_BYTES];
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
        if (target->word)
            argp_error(state, "\"%s\" is one argument too many", argument);
        target->word = argument;
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
    struct covey_error error = {0};
    *client = NULL;
    int failed = CLI_OK;
    if (cli_results_check(target->folder, &error))
        failed = cli_fail(&error);
    if (!failed)
        failed = cli_connect_or_fail(&target->common, client);
    if (!failed)
        failed = cli_id_find_or_fail(*client, target->word, target->id);
    if (failed) {
        free(target->ranks);
        covey_client_destroy(*client);
    }
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
    struct cli_loop loop;
    struct cli_lines lines;
    struct covey_error error;
    bool ended;
    bool done;
};

static void on_log(void *data, const struct covey_log_line *line)
{
    cli_lines_add(&((struct printing *)data)->lines, line);
}

static void on_logs_done(void *data, const struct covey_reply *reply)
{
    struct printing *printing = data;
    printing->ended = true;
    printing->error = *reply->error;
    cli_lines_complete(&printing->lines);
}

static void on_turn(void *data)
{
    struct printing *printing = data;
    int failed = cli_output_failed(&printing->lines.output);
    if (failed && !printing->error.status)
        covey_error_set(&printing->error, COVEY_EIO, "cannot write to standard %s: %s",
                        printing->lines.output.sinks[0].failed ? "output" : "error",
                        strerror(failed));
    cli_lines_turn(&printing->lines);
    printing->done =
        failed || (printing->ended && cli_output_pending(&printing->lines.output) == 0);
}

static bool on_signal(void *data)
{
    (void)data;
    return true;
}

static enum covey_status print_logs(struct covey_client *client, const struct target *target,
                                    struct covey_error *error)
{
    struct printing printing = {
        .lines = {.plain = target->plain, .json = target->common.json},
    };
    printing.loop = (struct cli_loop){.client = client,
                                      .life_fd = -1,
                                      .output = &printing.lines.output,
                                      .on_signal = on_signal,
                                      .on_turn = on_turn,
                                      .data = &printing};
    const struct covey_start start = {
        .callbacks = {.on_log = on_log, .on_done = on_logs_done, .data = &printing},
        .timeout_ns = -1,
        .operation = &printing.lines.operation,
    };
    cli_lines_begin(&printing.lines);
    enum covey_status status = cli_loop_begin(&printing.loop, error);
    if (status)
        return status;
    status = covey_client_logs_start(client, target->id,
                                     (struct covey_ranks){target->ranks, target->rank_count},
                                     target->follow, &start, error);
    if (!status)
        status = cli_loop_run(&printing.loop, &printing.done, error);
    if (!status && printing.error.status) {
        *error = printing.error;
        status = error->status;
    }
    /* Its callbacks point into this frame. */
    covey_client_destroy(client);
    cli_loop_end(&printing.loop);
    cli_lines_end(&printing.lines);
    return status;
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
    enum covey_status status = print_logs(client, &target, &error);
    free(target.ranks);
    return status ? cli_fail(&error) : CLI_OK;
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
                       "is, of others the length. The exit status is the flare's: one that did "
                       "not succeed may have left some of them.",
                       &target, &client);
    if (failed)
        return failed;
    struct cli_results results = {
        .folder = target.folder, .json = target.common.json, .raw = target.raw};
    enum covey_status status = cli_results_fetch(
        client, target.id, (struct covey_ranks){target.ranks, target.rank_count}, &results, &error);
    struct covey_flare *flare = NULL;
    if (!status)
        status = covey_client_get_flare(client, target.id, 0, &flare, &error);
    int unwritten = cli_finish_output();
    int exit_status = status ? cli_fail(&error) : cli_exit_of_flare(flare);
    if (!status)
        cli_say_end(flare); /* what was printed is not all that was asked for */
    covey_flare_free(flare);
    covey_client_destroy(client);
    free(target.ranks);
    return exit_status ? exit_status : unwritten;
}
