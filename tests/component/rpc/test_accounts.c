/* Callers and what each may have: nobody's calls, and nobody's connections, are taken from another.
 */
#include "base/clock.h"
#include "tests/component/rpc/fixture.h"
#include "tests/harness/harness.h"

#include <string.h>

#define MANY 100

/* Starts a call of a caller, which stays open. */
static void begin(struct fixture *fixture, struct client *client, const char *caller,
                  const char *method)
{
    const struct rpc_metadata metadata = {"x-caller", caller};
    const struct rpc_call_options options = {
        .timeout_ns = -1, .metadata = &metadata, .metadata_count = 1};
    memset(client, 0, sizeof *client);
    TEST_REQUIRE(client_start(fixture, client, method, &options) == COVEY_OK);
}

static void ask(struct fixture *fixture, struct client *client, const char *caller,
                const char *text, size_t payload_bytes)
{
    begin(fixture, client, caller, "Unary");
    TEST_EQUAL(client_send(client, text, 0, payload_bytes), COVEY_OK);
    rpc_call_half_close(client->call);
}

/* A call of a caller from start to end. */
static enum rpc_code answer(struct fixture *fixture, struct client *client, const char *caller,
                            const char *text, size_t payload_bytes)
{
    ask(fixture, client, caller, text, payload_bytes);
    TEST_TRUE(fixture_run(fixture, client_ended, client));
    return client->code;
}

static bool is_held(void *data)
{
    return ((struct fixture *)data)->echo.held != NULL;
}

static void call__of_a_stranger__is_small_and_short(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.server_options.limits.stranger_timeout_ns = 50 * COVEY_NS_PER_MS;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(answer(&fixture, &client, "stranger", "hello", 1000), RPC_OK);
    TEST_EQUAL(answer(&fixture, &client, "stranger", "hello", 20000), RPC_RESOURCE_EXHAUSTED);
    TEST_TRUE(strstr(client.message, "not said who it is") != NULL);
    TEST_EQUAL(answer(&fixture, &client, "alice", "hello", 20000), RPC_OK);
    begin(&fixture, &client, "stranger", "Unary");
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_DEADLINE_EXCEEDED);
    begin(&fixture, &client, "stranger", "Join");
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_DEADLINE_EXCEEDED);
    fixture_stop(&fixture);
}

static void calls__of_strangers__share_what_their_connection_may_hold(void)
{
    struct fixture fixture;
    struct client clients[16];
    size_t refused = 0;
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    for (size_t i = 0; i < 16; i++) {
        begin(&fixture, &clients[i], "stranger", "Join");
        TEST_EQUAL(client_send(&clients[i], "pause", 0, 900), COVEY_OK);
        fixture_settle(&fixture, &fixture.echo.calls_ended);
    }
    for (size_t i = 0; i < 16; i++)
        refused += clients[i].ended && clients[i].code == RPC_RESOURCE_EXHAUSTED;
    TEST_TRUE(!clients[0].ended && !clients[5].ended);
    TEST_TRUE(refused >= 1 && refused < 16);
    struct client other;
    TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 20000), RPC_OK);
    fixture_stop(&fixture);
}

static void caller__that_holds_all_it_may__leaves_others_theirs(void)
{
    struct fixture fixture;
    struct client hog[8];
    struct client other;
    size_t refused = 0;
    fixture_init(&fixture);
    fixture.server_options.limits.held_bytes = (size_t)4 << 20;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    /* Bodies that are never whole. */
    for (size_t i = 0; i < 8; i++) {
        begin(&fixture, &hog[i], "hog", "Unary");
        TEST_EQUAL(client_send(&hog[i], "never", 0, 900000), COVEY_OK);
    }
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    for (size_t i = 0; i < 8; i++)
        refused += hog[i].ended && hog[i].code == RPC_RESOURCE_EXHAUSTED;
    TEST_TRUE(refused >= 1 && refused < 8);
    TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 1000000), RPC_OK);
    /* What ends is given back. */
    for (size_t i = 0; i < 8; i++)
        if (!hog[i].ended)
            rpc_call_cancel(hog[i].call);
    for (size_t i = 0; i < 8; i++)
        TEST_TRUE(fixture_run(&fixture, client_ended, &hog[i]));
    TEST_EQUAL(answer(&fixture, &other, "hog", "hello", 1000000), RPC_OK);
    fixture_stop(&fixture);
}

