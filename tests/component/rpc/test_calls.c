/* Every kind of call between our client and our server, over unix sockets and TCP. */
#include "base/clock.h"
#include "tests/component/rpc/fixture.h"
#include "tests/harness/harness.h"

#include <string.h>
#include <unistd.h>

static void call_all_kinds(const char *address)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture_start(&fixture, address, NULL, NULL);

    client_call(&fixture, &client, "Unary", "hello", 7, 100);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.messages, 1);
    TEST_EQUAL(client.last_count, 7);
    TEST_EQUAL(client.payload_bytes, 100);
    TEST_EQUAL_STRING(client.last_text, "hello");

    client_call(&fixture, &client, "Split", "", 1000, 10000);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.messages, 1000);
    TEST_EQUAL(client.payload_bytes, 10000000);
    TEST_EQUAL(client.last_count, 1);

    struct client joining = {.to_send = 1000, .note_bytes = 10000};
    TEST_EQUAL(client_start(&fixture, &joining, "Join", NULL), COVEY_OK);
    client_stream(&joining);
    TEST_TRUE(fixture_run(&fixture, client_ended, &joining));
    TEST_EQUAL(joining.code, RPC_OK);
    TEST_EQUAL(joining.last_count, 1000);
    TEST_EQUAL_STRING(joining.last_text, "10000000");

    struct client chatting = {.to_send = 1000, .note_bytes = 10000};
    TEST_EQUAL(client_start(&fixture, &chatting, "Chat", NULL), COVEY_OK);
    client_stream(&chatting);
    TEST_TRUE(fixture_run(&fixture, client_ended, &chatting));
    TEST_EQUAL(chatting.code, RPC_OK);
    TEST_EQUAL(chatting.messages, 1000);
    TEST_EQUAL(chatting.payload_bytes, 10000000);

    fixture_stop(&fixture);
    TEST_EQUAL(fixture.echo.calls_ended, 4);
}

static void call__over_a_unix_socket__works_in_every_kind(void)
{
    call_all_kinds(fixture_unix_address());
}

static void call__over_tcp__works_in_every_kind(void)
{
    call_all_kinds("127.0.0.1:0");
}

static void call__that_fails__gives_code_and_message(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    client_call(&fixture, &client, "Unary", "fail", 0, 0);
    TEST_EQUAL(client.code, RPC_NOT_FOUND);
    TEST_EQUAL_STRING(client.message, " nicht da: 100 % \xc3\xbc\n ");
    client_call(&fixture, &client, "Nothing", "", 0, 0);
    TEST_EQUAL(client.code, RPC_UNIMPLEMENTED);
    client_call(&fixture, &client, "Unary", "die", 0, 0);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.messages, 0);
    fixture_stop(&fixture);
}

static void call__past_its_deadline__ends_on_both_sides(void)
{
    struct fixture fixture;
    struct client client = {0};
    struct rpc_call_options options = {.timeout_ns = 50 * COVEY_NS_PER_MS};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", &options), COVEY_OK);
    TEST_EQUAL(client_send(&client, "hold", 0, 0), COVEY_OK);
    rpc_call_half_close(client.call);
    int64_t start_ns = covey_now_ns();
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_TRUE(covey_now_ns() - start_ns >= 49 * COVEY_NS_PER_MS);
    TEST_EQUAL(client.code, RPC_DEADLINE_EXCEEDED);
    fixture_stop(&fixture);
    TEST_EQUAL(fixture.echo.calls_ended, 1);
}

static bool is_held(void *data)
{
    return ((struct fixture *)data)->echo.held != NULL;
}

static bool one_has_ended(void *data)
{
    return ((struct fixture *)data)->echo.calls_ended == 1;
}

