/* What agents report, and what becomes of reports that cannot be taken and of nodes that come and
 * go. */
#include "service/common/local.h"
#include "service/controller/flare_states.h"
#include "service/controller/logs.h"
#include "service/controller/node_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S  COVEY_NS_PER_S
#define MS COVEY_NS_PER_MS

static enum covey_status say_result(uint32_t rank, uint64_t offset, size_t length)
{
    static uint8_t data[64];
    Covey__V1__ResultChunk chunk = COVEY__V1__RESULT_CHUNK__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    chunk.flare_id = id;
    chunk.rank = rank;
    chunk.offset = offset;
    chunk.data = (ProtobufCBinaryData){length, data};
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK;
    message.result_chunk = &chunk;
    return core_say(&core, &a, &message, true);
}

static void check_failed_with(const char *part)
{
    flare_message *flare = core_flare(&core, id);
    TEST_REQUIRE(flare->error != NULL);
    TEST_EQUAL_STRING(flare->error->status, "EPROTO");
    TEST_EQUAL_STRING(flare->error->node, "a");
    TEST_TRUE(strstr(flare->error->message, part) != NULL);
    message_free(flare);
}

static bool count_refusals(const struct store_event *event, void *data)
{
    Covey__V1__Event *shown = message_unpack(&covey__v1__event__descriptor, event->body);
    TEST_REQUIRE(shown != NULL);
    *(unsigned *)data += strcmp(shown->type, "report_refused") == 0;
    message_free(shown);
    return true;
}

static unsigned refusals_told(void)
{
    unsigned count = 0;
    pair_live(250 * MS); /* it is written by then */
    pair_live(1 * MS);
    TEST_EQUAL(store_events(core.store, id, 0, count_refusals, &count, NULL), COVEY_OK);
    return count;
}

/* A flare that cannot go on without the report is undone and tried again. */
static void report__of_preparation_that_cannot_be__attempt_is_undone(void)
{
    pair_start();
    pair_submit(0);
    TEST_EQUAL(core_prepared(&core, &a, id, 1, 2), COVEY_OK);
    TEST_EQUAL(a.stops, 1);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(a.prepares, 2);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 1), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 2), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, id, 2, 2), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    TEST_TRUE(!a.closed);
    core_stop(&core);
}

static void report__of_another_nodes_rank__flare_fails_and_the_stream_goes_on(void)
{
    char other[ULID_BYTES];
    pair_start();
    pair_run(0);
    struct core_link c = {.epoch = 0};
    TEST_REQUIRE(core_attach(&core, &c, "c", 2, NULL, 0) == COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 2, 9), COVEY_OK);
    TEST_EQUAL(a.refused, 1);
    TEST_EQUAL(a.refused_sequence, a.sequence);
    TEST_TRUE(strstr(a.last_reason, "rank 2") != NULL);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    check_failed_with("node a said of it what the controller cannot take (worker_ended): rank 2");
    /* What comes after it counts, and it is acknowledged like the others. */
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 9), COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &a, id, UINT32_MAX, 9), COVEY_OK);
    TEST_EQUAL(a.refused, 2);
    pair_live(3 * S);
    TEST_EQUAL(a.acknowledged, a.sequence);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_FAILED);
    TEST_REQUIRE(core_submit(&core, 4, 0, other) == COVEY_OK);
    TEST_TRUE(!a.closed);
    /* Of a flare that is none, or over: nobody is harmed. */
    TEST_EQUAL(core_worker_ended(&core, &a, "01ARZ3NDEKTSV4RRFFQ69G5FAV", 0, 9), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &a, "../../etc"), COVEY_OK);
    core_stop(&core);
}

static void report__that_is_not_waited_for__is_marked_once(void)
{
    pair_start();
    pair_run(0);
    for (int i = 0; i < 3; i++)
        TEST_EQUAL(say_result(3, 0, 1), COVEY_OK);
    TEST_EQUAL(a.refused, 3);
    TEST_EQUAL(refusals_told(), 1);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    core_stop(&core);
}

/* An empty one stands for one that was refused. */
static void report__without_a_body__keeps_the_order(void)
{
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    pair_start();
    pair_run(0);
    TEST_EQUAL(core_say(&core, &a, &message, true), COVEY_OK);
    TEST_EQUAL(a.refused, 0);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_OK);
    message.sequence = 0;
    TEST_EQUAL(core_say(&core, &a, &message, false), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    core_stop(&core);
}