static void caller__with_as_many_calls_as_it_may__is_refused_more(void)
{
    struct fixture fixture;
    struct client open[3];
    struct client other;
    fixture_init(&fixture);
    fixture.server_options.limits.calls_each = 2;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    for (size_t i = 0; i < 2; i++)
        begin(&fixture, &open[i], "hog", "Join");
    TEST_EQUAL(answer(&fixture, &open[2], "hog", "hello", 0), RPC_RESOURCE_EXHAUSTED);
    TEST_TRUE(strstr(open[2].message, "hog has 2 calls open") != NULL);
    TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 0), RPC_OK);
    rpc_call_cancel(open[0].call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &open[0]));
    TEST_EQUAL(answer(&fixture, &open[2], "hog", "hello", 0), RPC_OK);
    fixture_stop(&fixture);
}

/* Who has much to be done waits for his own. */
static void caller__with_many_calls__is_served_in_turn_with_others(void)
{
    struct fixture fixture;
    struct client hog[MANY];
    struct client other;
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(answer(&fixture, &other, "alice", "warm", 0), RPC_OK);
    for (size_t i = 0; i < MANY; i++)
        ask(&fixture, &hog[i], "hog", "work", 0);
    TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 0), RPC_OK);
    TEST_TRUE(fixture.echo.works < 10);
    ask(&fixture, &other, "urgent", "hello", 0);
    size_t before = fixture.echo.works;
    TEST_TRUE(fixture_run(&fixture, client_ended, &other));
    TEST_TRUE(fixture.echo.works - before < 10);
    for (size_t i = 0; i < MANY; i++) {
        TEST_TRUE(fixture_run(&fixture, client_ended, &hog[i]));
        TEST_EQUAL(hog[i].code, RPC_OK);
    }
    TEST_EQUAL(fixture.echo.works, MANY);
    fixture_stop(&fixture);
}

/* A call that takes long has its turns, and others theirs in between. */
static void call__that_goes_on_bit_by_bit__lets_others_in(void)
{
    struct fixture fixture;
    struct client longer;
    struct client other;
    fixture_init(&fixture);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(answer(&fixture, &other, "alice", "warm", 0), RPC_OK);
    begin(&fixture, &longer, "hog", "Unary");
    TEST_EQUAL(client_send(&longer, "bits", MANY, 0), COVEY_OK);
    rpc_call_half_close(longer.call);
    for (int i = 0; i < 3; i++) {
        size_t before = fixture.echo.works;
        TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 0), RPC_OK);
        TEST_TRUE(fixture.echo.works - before < 10);
    }
    TEST_TRUE(!longer.ended);
    TEST_TRUE(fixture_run(&fixture, client_ended, &longer));
    TEST_EQUAL(longer.code, RPC_OK);
    TEST_EQUAL_STRING(longer.last_text, "done");
    TEST_EQUAL(fixture.echo.works, MANY);
    /* One that is given up has no more turns. */
    begin(&fixture, &longer, "hog", "Unary");
    TEST_EQUAL(client_send(&longer, "bits", MANY, 0), COVEY_OK);
    rpc_call_half_close(longer.call);
    TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 0), RPC_OK);
    rpc_call_cancel(longer.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &longer));
    TEST_EQUAL(answer(&fixture, &other, "alice", "hello", 0), RPC_OK);
    TEST_TRUE(fixture.echo.works < MANY + 30);
    fixture_stop(&fixture);
}

/* Another connection, beside the fixture's. */
static struct rpc_channel *connect_too(struct fixture *fixture)
{
    struct rpc_channel *kept = fixture->channel;
    fixture_start_channel(fixture, fixture->address);
    struct rpc_channel *made = fixture->channel;
    fixture->channel = kept;
    return made;
}

