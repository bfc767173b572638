#include "tests/component/rpc/fixture.h"

#include "base/clock.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

typedef Covey__Test__Note note;

/* A caller is who its "x-caller" says. */
static bool authorize(struct rpc_call *call, const struct rpc_peer *peer, const char *full_method,
                      struct rpc_identity *identity, void *data)
{
    struct fixture *fixture = data;
    const char *caller = rpc_call_metadata(call, "x-caller");
    snprintf(identity->name, sizeof identity->name, "%s", caller ? caller : "nobody");
    identity->is_stranger = caller && strcmp(caller, "stranger") == 0;
    identity->is_urgent = caller && strcmp(caller, "urgent") == 0;
    const char *value = rpc_call_metadata(call, "authorization");
    snprintf(fixture->authorization, sizeof fixture->authorization, "%s", value ? value : "");
    TEST_TRUE(peer->is_loopback);
    TEST_TRUE(*full_method == '/');
    if (fixture->refuse)
        rpc_call_finish(call, RPC_UNAUTHENTICATED, "who are you?");
    return !fixture->refuse;
}

static bool is_trusted(const struct rpc_peer *peer, void *data)
{
    (void)peer;
    return ((struct fixture *)data)->trust;
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
    fixture->server_options.is_trusted = is_trusted;
    fixture->server_options.data = fixture;
}

void fixture_start_server(struct fixture *fixture, const char *address, const struct rpc_tls *tls)
{
    struct covey_error error = {0};
    fixture->server_done = false;
    TEST_REQUIRE(rpc_server_create(&fixture->loop, &fixture->server_options, &fixture->server,
                                   &error) == COVEY_OK);
    TEST_REQUIRE(rpc_server_add(fixture->server, &echo_service, &fixture->echo) == COVEY_OK);
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
    uv_timer_start(&timer, on_timeout, 120000, 0);
    while (!condition(data) && !late)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    bool held = condition(data);
    uv_close((uv_handle_t *)&timer, on_timer_closed);
    while (timer.data)
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    return held;
}

void fixture_settle(struct fixture *fixture, const size_t *progress)
{
    size_t last = *progress;
    for (size_t still = 0; still < 5000; still++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        if (*progress != last)
            still = 0;
        last = *progress;
    }
}

void fixture_resume(struct fixture *fixture)
{
    rpc_call_resume(fixture->echo.held);
    fixture->echo.held = NULL;
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
    struct client *client = data;
    TEST_TRUE(client->full);
    client->full = false;
    TEST_TRUE(rpc_call_writable(call));
    client_stream(client);
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
    note said = echo_note(text, count, payload_bytes);
    enum covey_status status = rpc_call_send(client->call, &said.base);
    client->full |= !rpc_call_writable(client->call);
    return status;
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
