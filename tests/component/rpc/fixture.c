#include "tests/component/rpc/fixture.h"

#include "base/clock.h"
#include "base/memory.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Covey__Test__Note note;

static uint8_t zeros[16 * 1024 * 1024];

struct serving {
    struct fixture *fixture;
    uint32_t left;
    size_t note_bytes;
    uint32_t joined;
    size_t joined_bytes;
    bool chat;
};

static note make_note(const char *text, uint32_t count, size_t payload_bytes)
{
    note made = COVEY__TEST__NOTE__INIT;
    made.text = (char *)(uintptr_t)text;
    made.count = count;
    made.payload.data = zeros;
    made.payload.len = payload_bytes;
    return made;
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct serving *serving = data;
    struct fixture *fixture = serving->fixture;
    fixture->calls_ended++;
    fixture->last_end = code;
    snprintf(fixture->last_end_message, sizeof fixture->last_end_message, "%s", message);
    if (fixture->held == call)
        fixture->held = NULL;
    free(serving);
}

static void split_on(struct rpc_call *call, void *data)
{
    struct serving *serving = data;
    while (serving->left > 0 && rpc_call_writable(call)) {
        note part = make_note("part", serving->left, serving->note_bytes);
        enum covey_status status = rpc_call_send(call, &part.base);
        if (status) {
            rpc_call_fail(call, status, NULL);
            return;
        }
        serving->left--;
    }
    if (serving->left == 0)
        rpc_call_finish(call, RPC_OK, NULL);
}

static void on_unary(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *asked = (const note *)message;
    if (strcmp(asked->text, "fail") == 0)
        rpc_call_finish(call, RPC_NOT_FOUND, "nicht da: 100 % \xc3\xbc\n");
    else if (strcmp(asked->text, "hold") == 0)
        serving->fixture->held = call;
    else if (strcmp(asked->text, "die") == 0)
        rpc_call_finish(call, RPC_OK, NULL);
    else
        rpc_call_reply(call, message);
}

static void on_split(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *asked = (const note *)message;
    serving->left = asked->count;
    serving->note_bytes = asked->payload.len;
    split_on(call, data);
}

static void on_join(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *part = (const note *)message;
    serving->joined++;
    serving->joined_bytes += part->payload.len;
    if (strcmp(part->text, "pause") == 0) {
        serving->fixture->held = call;
        rpc_call_pause(call);
    } else if (strcmp(part->text, "fail") == 0) {
        rpc_call_finish(call, RPC_ABORTED, "enough");
    }
}

static void on_join_end(struct rpc_call *call, void *data)
{
    struct serving *serving = data;
    char text[64];
    snprintf(text, sizeof text, "%zu", serving->joined_bytes);
    note sum = make_note(text, serving->joined, 0);
    rpc_call_reply(call, &sum.base);
}

static void on_chat(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *said = (const note *)message;
    if (strcmp(said->text, "pause") == 0) {
        serving->fixture->held = call;
        rpc_call_pause(call);
        return;
    }
    enum covey_status status = rpc_call_send(call, message);
    if (status)
        rpc_call_fail(call, status, NULL);
}

static void on_chat_end(struct rpc_call *call, void *data)
{
    (void)data;
    rpc_call_finish(call, RPC_OK, NULL);
}

static const struct rpc_call_events *start(struct rpc_call *call, void *service_data, void **data,
                                           const struct rpc_call_events *events)
{
    struct fixture *fixture = service_data;
    struct serving *serving = covey_calloc(1, sizeof *serving);
    if (!serving) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    serving->fixture = fixture;
    fixture->peer = *rpc_call_peer(call);
    const char *value = rpc_call_metadata(call, "x-test");
    snprintf(fixture->metadata, sizeof fixture->metadata, "%s", value ? value : "");
    *data = serving;
    return events;
}

#define ON_CALL(name, ...)                                                                         \
    static const struct rpc_call_events *name(struct rpc_call *call, void *service_data,           \
                                              void **data)                                         \
    {                                                                                              \
        static const struct rpc_call_events events = {.on_end = on_end, __VA_ARGS__};              \
        return start(call, service_data, data, &events);                                           \
    }

ON_CALL(on_unary_call, .on_message = on_unary)
ON_CALL(on_split_call, .on_message = on_split, .on_writable = split_on)
ON_CALL(on_join_call, .on_message = on_join, .on_half_close = on_join_end)
ON_CALL(on_chat_call, .on_message = on_chat, .on_half_close = on_chat_end)

#define NOTES .request = &covey__test__note__descriptor, .response = &covey__test__note__descriptor

static const struct rpc_method methods[] = {
    {.name = "Unary", NOTES, .on_call = on_unary_call},
    {.name = "Split", NOTES, .server_streaming = true, .on_call = on_split_call},
    {.name = "Join", NOTES, .client_streaming = true, .on_call = on_join_call},
    {.name = "Chat",
     NOTES,
     .client_streaming = true,
     .server_streaming = true,
     .on_call = on_chat_call},
};

static const struct rpc_service service = {"covey.test.Echo", methods, 4};

static bool authorize(struct rpc_call *call, const struct rpc_peer *peer, const char *full_method,
                      void *data)
{
    const struct fixture *fixture = data;
    (void)peer;
    (void)full_method;
    if (fixture->refuse)
        rpc_call_finish(call, RPC_UNAUTHENTICATED, "who are you?");
    return !fixture->refuse;
}

const char *fixture_unix_address(void)
{
    static char address[128];
    snprintf(address, sizeof address, "unix:%s/rpc.sock", test_folder());
    return address;
}

