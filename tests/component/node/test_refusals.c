/* What one side says and the other cannot take: it costs what it was about, never the stream. */
#include "tests/component/node/plans.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct fixture *fixture;

static void node__starts(void)
{
    fixture = fixture_create();
    fixture_start_node(fixture, 0, NULL, NULL);
}

static void node__terminated__leaves_nothing(void)
{
    fixture_destroy(fixture);
}

static bool is_attached(struct fixture *unused, void *data)
{
    (void)unused;
    (void)data;
    return fixture->nodes[0].call != NULL;
}

static bool is_emptied(struct fixture *unused, void *data)
{
    (void)unused;
    for (size_t i = fixture->looked_from; i < fixture->said_count; i++) {
        const Covey__V1__AttachRequest *message = fixture->said[i].message;
        if (message->sequence == *(uint64_t *)data)
            return message->body_case == COVEY__V1__ATTACH_REQUEST__BODY__NOT_SET;
    }
    return false;
}

/* The report's sequence is repeated, without it, or those behind it could not be told apart. */
static void refused__report__is_not_sent_again(void)
{
    struct flare_plan plan = plan_of("REFUSEDEND", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 2, LONG));
    fixture->withhold_acknowledgements = true;
    TEST_EQUAL(kill(fixture_pid(fixture, plan.id, 0), SIGKILL), 0);
    const struct said *ended =
        fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED, plan.id, 0, LONG);
    TEST_REQUIRE(ended != NULL);
    uint64_t sequence = ended->message->sequence;
    fixture_send_refused(fixture, 0, sequence, "it cannot be taken");
    TEST_EQUAL(kill(fixture_pid(fixture, plan.id, 1), SIGKILL), 0);
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    struct rpc_call *call = fixture->nodes[0].call;
    fixture->nodes[0].call = NULL;
    fixture->looked_from = fixture->said_count;
    rpc_call_finish(call, RPC_UNAVAILABLE, "the controller goes away");
    TEST_TRUE(fixture_until(fixture, is_attached, NULL, LONG));
    TEST_TRUE(fixture_until(fixture, is_emptied, &sequence, LONG));
    ended = fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED, plan.id, 0, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_EQUAL(ended->message->worker_ended->worker->rank, 1);
    fixture->withhold_acknowledgements = false;
    end_flare(fixture, &plan);
}

/* A body that begins with the flare's id and goes on with what is no message. */
static void send_broken(uint32_t body, const char *flare_id)
{
    uint8_t bytes[64];
    size_t length = strlen(flare_id);
    bytes[0] = 1 << 3 | 2;
    bytes[1] = (uint8_t)length;
    memcpy(bytes + 2, flare_id, length + 1);
    bytes[length + 2] = 2 << 3 | 2; /* longer than what is left */
    bytes[length + 3] = 99;
    fixture_send_raw(fixture, 0, body, bytes, length + 4);
}

static void command__that_cannot_be_read__costs_its_flare_alone(void)
{
    struct flare_plan bystander = plan_of("BYSTANDER", "wait", 1);
    struct flare_plan plan = plan_of("UNREADABLE", "wait", 2);
    TEST_REQUIRE(fixture_run(fixture, &bystander));
    uint64_t epoch = fixture->nodes[0].epoch;

    send_broken(COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE, "BROKEN");
    const struct said *said =
        fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED, "BROKEN", 0, LONG);
    TEST_REQUIRE(said != NULL);
    TEST_EQUAL_STRING(said->message->prepare_failed->failure->status, "EPROTO");

    fixture_prepare(fixture, &plan);
    TEST_TRUE(fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARED, plan.id, 0, LONG) !=
              NULL);
    send_broken(COVEY__V1__ATTACH_RESPONSE__BODY_START, plan.id);
    said = fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED, plan.id, 0, LONG);
    TEST_REQUIRE(said != NULL);
    TEST_TRUE(strstr(said->message->host_ended->failure->message, "n0 cannot read") != NULL);
    send_broken(COVEY__V1__ATTACH_RESPONSE__BODY_STOP, plan.id);
    TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));

    /* Without a flare there is nothing that could be done. */
    fixture_send_raw(fixture, 0, COVEY__V1__ATTACH_RESPONSE__BODY_STOP, "\x0a\x7f", 2);
    TEST_EQUAL(fixture->nodes[0].epoch, epoch);
    TEST_TRUE(fixture->nodes[0].call != NULL);
    end_flare(fixture, &bystander);
}

