/*
 * covey.test.Echo as a program, for outside clients: echo_server ADDRESS DESCRIPTOR_SET
 * [CERTIFICATE KEY]. Prints the bound address, serves until standard input ends, then drains for
 * up to two seconds. ECHO_CALLERS in the environment: calls are on the account of their "x-caller",
 * else each connection has its own.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "tests/component/rpc/echo_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct program {
    uv_loop_t loop;
    uv_pipe_t input;
    struct rpc_server *server;
    struct echo echo;
    struct covey_buffer descriptor_set;
};

static char discarded[64];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(discarded, sizeof discarded);
}

/* A line "unserve" or "serve" sets what health says; the end of the input stops the server. */
static void on_input(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct program *program = stream->data;
    if (length > 0) {
        bool serving = memcmp(buffer->base, "serve", 5) == 0;
        rpc_server_set_serving(program->server, "covey.test.Echo", serving);
        return;
    }
    if (length == 0)
        return;
    uv_close((uv_handle_t *)stream, NULL);
    rpc_server_stop(program->server, 2 * COVEY_NS_PER_S, NULL, NULL);
}

static void take_number(const char *name, int64_t unit, int64_t *number)
{
    const char *text = getenv(name);
    if (text)
        *number = strtoll(text, NULL, 10) * unit;
}

/* A caller is who its "x-caller" says. */
static bool authorize(struct rpc_call *call, const struct rpc_peer *peer, const char *full_method,
                      struct rpc_identity *identity, void *data)
{
    (void)peer;
    (void)full_method;
    (void)data;
    const char *caller = rpc_call_metadata(call, "x-caller");
    snprintf(identity->name, sizeof identity->name, "%s", caller ? caller : "nobody");
    return true;
}

/* Limits small enough to be reached by a test. */
static void take_limits(struct rpc_limits *limits)
{
    int64_t connections = limits->connections;
    int64_t connections_each = limits->connections_each;
    int64_t held_bytes = (int64_t)limits->held_bytes;
    take_number("ECHO_CONNECTIONS", 1, &connections);
    take_number("ECHO_HELD_MIB", 1 << 20, &held_bytes);
    take_number("ECHO_CONNECTIONS_EACH", 1, &connections_each);
    take_number("ECHO_PARTING_MS", COVEY_NS_PER_MS, &limits->parting_timeout_ns);
    take_number("ECHO_HANDSHAKE_MS", COVEY_NS_PER_MS, &limits->handshake_timeout_ns);
    take_number("ECHO_KEEPALIVE_MS", COVEY_NS_PER_MS, &limits->keepalive_ns);
    take_number("ECHO_KEEPALIVE_MS", COVEY_NS_PER_MS, &limits->keepalive_timeout_ns);
    take_number("ECHO_STALL_MS", COVEY_NS_PER_MS, &limits->stall_timeout_ns);
    take_number("ECHO_REQUEST_MS", COVEY_NS_PER_MS, &limits->request_timeout_ns);
    limits->connections = (uint32_t)connections;
    limits->connections_each = (uint32_t)connections_each;
    limits->held_bytes = (size_t)held_bytes;
}

static enum covey_status start(struct program *program, int argc, char **argv,
                               struct covey_error *error)
{
    struct rpc_server_options options = {.reflection = true};
    char bound[256];
    if (getenv("ECHO_CALLERS"))
        options.authorize = authorize;
    rpc_limits_init(&options.limits);
    take_limits(&options.limits);
    enum covey_status status = covey_file_read(argv[2], 1 << 20, &program->descriptor_set, error);
    if (status)
        return status;
    options.descriptor_set = program->descriptor_set.data;
    options.descriptor_set_bytes = program->descriptor_set.length_bytes;
    struct rpc_tls tls = {.certificate_file = argc > 4 ? argv[3] : NULL,
                          .key_file = argc > 4 ? argv[4] : NULL};
    status = rpc_server_create(&program->loop, &options, &program->server, error);
    if (!status)
        status = rpc_server_add(program->server, &echo_service, &program->echo);
    if (!status)
        status = rpc_server_listen(program->server, argv[1], argc > 4 ? &tls : NULL, bound,
                                   sizeof bound, error);
    if (status)
        return status;
    rpc_server_set_serving(program->server, "covey.test.Echo", true);
    printf("%s\n", bound);
    fflush(stdout);
    return COVEY_OK;
}

int main(int argc, char **argv)
{
    static struct program program;
    struct covey_error error = {0};
    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: echo_server ADDRESS DESCRIPTOR_SET [CERTIFICATE KEY]\n");
        return 2;
    }
    uv_loop_init(&program.loop);
    enum covey_status status = start(&program, argc, argv, &error);
    if (status) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    uv_pipe_init(&program.loop, &program.input, 0);
    program.input.data = &program;
    uv_pipe_open(&program.input, 0);
    uv_read_start((uv_stream_t *)&program.input, on_alloc, on_input);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    covey_buffer_free(&program.descriptor_set);
    return uv_loop_close(&program.loop) == 0 ? 0 : 1;
}
