/* Connections come and go: listening, dialling, reconnecting, draining, limits. */
#include "base/clock.h"
#include "base/io.h"
#include "tests/component/rpc/fixture.h"
#include "tests/harness/harness.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_held(void *data)
{
    return ((struct fixture *)data)->echo.held != NULL;
}

static bool is_true(void *data)
{
    return *(bool *)data;
}

static void hold(struct fixture *fixture, struct client *client)
{
    TEST_REQUIRE(client_start(fixture, client, "Unary", NULL) == COVEY_OK);
    TEST_EQUAL(client_send(client, "hold", 0, 0), COVEY_OK);
    rpc_call_half_close(client->call);
    TEST_TRUE(fixture_run(fixture, is_held, fixture));
}

static void channel__whose_server_restarts__connects_again(void)
{
    struct fixture fixture;
    struct client client;
    struct client held = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    hold(&fixture, &held);
    fixture_stop_server(&fixture, 0);
    TEST_TRUE(fixture_run(&fixture, is_true, &fixture.server_done));
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_EQUAL(held.code, RPC_UNAVAILABLE);
    TEST_EQUAL(fixture.echo.last_end, RPC_CANCELLED);
    for (int i = 0; i < 4; i++) {
        client_call(&fixture, &client, "Unary", "anybody?", 0, 0);
        TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    }
    fixture_start_server(&fixture, fixture_unix_address(), NULL);
    client_call(&fixture, &client, "Unary", "hello again", 0, 0);
    TEST_EQUAL(client.code, RPC_OK);
    fixture_stop(&fixture);
}

/* Back-off doubles up to its bound, with at most half taken off at random. */
static void channel__without_a_server__waits_longer_each_time(void)
{
    struct fixture fixture;
    struct client client;
    int64_t spent_ns[5];
    fixture_init(&fixture);
    fixture.channel_options.reconnect_min_ns = 20 * COVEY_NS_PER_MS;
    fixture.channel_options.reconnect_max_ns = 80 * COVEY_NS_PER_MS;
    fixture_start_channel(&fixture, fixture_unix_address());
    for (int i = 0; i < 5; i++) {
        int64_t start_ns = covey_now_ns();
        client_call(&fixture, &client, "Unary", "anybody?", 0, 0);
        spent_ns[i] = covey_now_ns() - start_ns;
        TEST_EQUAL(client.code, RPC_UNAVAILABLE);
        TEST_TRUE(strstr(client.message, "cannot connect") != NULL);
    }
    TEST_TRUE(spent_ns[1] >= 9 * COVEY_NS_PER_MS);
    TEST_TRUE(spent_ns[2] >= 19 * COVEY_NS_PER_MS);
    TEST_TRUE(spent_ns[3] >= 39 * COVEY_NS_PER_MS);
    TEST_TRUE(spent_ns[4] >= 39 * COVEY_NS_PER_MS);
    fixture.server_done = true;
    fixture_stop(&fixture);
}

static void server__that_drains__finishes_what_is_open(void)
{
    struct fixture fixture;
    struct client held = {0};
    struct client late;
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    hold(&fixture, &held);
    fixture_stop_server(&fixture, 10 * COVEY_NS_PER_S);
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    TEST_TRUE(!fixture.server_done);
    TEST_TRUE(!held.ended);
    client_call(&fixture, &late, "Unary", "late", 0, 0);
    TEST_EQUAL(late.code, RPC_UNAVAILABLE);
    rpc_call_finish(fixture.echo.held, RPC_OK, NULL);
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_EQUAL(held.code, RPC_OK);
    TEST_TRUE(fixture_run(&fixture, is_true, &fixture.server_done));
    fixture_stop(&fixture);
}

/* The server takes no new stream, so what waits for one here must not wait for ever. */
static void call__that_waits_for_a_stream_of_a_server_that_drains__ends(void)
{
    struct fixture fixture;
    struct client held = {0};
    struct client queued = {0};
    fixture_init(&fixture);
    fixture.server_options.limits.streams = 1;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    hold(&fixture, &held);
    TEST_REQUIRE(client_start(&fixture, &queued, "Unary", NULL) == COVEY_OK);
    TEST_EQUAL(client_send(&queued, "queued", 0, 0), COVEY_OK);
    rpc_call_half_close(queued.call);
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    TEST_TRUE(!queued.ended);
    fixture_stop_server(&fixture, 100 * COVEY_NS_PER_S);
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    TEST_TRUE(!held.ended);
    rpc_call_finish(fixture.echo.held, RPC_OK, NULL);
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_EQUAL(held.code, RPC_OK);
    TEST_TRUE(fixture_run(&fixture, client_ended, &queued));
    TEST_EQUAL(queued.code, RPC_UNAVAILABLE);
    TEST_TRUE(fixture_run(&fixture, is_true, &fixture.server_done));
    fixture_stop(&fixture);
}

