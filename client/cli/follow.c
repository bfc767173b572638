#include "client/cli/follow.h"

#include "base/clock.h"
#include "base/error.h"
#include "client/cli/cli.h"
#include "client/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How long after a flare's end the last of its logs may take. */
#define LOGS_GRACE_NS (5 * COVEY_NS_PER_S)

/* Whoever has lost its reader stays no longer than this to see its flare cancelled. */
#define CANCEL_GRACE_NS (500 * COVEY_NS_PER_MS)

static void print_event(struct cli_follow *follow, const struct covey_event *event)
{
    char time[CLI_TEXT_BYTES];
    struct covey_buffer *to = cli_output_text(&follow->lines.output, 1);
    enum covey_status status = COVEY_OK;
    if (to && follow->json)
        status = covey_buffer_printf(to, "%s\n", event->json);
    else if (to && follow->events)
        status = covey_buffer_printf(
            to, "%s.%03d  %-10s %-18s %s\n", cli_time_text(time, event->at_ns),
            (int)(event->at_ns % COVEY_NS_PER_S / COVEY_NS_PER_MS),
            cli_lowercase(covey_flare_state_name(event->state)), event->type, event->message);
    if (status)
        cli_complain("an event is not shown: %s", covey_status_text(status));
}

static void on_event(void *data, const struct covey_event *event, const struct covey_flare *flare)
{
    struct cli_follow *follow = data;
    if (event)
        print_event(follow, event);
    cli_progress_show(event, flare);
}

/* As long as lines come the last of them have not. */
static void on_log(void *data, const struct covey_log_line *line)
{
    struct cli_follow *follow = data;
    cli_lines_add(&follow->lines, line);
    follow->log_came = true;
}

static void on_reconnect(void *data, const char *reason)
{
    (void)data;
    cli_progress_say("the controller does not answer (%s); trying again", reason);
}

/* Both must end, and everything be written; the first failure counts. */
static void check_done(struct cli_follow *follow)
{
    bool written = cli_output_pending(&follow->lines.output) == 0;
    follow->done = (follow->watched && follow->logged && written) || follow->error.status;
}

static void note_done(struct cli_follow *follow, const struct covey_reply *reply)
{
    if (reply->status && !follow->error.status)
        follow->error = *reply->error;
    check_done(follow);
}

static void on_watch_done(void *data, const struct covey_reply *reply)
{
    struct cli_follow *follow = data;
    follow->watched = true;
    follow->log_came = true;
    if (reply->flare)
        follow->flare = covey_flare_keep(reply->flare);
    note_done(follow, reply);
}

static void on_logs_done(void *data, const struct covey_reply *reply)
{
    struct cli_follow *follow = data;
    follow->logged = true;
    cli_lines_complete(&follow->lines);
    note_done(follow, reply);
}

static void on_cancel_done(void *data, const struct covey_reply *reply)
{
    struct cli_follow *follow = data;
    if (reply->status && !follow->output_failed)
        cli_complain("cannot cancel: %s", reply->error->message);
    follow->done = follow->done || follow->output_failed;
}

/* What the workers wrote cannot be shown: then neither is there a point in their work, as for a
 * program that writes itself. */
static void on_output_failed(struct cli_follow *follow, int failed)
{
    struct covey_start start = {.callbacks = {.on_done = on_cancel_done, .data = follow}};
    follow->output_failed = true;
    covey_error_set(&follow->error, COVEY_EIO, "cannot write to standard %s: %s%s",
                    follow->lines.output.sinks[0].failed ? "output" : "error", strerror(failed),
                    follow->owner ? "; the flare is cancelled" : "");
    follow->done = !follow->owner || follow->watched;
    if (follow->done || follow->cancelling)
        return;
    follow->cancelling = true;
    follow->loop.deadline_ns = covey_deadline_ns(covey_now_ns(), CANCEL_GRACE_NS);
    if (covey_client_cancel_flare_start(follow->client, follow->id,
                                        "its output cannot be written where it was started", &start,
                                        NULL))
        follow->done = true;
}

static void on_turn(void *data)
{
    struct cli_follow *follow = data;
    int failed = cli_output_failed(&follow->lines.output);
    if (failed && !follow->output_failed)
        on_output_failed(follow, failed);
    if (follow->output_failed)
        return;
    cli_lines_turn(&follow->lines);
    /* The grace counts from the last line, and not while they cannot be written. */
    if (follow->watched && cli_output_pending(&follow->lines.output) > 0)
        follow->loop.deadline_ns = COVEY_NEVER_NS;
    else if (follow->watched && (follow->log_came || follow->loop.deadline_ns == COVEY_NEVER_NS))
        follow->loop.deadline_ns = covey_deadline_ns(covey_now_ns(), LOGS_GRACE_NS);
    follow->log_came = false;
    check_done(follow);
}

