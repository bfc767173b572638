/* Flow control: who does not read stops who sends to him, and nobody else. */
#include "base/clock.h"
#include "tests/component/rpc/fixture.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE_BYTES ((size_t)10000)
#define NOTES      5000 /* 50 MB */

/* What may be under way to a reader that has stopped: its window, the queue, the sockets. */
#define UNDER_WAY_BYTES ((size_t)4 << 20)

static size_t resident_bytes(void)
{
    char text[128];
    FILE *file = fopen("/proc/self/statm", "r");
    TEST_REQUIRE(file != NULL && fgets(text, sizeof text, file) != NULL);
    fclose(file);
    const char *resident = strchr(text, ' '); /* the second number, in pages */
    TEST_REQUIRE(resident != NULL);
    return strtoul(resident, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static bool is_held(void *data)
{
    return ((struct fixture *)data)->echo.held != NULL;
}

static void start(struct fixture *fixture)
{
    fixture_init(fixture);
    fixture_start(fixture, fixture_unix_address(), NULL, NULL);
}

static void client__that_stops_reading__stops_the_server(void)
{
    struct fixture fixture;
    struct client client = {.pause_first = true};
    struct client other;
    start(&fixture);
    TEST_EQUAL(client_start(&fixture, &client, "Split", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "", NOTES, NOTE_BYTES), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_has_message, &client));
    size_t before = resident_bytes();
    fixture_settle(&fixture, &fixture.echo.notes_sent);
    TEST_TRUE(fixture.echo.notes_sent * NOTE_BYTES < UNDER_WAY_BYTES);
    TEST_TRUE(resident_bytes() < before + 2 * UNDER_WAY_BYTES);
    TEST_EQUAL(client.messages, 1);

    client_call(&fixture, &other, "Unary", "meanwhile", 0, 100000);
    TEST_EQUAL(other.code, RPC_OK);

    rpc_call_resume(client.call);
    TEST_EQUAL(client.messages, 1);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.messages, NOTES);
    TEST_EQUAL(client.payload_bytes, (size_t)NOTES * NOTE_BYTES);
    fixture_stop(&fixture);
}

static void server__that_stops_reading__stops_the_client(void)
{
    struct fixture fixture;
    struct client client = {.to_send = NOTES, .note_bytes = NOTE_BYTES};
    struct client other;
    start(&fixture);
    TEST_EQUAL(client_start(&fixture, &client, "Join", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "pause", 0, 0), COVEY_OK);
    client_stream(&client);
    TEST_TRUE(fixture_run(&fixture, is_held, &fixture));
    fixture_settle(&fixture, &client.sent);
    TEST_TRUE(client.sent * NOTE_BYTES < UNDER_WAY_BYTES);

    client_call(&fixture, &other, "Split", "meanwhile", 100, 100000);
    TEST_EQUAL(other.code, RPC_OK);
    TEST_EQUAL(other.messages, 100);

    fixture_resume(&fixture);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.last_count, NOTES + 1);
    fixture_stop(&fixture);
}

static void chat__that_nobody_reads_at_first__arrives_whole(void)
{
    struct fixture fixture;
    struct client client = {.to_send = NOTES, .note_bytes = NOTE_BYTES, .pause_first = true};
    start(&fixture);
    TEST_EQUAL(client_start(&fixture, &client, "Chat", NULL), COVEY_OK);
    client_stream(&client);
    TEST_TRUE(fixture_run(&fixture, client_has_message, &client));
    fixture_settle(&fixture, &client.sent);
    TEST_TRUE(client.sent * NOTE_BYTES < 2 * UNDER_WAY_BYTES);
    rpc_call_resume(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.messages, NOTES);
    fixture_stop(&fixture);
}