static void server__whose_grace_is_over__cancels_what_is_open(void)
{
    struct fixture fixture;
    struct client held = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    hold(&fixture, &held);
    fixture_stop_server(&fixture, 20 * COVEY_NS_PER_MS);
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_EQUAL(held.code, RPC_UNAVAILABLE);
    TEST_EQUAL(fixture.echo.last_end, RPC_CANCELLED);
    TEST_TRUE(fixture_run(&fixture, is_true, &fixture.server_done));
    fixture_stop(&fixture);
}

static void server__stopped_again_without_grace__ends_at_once(void)
{
    struct fixture fixture;
    struct client held = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    hold(&fixture, &held);
    struct rpc_server *server = fixture.server;
    fixture_stop_server(&fixture, 100 * COVEY_NS_PER_S);
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    TEST_TRUE(!held.ended);
    fixture.server = server;
    fixture_stop_server(&fixture, 200 * COVEY_NS_PER_S);
    fixture.server = server;
    fixture_stop_server(&fixture, 0);
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_TRUE(fixture_run(&fixture, is_true, &fixture.server_done));
    fixture_stop(&fixture);
}

static void channel__destroyed__cancels_its_calls(void)
{
    struct fixture fixture;
    struct client held = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    hold(&fixture, &held);
    fixture.echo.held = NULL;
    struct rpc_channel *channel = fixture.channel;
    fixture.channel = NULL;
    bool done = false;
    void (*set)(void *) = NULL;
    rpc_channel_destroy(channel, set, &done);
    TEST_TRUE(!held.ended);
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_EQUAL(held.code, RPC_CANCELLED);
    fixture_stop(&fixture);
}

static void call__cancelled_before_it_is_connected__ends_cancelled(void)
{
    struct fixture fixture;
    struct client client = {0};
    struct client second = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "hold", 0, 0), COVEY_OK);
    TEST_EQUAL(client_start(&fixture, &second, "Unary", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&second, "hello", 0, 0), COVEY_OK);
    rpc_call_half_close(second.call);
    rpc_call_cancel(client.call);
    rpc_call_cancel(client.call);
    TEST_EQUAL(client_send(&client, "hold", 0, 0), COVEY_EPRECONDITION);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_CANCELLED);
    TEST_TRUE(fixture_run(&fixture, client_ended, &second));
    TEST_EQUAL(second.code, RPC_OK);
    TEST_EQUAL(fixture.echo.calls_ended, 1);
    fixture_stop(&fixture);
}

/* A listener of our own that accepts and says `greeting`, then nothing. */
struct mute {
    uv_pipe_t listener;
    uv_pipe_t peer;
    uv_write_t write;
    const char *greeting;
    size_t greeting_bytes;
};

static void on_mute_connection(uv_stream_t *stream, int status)
{
    struct mute *mute = stream->data;
    TEST_EQUAL(status, 0);
    uv_pipe_init(stream->loop, &mute->peer, 0);
    TEST_EQUAL(uv_accept(stream, (uv_stream_t *)&mute->peer), 0);
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)mute->greeting, (unsigned)mute->greeting_bytes);
    if (mute->greeting_bytes)
        TEST_EQUAL(uv_write(&mute->write, (uv_stream_t *)&mute->peer, &bytes, 1, NULL), 0);
}

static void call_mute(struct fixture *fixture, const char *greeting, size_t greeting_bytes,
                      struct client *client)
{
    struct mute mute = {.greeting = greeting, .greeting_bytes = greeting_bytes};
    char path[128];
    char target[160];
    snprintf(path, sizeof path, "%s/mute.sock", test_folder());
    snprintf(target, sizeof target, "unix:%s", path);
    uv_pipe_init(&fixture->loop, &mute.listener, 0);
    mute.listener.data = &mute;
    TEST_REQUIRE(uv_pipe_bind(&mute.listener, path) == 0);
    TEST_REQUIRE(uv_listen((uv_stream_t *)&mute.listener, 8, on_mute_connection) == 0);
    fixture_start_channel(fixture, target);
    client_call(fixture, client, "Unary", "hello?", 0, 0);
    uv_close((uv_handle_t *)&mute.listener, NULL);
    uv_close((uv_handle_t *)&mute.peer, NULL);
    fixture->server_done = true;
    fixture_stop(fixture);
}

