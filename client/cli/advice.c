/*
 * What to do next, by the kind of end. Each line is a command to type, where there is one, and what
 * it shows or changes.
 */
#include "client/cli/advice.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void print_line(const char *command, const char *what)
{
    printf("next: %s%s%s\n", command, *command ? "   " : "", what);
}

static void print_command(const struct covey_flare *flare, const char *verb, const char *what)
{
    char command[96];
    (void)snprintf(command, sizeof command, "covey %s %s", verb, flare->id);
    print_line(command, what);
}

static void print_rank_logs(const struct covey_flare *flare)
{
    char verb[32];
    char what[64];
    (void)snprintf(verb, sizeof verb, "logs --rank %" PRId32, flare->error->rank);
    (void)snprintf(what, sizeof what, "what rank %" PRId32 " wrote until then", flare->error->rank);
    print_command(flare, verb, what);
}

static void print_results(const struct covey_flare *flare)
{
    for (size_t i = 0; i < flare->worker_count; i++)
        if (flare->workers[i].result_bytes > 0) {
            print_command(flare, "results", "what workers that had ended well have left");
            return;
        }
}

static void print_memory(const struct covey_flare *flare)
{
    char what[160];
    uint64_t bytes = flare->options.memory_bytes;
    if (bytes)
        (void)snprintf(
            what, sizeof what,
            "start it again with more: fewer workers then share a node (each had %" PRIu64 " MiB)",
            bytes >> 20);
    else
        (void)snprintf(what, sizeof what,
                       "start it again with what a worker needs: no more workers than fit then "
                       "share a node (it set nothing aside)");
    print_line("--memory SIZE", what);
    print_line("covey nodes", "what memory each node has, and why it has no more");
    print_rank_logs(flare);
}

/* What a signal means, as far as it is always the same. */
static const char *meaning_of(uint32_t number)
{
    switch (number) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
        return "a fault of its code: build it with -g -fsanitize=address,undefined and run it "
               "again, which names the line";
    case SIGABRT:
        return "its code called abort(), or a check in it failed: its last lines say which";
    case SIGKILL:
        return "somebody killed it from outside: who may do that on its node knows why";
    case SIGXCPU:
        return "a limit of cpu time ended it: ulimit -t of whoever started covey-node";
    case SIGXFSZ:
        return "a file became longer than its limit: ulimit -f of whoever started covey-node";
    case SIGPIPE:
        return "it wrote into a pipe that nobody reads any more";
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
        return "somebody asked it to end, from outside";
    default:
        return "";
    }
}

static void print_signal(const struct covey_flare *flare)
{
    const char *meaning = meaning_of(flare->error->signal);
    print_rank_logs(flare);
    if (*meaning)
        print_line("", meaning);
    print_results(flare);
}

static void print_exit(const struct covey_flare *flare)
{
    print_rank_logs(flare);
    if (flare->error->exit_status == 126 || flare->error->exit_status == 127)
        print_line("", "a shell says by this status that it could not run or find a program: it "
                       "has to be on every node");
    print_results(flare);
}

static void print_lost_node(const struct covey_flare *flare)
{
    print_line("covey nodes", "whether it is back, and what is left");
    if (flare->options.max_restarts == 0)
        print_line("--max-restarts N", "start it with this, and the gang begins again by itself "
                                       "when a node is lost");
    else
        print_line("", "start it again, or with a larger --max-restarts");
    print_results(flare);
}

static void print_time_limit(const struct covey_flare *flare)
{
    char what[96];
    if (flare->options.time_limit_ns > 0)
        (void)snprintf(what, sizeof what, "start it again with more time (it had %g s)",
                       (double)flare->options.time_limit_ns / 1e9);
    else
        (void)snprintf(what, sizeof what,
                       "start it again with more time, as far as the controller "
                       "allows");
    print_line("--time-limit TIME", what);
    print_command(flare, "logs", "how far its workers came");
    print_results(flare);
}

static void print_cancelled(const struct covey_flare *flare)
{
    if (flare->options.preemptible)
        print_line("--max-restarts N", "start it with this, and it begins again by itself after "
                                       "it was preempted");
    print_line("", "nothing has failed: start it again when it is wanted");
    print_command(flare, "logs", "how far its workers came");
    print_results(flare);
}

static void print_code(const struct covey_flare *flare)
{
    print_line("ldd FILE", "on a node: the libraries that the code needs, and which are missing "
                           "there");
    print_command(flare, "logs", "what the code wrote while it was loaded");
    print_line("", "mend the code, deploy it again and start another flare");
}

static void print_unplaceable(void)
{
    print_line("covey nodes", "what the nodes have, and what they are labelled and tainted with");
    print_line("covey plan", "with the same options: where it would go, and what is in the way");
    print_line("--wait-for-nodes", "queue it until nodes come that can hold it");
}

/* Of no worker: a node, or the cluster. */
static void print_by_status(const struct covey_flare *flare, const char *status)
{
    static const char *const of_code[] = {"EFLARE", "EINVAL", "ENOTFOUND", "EMISMATCH",
                                          "EPRECONDITION"};
    for (size_t i = 0; i < sizeof of_code / sizeof *of_code; i++)
        if (strcmp(status, of_code[i]) == 0) {
            print_code(flare);
            return;
        }
    if (strcmp(status, "EUNPLACEABLE") == 0) {
        print_unplaceable();
    } else if (strcmp(status, "ENODE") == 0 || strcmp(status, "EPEER") == 0) {
        print_lost_node(flare);
    } else {
        print_line("covey nodes", "whether its nodes are well; their own logs say more");
        print_command(flare, "logs", "what its workers wrote until then");
        print_line("", "start it again: it may have been the machine's fault");
    }
}

void cli_print_advice(const struct covey_flare *flare)
{
    const struct covey_failure *error = flare->error;
    if (flare->state == COVEY_FLARE_TIMED_OUT)
        print_time_limit(flare);
    else if (flare->state == COVEY_FLARE_CANCELLED)
        print_cancelled(flare);
    else if (flare->state != COVEY_FLARE_FAILED || !error)
        return;
    else if (error->out_of_memory)
        print_memory(flare);
    else if (error->rank >= 0 && error->signal)
        print_signal(flare);
    else if (error->rank >= 0)
        print_exit(flare);
    else
        print_by_status(flare, error->status);
}