/* Bytes that are no message, with an envelope that can be read. */
static enum covey_status say_bytes(uint32_t body, uint64_t epoch)
{
    uint8_t bytes[64];
    size_t length = 0;
    bytes[length++] = 1 << 3;
    bytes[length++] = (uint8_t)epoch;
    bytes[length++] = 2 << 3;
    bytes[length++] = (uint8_t)++a.sequence;
    bytes[length++] = (uint8_t)(body << 3 | 2);
    bytes[length++] = 2 + ULID_BYTES - 1 + 2;
    bytes[length++] = 1 << 3 | 2;
    bytes[length++] = ULID_BYTES - 1;
    memcpy(bytes + length, id, ULID_BYTES - 1);
    length += ULID_BYTES - 1;
    bytes[length++] = 2 << 3 | 2; /* longer than what is left */
    bytes[length++] = 99;
    return controller_receive_bad(core.controller, a.node, bytes, length, COVEY_EPROTO,
                                  &core.error);
}

static void report__that_cannot_be_read__costs_itself_and_its_flare(void)
{
    pair_start();
    pair_run(0);
    TEST_EQUAL(say_bytes(COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED, a.epoch), COVEY_OK);
    TEST_EQUAL(a.refused, 1);
    TEST_EQUAL(a.refused_sequence, a.sequence);
    TEST_EQUAL(refusals_told(), 1);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    TEST_EQUAL(say_bytes(COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED, a.epoch), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    check_failed_with("(host_ended): it is malformed");
    /* This one says all that it has to say with its flare's id. */
    pair_live(3 * S);
    TEST_EQUAL(say_bytes(COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE, a.epoch), COVEY_OK);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    TEST_EQUAL(core_state(&core, id), FLARE_FAILED);
    TEST_EQUAL(core_slots_used(&core, "a"), 0);
    /* What is wrong with the stream still ends it. */
    TEST_EQUAL(say_bytes(COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK, a.epoch + 1),
               COVEY_EPRECONDITION);
    core_stop(&core);
}

static void result__over_a_limit_that_was_lowered__flare_fails_with_it(void)
{
    Covey__V1__Worker worker = COVEY__V1__WORKER__INIT;
    Covey__V1__WorkerEnded ended = COVEY__V1__WORKER_ENDED__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    pair_start();
    pair_run(0);
    worker.rank = 1;
    worker.state = COVEY__V1__WORKER_STATE__WORKER_STATE_DONE;
    worker.result_bytes = core.options.limits.max_result_bytes + 1;
    ended.flare_id = id;
    ended.worker = &worker;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED;
    message.worker_ended = &ended;
    TEST_EQUAL(core_say(&core, &a, &message, true), COVEY_OK);
    TEST_EQUAL(a.refused, 0);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL(flare->state, FLARE_ENDING);
    TEST_TRUE(strstr(flare->error->message, "the result of rank 1 has") != NULL);
    TEST_EQUAL(flare->workers[1]->result_bytes, 0);
    message_free(flare);
    core_stop(&core);
}

/* Every time lost before it has stayed: its grace is the first one's. */
static void node__comes_and_goes__grace_goes_on(void)
{
    pair_start();
    pair_run(0);
    for (int i = 0; i < 9; i++) {
        controller_detach(core.controller, a.node, "test");
        a.node = NULL;
        pair_live(750 * MS);
        TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
        char *running[] = {id};
        TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
        pair_live(250 * MS);
    }
    pair_live(1200 * MS); /* it is not lost while it is there */
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    controller_detach(core.controller, a.node, "test");
    a.node = NULL;
    pair_live(250 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    core_stop(&core);
}

static void node__back_and_stays__has_a_whole_grace_again(void)
{
    pair_start();
    pair_run(0);
    char *running[] = {id};
    controller_detach(core.controller, a.node, "test");
    a.node = NULL;
    pair_live(9 * S);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    pair_live(1500 * MS);
    controller_detach(core.controller, a.node, "test");
    a.node = NULL;
    pair_live(9 * S);
    TEST_EQUAL(core_state(&core, id), FLARE_RUNNING);
    pair_live(1250 * MS);
    TEST_EQUAL(core_state(&core, id), FLARE_ENDING);
    core_stop(&core);
}

static void report__stale_epoch_or_gap__refused(void)
{
    pair_start();
    pair_run(0);
    a.epoch--;
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_EPRECONDITION);
    a.epoch++;
    a.sequence = 4;
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_OK); /* the first of a registration */
    a.sequence = 9;
    TEST_EQUAL(core_worker_ended(&core, &a, id, 1, 0), COVEY_EPROTO);
    core_stop(&core);
}

static void report__twice__counts_once(void)
{
    pair_start();
    pair_run(0);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_OK);
    a.sequence--;
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 0), COVEY_OK);
    TEST_EQUAL(core_worker_ended(&core, &a, id, 0, 9), COVEY_OK);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL(flare->state, FLARE_RUNNING);
    TEST_EQUAL(flare->workers[0]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_DONE);
    message_free(flare);
    core_stop(&core);
}