static const char *stop_with(const struct flare_plan *plan, const char *reason)
{
    uint8_t bytes[512];
    size_t id = strlen(plan->id);
    size_t length = strlen(reason);
    bytes[0] = 1 << 3 | 2;
    bytes[1] = (uint8_t)id;
    memcpy(bytes + 2, plan->id, id + 1);
    bytes[id + 2] = 3 << 3 | 2;
    bytes[id + 3] = (uint8_t)(0x80 | (length & 0x7f));
    bytes[id + 4] = (uint8_t)(length >> 7);
    memcpy(bytes + id + 5, reason, length + 1);
    TEST_REQUIRE(fixture_run(fixture, plan));
    TEST_TRUE(fixture_wait_started(fixture, plan->id, 1, LONG));
    fixture_send_raw(fixture, 0, COVEY__V1__ATTACH_RESPONSE__BODY_STOP, bytes, id + 5 + length);
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan->id, 0, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_TRUE(fixture_gone(fixture, plan, LONG));
    return ended->message;
}

/* The fixture takes no text that is not UTF-8: it would end the stream. */
static void stop__any_reason__is_told_as_text(void)
{
    char reason[301] = "";
    for (size_t i = 0; i < 100; i++)
        memcpy(reason + 3 * i, "\xe2\x82\xac", 4);
    for (size_t shift = 0; shift < 3; shift++) {
        char id[16];
        snprintf(id, sizeof(id), "EUROS%zu", shift);
        struct flare_plan plan = plan_of(id, "wait", 1);
        char shifted[304];
        snprintf(shifted, sizeof(shifted), "%.*s%s", (int)shift, "xx", reason);
        const char *told = stop_with(&plan, shifted);
        TEST_EQUAL(strncmp(told, "stopped: ", 9), 0);
        TEST_EQUAL_STRING(told + strlen(told) - 3, "...");
        TEST_TRUE(strlen(told) > 150);
    }
    struct flare_plan plan = plan_of("NOTEXT", "wait", 1);
    TEST_EQUAL_STRING(stop_with(&plan, "caf\xe9 \xff"), "stopped: caf\? \?");
    TEST_TRUE(fixture->nodes[0].call != NULL);
}

static size_t registrations(void)
{
    size_t count = 0;
    for (size_t i = 0; i < fixture->said_count; i++)
        count += fixture->said[i].message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_REGISTER;
    return count;
}

static bool has_dismissed(struct fixture *unused, void *data)
{
    (void)unused;
    return registrations() >= *(size_t *)data;
}

/* 20 ms, then twice as long each time. */
static void register__dismissed_at_once__waits_longer_each_time(void)
{
    size_t wanted = registrations() + 7;
    int64_t start_ns = covey_now_ns();
    fixture->dismiss = true;
    struct rpc_call *call = fixture->nodes[0].call;
    fixture->nodes[0].call = NULL;
    rpc_call_finish(call, RPC_UNAVAILABLE, "the controller goes away");
    TEST_TRUE(fixture_until(fixture, has_dismissed, &wanted, 2 * LONG));
    TEST_TRUE(covey_now_ns() - start_ns > 1 * S);
    fixture->dismiss = false;
    TEST_TRUE(fixture_until(fixture, is_attached, NULL, LONG));
}

static const struct test_case cases[] = {
    TEST_CASE(node__starts),
    TEST_CASE(refused__report__is_not_sent_again),
    TEST_CASE(command__that_cannot_be_read__costs_its_flare_alone),
    TEST_CASE(stop__any_reason__is_told_as_text),
    TEST_CASE(register__dismissed_at_once__waits_longer_each_time),
    TEST_CASE(node__terminated__leaves_nothing),
    {0},
};

const struct test_suite test_suites[] = {{"refusals", cases, NULL, NULL}, {0}};