static void call__cancelled__ends_on_both_sides(void)
{
    struct fixture fixture;
    struct client client = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "hold", 0, 0), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, is_held, &fixture));
    rpc_call_cancel(client.call);
    TEST_TRUE(!client.ended);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_CANCELLED);
    TEST_TRUE(fixture_run(&fixture, one_has_ended, &fixture));
    TEST_EQUAL(fixture.echo.last_end, RPC_CANCELLED);
    fixture_stop(&fixture);
}

static void call__with_metadata__is_seen_by_the_server(void)
{
    struct fixture fixture;
    struct client client = {0};
    struct rpc_metadata metadata = {"x-test", "a value"};
    struct rpc_call_options options = {
        .timeout_ns = -1, .metadata = &metadata, .metadata_count = 1};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", &options), COVEY_OK);
    TEST_EQUAL(client_send(&client, "hi", 0, 0), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL_STRING(fixture.echo.metadata, "a value");
    TEST_TRUE(fixture.echo.peer.is_unix);
    TEST_EQUAL(fixture.echo.peer.uid, getuid());
    TEST_EQUAL(fixture.echo.peer.pid, getpid());
    fixture_stop(&fixture);
}

static void call__without_a_server__is_unavailable(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture_start_channel(&fixture, fixture_unix_address());
    client_call(&fixture, &client, "Unary", "hello", 0, 0);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    fixture.server_done = true;
    fixture_stop(&fixture);
}

static void call__that_is_not_authorized__never_reaches_the_method(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.channel_options.token = "secret";
    fixture.refuse = true;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    client_call(&fixture, &client, "Unary", "hello", 0, 0);
    TEST_EQUAL(client.code, RPC_UNAUTHENTICATED);
    TEST_EQUAL_STRING(client.message, "who are you?");
    TEST_EQUAL_STRING(fixture.authorization, "Bearer secret");
    client_call(&fixture, &client, "Unary", "hello", 0, 3000000);
    TEST_EQUAL(client.code, RPC_UNAUTHENTICATED);
    fixture.refuse = false;
    client_call(&fixture, &client, "Unary", "hello", 0, 0);
    TEST_EQUAL(client.code, RPC_OK);
    fixture_stop(&fixture);
    TEST_EQUAL(fixture.echo.calls_ended, 1);
}

static void call__with_a_message_over_a_limit__fails_where_it_is_seen(void)
{
    struct fixture fixture;
    struct client client = {0};
    fixture_init(&fixture);
    fixture.channel_options.limits.message_bytes = ((size_t)5 << 20);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "", 0, ((size_t)6 << 20)), COVEY_ELIMIT);
    TEST_EQUAL(client_send(&client, "", 0, ((size_t)4 << 20)), COVEY_OK);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_RESOURCE_EXHAUSTED);
    client_call(&fixture, &client, "Unary", "large", 0, 0);
    TEST_EQUAL(client.code, RPC_RESOURCE_EXHAUSTED);
    rpc_channel_destroy(fixture.channel, NULL, NULL);
    fixture.channel_options.limits.message_bytes = 1000;
    fixture_start_channel(&fixture, fixture.address);
    client_call(&fixture, &client, "Split", "", 1, 900);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client_start(&fixture, &client, "Chat", NULL), COVEY_OK);
    client.ended = false;
    rpc_call_cancel(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    fixture_stop(&fixture);
}