static enum rpc_code answer_by(struct fixture *fixture, struct rpc_channel *channel,
                               const char *caller)
{
    struct rpc_channel *kept = fixture->channel;
    struct client client;
    fixture->channel = channel;
    enum rpc_code code = answer(fixture, &client, caller, "hello", 0);
    fixture->channel = kept;
    return code;
}

static void server__with_all_its_places_taken__evicts_who_is_idle_and_has_most(void)
{
    struct fixture fixture;
    struct client busy;
    struct rpc_channel *channels[4];
    fixture_init(&fixture);
    fixture.server_options.limits.connections = 3;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    /* alice's one connection has a call open, the hog's two have none */
    ask(&fixture, &busy, "alice", "hold", 0);
    TEST_TRUE(fixture_run(&fixture, is_held, &fixture));
    for (size_t i = 0; i < 4; i++)
        channels[i] = connect_too(&fixture);
    TEST_EQUAL(answer_by(&fixture, channels[0], "hog"), RPC_OK);
    TEST_EQUAL(answer_by(&fixture, channels[1], "hog"), RPC_OK);
    TEST_EQUAL(answer_by(&fixture, channels[2], "bob"), RPC_OK);
    TEST_EQUAL(answer_by(&fixture, channels[3], "carol"), RPC_OK);
    TEST_TRUE(!busy.ended);
    rpc_call_cancel(busy.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &busy));
    for (size_t i = 0; i < 4; i++)
        rpc_channel_destroy(channels[i], NULL, NULL);
    fixture_stop(&fixture);
}

static void server__with_all_its_places_in_use__refuses_all_but_the_trusted(void)
{
    struct fixture fixture;
    struct client busy;
    fixture_init(&fixture);
    fixture.server_options.limits.connections = 1;
    fixture.server_options.limits.connections_reserved = 1;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    ask(&fixture, &busy, "alice", "hold", 0);
    TEST_TRUE(fixture_run(&fixture, is_held, &fixture));
    struct rpc_channel *more = connect_too(&fixture);
    TEST_EQUAL(answer_by(&fixture, more, "bob"), RPC_UNAVAILABLE);
    fixture.trust = true;
    rpc_channel_destroy(more, NULL, NULL);
    more = connect_too(&fixture);
    TEST_EQUAL(answer_by(&fixture, more, "root"), RPC_OK);
    TEST_TRUE(!busy.ended);
    rpc_call_cancel(busy.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &busy));
    rpc_channel_destroy(more, NULL, NULL);
    fixture_stop(&fixture);
}

static void caller__with_as_many_connections_as_it_may__is_refused_more(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.server_options.limits.connections_each = 1;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    TEST_EQUAL(answer(&fixture, &client, "hog", "hello", 0), RPC_OK);
    struct rpc_channel *more = connect_too(&fixture);
    TEST_EQUAL(answer_by(&fixture, more, "hog"), RPC_RESOURCE_EXHAUSTED);
    TEST_EQUAL(answer_by(&fixture, more, "alice"), RPC_OK);
    rpc_channel_destroy(more, NULL, NULL);
    fixture_stop(&fixture);
}

static const struct test_case cases[] = {
    TEST_CASE(call__of_a_stranger__is_small_and_short),
    TEST_CASE(calls__of_strangers__share_what_their_connection_may_hold),
    TEST_CASE(caller__that_holds_all_it_may__leaves_others_theirs),
    TEST_CASE(caller__with_as_many_calls_as_it_may__is_refused_more),
    TEST_CASE(caller__with_many_calls__is_served_in_turn_with_others),
    TEST_CASE(call__that_goes_on_bit_by_bit__lets_others_in),
    TEST_CASE(server__with_all_its_places_taken__evicts_who_is_idle_and_has_most),
    TEST_CASE(server__with_all_its_places_in_use__refuses_all_but_the_trusted),
    TEST_CASE(caller__with_as_many_connections_as_it_may__is_refused_more),
    {0},
};

const struct test_suite test_suites[] = {{"rpc accounts", cases, NULL, NULL}, {0}};