static void result__over_the_limit__flare_fails(void)
{
    pair_start();
    pair_run(0);
    TEST_EQUAL(say_result(0, core.options.limits.max_result_bytes - 1, 2), COVEY_OK);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL(flare->state, FLARE_ENDING);
    TEST_EQUAL_STRING(flare->error->status, "ELIMIT");
    TEST_EQUAL(flare->error->rank, 0);
    message_free(flare);
    core_stop(&core);
}

static size_t log_pieces(void)
{
    struct log_reader reader = {0};
    bool more;
    const Covey__V1__StreamLogsResponse *response;
    (void)snprintf(reader.flare, sizeof reader.flare, "%s", id);
    TEST_EQUAL(logs_read(controller_logs(core.controller), &reader, &response, &more, &core.error),
               COVEY_OK);
    return response->n_lines;
}

/* The n-th piece of 2 bytes of pack 0, which is on node a. */
static void say_log(struct core_link *link, uint64_t n)
{
    Covey__V1__LogLines line = COVEY__V1__LOG_LINES__INIT;
    Covey__V1__LogLines *lines[] = {&line};
    Covey__V1__LogChunk chunk = COVEY__V1__LOG_CHUNK__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    line.stream = 1;
    line.text = (ProtobufCBinaryData){2, (uint8_t *)(uintptr_t) "x\n"};
    chunk.flare_id = id;
    chunk.n_lines = 1;
    chunk.lines = lines;
    chunk.offset = n * (2 + LOCAL_LOG_OVERHEAD_BYTES);
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK;
    message.log_chunk = &chunk;
    TEST_EQUAL(core_say(&core, link, &message, false), COVEY_OK);
}

static void log__repeated_after_a_reconnect__kept_once(void)
{
    char *running[] = {id};
    const uint64_t step = 2 + LOCAL_LOG_OVERHEAD_BYTES;
    pair_start();
    pair_run(0);
    for (uint64_t i = 0; i < 3; i++)
        say_log(&a, i);
    TEST_EQUAL(a.log_taken, 3 * step);
    controller_detach(core.controller, a.node, "test");
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    for (uint64_t i = 1; i < 4; i++)
        say_log(&a, i); /* 1 and 2 again, 3 is new */
    TEST_EQUAL(a.log_taken, 4 * step);
    TEST_EQUAL(log_pieces(), 4);
    core_stop(&core);
}

/* What was acknowledged, and what was written without that having been heard, is in the file. */
static void log__repeated_after_a_restart__kept_once(void)
{
    char *running[] = {id};
    pair_start();
    pair_run(0);
    for (uint64_t i = 0; i < 3; i++)
        say_log(&a, i);
    core_restart(&core);
    TEST_REQUIRE(core_attach(&core, &a, "a", 2, running, 1) == COVEY_OK);
    for (uint64_t i = 2; i < 5; i++)
        say_log(&a, i);
    TEST_EQUAL(a.log_taken, (uint64_t)5 * (2 + LOCAL_LOG_OVERHEAD_BYTES));
    TEST_EQUAL(log_pieces(), 5);
    core_stop(&core);
}

/* Its agent must not keep it for ever. */
static void log__of_a_flare_that_is_not_known__taken(void)
{
    pair_start();
    (void)snprintf(id, sizeof id, "%s", "00000000000000000000000000");
    say_log(&a, 4);
    TEST_EQUAL(a.log_taken, (uint64_t)5 * (2 + LOCAL_LOG_OVERHEAD_BYTES));
    core_stop(&core);
}

static const struct test_case cases[] = {
    TEST_CASE(report__of_preparation_that_cannot_be__attempt_is_undone),
    TEST_CASE(report__of_another_nodes_rank__flare_fails_and_the_stream_goes_on),
    TEST_CASE(report__that_is_not_waited_for__is_marked_once),
    TEST_CASE(report__without_a_body__keeps_the_order),
    TEST_CASE(report__that_cannot_be_read__costs_itself_and_its_flare),
    TEST_CASE(result__over_a_limit_that_was_lowered__flare_fails_with_it),
    TEST_CASE(node__comes_and_goes__grace_goes_on),
    TEST_CASE(node__back_and_stays__has_a_whole_grace_again),
    TEST_CASE(report__stale_epoch_or_gap__refused),
    TEST_CASE(report__twice__counts_once),
    TEST_CASE(result__over_the_limit__flare_fails),
    TEST_CASE(log__repeated_after_a_reconnect__kept_once),
    TEST_CASE(log__repeated_after_a_restart__kept_once),
    TEST_CASE(log__of_a_flare_that_is_not_known__taken),
    {0}};

const struct test_suite test_suites[] = {{"reports", cases, NULL, NULL}, {0}};
