/*
 * The worker of the system tests: does what its parameter says, "VERB [ARGUMENT...]". Built as a
 * shared object and, with ACT_PROGRAM, as a program.
 */
#include <covey/worker.h>

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { word_bytes = 512, words_most = 4 };

struct call {
    struct covey_ctx *ctx;
    struct covey_comm *world;
    int rank, size;
    int count;
    char words[words_most][word_bytes]; /* after the verb */
};

static long number(const struct call *call, int index)
{
    return index < call->count ? strtol(call->words[index], NULL, 10) : 0;
}

/* Says how a communication call ended; a failure is the worker's. */
static int told(const struct call *call, const char *what, enum covey_status status)
{
    if (status)
        covey_logf(call->ctx, "worker %d got %s from %s: %s", call->rank, covey_status_name(status),
                   what, covey_error_text(call->ctx));
    return status ? 1 : 0;
}

static int barrier(const struct call *call)
{
    return told(call, "barrier", covey_barrier(call->world));
}

/* echo: the parameter comes back as the result. */
static int act_echo(const struct call *call)
{
    size_t length;
    const void *parameter = covey_param(call->ctx, &length);
    return told(call, "set_result", covey_set_result(call->ctx, parameter, length));
}

/* result BYTES: a result of that length; byte i is i + rank. */
static int act_result(const struct call *call)
{
    size_t length = (size_t)number(call, 0);
    unsigned char *bytes = malloc(length + 1);
    if (!bytes)
        return 1;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(i + (size_t)call->rank);
    int failed = told(call, "set_result", covey_set_result(call->ctx, bytes, length));
    free(bytes);
    return failed;
}

/* where: a result that says where the worker is, agreed upon by an allreduce of all. */
static int act_where(const struct call *call)
{
    int64_t mine = call->rank + 1, sum = 0;
    if (told(call, "allreduce",
             covey_allreduce(call->world, &mine, &sum, 1, COVEY_INT64, COVEY_SUM)))
        return 1;
    char text[word_bytes];
    const char *unset = "";
    const char *flare = getenv("COVEY_FLARE_ID"), *rank = getenv("COVEY_RANK");
    const char *mark = getenv("ACT_MARK");
    int length = snprintf(
        text, sizeof(text),
        "{\"rank\": %d, \"size\": %d, \"pack\": %d, \"pack_size\": %d, \"packs\": %d, \"leader\": "
        "%d, \"nodes\": %d, \"node\": %d, \"sum\": %lld, \"process\": %d, \"thread\": %d, "
        "\"flare\": \"%s\", \"env_flare\": \"%s\", \"env_rank\": \"%s\", \"mark\": \"%s\"}",
        call->rank, call->size, covey_pack_id(call->ctx), covey_pack_size(call->ctx),
        covey_pack_count(call->ctx), covey_is_pack_leader(call->ctx), covey_node_count(call->ctx),
        covey_node_of(call->ctx, call->rank), (long long)sum, (int)getpid(),
        (int)syscall(SYS_gettid), covey_flare_id(call->ctx), flare ? flare : unset,
        rank ? rank : unset, mark ? mark : unset);
    return told(call, "set_result", covey_set_result(call->ctx, text, (size_t)length));
}

/* lines COUNT: so many lines on each of both streams, in pieces, with the rank in each. */
static int act_lines(const struct call *call)
{
    for (long i = 0; i < number(call, 0); i++) {
        printf("out %d ", call->rank);
        fflush(stdout);
        printf("line %ld\n", i);
        fflush(stdout);
        fprintf(stderr, "err %d line %ld\n", call->rank, i);
    }
    return 0;
}

/* return RANK STATUS: that worker returns that, the others 0. */
static int act_return(const struct call *call)
{
    return call->rank == number(call, 0) ? (int)number(call, 1) : 0;
}

/* exit RANK STATUS: that worker calls exit() while the others are in a barrier. */
static int act_exit(const struct call *call)
{
    if (call->rank == number(call, 0))
        exit((int)number(call, 1));
    return barrier(call);
}

/* raise RANK SIGNAL: that worker dies of a signal while the others are in a barrier. */
static int act_raise(const struct call *call)
{
    if (call->rank == number(call, 0)) {
        signal((int)number(call, 1), SIG_DFL);
        raise((int)number(call, 1));
    }
    return barrier(call);
}

/* mismatch: one worker calls another collective than the others. */
static int act_mismatch(const struct call *call)
{
    int value = 0;
    if (call->rank != 0)
        return barrier(call);
    return told(call, "bcast", covey_bcast(call->world, &value, sizeof(value), 0));
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* until FILE: talks to everybody until worker 0 sees the file; the result is worker 0's number of
 * rounds. */
static int act_until(const struct call *call)
{
    int64_t rounds = 0;
    covey_logf(call->ctx, "worker %d is at work", call->rank);
    for (int32_t seen = 0; !seen; rounds++) {
        if (call->rank == 0)
            seen = access(call->words[0], F_OK) == 0;
        if (told(call, "bcast", covey_bcast(call->world, &seen, sizeof(seen), 0)))
            return 1;
        nap();
    }
    return told(call, "set_result", covey_set_result(call->ctx, &rounds, sizeof(rounds)));
}

/* spin: user code that never calls Covey and never ends. */
static int act_spin(const struct call *call)
{
    covey_logf(call->ctx, "worker %d is at work", call->rank);
    while (call->size > 0)
        nap();
    return 0;
}

/* stubborn: as spin, and not impressed by SIGTERM. */
static int act_stubborn(const struct call *call)
{
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    return act_spin(call);
}

/* orphan: leaves a process behind that has left its session and ignores what it can. */
static int act_orphan(const struct call *call)
{
    int ready[2];
    if (pipe(ready) < 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            close(ready[0]);
            close(ready[1]);
            for (;;)
                pause();
        }
        _exit(0);
    }
    char byte;
    close(ready[1]);
    ssize_t got = read(ready[0], &byte, 1);
    close(ready[0]);
    return got == 0 ? barrier(call) : 1;
}

