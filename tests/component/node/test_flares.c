/* Flares on one node, from Prepare to FlareGone. */
#include "base/io.h"
#include "tests/component/node/plans.h"
#include "tests/component/node/processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fixture *fixture;

/* The test's shared object, with another machine in its header. */
static void make_other_machine(void)
{
    struct covey_buffer bytes = {0};
    struct covey_error error = {0};
    TEST_REQUIRE(covey_file_read(OBJECT, 64 << 20, &bytes, &error) == COVEY_OK);
    bytes.data[18] = bytes.data[18] == 183 ? 62 : 183;
    TEST_REQUIRE(covey_file_write(TEST_FILES "/other_machine.so", bytes.data, bytes.length_bytes,
                                  0755, &error) == COVEY_OK);
    covey_buffer_free(&bytes);
}

static void node__starts(void)
{
    make_other_machine();
    fixture = fixture_create();
    fixture_start_node(fixture, 0, NULL, NULL);
}

static void node__terminated__leaves_nothing(void)
{
    fixture_destroy(fixture);
}

static void flare__hello__runs_and_leaves_nothing(void)
{
    struct flare_plan plan = plan_of("HELLO", "hello", 3);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 3, LONG));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    for (uint32_t rank = 0; rank < 3; rank++) {
        const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, rank, LONG);
        TEST_REQUIRE(ended != NULL);
        TEST_EQUAL(ended->worker->state, COVEY__V1__WORKER_STATE__WORKER_STATE_DONE);
        TEST_EQUAL_STRING(ended->message, "");
        TEST_TRUE(ended->worker->started_at && ended->worker->ended_at);
        char expected[64];
        snprintf(expected, sizeof(expected), "result of %u of 3", rank);
        struct covey_buffer result = fixture_result(fixture, plan.id, rank);
        TEST_EQUAL_STRING((char *)result.data, expected);
        covey_buffer_free(&result);
        snprintf(expected, sizeof(expected), "hello from %u of 3 in pack 0 of 1", rank);
        TEST_TRUE(fixture_logged(fixture, plan.id, rank, expected));
        snprintf(expected, sizeof(expected), "whisper of %u", rank);
        TEST_TRUE(fixture_logged(fixture, plan.id, rank, expected));
    }
    end_flare(fixture, &plan);
}

static void flare__packs__know_each_other(void)
{
    struct flare_plan plan = plan_of("PACKS", "ring", 4);
    plan.pack_count = 3;
    plan.packs[1].workers = 1;
    plan.packs[2].workers = 5;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 10, LONG));
    for (uint32_t rank = 0; rank < 10; rank++) {
        const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, rank, LONG);
        TEST_REQUIRE(ended != NULL);
        TEST_EQUAL_STRING(ended->message, "");
        TEST_EQUAL(ended->worker->pack, rank < 4 ? 0 : rank < 5 ? 1 : 2);
    }
    end_flare(fixture, &plan);
}

static void flare__program__gets_arguments_and_its_end_is_told(void)
{
    struct flare_plan plan = plan_of("PROGRAM", "hello", 3);
    plan.code = PROGRAM;
    plan.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE;
    plan.argument = "the-argument";
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 3, LONG));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    struct covey_buffer result = fixture_result(fixture, plan.id, 2);
    TEST_EQUAL_STRING((char *)result.data, "result of 2 of 3");
    covey_buffer_free(&result);
    end_flare(fixture, &plan);
    TEST_TRUE(fixture_logged(fixture, plan.id, 1, "program with 1 arguments, last the-argument"));
    TEST_TRUE(fixture_logged(fixture, plan.id, 1, "hello from 1 of 3"));
}

static void flare__script__runs(void)
{
    struct flare_plan plan = plan_of("SCRIPT", "", 2);
    plan.code = TEST_SOURCES "/script.sh";
    plan.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 0, LONG)->worker->exit_status, 0);
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 1, LONG)->worker->exit_status, 4);
    end_flare(fixture, &plan);
    char line[64];
    (void)snprintf(line, sizeof(line), "script of %s 0", plan.id);
    TEST_TRUE(fixture_logged(fixture, plan.id, 0, line));
}