static void channel__to_a_server_that_never_speaks__gives_up(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.channel_options.limits.handshake_timeout_ns = 50 * COVEY_NS_PER_MS;
    call_mute(&fixture, "", 0, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "handshake") != NULL);
}

static void channel__to_a_server_that_is_none__says_so(void)
{
    static const char greeting[] = "SSH-2.0-OpenSSH\r\nand more than a frame header\r\n";
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    call_mute(&fixture, greeting, sizeof greeting - 1, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
}

static void channel__whose_server_falls_silent__notices(void)
{
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.channel_options.limits.keepalive_ns = 20 * COVEY_NS_PER_MS;
    fixture.channel_options.limits.keepalive_timeout_ns = 20 * COVEY_NS_PER_MS;
    call_mute(&fixture, settings, sizeof settings, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "keepalive") != NULL);
}

static void connection__kept_alive_by_pings__stays(void)
{
    struct fixture fixture;
    struct client held = {0};
    fixture_init(&fixture);
    fixture.channel_options.limits.keepalive_ns = COVEY_NS_PER_MS;
    fixture.server_options.limits.keepalive_ns = COVEY_NS_PER_MS;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    struct rpc_call_options options = {.timeout_ns = 100 * COVEY_NS_PER_MS};
    TEST_REQUIRE(client_start(&fixture, &held, "Unary", &options) == COVEY_OK);
    TEST_EQUAL(client_send(&held, "hold", 0, 0), COVEY_OK);
    TEST_TRUE(fixture_run(&fixture, client_ended, &held));
    TEST_EQUAL(held.code, RPC_DEADLINE_EXCEEDED);
    fixture_stop(&fixture);
}

static void calls__more_than_the_streams__wait_their_turn(void)
{
    struct fixture fixture;
    struct client clients[20] = {0};
    fixture_init(&fixture);
    fixture.server_options.limits.streams = 2;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    client_call(&fixture, &clients[0], "Unary", "warm", 0, 0);
    memset(&clients[0], 0, sizeof clients[0]);
    for (int i = 0; i < 20; i++) {
        TEST_REQUIRE(client_start(&fixture, &clients[i], "Unary", NULL) == COVEY_OK);
        TEST_EQUAL(client_send(&clients[i], "hello", 0, 0), COVEY_OK);
        rpc_call_half_close(clients[i].call);
    }
    rpc_call_cancel(clients[10].call);
    for (int i = 0; i < 20; i++) {
        TEST_TRUE(fixture_run(&fixture, client_ended, &clients[i]));
        TEST_EQUAL(clients[i].code, i == 10 ? RPC_CANCELLED : RPC_OK);
    }
    fixture_stop(&fixture);
}

static enum covey_status listen_to(struct fixture *fixture, const char *address)
{
    struct covey_error error = {0};
    enum covey_status status = rpc_server_listen(fixture->server, address, NULL, NULL, 0, &error);
    TEST_EQUAL(status == COVEY_OK, *error.message == '\0');
    return status;
}

static void listen__on_addresses_of_every_kind__takes_or_refuses(void)
{
    struct fixture fixture;
    char text[256];
    fixture_init(&fixture);
    fixture_start_server(&fixture, "127.0.0.1:0", NULL);
    TEST_EQUAL(listen_to(&fixture, fixture.address), COVEY_EEXISTS);
    TEST_EQUAL(listen_to(&fixture, "0.0.0.0:0"), COVEY_EINVAL);
    TEST_EQUAL(listen_to(&fixture, "nonsense"), COVEY_EINVAL);
    TEST_EQUAL(listen_to(&fixture, "unix:/no/such/folder/x.sock"), COVEY_ENOTFOUND);
    TEST_EQUAL(listen_to(&fixture, "[::1]:0"), COVEY_OK);
    snprintf(text, sizeof text, "unix:%s", test_folder());
    TEST_EQUAL(listen_to(&fixture, text), COVEY_EEXISTS);
    fixture_stop(&fixture);

    fixture_init(&fixture);
    fixture.server_options.allow_plaintext = true;
    fixture_start_server(&fixture, "0.0.0.0:0", NULL);
    fixture_stop(&fixture);
}