/* A message larger than the window can only come if the window grows while it is incomplete. */
static void message__larger_than_the_window__arrives(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.server_options.limits.message_bytes = ((size_t)32 << 20);
    fixture.channel_options.limits.message_bytes = ((size_t)32 << 20);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    client_call(&fixture, &client, "Unary", "", 0, ((size_t)16 << 20));
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.payload_bytes, ((size_t)16 << 20));
    fixture_stop(&fixture);
}

static void client__paused_at_the_end__is_told_after_it_resumes(void)
{
    struct fixture fixture;
    struct client client = {.pause_first = true};
    start(&fixture);
    TEST_EQUAL(client_start(&fixture, &client, "Split", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "", 10, 10), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_has_message, &client));
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    TEST_EQUAL(fixture.echo.calls_ended, 1);
    TEST_TRUE(!client.ended);
    rpc_call_resume(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.messages, 10);
    TEST_EQUAL(client.code, RPC_OK);
    fixture_stop(&fixture);
}

static void client__paused_at_the_end__can_still_cancel(void)
{
    struct fixture fixture;
    struct client client = {.pause_first = true};
    start(&fixture);
    TEST_EQUAL(client_start(&fixture, &client, "Split", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "", 10, 10), COVEY_OK);
    rpc_call_half_close(client.call);
    TEST_TRUE(fixture_run(&fixture, client_has_message, &client));
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    rpc_call_cancel(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    TEST_EQUAL(client.messages, 1);
    TEST_EQUAL(client.code, RPC_CANCELLED);
    fixture_stop(&fixture);
}

static void server__paused_while_the_client_cancels__is_told_at_once(void)
{
    struct fixture fixture;
    struct client client = {0};
    start(&fixture);
    TEST_EQUAL(client_start(&fixture, &client, "Join", NULL), COVEY_OK);
    TEST_EQUAL(client_send(&client, "pause", 0, 0), COVEY_OK);
    TEST_EQUAL(client_send(&client, "more", 0, 0), COVEY_OK);
    TEST_TRUE(fixture_run(&fixture, is_held, &fixture));
    rpc_call_cancel(client.call);
    TEST_TRUE(fixture_run(&fixture, client_ended, &client));
    fixture_settle(&fixture, &fixture.echo.calls_ended);
    TEST_EQUAL(fixture.echo.calls_ended, 1);
    TEST_EQUAL(fixture.echo.last_end, RPC_CANCELLED);
    TEST_EQUAL(fixture.echo.half_closes, 0);
    fixture_stop(&fixture);
}

static void server__beyond_its_buffers__ends_the_call_that_asks_too_much(void)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture.server_options.limits.held_bytes = ((size_t)2 << 20);
    fixture_start(&fixture, fixture_unix_address(), NULL, NULL);
    client_call(&fixture, &client, "Unary", "", 0, ((size_t)3 << 20));
    TEST_EQUAL(client.code, RPC_RESOURCE_EXHAUSTED);
    client_call(&fixture, &client, "Unary", "", 0, ((size_t)512 << 10));
    TEST_EQUAL(client.code, RPC_OK);
    client_call(&fixture, &client, "Unary", "", 0, ((size_t)512 << 10));
    TEST_EQUAL(client.code, RPC_OK);
    fixture_stop(&fixture);
}

static const struct test_case cases[] = {
    TEST_CASE(client__that_stops_reading__stops_the_server),
    TEST_CASE(server__that_stops_reading__stops_the_client),
    TEST_CASE(chat__that_nobody_reads_at_first__arrives_whole),
    TEST_CASE(message__larger_than_the_window__arrives),
    TEST_CASE(client__paused_at_the_end__is_told_after_it_resumes),
    TEST_CASE(client__paused_at_the_end__can_still_cancel),
    TEST_CASE(server__paused_while_the_client_cancels__is_told_at_once),
    TEST_CASE(server__beyond_its_buffers__ends_the_call_that_asks_too_much),
    {0},
};

const struct test_suite test_suites[] = {{"rpc flow", cases, NULL, NULL}, {0}};
