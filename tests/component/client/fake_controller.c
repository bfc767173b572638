/*
 * A controller that runs nothing: it answers by what a definition is called, so that a test sees
 * each outcome at once. Takes the options of coveyd that `covey up` and `covey run` give.
 *
 *   fail..., limit...      every flare of it FAILED (worker 1 by signal 9), TIMED_OUT
 *   hang...                RUNNING until it is cancelled; hanging-on...: even then
 *   huge...                can never be placed
 *   flaky...               the first watch and the first logs are lost in their middle
 *   endless...             its logs do not end with it
 *   big...                 results of 3 MiB in pieces; other results are the parameters
 *
 * FAKE_VERSION is the version that it says it has, FAKE_TOKEN the token that it asks for,
 * FAKE_CERTIFICATE and FAKE_KEY make it speak TLS.
 *
 * It ends at the end of its standard input (unless it has a lifeline) or with SIGTERM.
 */
#include "tests/component/client/fake_flares.h"

#include "base/error.h"
#include "base/io.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct program {
    uv_loop_t loop;
    uv_pipe_t life;
    uv_signal_t terminate;
    struct rpc_server *server;
    const char *listen[4];
    size_t listen_count;
    long ready_fd;
    long lifeline_fd;
};

enum { KEY_LISTEN = 1, KEY_STATE, KEY_READY, KEY_LIFELINE };

static const struct argp_option options[] = {
    {"listen", KEY_LISTEN, "ADDRESS", 0, NULL, 0},
    {"state-dir", KEY_STATE, "DIR", 0, NULL, 0},
    {"ready-fd", KEY_READY, "N", 0, NULL, 0},
    {"lifeline-fd", KEY_LIFELINE, "N", 0, NULL, 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct program *program = state->input;
    switch (key) {
    case KEY_LISTEN:
        program->listen[program->listen_count++ % 4] = argument;
        return 0;
    case KEY_STATE:
        return 0;
    case KEY_READY:
        program->ready_fd = strtol(argument, NULL, 10);
        return 0;
    case KEY_LIFELINE:
        program->lifeline_fd = strtol(argument, NULL, 10);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void stop(struct program *program)
{
    if (!program->server)
        return;
    rpc_server_stop(program->server, 0, NULL, NULL);
    program->server = NULL;
    uv_close((uv_handle_t *)&program->life, NULL);
    uv_close((uv_handle_t *)&program->terminate, NULL);
}

static void on_terminate(uv_signal_t *handle, int signal)
{
    (void)signal;
    stop(handle->data);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char discarded[64];
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(discarded, sizeof discarded);
}

static void on_life(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    if (length < 0)
        stop(stream->data);
}

static bool authorize(struct rpc_call *call, const struct rpc_peer *peer, const char *full_method,
                      struct rpc_identity *identity, void *data)
{
    const char *token = getenv("FAKE_TOKEN");
    const char *given = rpc_call_metadata(call, "authorization");
    (void)peer;
    (void)full_method;
    (void)identity;
    (void)data;
    if (!token || (given && strncmp(given, "Bearer ", 7) == 0 && strcmp(given + 7, token) == 0))
        return true;
    rpc_call_finish(call, RPC_UNAUTHENTICATED, "who are you? give a token with --token");
    return false;
}

static enum covey_status start(struct program *program, struct covey_error *error)
{
    struct rpc_server_options server = {.authorize = authorize};
    struct rpc_tls tls = {.certificate_file = getenv("FAKE_CERTIFICATE"),
                          .key_file = getenv("FAKE_KEY")};
    char bound[256];
    rpc_limits_init(&server.limits);
    enum covey_status status = rpc_server_create(&program->loop, &server, &program->server, error);
    for (size_t i = 0; !status && fake_services[i].name; i++)
        status = rpc_server_add(program->server, &fake_services[i], NULL);
    for (size_t i = 0; !status && i < program->listen_count; i++) {
        status = rpc_server_listen(program->server, program->listen[i],
                                   tls.certificate_file ? &tls : NULL, bound, sizeof bound, error);
        if (!status)
            printf("%s\n", bound);
    }
    fflush(stdout);
    if (!status && program->ready_fd >= 0 && write((int)program->ready_fd, "\n", 1) != 1)
        status = covey_error_set(error, COVEY_EIO, "cannot say that it is ready");
    return status;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.options = options, .parser = parse_option};
    static struct program program = {.ready_fd = -1, .lifeline_fd = -1};
    struct covey_error error = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &program);
    uv_loop_init(&program.loop);
    if (start(&program, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    int life_fd = program.lifeline_fd >= 0 ? (int)program.lifeline_fd : STDIN_FILENO;
    program.life.data = program.terminate.data = &program;
    uv_signal_init(&program.loop, &program.terminate);
    uv_signal_start(&program.terminate, on_terminate, SIGTERM);
    uv_pipe_init(&program.loop, &program.life, 0);
    /* /dev/null, as covey up gives it, is no pipe and never ends. */
    if (uv_guess_handle(life_fd) == UV_NAMED_PIPE && uv_pipe_open(&program.life, life_fd) == 0)
        uv_read_start((uv_stream_t *)&program.life, on_alloc, on_life);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    fake_flares_free();
    return uv_loop_close(&program.loop) == 0 ? 0 : 1;
}
