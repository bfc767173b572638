#include "client/cli/progress.h"

#include "base/clock.h"
#include "base/text.h"
#include "client/cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    bool quiet;
    bool live;    /* standard error is a terminal */
    bool visible; /* the live line is on it */
    enum covey_flare_state state;
    uint32_t total;
    uint32_t started;
    uint32_t ended;
    char id[64];
    char pending[160];
    char shown[320]; /* what was said last */
} progress;

void cli_progress_begin(bool quiet)
{
    memset(&progress, 0, sizeof progress);
    progress.quiet = quiet;
    progress.live = isatty(STDERR_FILENO) == 1;
}

void cli_progress_hide(void)
{
    if (progress.visible)
        fputs("\r\033[K", stderr);
    progress.visible = false;
}

/* A line that wraps could not be wiped. */
static size_t line_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 2)
        return 79;
    return size.ws_col - 1U;
}

static void show_text(const char *text)
{
    if (progress.quiet ||
        (strcmp(text, progress.shown) == 0 && (progress.visible || !progress.live)))
        return;
    snprintf(progress.shown, sizeof progress.shown, "%s", text);
    if (!progress.live) {
        fprintf(stderr, "%s\n", text);
        return;
    }
    fflush(stdout);
    fprintf(stderr, "\r\033[K%.*s", covey_text_fit(text, line_columns()), text);
    progress.visible = true;
}

void cli_progress_step(const char *text)
{
    show_text(text);
}

/* "flare ID: running 3/16". */
static void format(char *text, size_t text_bytes)
{
    const char *id = progress.id;
    switch (progress.state) {
    case COVEY_FLARE_QUEUED:
        (void)covey_text_print(text, text_bytes, "flare %s: queued%s%s", id,
                               *progress.pending ? ": " : "", progress.pending);
        return;
    case COVEY_FLARE_PREPARING:
        snprintf(text, text_bytes, "flare %s: starting 0/%u", id, progress.total);
        return;
    case COVEY_FLARE_RUNNING:
        if (progress.started < progress.total)
            snprintf(text, text_bytes, "flare %s: starting %u/%u", id, progress.started,
                     progress.total);
        else
            snprintf(text, text_bytes, "flare %s: running %u/%u", id,
                     progress.total - progress.ended, progress.total);
        return;
    default:
        snprintf(text, text_bytes, "flare %s: %s", id,
                 cli_lowercase(covey_flare_state_name(progress.state)));
    }
}

void cli_progress_show(const struct covey_event *event, const struct covey_flare *flare)
{
    char text[320];
    if (flare) {
        snprintf(progress.id, sizeof progress.id, "%s", flare->id);
        (void)covey_text_print(progress.pending, sizeof progress.pending, "%s",
                               flare->pending_reason);
        progress.total = flare->workers_total;
        progress.state = flare->state;
    }
    if (event) {
        progress.state = event->state;
        progress.started = event->workers_started;
        progress.ended = event->workers_ended;
    }
    format(text, sizeof text);
    /* Elsewhere than on a terminal each worker's start and end would be a line. */
    bool changing = progress.state == COVEY_FLARE_RUNNING &&
                    ((progress.started && progress.started < progress.total) || progress.ended);
    if (progress.live || !changing)
        show_text(text);
}

void cli_progress_say(const char *format_text, ...)
{
    va_list arguments;
    if (progress.quiet)
        return;
    cli_progress_hide();
    fflush(stdout);
    va_start(arguments, format_text);
    vfprintf(stderr, format_text, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static void say_span(const char *name, int64_t from_ns, int64_t to_ns)
{
    char text[CLI_TEXT_BYTES];
    if (from_ns && to_ns)
        cli_progress_say("  %-14s %10s", name,
                         cli_duration_text(text, to_ns > from_ns ? to_ns - from_ns : 0));
}

static size_t count_nodes(const struct covey_flare *flare)
{
    size_t nodes = 0;
    for (size_t i = 0; i < flare->pack_count; i++) {
        size_t j = 0;
        while (j < i && strcmp(flare->packs[j].node, flare->packs[i].node) != 0)
            j++;
        nodes += j == i;
    }
    return nodes;
}

void cli_progress_summary(const struct covey_flare *flare, int64_t results_ns)
{
    const struct covey_timeline *at = &flare->timeline;
    char text[CLI_TEXT_BYTES] = "";
    size_t nodes = count_nodes(flare);
    if (at->accepted_at_ns && at->ended_at_ns)
        cli_duration_text(text, at->ended_at_ns - at->accepted_at_ns);
    cli_progress_say("flare %s %s%s%s: %u worker%s in %zu pack%s on %zu node%s%s%s", flare->id,
                     cli_lowercase(covey_flare_state_name(flare->state)), *text ? " in " : "", text,
                     flare->workers_total, flare->workers_total == 1 ? "" : "s", flare->pack_count,
                     flare->pack_count == 1 ? "" : "s", nodes, nodes == 1 ? "" : "s",
                     *at->transport ? ", messages by " : "", at->transport);
    say_span("queue, place", at->accepted_at_ns, at->placed_at_ns);
    say_span("prepare", at->placed_at_ns, at->ready_at_ns);
    say_span("start", at->ready_at_ns, at->first_worker_at_ns);
    say_span("start spread", at->first_worker_at_ns, at->last_worker_at_ns);
    say_span("run", at->last_worker_at_ns, at->outcome_at_ns);
    say_span("clean up", at->outcome_at_ns, at->ended_at_ns);
    if (results_ns >= 0)
        cli_progress_say("  %-14s %10s", "results", cli_duration_text(text, results_ns));
}