/* exchange BYTES: an all-to-all of blocks of that length, checked byte by byte. */
static int act_exchange(const struct call *call)
{
    size_t block = (size_t)number(call, 0), size = (size_t)call->size;
    unsigned char *out = malloc(size * block + 1), *in = malloc(size * block + 1);
    int failed = !out || !in;
    for (size_t to = 0; to < size && !failed; to++) {
        for (size_t i = 0; i < block; i++)
            out[to * block + i] = (unsigned char)((size_t)call->rank * 7 + to * 13 + i);
    }
    failed = failed || told(call, "alltoall", covey_alltoall(call->world, out, block, in));
    for (size_t from = 0; from < size && !failed; from++) {
        for (size_t i = 0; i < block && !failed; i++)
            failed =
                in[from * block + i] != (unsigned char)(from * 7 + (size_t)call->rank * 13 + i);
        if (failed)
            covey_logf(call->ctx, "worker %d got wrong bytes from %zu", call->rank, from);
    }
    free(out);
    free(in);
    return failed;
}

/* mesh: every rank exchanges a number with every other, and all agree on the sum. */
static int act_mesh(const struct call *call)
{
    size_t size = (size_t)call->size;
    int64_t mine = call->rank + 1, sum = 0;
    if (barrier(call) || told(call, "allreduce",
                              covey_allreduce(call->world, &mine, &sum, 1, COVEY_INT64, COVEY_SUM)))
        return 1;
    int64_t *out = calloc(2 * size, sizeof(*out));
    if (!out)
        return 1;
    for (size_t i = 0; i < size; i++)
        out[i] = (int64_t)((size_t)call->rank * size + i);
    int64_t *in = out + size;
    bool wrong = told(call, "alltoall", covey_alltoall(call->world, out, sizeof(*out), in)) ||
                 sum != (int64_t)(size * (size + 1) / 2);
    for (size_t i = 0; i < size; i++)
        wrong = wrong || in[i] != (int64_t)(i * size + (size_t)call->rank);
    free(out);
    return wrong || barrier(call) ? 1 : 0;
}

/* cpus: says which ones it is bound to. */
static int act_cpus(const struct call *call)
{
    cpu_set_t set;
    char text[256] = "";
    size_t used = 0;
    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && used < sizeof(text); cpu++)
        if (CPU_ISSET(cpu, &set))
            used += (size_t)snprintf(text + used, sizeof(text) - used, " %zu", cpu);
    covey_logf(call->ctx, "bound to%s", text);
    return barrier(call);
}

/* environment: all of it, a variable a line. */
static int act_environment(const struct call *call)
{
    (void)call;
    for (char **entry = environ; *entry; entry++)
        printf("%s\n", *entry);
    return 0;
}

/* crash HOW: a fault, or an abort. */
static int act_crash(const struct call *call)
{
    if (strcmp(call->words[0], "abort") == 0)
        abort();
    __builtin_trap();
}

/* cat: what is on standard input. */
static int act_cat(const struct call *call)
{
    char piece[4096];
    (void)call;
    for (ssize_t got; (got = read(STDIN_FILENO, piece, sizeof(piece))) > 0;)
        printf("%.*s", (int)got, piece);
    return 0;
}

/* folder: the one that it is in. */
static int act_folder(const struct call *call)
{
    char path[PATH_MAX];
    (void)call;
    printf("%s\n", getcwd(path, sizeof(path)) ? path : "nowhere");
    return 0;
}

static const struct {
    const char *verb;
    int (*act)(const struct call *call);
} acts[] = {
    {"echo", act_echo},         {"result", act_result},
    {"where", act_where},       {"lines", act_lines},
    {"return", act_return},     {"exit", act_exit},
    {"raise", act_raise},       {"mismatch", act_mismatch},
    {"until", act_until},       {"spin", act_spin},
    {"stubborn", act_stubborn}, {"orphan", act_orphan},
    {"exchange", act_exchange}, {"cpus", act_cpus},
    {"mesh", act_mesh},         {"environment", act_environment},
    {"folder", act_folder},     {"cat", act_cat},
    {"crash", act_crash},
};

int covey_work(struct covey_ctx *ctx)
{
    size_t length;
    const char *parameter = covey_param(ctx, &length);
    struct call call = {
        .ctx = ctx, .world = covey_world(ctx), .rank = covey_rank(ctx), .size = covey_size(ctx)};
    char verb[word_bytes] = {0}, text[4 * word_bytes];
    snprintf(text, sizeof(text), "%.*s", (int)(length < sizeof(text) ? length : sizeof(text)),
             parameter);
    call.count = sscanf(text, "%511s %511s %511s %511s %511s", verb, call.words[0], call.words[1],
                        call.words[2], call.words[3]) -
                 1;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (strcmp(acts[i].verb, verb) == 0)
            return acts[i].act(&call);
    }
    covey_logf(ctx, "no act is called \"%s\"", verb);
    return 99;
}

#ifdef ACT_PROGRAM
int main(void)
{
    struct covey_ctx *ctx = NULL;
    if (covey_attach(&ctx))
        return 98;
    int status = covey_work(ctx);
    covey_detach(ctx);
    return status;
}
#endif