static bool on_signal(void *data)
{
    struct cli_follow *follow = data;
    struct covey_start start = {.callbacks = {.on_done = on_cancel_done, .data = follow}};
    struct covey_error error = {0};
    if (!follow->owner || follow->cancelling)
        return true;
    follow->cancelling = true;
    cli_progress_hide();
    cli_complain("cancelling flare %s (once more: leave at once)", follow->id);
    if (covey_client_cancel_flare_start(follow->client, follow->id, "interrupted by its user",
                                        &start, &error))
        cli_complain("cannot cancel: %s", error.message);
    return false;
}

static enum covey_status start_streams(struct cli_follow *follow, struct covey_error *error)
{
    const struct covey_ranks all = {0};
    struct covey_start watch = {.callbacks = {.on_done = on_watch_done,
                                              .on_event = on_event,
                                              .on_reconnect = on_reconnect,
                                              .data = follow},
                                .timeout_ns = follow->timeout_ns};
    struct covey_start logs = {
        .callbacks = {.on_done = on_logs_done, .on_log = on_log, .data = follow},
        .operation = &follow->lines.operation};
    enum covey_status status =
        covey_client_watch_start(follow->client, follow->id, follow->from_sequence, &watch, error);
    if (status)
        return status;
    follow->logged = !follow->logs;
    return follow->logs
               ? covey_client_logs_start(follow->client, follow->id, all, true, &logs, error)
               : COVEY_OK;
}

/* A controller that stops may not be there to be asked again: what the watch has brought counts
 * then. */
static enum covey_status take_flare(struct cli_follow *follow, struct covey_flare **flare,
                                    struct covey_error *error)
{
    struct covey_flare *seen = follow->flare;
    follow->flare = NULL;
    if (seen && seen->worker_count == seen->workers_total) {
        *flare = seen;
        return COVEY_OK;
    }
    enum covey_status status = covey_client_get_flare(follow->client, follow->id, 0, flare, error);
    if (status && seen && covey_flare_state_ended(seen->state)) {
        *flare = seen;
        return COVEY_OK;
    }
    covey_flare_free(seen);
    return status;
}

enum covey_status cli_follow(struct cli_follow *follow, struct covey_flare **flare,
                             struct covey_error *error)
{
    *flare = NULL;
    follow->loop = (struct cli_loop){.client = follow->client,
                                     .life_fd = follow->life_fd,
                                     .output = &follow->lines.output,
                                     .on_signal = on_signal,
                                     .on_turn = on_turn,
                                     .data = follow};
    enum covey_status status = cli_loop_begin(&follow->loop, error);
    if (status)
        return status;
    fflush(stdout);
    follow->lines.json = follow->json;
    cli_lines_begin(&follow->lines);
    status = start_streams(follow, error);
    if (!status)
        status = cli_loop_run(&follow->loop, &follow->done, error);
    if (status == COVEY_ETIMEOUT && follow->output_failed) {
        status = COVEY_OK;
    } else if (status == COVEY_ETIMEOUT && follow->watched) {
        cli_complain("the last lines of the workers did not come; covey logs may show them");
        covey_operation_cancel(follow->lines.operation);
        status = COVEY_OK;
    }
    if (!status && follow->error.status) {
        *error = follow->error;
        status = follow->error.status;
    }
    cli_progress_hide();
    if (!status)
        status = take_flare(follow, flare, error);
    covey_flare_free(follow->flare);
    follow->flare = NULL;
    cli_lines_end(&follow->lines);
    cli_loop_end(&follow->loop);
    return status;
}

int cli_exit_of_flare(const struct covey_flare *flare)
{
    switch (flare->state) {
    case COVEY_FLARE_SUCCEEDED:
        return CLI_OK;
    case COVEY_FLARE_CANCELLED:
        return CLI_CANCELLED;
    case COVEY_FLARE_TIMED_OUT:
        return CLI_TIME_LIMIT;
    default:
        if (flare->error && strcmp(flare->error->status, "EUNPLACEABLE") == 0)
            return CLI_UNPLACEABLE;
        return CLI_FAILED;
    }
}

void cli_say_end(const struct covey_flare *flare)
{
    if (flare->state == COVEY_FLARE_SUCCEEDED)
        return;
    const char *state = cli_lowercase(covey_flare_state_name(flare->state));
    if (flare->error && *flare->error->message)
        cli_complain("flare %s %s: %s", flare->id, state, flare->error->message);
    else
        cli_complain("flare %s %s", flare->id, state);
}
