/*
 * Calls covey.test.Echo of another server: echo_client TARGET METHOD TEXT COUNT PAYLOAD_BYTES
 * [TIMEOUT_MS [CA]]. A streaming method (Join, Chat) is sent COUNT notes. Prints
 * "CODE messages=N bytes=N message".
 */
#include "base/clock.h"
#include "tests/component/rpc/echo_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct program {
    struct rpc_channel *channel;
    struct rpc_call *call;
    const char *text;
    uint32_t left;
    uint32_t count;
    size_t payload_bytes;
    size_t messages;
    size_t received_bytes;
};

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct program *program = data;
    (void)call;
    program->messages++;
    program->received_bytes += ((const Covey__Test__Note *)message)->payload.len;
}

static void send_on(struct rpc_call *call, void *data)
{
    struct program *program = data;
    while (program->left > 0 && rpc_call_writable(call)) {
        Covey__Test__Note note = echo_note(program->text, program->count, program->payload_bytes);
        if (rpc_call_send(call, &note.base) != COVEY_OK)
            return;
        program->left--;
    }
    if (program->left == 0)
        rpc_call_half_close(call);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct program *program = data;
    (void)call;
    printf("%s messages=%zu bytes=%zu %s\n", rpc_code_name(code), program->messages,
           program->received_bytes, message);
    rpc_channel_destroy(program->channel, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct rpc_call_events events = {
        .on_message = on_message, .on_writable = send_on, .on_end = on_end};
    if (argc < 6) {
        fprintf(stderr, "usage: echo_client TARGET METHOD TEXT COUNT PAYLOAD_BYTES [TIMEOUT_MS]\n");
        return 2;
    }
    struct program program = {.text = argv[3],
                              .count = (uint32_t)strtoul(argv[4], NULL, 10),
                              .payload_bytes = strtoul(argv[5], NULL, 10)};
    const char *method = argv[2];
    program.left = !strcmp(method, "Join") || !strcmp(method, "Chat") ? program.count : 1;
    struct rpc_tls tls = {.ca_file = argc > 7 ? argv[7] : NULL};
    struct rpc_channel_options options;
    struct covey_error error = {0};
    uv_loop_t loop;
    char path[64];
    uv_loop_init(&loop);
    rpc_channel_options_init(&options);
    options.tls = tls.ca_file ? &tls : NULL;
    snprintf(path, sizeof path, "/covey.test.Echo/%s", method);
    struct rpc_call_options call_options = {
        .timeout_ns = argc > 6 ? strtoll(argv[6], NULL, 10) * COVEY_NS_PER_MS : -1};
    enum covey_status status =
        rpc_channel_create(&loop, argv[1], &options, &program.channel, &error);
    if (!status)
        status = rpc_channel_call(program.channel, path, &covey__test__note__descriptor, &events,
                                  &program, &call_options, &program.call);
    if (status) {
        fprintf(stderr, "%s %s\n", covey_status_name(status), error.message);
        return 1;
    }
    send_on(program.call, &program);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
