/*
 * A worker that writes, as its parameter says: "VERB [NUMBER]". What it writes while it is loaded
 * and at its exit is asked for by the environment. Built as a shared object and, with
 * WRITE_PROGRAM, as a program.
 */
#include <covey/worker.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void)
{
    const char *talk = getenv("WRITE_TALK");
    if (!talk)
        return;
    printf("loaded, in a buffer\n");
    fprintf(stderr, "loaded, at once\n");
    for (long i = strtol(talk, NULL, 10); i > 0; i--)
        printf("constructor %ld\n", i);
    if (getenv("WRITE_EXIT"))
        exit(3);
}

__attribute__((destructor)) static void unload(void)
{
    if (getenv("WRITE_TALK"))
        printf("unloaded\n");
}

static void all_bytes(void)
{
    for (int i = 0; i < 256; i++)
        putchar(i);
    putchar('\n');
}

static int killed(void)
{
    printf("the last line\n");
    fflush(stdout);
    return raise(SIGKILL);
}

static int aborted(void)
{
    fprintf(stderr, "the reason\n");
    abort();
}

/* Numbers, each written at once, for as long as it lives. */
static int count_on(void)
{
    int number = 1;
    while (fprintf(stderr, "%d\n", number) > 0)
        number++;
    return 1;
}

/* What it leaves behind holds its output open, and goes on to write to it. */
static int grandchild(void)
{
    printf("the parent\n");
    fflush(stdout);
    if (fork() != 0)
        return 0;
    (void)setsid();
    for (;;) {
        if (write(STDOUT_FILENO, "the child\n", 10) < 0)
            _exit(0);
        usleep(100);
    }
}

static int close_both(void)
{
    printf("before\n");
    fflush(stdout);
    (void)close(STDOUT_FILENO);
    (void)close(STDERR_FILENO);
    return 0;
}

static int both(long count)
{
    for (long i = 1; i <= count; i++) {
        printf("out %ld\n", i);
        fprintf(stderr, "err %ld\n", i);
    }
    return 0;
}

static int lines(long count)
{
    for (long i = 1; i <= count; i++)
        printf("%ld\n", i);
    return 0;
}

static int repeat(int byte, long count)
{
    while (count-- > 0)
        putchar(byte);
    return 0;
}

static int act(const char *verb, long number)
{
    if (strcmp(verb, "lines") == 0)
        return lines(number);
    if (strcmp(verb, "both") == 0)
        return both(number);
    if (strcmp(verb, "empty") == 0)
        return repeat('\n', number);
    if (strcmp(verb, "long") == 0)
        return repeat('x', number) + repeat('\n', 1);
    if (strcmp(verb, "unended") == 0)
        return printf("one\nno newline") < 0;
    if (strcmp(verb, "close") == 0)
        return close_both();
    if (strcmp(verb, "killed") == 0)
        return killed();
    if (strcmp(verb, "aborted") == 0)
        return aborted();
    if (strcmp(verb, "count") == 0)
        return count_on();
    if (strcmp(verb, "grandchild") == 0)
        return grandchild();
    if (strcmp(verb, "return") == 0)
        return (int)number;
    all_bytes();
    return 0;
}

int covey_work(struct covey_ctx *ctx)
{
    char words[64] = "";
    size_t length;
    const void *parameter = covey_param(ctx, &length);
    if (length < sizeof(words))
        memcpy(words, parameter, length);
    char *space = strchr(words, ' ');
    long number = space ? strtol(space, NULL, 10) : 0;
    if (space)
        *space = '\0';
    return act(words, number);
}

#ifdef WRITE_PROGRAM
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
