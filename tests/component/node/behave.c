#include "tests/component/node/behave.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static int hello(struct covey_ctx *ctx)
{
    char text[64];
    int length =
        snprintf(text, sizeof(text), "result of %d of %d", covey_rank(ctx), covey_size(ctx));
    printf("hello from %d of %d in pack %d of %d\n", covey_rank(ctx), covey_size(ctx),
           covey_pack_id(ctx), covey_pack_count(ctx));
    fflush(stdout);
    fprintf(stderr, "whisper of %s\n", getenv("COVEY_RANK") ? getenv("COVEY_RANK") : "a thread");
    return covey_set_result(ctx, text, (size_t)length) == COVEY_OK ? 0 : 9;
}

/* Rank 0 never sends: the others wait for it, and say what they learn. */
static int wait_for_rank_0(struct covey_ctx *ctx)
{
    char byte;
    if (covey_rank(ctx) == 0)
        wait_for_ever();
    enum covey_status status = covey_recv(covey_world(ctx), &byte, 1, 0, 1, NULL);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char text[300];
    int length =
        snprintf(text, sizeof(text), "%s at %lld: %s", covey_status_name(status),
                 (long long)now.tv_sec * 1000000000LL + now.tv_nsec, covey_error_text(ctx));
    if (covey_set_result(ctx, text, (size_t)length) != COVEY_OK)
        return 9;
    return 0;
}

static int leave_descendants(void)
{
    pid_t child = fork();
    if (child == 0) {
        (void)setsid();
        if (fork() == 0) {
            (void)signal(SIGTERM, SIG_IGN);
            wait_for_ever();
        }
        wait_for_ever();
    }
    return 0;
}

static int big_result(struct covey_ctx *ctx, size_t length_bytes)
{
    unsigned char *bytes = malloc(length_bytes + 1);
    for (size_t i = 0; i < length_bytes; i++)
        bytes[i] = (unsigned char)(i * 31 + (size_t)covey_rank(ctx));
    enum covey_status status = covey_set_result(ctx, bytes, length_bytes);
    free(bytes);
    printf("set_result: %s\n", covey_status_name(status));
    return status == COVEY_OK ? 0 : 3;
}

static int flood(struct covey_ctx *ctx, long lines)
{
    (void)ctx;
    for (long i = 0; i < lines; i++)
        printf("line %ld of %ld %0200d\n", i, lines, 0);
    return 0;
}

/* Rank r sends to r + 1, and all say what they got. */
static int ring(struct covey_ctx *ctx)
{
    int size = covey_size(ctx);
    int rank = covey_rank(ctx);
    int got = -1;
    enum covey_status status =
        covey_sendrecv(covey_world(ctx), &rank, sizeof(rank), (rank + 1) % size, 5, &got,
                       sizeof(got), (rank + size - 1) % size, 5, NULL);
    if (status != COVEY_OK)
        fprintf(stderr, "ring: %s %s\n", covey_status_name(status), covey_error_text(ctx));
    return status == COVEY_OK && got == (rank + size - 1) % size ? 0 : 7;
}

int behave(struct covey_ctx *ctx)
{
    size_t length;
    char word[64];
    const char *parameter = covey_param(ctx, &length);
    snprintf(word, sizeof(word), "%.*s", (int)length, parameter);
    if (strcmp(word, "hello") == 0)
        return hello(ctx);
    if (strncmp(word, "exit ", 5) == 0)
        exit(covey_rank(ctx) == 1 ? (int)strtol(word + 5, NULL, 10) : 0);
    if (strcmp(word, "crash") == 0 && covey_rank(ctx) == 1)
        abort();
    if (strcmp(word, "wait") == 0)
        wait_for_ever();
    if (strcmp(word, "stubborn") == 0) {
        (void)signal(SIGTERM, SIG_IGN);
        printf("stubborn\n");
        fflush(stdout);
        wait_for_ever();
    }
    if (strcmp(word, "fail with peer") == 0)
        return wait_for_rank_0(ctx) == 0 ? 5 : 9;
    if (strcmp(word, "peer") == 0)
        return wait_for_rank_0(ctx);
    if (strcmp(word, "descendants") == 0)
        return leave_descendants();
    if (strncmp(word, "big ", 4) == 0)
        return big_result(ctx, strtoul(word + 4, NULL, 10));
    if (strncmp(word, "flood ", 6) == 0)
        return flood(ctx, strtol(word + 6, NULL, 10));
    if (strcmp(word, "ring") == 0)
        return ring(ctx);
    return 0;
}