static void flare__threads__run_in_their_pack(void)
{
    struct flare_plan plan = plan_of("THREADS", "hello", 4);
    plan.worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 4, LONG));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 4, LONG));
    for (uint32_t rank = 0; rank < 4; rank++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "result of %u of 4", rank);
        struct covey_buffer result = fixture_result(fixture, plan.id, rank);
        TEST_EQUAL_STRING((char *)result.data, expected);
        covey_buffer_free(&result);
        TEST_EQUAL(fixture_pid(fixture, plan.id, rank), fixture_pid(fixture, plan.id, 0));
    }
    end_flare(fixture, &plan);
    TEST_TRUE(fixture_logged(fixture, plan.id, 0, "hello from 3 of 4"));
}

static void flare__threads_in_a_ring__all_succeed(void)
{
    struct flare_plan plan = plan_of("THREADRING", "ring", 4);
    plan.worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    plan.pack_count = 2;
    plan.packs[1].workers = 3;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 7, LONG));
    for (uint32_t rank = 0; rank < 7; rank++)
        TEST_EQUAL(fixture_wait_ended(fixture, plan.id, rank, LONG)->worker->exit_status, 0);
    end_flare(fixture, &plan);
}

static void flare__threads_that_do_not_end__go_with_the_pack(void)
{
    struct flare_plan plan = plan_of("THREADWAIT", "wait", 3);
    plan.worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 3, LONG));
    end_flare(fixture, &plan);
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 1, LONG)->worker->state,
               COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED);
}

static void flare__worker_fails__status_and_sentence(void)
{
    struct flare_plan plan = plan_of("EXIT", "exit 7", 3);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, 1, LONG);
    TEST_EQUAL(ended->worker->exit_status, 7);
    TEST_EQUAL(ended->worker->state, COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED);
    TEST_EQUAL_STRING(ended->message, "");
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 2, LONG)->worker->exit_status, 0);
    end_flare(fixture, &plan);
}

static void flare__worker_crashes__signal_and_sentence(void)
{
    struct flare_plan plan = plan_of("CRASH", "crash", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, 1, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_EQUAL(ended->worker->signal, SIGABRT);
    TEST_EQUAL_STRING(ended->message, "");
    end_flare(fixture, &plan);
}

static void flare__big_result__comes_in_pieces(void)
{
    struct flare_plan plan = plan_of("BIG", "big 3000000", 2);
    plan.max_result_bytes = 4 << 20;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    for (uint32_t rank = 0; rank < 2; rank++) {
        struct covey_buffer result = fixture_result(fixture, plan.id, rank);
        TEST_EQUAL(fixture_wait_ended(fixture, plan.id, rank, LONG)->worker->result_bytes, 3000000);
        TEST_REQUIRE(result.length_bytes == 3000000);
        size_t wrong = 0;
        for (size_t i = 0; i < result.length_bytes; i++)
            wrong += result.data[i] != (unsigned char)(i * 31 + rank) ? 1 : 0;
        TEST_EQUAL(wrong, 0);
        covey_buffer_free(&result);
    }
    end_flare(fixture, &plan);
}

static void flare__result_over_the_limit__worker_gets_elimit(void)
{
    struct flare_plan plan = plan_of("LIMIT", "big 1001", 1);
    plan.max_result_bytes = 1000;
    TEST_REQUIRE(fixture_run(fixture, &plan));
    const Covey__V1__WorkerEnded *ended = fixture_wait_ended(fixture, plan.id, 0, LONG);
    TEST_REQUIRE(ended != NULL);
    TEST_EQUAL(ended->worker->exit_status, 3);
    TEST_EQUAL(ended->worker->result_bytes, 0);
    end_flare(fixture, &plan);
    TEST_TRUE(fixture_logged(fixture, plan.id, 0, "set_result: ELIMIT"));
}

static void flare__much_log__all_of_it_comes_before_the_flare_is_gone(void)
{
    struct flare_plan plan = plan_of("FLOOD", "flood 3000", 3);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 3, LONG));
    end_flare(fixture, &plan);
    TEST_EQUAL(fixture_log_lines(fixture, plan.id), 9000);
}