void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    TEST_REQUIRE(uv_loop_init(&fixture->loop) == 0);
    rpc_limits_init(&fixture->server_options.limits);
    rpc_channel_options_init(&fixture->channel_options);
    fixture->server_options.authorize = authorize;
    fixture->server_options.data = fixture;
}

void fixture_start_server(struct fixture *fixture, const char *address, const struct rpc_tls *tls)
{
    struct covey_error error = {0};
    fixture->server_done = false;
    TEST_REQUIRE(rpc_server_create(&fixture->loop, &fixture->server_options, &fixture->server,
                                   &error) == COVEY_OK);
    TEST_REQUIRE(rpc_server_add(fixture->server, &service, fixture) == COVEY_OK);
    enum covey_status status = rpc_server_listen(fixture->server, address, tls, fixture->address,
                                                 sizeof fixture->address, &error);
    if (status)
        fprintf(stderr, "%s\n", error.message);
    TEST_REQUIRE(status == COVEY_OK);
}

void fixture_start_channel(struct fixture *fixture, const char *target)
{
    struct covey_error error = {0};
    fixture->channel_done = false;
    enum covey_status status = rpc_channel_create(&fixture->loop, target, &fixture->channel_options,
                                                  &fixture->channel, &error);
    if (status)
        fprintf(stderr, "%s\n", error.message);
    TEST_REQUIRE(status == COVEY_OK);
}

void fixture_start(struct fixture *fixture, const char *address, const struct rpc_tls *server_tls,
                   const struct rpc_tls *client_tls)
{
    fixture_start_server(fixture, address, server_tls);
    fixture->channel_options.tls = client_tls;
    fixture_start_channel(fixture, fixture->address);
}

static void set_true(void *data)
{
    *(bool *)data = true;
}

static bool is_true(void *data)
{
    return *(bool *)data;
}

void fixture_stop_server(struct fixture *fixture, int64_t grace_ns)
{
    rpc_server_stop(fixture->server, grace_ns, set_true, &fixture->server_done);
    fixture->server = NULL;
}

void fixture_stop(struct fixture *fixture)
{
    if (fixture->channel) {
        rpc_channel_destroy(fixture->channel, set_true, &fixture->channel_done);
        TEST_TRUE(fixture_run(fixture, is_true, &fixture->channel_done));
        fixture->channel = NULL;
    }
    if (fixture->server)
        fixture_stop_server(fixture, 0);
    TEST_TRUE(fixture_run(fixture, is_true, &fixture->server_done));
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    TEST_EQUAL(uv_loop_close(&fixture->loop), 0);
}

static void on_timeout(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_timer_closed(uv_handle_t *timer)
{
    timer->data = NULL;
}

bool fixture_run(struct fixture *fixture, bool (*condition)(void *data), void *data)
{
    bool late = false;
    uv_timer_t timer = {.data = &late};
    uv_timer_init(&fixture->loop, &timer);
    uv_update_time(&fixture->loop);
    uv_timer_start(&timer, on_timeout, 10000, 0);
    while (!condition(data) && !late)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    bool held = condition(data);
    uv_close((uv_handle_t *)&timer, on_timer_closed);
    while (timer.data)
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    return held;
}

void fixture_resume(struct fixture *fixture)
{
    rpc_call_resume(fixture->held);
    fixture->held = NULL;
}

static void client_on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct client *client = data;
    const note *got = (const note *)message;
    client->messages++;
    client->payload_bytes += got->payload.len;
    client->last_count = got->count;
    snprintf(client->last_text, sizeof client->last_text, "%s", got->text);
    if (client->pause_first && client->messages == 1)
        rpc_call_pause(call);
}

static void client_on_writable(struct rpc_call *call, void *data)
{
    (void)call;
    client_stream(data);
}

static void client_on_end(struct rpc_call *call, enum rpc_code code, const char *message,
                          void *data)
{
    struct client *client = data;
    TEST_TRUE(call == client->call);
    TEST_TRUE(!client->ended);
    client->call = NULL;
    client->ended = true;
    client->code = code;
    snprintf(client->message, sizeof client->message, "%s", message);
}

static const struct rpc_call_events client_events = {
    .on_message = client_on_message, .on_writable = client_on_writable, .on_end = client_on_end};

enum covey_status client_start(struct fixture *fixture, struct client *client, const char *method,
                               const struct rpc_call_options *options)
{
    char path[64];
    snprintf(path, sizeof path, "/covey.test.Echo/%s", method);
    return rpc_channel_call(fixture->channel, path, &covey__test__note__descriptor, &client_events,
                            client, options, &client->call);
}

enum covey_status client_send(struct client *client, const char *text, uint32_t count,
                              size_t payload_bytes)
{
    note said = make_note(text, count, payload_bytes);
    return rpc_call_send(client->call, &said.base);
}

void client_stream(struct client *client)
{
    while (client->sent < client->to_send && rpc_call_writable(client->call)) {
        if (client_send(client, "part", 0, client->note_bytes) != COVEY_OK)
            return;
        client->sent++;
    }
    if (client->sent == client->to_send)
        rpc_call_half_close(client->call);
}

void client_call(struct fixture *fixture, struct client *client, const char *method,
                 const char *text, uint32_t count, size_t payload_bytes)
{
    memset(client, 0, sizeof *client);
    TEST_REQUIRE(client_start(fixture, client, method, NULL) == COVEY_OK);
    TEST_EQUAL(client_send(client, text, count, payload_bytes), COVEY_OK);
    rpc_call_half_close(client->call);
    TEST_TRUE(fixture_run(fixture, client_ended, client));
}

bool client_ended(void *client)
{
    return ((struct client *)client)->ended;
}

bool client_has_message(void *client)
{
    return ((struct client *)client)->messages > 0;
}