static void listen__on_a_unix_socket__is_private_and_cleaned_up(void)
{
    struct fixture fixture;
    struct stat found;
    const char *path = fixture_unix_address() + strlen("unix:");
    fixture_init(&fixture);
    fixture_start_server(&fixture, fixture_unix_address(), NULL);
    TEST_EQUAL_STRING(fixture.address, fixture_unix_address());
    TEST_EQUAL(stat(path, &found), 0);
    TEST_EQUAL(found.st_mode & 07777, 0600);
    TEST_EQUAL(listen_to(&fixture, fixture_unix_address()), COVEY_EEXISTS);
    TEST_EQUAL(stat(path, &found), 0);
    fixture_stop(&fixture);
    TEST_TRUE(stat(path, &found) != 0);
}

static void listen__where_a_dead_server_left_its_socket__replaces_it(void)
{
    struct fixture fixture;
    struct client client;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s",
             fixture_unix_address() + strlen("unix:"));
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TEST_REQUIRE(bind(dead, (struct sockaddr *)&address, sizeof address) == 0);
    covey_close(&dead);
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    client_call(&fixture, &client, "Unary", "hello", 0, 0);
    TEST_EQUAL(client.code, RPC_OK);
    fixture_stop(&fixture);
}

static void channel__to_bad_targets__fails_with_a_reason(void)
{
    struct fixture fixture;
    struct client client;
    struct rpc_channel *channel;
    struct covey_error error = {0};
    fixture_init(&fixture);
    TEST_EQUAL(
        rpc_channel_create(&fixture.loop, "nonsense", &fixture.channel_options, &channel, &error),
        COVEY_EINVAL);
    TEST_TRUE(strstr(error.message, "nonsense") != NULL);
    TEST_EQUAL(
        rpc_channel_create(&fixture.loop, "a b:1", &fixture.channel_options, &channel, &error),
        COVEY_EINVAL);
    static const char *const tokens[] = {"two\nlines", "ended ", "", " "};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        fixture.channel_options.token = tokens[i];
        TEST_EQUAL(rpc_channel_create(&fixture.loop, "localhost:1", &fixture.channel_options,
                                      &channel, &error),
                   COVEY_EINVAL);
        TEST_TRUE(strstr(error.message, "token") != NULL);
    }
    fixture.channel_options.token = NULL;
    fixture_start_channel(&fixture, "192.0.2.1:1");
    client_call(&fixture, &client, "Unary", "hello", 0, 0);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "plaintext") != NULL);
    rpc_channel_destroy(fixture.channel, NULL, NULL);
    fixture_start_channel(&fixture, "127.0.0.1:1");
    client_call(&fixture, &client, "Unary", "hello", 0, 0);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "127.0.0.1:1") != NULL);
    fixture.server_done = true;
    fixture_stop(&fixture);
}

/* Resolving goes on in a thread when the channel is closed. */
static void channel__destroyed_while_it_resolves__ends_cleanly(void)
{
    struct fixture fixture;
    struct client client = {0};
    fixture_init(&fixture);
    fixture_start_channel(&fixture, "localhost:1");
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    fixture.server_done = true;
    fixture_stop(&fixture);
    TEST_TRUE(client.ended);
    TEST_EQUAL(client.code, RPC_CANCELLED);
}

static const struct test_case cases[] = {
    TEST_CASE(channel__whose_server_restarts__connects_again),
    TEST_CASE(channel__without_a_server__waits_longer_each_time),
    TEST_CASE(server__that_drains__finishes_what_is_open),
    TEST_CASE(call__that_waits_for_a_stream_of_a_server_that_drains__ends),
    TEST_CASE(server__whose_grace_is_over__cancels_what_is_open),
    TEST_CASE(server__stopped_again_without_grace__ends_at_once),
    TEST_CASE(channel__destroyed__cancels_its_calls),
    TEST_CASE(call__cancelled_before_it_is_connected__ends_cancelled),
    TEST_CASE(channel__to_a_server_that_never_speaks__gives_up),
    TEST_CASE(channel__to_a_server_that_is_none__says_so),
    TEST_CASE(channel__whose_server_falls_silent__notices),
    TEST_CASE(connection__kept_alive_by_pings__stays),
    TEST_CASE(calls__more_than_the_streams__wait_their_turn),
    TEST_CASE(listen__on_addresses_of_every_kind__takes_or_refuses),
    TEST_CASE(listen__on_a_unix_socket__is_private_and_cleaned_up),
    TEST_CASE(listen__where_a_dead_server_left_its_socket__replaces_it),
    TEST_CASE(channel__to_bad_targets__fails_with_a_reason),
    TEST_CASE(channel__destroyed_while_it_resolves__ends_cleanly),
    {0},
};

const struct test_suite test_suites[] = {{"rpc connections", cases, NULL, NULL}, {0}};