/* They ignore SIGTERM from here on. */
static bool all_stubborn(struct fixture *unused, void *data)
{
    const struct flare_plan *plan = data;
    (void)unused;
    return fixture_logged(fixture, plan->id, 0, "stubborn") &&
           fixture_logged(fixture, plan->id, 1, "stubborn") &&
           fixture_logged(fixture, plan->id, 2, "stubborn");
}

static void stop__stubborn_workers__killed_after_the_grace(void)
{
    struct flare_plan plan = plan_of("STUBBORN", "stubborn", 3);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_until(fixture, all_stubborn, &plan, LONG));
    int64_t from_ns = covey_now_ns();
    int64_t rested_from_ns = test_rested_ns();
    fixture_stop_flare(fixture, &plan, 300 * COVEY_NS_PER_MS);
    TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    TEST_TRUE(covey_now_ns() - from_ns >= 250 * MS);
    TEST_TRUE(test_rested_ns() - rested_from_ns < 800 * MS);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 2, LONG)->worker->signal, SIGKILL);
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 2, LONG)->worker->state,
               COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED);
}

static void stop__willing_workers__end_by_sigterm(void)
{
    struct flare_plan plan = plan_of("WILLING", "wait", 3);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_started(fixture, plan.id, 3, LONG));
    fixture_stop_flare(fixture, &plan, 5 * S);
    TEST_TRUE(fixture_gone(fixture, &plan, LONG));
    TEST_EQUAL(fixture_wait_ended(fixture, plan.id, 2, LONG)->worker->signal, SIGTERM);
    TEST_TRUE(fixture_nothing_left(fixture, plan.id));
}

static bool six_processes(struct fixture *unused, void *data)
{
    const struct flare_plan *plan = data;
    pid_t pids[8];
    (void)unused;
    return processes_marked(plan->id, pids, 8) == 6;
}

static void stop__descendants_that_hide__go_too(void)
{
    struct flare_plan plan = plan_of("HIDDEN", "descendants", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    /* Host, pack, and two of each worker. */
    TEST_TRUE(fixture_until(fixture, six_processes, &plan, LONG));
    end_flare(fixture, &plan);
}

static void stop__before_the_start__nothing_ran(void)
{
    struct flare_plan plan = plan_of("EARLY", "hello", 4);
    fixture->looked_from = fixture->said_count;
    fixture_prepare(fixture, &plan);
    TEST_REQUIRE(fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARED, plan.id, 0, LONG));
    end_flare(fixture, &plan);
    TEST_TRUE(fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED, plan.id, 0) ==
              NULL);
    TEST_TRUE(!fixture_logged(fixture, plan.id, 0, "hello"));
}

static void stop__while_it_prepares__gone(void)
{
    struct flare_plan plan = plan_of("HASTE", "hello", 4);
    fixture->looked_from = fixture->said_count;
    fixture_prepare(fixture, &plan);
    end_flare(fixture, &plan);
}

static void stop__unknown_flare__gone(void)
{
    struct flare_plan plan = plan_of("NOSUCH", "hello", 4);
    end_flare(fixture, &plan);
}

struct bad_code {
    const char *code;
    Covey__V1__CodeKind kind;
    const char *sha256;
    const char *status;
    const char *says;
};