static void call__with_bad_arguments__is_refused_at_once(void)
{
    struct fixture fixture;
    struct client client = {0};
    struct rpc_metadata many[65];
    static const struct rpc_metadata bad[] = {
        {":path", "/x"}, {"grpc-timeout", "1S"},
        {"Upper", "x"},  {"x", "a\nb"},
        {"", "x"},       {"x", " a"},
        {"x", "a "},     {"x", "a\t"},
    };
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rpc_call_options options = {
            .timeout_ns = -1, .metadata = &bad[i], .metadata_count = 1};
        TEST_EQUAL(client_start(&fixture, &client, "Unary", &options), COVEY_EINVAL);
    }
    for (size_t i = 0; i < 65; i++)
        many[i] = (struct rpc_metadata){"x-many", "y"};
    struct rpc_call_options options = {.timeout_ns = -1, .metadata = many, .metadata_count = 65};
    TEST_EQUAL(client_start(&fixture, &client, "Unary", &options), COVEY_ELIMIT);
    TEST_EQUAL(client_start(&fixture, &client, "bad\nmethod", NULL), COVEY_EINVAL);
    TEST_EQUAL(client_start(&fixture, &client, "bad method", NULL), COVEY_EINVAL);
    options.metadata_count = 64;
    TEST_EQUAL(client_start(&fixture, &client, "Unary", &options), COVEY_OK);
    TEST_EQUAL(client_send(&client, "hello", 0, 0), COVEY_OK);
    rpc_call_half_close(client.call);
    rpc_call_half_close(client.call);
    TEST_EQUAL(client_send(&client, "more", 0, 0), COVEY_EPRECONDITION);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_OK);
    fixture_stop(&fixture);
}

static void call__unary_with_no_message_or_two__never_reaches_the_method(void)
{
    struct fixture fixture;
    struct client client = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_INVALID_ARGUMENT);
    client.ended = false;
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "one", 0, 0), COVEY_OK);
    TEST_EQUAL(client_send(&client, "two", 0, 0), COVEY_OK);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_INVALID_ARGUMENT);
    fixture_stop(&fixture);
    TEST_EQUAL(fixture.echo.calls_ended, 0);
}

/* A string that is none goes out neither from a client nor, unless it is mended, from anybody. */
static void call__with_text_that_is_not_utf8__is_refused_where_it_is_made(void)
{
    struct fixture fixture;
    struct client client = {0};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Unary", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "caf\xe9", 1, 100), COVEY_EINVAL);
    /* The call is as it was. */
    TEST_EQUAL(client_send(&client, "caf\xc3\xa9", 2, 100), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.messages, 1);
    TEST_EQUAL(client.last_count, 2);

    struct client mending = {0};
    TEST_EQUAL(client_start(&fixture, &mending, "Unary", NULL), COVEY_OK);
    rpc_call_mend_text(mending.call);
    TEST_EQUAL(client_send(&mending, "caf\xe9", 0, 0), COVEY_OK);
    rpc_call_half_close(mending.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &mending));
    TEST_EQUAL_STRING(mending.last_text, "caf?");
    fixture_stop(&fixture);
}

static bool has_all(void *data)
{
    const struct client *client = data;
    return client->messages == client->to_send || client->ended;
}

static void send_raw(struct client *client, const ProtobufCMessage *message)
{
    TEST_EQUAL(rpc_call_send(client->call, message), COVEY_OK);
    client->to_send++;
}

/* What a method can do without costs the message, and not the call; for the others it is as ever.
 */
static void call__with_a_message_that_cannot_be_read__goes_on_where_it_may(void)
{
    struct fixture fixture;
    struct client client = {0};
    uint8_t bad_text[] = "a\xff\xe2\x82";
    Covey__Test__RawNote raw = COVEY__TEST__RAW_NOTE__INIT;
    Covey__Test__WrongNote wrong = COVEY__TEST__WRONG_NOTE__INIT;
    raw.text = (ProtobufCBinaryData){4, bad_text};
    wrong.text = 300;
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Mend", NULL), COVEY_OK);
    send_raw(&client, &raw.base);
    TEST_TRUE(fixture_run(&fixture, has_all, &client));
    TEST_EQUAL_STRING(client.last_text, "a\?\?\?");
    send_raw(&client, &wrong.base);
    TEST_TRUE(fixture_run(&fixture, has_all, &client));
    TEST_EQUAL_STRING(client.last_text, "malformed");
    TEST_EQUAL(client.last_count, 3);
    /* Several at once, the bad ones among good ones. */
    Covey__Test__Note good = echo_note("good", 7, 0);
    for (size_t i = 0; i < 20; i++) {
        send_raw(&client, &wrong.base);
        send_raw(&client, &good.base);
    }
    TEST_TRUE(fixture_run(&fixture, has_all, &client));
    TEST_EQUAL(client.messages, 42);
    TEST_EQUAL_STRING(client.last_text, "good");
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_OK);

    for (size_t i = 0; i < 2; i++) {
        struct client strict = {0};
        TEST_EQUAL(client_start(&fixture, &strict, "Chat", NULL), COVEY_OK);
        send_raw(&strict, i ? &wrong.base : &raw.base);
        TEST_TRUE(fixture_run(&fixture, client_ended, &strict));
        TEST_EQUAL(strict.code, RPC_INVALID_ARGUMENT);
    }
    fixture_stop(&fixture);
}

