/* Every allocation of a server, a channel and a call fails once: each call still ends, and nothing
 * is lost. */
#include "base/clock.h"
#include "base/memory.h"
#include "tests/component/rpc/fixture.h"
#include "tests/harness/harness.h"

#include <string.h>

static void set_true(void *data)
{
    *(bool *)data = true;
}

static bool is_true(void *data)
{
    return *(bool *)data;
}

/* One unary and one chat call while allocations fail. True where all went well. */
static bool run_calls(struct fixture *fixture, int64_t successes)
{
    struct client unary = {0};
    struct client chat = {0};
    struct rpc_call_options options = {.timeout_ns = 2 * COVEY_NS_PER_S};
    covey_memory_fail_after(successes);
    enum covey_status status = client_start(fixture, &unary, "Unary", &options);
    if (!status) {
        (void)client_send(&unary, "hello", 0, 1000);
        rpc_call_half_close(unary.call);
    }
    enum covey_status chat_status = client_start(fixture, &chat, "Chat", &options);
    if (!chat_status) {
        (void)client_send(&chat, "hello", 0, 1000);
        rpc_call_half_close(chat.call);
    }
    /* The allocator recovers once the calls are under way: a connection that broke is closed. */
    for (int i = 0; i < 100; i++)
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    covey_memory_fail_after(-1);
    if (!status)
        TEST_TRUE(fixture_run(fixture, client_ended, &unary));
    if (!chat_status)
        TEST_TRUE(fixture_run(fixture, client_ended, &chat));
    /* A message that there was no memory for is not passed over in silence. */
    TEST_TRUE(status || unary.code != RPC_OK || unary.messages == 1);
    TEST_TRUE(chat_status || chat.code != RPC_OK || chat.messages == 1);
    return !status && !chat_status && unary.code == RPC_OK && unary.messages == 1 &&
           chat.code == RPC_OK && chat.messages == 1;
}

static void call__each_allocation_failing__ends_all_the_same(void)
{
    bool done = false;
    int64_t successes = 0;
    for (; !done && successes < 2000; successes++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
        done = run_calls(&fixture, successes);
        struct client after;
        client_call(&fixture, &after, "Unary", "after", 0, 0);
        TEST_TRUE(after.code == RPC_OK || after.code == RPC_UNAVAILABLE);
        fixture_stop(&fixture);
    }
    TEST_TRUE(done);
    printf("%lld allocations ", (long long)successes);
}

/* The same on a connection that is up: every failure is inside the call itself. */
static void call__each_allocation_failing_when_connected__ends_all_the_same(void)
{
    bool done = false;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.channel_options.reconnect_min_ns = 0;
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    for (int64_t successes = 0; !done && successes < 2000; successes++) {
        struct client warm;
        client_call(&fixture, &warm, "Unary", "warm", 0, 0);
        TEST_EQUAL(warm.code, RPC_OK);
        done = run_calls(&fixture, successes);
    }
    TEST_TRUE(done);
    fixture_stop(&fixture);
}

static void server__each_allocation_failing__is_made_or_not(void)
{
    enum covey_status status = COVEY_ENOMEM;
    uv_loop_t loop;
    TEST_REQUIRE(uv_loop_init(&loop) == 0);
    struct rpc_server_options options = {.reflection = true};
    rpc_limits_init(&options.limits);
    for (int64_t successes = 0; status && successes < 5000; successes++) {
        struct rpc_server *server = NULL;
        struct covey_error error = {0};
        char bound[256];
        covey_memory_fail_after(successes);
        status = rpc_server_create(&loop, &options, &server, &error);
        if (!status)
            status = rpc_server_add(server, &echo_service, NULL);
        if (!status)
            status = rpc_server_listen(server, fixture_unix_address(), NULL, bound, sizeof bound,
                                       &error);
        covey_memory_fail_after(-1);
        TEST_TRUE(status == COVEY_OK || status == COVEY_ENOMEM);
        bool done = !server;
        if (server)
            rpc_server_stop(server, 0, set_true, &done);
        while (!is_true(&done) || uv_loop_alive(&loop))
            uv_run(&loop, UV_RUN_ONCE);
    }
    TEST_EQUAL(status, COVEY_OK);
    TEST_EQUAL(uv_loop_close(&loop), 0);
}

static void channel__each_allocation_failing__is_made_or_not(void)
{
    enum covey_status status = COVEY_ENOMEM;
    uv_loop_t loop;
    TEST_REQUIRE(uv_loop_init(&loop) == 0);
    struct rpc_channel_options options;
    rpc_channel_options_init(&options);
    options.token = "secret";
    for (int64_t successes = 0; status && successes < 100; successes++) {
        struct rpc_channel *channel = NULL;
        struct covey_error error = {0};
        covey_memory_fail_after(successes);
        status = rpc_channel_create(&loop, "localhost:1", &options, &channel, &error);
        covey_memory_fail_after(-1);
        TEST_TRUE(status == COVEY_OK || status == COVEY_ENOMEM);
        TEST_EQUAL(status == COVEY_OK, channel != NULL);
        if (channel)
            rpc_channel_destroy(channel, NULL, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    TEST_EQUAL(status, COVEY_OK);
    TEST_EQUAL(uv_loop_close(&loop), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(call__each_allocation_failing__ends_all_the_same),
    TEST_CASE(call__each_allocation_failing_when_connected__ends_all_the_same),
    TEST_CASE(server__each_allocation_failing__is_made_or_not),
    TEST_CASE(channel__each_allocation_failing__is_made_or_not),
    {0},
};

const struct test_suite test_suites[] = {{"rpc memory", cases, NULL, NULL}, {0}};
