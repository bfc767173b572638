#include "client/cli/workers.h"

#include "base/clock.h"
#include "client/cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Nodes answer within this, mostly; they are asked again while none has. */
#define ANSWER_NS (250 * COVEY_NS_PER_MS)
#define ANSWERS   8

static void pause_ns(int64_t duration_ns)
{
    const struct timespec pause = {duration_ns / COVEY_NS_PER_S, duration_ns % COVEY_NS_PER_S};
    nanosleep(&pause, NULL);
}

static bool is_measured(const struct covey_flare *flare)
{
    for (size_t i = 0; i < flare->worker_count; i++)
        if (flare->workers[i].cpu_time_ns >= 0)
            return true;
    return flare->state != COVEY_FLARE_RUNNING;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * COVEY_NS_PER_S + now.tv_nsec;
}

static void print_head(const struct covey_flare *flare)
{
    char time[CLI_TEXT_BYTES];
    const char *why = flare->error ? flare->error->message : flare->pending_reason;
    printf("%s: %s, %" PRIu32 " worker%s of %s, tenant %s", flare->id,
           cli_lowercase(covey_flare_state_name(flare->state)), flare->workers_total,
           flare->workers_total == 1 ? "" : "s", flare->definition, flare->tenant);
    int64_t until_ns = flare->timeline.ended_at_ns ? flare->timeline.ended_at_ns : now_ns();
    if (flare->timeline.started_at_ns && until_ns > flare->timeline.started_at_ns)
        printf(", for %s", cli_duration_text(time, until_ns - flare->timeline.started_at_ns));
    printf("\n");
    if (*why)
        printf("%s\n", why);
}

static void print_worker(const struct covey_worker *worker, int node_width)
{
    char end[32] = "";
    char cpu[CLI_TEXT_BYTES] = "-";
    char memory[CLI_TEXT_BYTES] = "-";
    if (worker->signal)
        snprintf(end, sizeof end, "  signal %" PRIu32, worker->signal);
    else if (worker->exit_status)
        snprintf(end, sizeof end, "  exit status %" PRIu32, worker->exit_status);
    if (worker->cpu_time_ns >= 0) {
        snprintf(cpu, sizeof cpu, "%.2f s", (double)worker->cpu_time_ns / 1e9);
        cli_size_text(memory, worker->memory_bytes);
    }
    printf("%6" PRIu32 "  %-*s %8" PRIu32 "  %-8s %10s %10s%s\n", worker->rank, node_width,
           worker->node, worker->pid, cli_lowercase(covey_worker_state_name(worker->state)), cpu,
           memory, end);
}

/* rows: of the terminal, or 0. */
static void print_flare(const struct covey_flare *flare, unsigned rows)
{
    int width = 4;
    print_head(flare);
    for (size_t i = 0; i < flare->worker_count; i++)
        if ((int)strlen(flare->workers[i].node) > width)
            width = (int)strlen(flare->workers[i].node);
    if (flare->worker_count)
        printf("%6s  %-*s %8s  %-8s %10s %10s\n", "RANK", width, "NODE", "PID", "STATE", "CPU",
               "MEMORY");
    for (size_t i = 0; i < flare->worker_count; i++) {
        if (rows > 6 && i + 5 == rows && flare->worker_count > i + 1) {
            printf("and %zu more\n", flare->worker_count - i);
            break;
        }
        print_worker(&flare->workers[i], width);
    }
}

/* What the nodes answer to one question is in the answer to the next. */
static enum covey_status measure(struct covey_client *client, const char *id,
                                 struct covey_flare **flare, struct covey_error *error)
{
    enum covey_status status = covey_client_measure_flare(client, id, 0, flare, error);
    for (int i = 0; !status && i < ANSWERS; i++) {
        if ((*flare)->state != COVEY_FLARE_RUNNING || (i > 0 && is_measured(*flare)))
            break;
        covey_flare_free(*flare);
        pause_ns(ANSWER_NS);
        status = covey_client_measure_flare(client, id, 0, flare, error);
    }
    return status;
}

int cli_workers_show(struct covey_client *client, const char *id, bool json)
{
    struct winsize size = {0};
    struct covey_error error = {0};
    bool live = !json && isatty(STDOUT_FILENO);
    for (;;) {
        struct covey_flare *flare = NULL;
        if (measure(client, id, &flare, &error))
            return cli_fail(&error);
        bool ended = covey_flare_state_ended(flare->state);
        if (live && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
            printf("\033[H\033[J"); /* from the top of the screen, without what was there */
        if (json)
            printf("%s\n", flare->json);
        else
            print_flare(flare, live ? size.ws_row : 0);
        covey_flare_free(flare);
        int exit_status = cli_finish_output();
        if (ended || !live || exit_status)
            return exit_status;
        pause_ns(COVEY_NS_PER_S - ANSWER_NS);
    }
}