static void call__ended_early_by_the_server__stops_the_client(void)
{
    struct fixture fixture;
    struct client client = {.to_send = 100000, .note_bytes = 1000};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(client_start(&fixture, &client, "Join", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "fail", 0, 0), COVEY_OK);
    client_stream(&client);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_ABORTED);
    TEST_EQUAL_STRING(client.message, "enough");
    TEST_TRUE(client.sent < client.to_send);
    struct client after;
    client_call(&fixture, &after, "Unary", "hello", 0, 0);
    TEST_EQUAL(after.code, RPC_OK);
    fixture_stop(&fixture);
}

static void call__given_other_data__tells_the_new_owner(void)
{
    struct fixture fixture;
    struct client first = {0};
    struct rpc_call_options options = {.timeout_ns = COVEY_NS_PER_S};
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    int64_t start_ns = covey_now_ns();
    TEST_EQUAL(client_start(&fixture, &first, "Unary", &options), COVEY_OK);
    TEST_TRUE(rpc_call_data(first.call) == &first);
    TEST_TRUE(rpc_call_deadline_ns(first.call) >= start_ns + COVEY_NS_PER_S);
    TEST_TRUE(rpc_call_deadline_ns(first.call) <= covey_now_ns() + COVEY_NS_PER_S);
    struct client second = first;
    rpc_call_set_data(first.call, &second);
    TEST_EQUAL(client_send(&second, "hello", 0, 0), COVEY_OK);
    rpc_call_half_close(second.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &second));
    TEST_EQUAL(second.messages, 1);
    TEST_TRUE(!first.ended);
    client_call(&fixture, &first, "Unary", "hello", 0, 0);
    TEST_EQUAL(first.code, RPC_OK);
    fixture_stop(&fixture);
}

static const struct test_case cases[] = {
    TEST_CASE(call__over_a_unix_socket__works_in_every_kind),
    TEST_CASE(call__over_tcp__works_in_every_kind),
    TEST_CASE(call__that_fails__gives_code_and_message),
    TEST_CASE(call__past_its_deadline__ends_on_both_sides),
    TEST_CASE(call__cancelled__ends_on_both_sides),
    TEST_CASE(call__with_metadata__is_seen_by_the_server),
    TEST_CASE(call__without_a_server__is_unavailable),
    TEST_CASE(call__that_is_not_authorized__never_reaches_the_method),
    TEST_CASE(call__with_a_message_over_a_limit__fails_where_it_is_seen),
    TEST_CASE(call__with_bad_arguments__is_refused_at_once),
    TEST_CASE(call__unary_with_no_message_or_two__never_reaches_the_method),
    TEST_CASE(call__with_text_that_is_not_utf8__is_refused_where_it_is_made),
    TEST_CASE(call__with_a_message_that_cannot_be_read__goes_on_where_it_may),
    TEST_CASE(call__ended_early_by_the_server__stops_the_client),
    TEST_CASE(call__given_other_data__tells_the_new_owner),
    {0},
};

const struct test_suite test_suites[] = {{"rpc calls", cases, NULL, NULL}, {0}};