static void prepare__bad_code__refused_with_one_sentence(void)
{
    const struct bad_code rows[] = {
        {TEST_FILES "/covey_test_no_entry.so", COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT, NULL,
         "EINVAL", "does not export covey_work"},
        {TEST_SOURCES "/script.sh", COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT, NULL, "EINVAL",
         "not an ELF file"},
        {TEST_SOURCES "/fixture.h", COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE, NULL, "EINVAL",
         "neither an ELF file nor a script"},
        {TEST_FILES "/other_machine.so", COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT, NULL,
         "EINVAL", "the code is for"},
        {TEST_FILES "/other_machine.so", COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE, NULL, "EINVAL",
         "the code is for"},
        {NULL, COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE,
         "0123456789012345678901234567890123456789012345678901234567890123", "ENOTFOUND",
         "NOT_FOUND"},
        {NULL, COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE, "../../etc/passwd", "EINVAL",
         "digest is not valid"},
        {OBJECT, COVEY__V1__CODE_KIND__CODE_KIND_UNSPECIFIED, NULL, "EINVAL", "kind of code"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct flare_plan plan = plan_of("BAD", "hello", 2);
        plan.code = rows[i].code;
        plan.code_kind = rows[i].kind;
        plan.sha256 = rows[i].sha256;
        TEST_TRUE(!fixture_run(fixture, &plan));
        const struct said *said =
            fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED, plan.id, 0, LONG);
        TEST_REQUIRE(said != NULL);
        const Covey__V1__Failure *failure = said->message->prepare_failed->failure;
        if (!strstr(failure->message, rows[i].says))
            fprintf(stderr, "row %zu says: %s\n", i, failure->message);
        TEST_TRUE(strstr(failure->message, rows[i].says) != NULL);
        TEST_EQUAL_STRING(failure->status, rows[i].status);
        TEST_EQUAL_STRING(failure->node, "n0");
        TEST_TRUE(fixture_nothing_left(fixture, plan.id));
    }
}

static void prepare__same_code_again__comes_from_the_cache(void)
{
    unsigned before = fixture->blob_calls;
    struct flare_plan plan = plan_of("CACHED", "hello", 2);
    TEST_REQUIRE(fixture_run(fixture, &plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan.id, 2, LONG));
    end_flare(fixture, &plan);
    TEST_EQUAL(fixture->blob_calls, before);
}

static const struct test_case flares[] = {
    TEST_CASE(node__starts),
    TEST_CASE(flare__hello__runs_and_leaves_nothing),
    TEST_CASE(flare__packs__know_each_other),
    TEST_CASE(flare__program__gets_arguments_and_its_end_is_told),
    TEST_CASE(flare__script__runs),
    TEST_CASE(flare__threads__run_in_their_pack),
    TEST_CASE(flare__threads_in_a_ring__all_succeed),
    TEST_CASE(flare__threads_that_do_not_end__go_with_the_pack),
    TEST_CASE(flare__worker_fails__status_and_sentence),
    TEST_CASE(flare__worker_crashes__signal_and_sentence),
    TEST_CASE(flare__big_result__comes_in_pieces),
    TEST_CASE(flare__result_over_the_limit__worker_gets_elimit),
    TEST_CASE(flare__much_log__all_of_it_comes_before_the_flare_is_gone),
    TEST_CASE(stop__stubborn_workers__killed_after_the_grace),
    TEST_CASE(stop__willing_workers__end_by_sigterm),
    TEST_CASE(stop__descendants_that_hide__go_too),
    TEST_CASE(stop__before_the_start__nothing_ran),
    TEST_CASE(stop__while_it_prepares__gone),
    TEST_CASE(stop__unknown_flare__gone),
    TEST_CASE(prepare__bad_code__refused_with_one_sentence),
    TEST_CASE(prepare__same_code_again__comes_from_the_cache),
    TEST_CASE(node__terminated__leaves_nothing),
    {0},
};

const struct test_suite test_suites[] = {
    {"flares", flares, NULL, NULL},
    {0},
};
