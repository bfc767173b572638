/* Flares from the call to their last event, on agents played by the test. */
#include "base/clock.h"
#include "service/controller/messages.h"
#include "tests/component/controller/cluster.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cluster cluster;
static struct answer answer;

static const Covey__V1__FlareState queued = COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED;
static const Covey__V1__FlareState preparing = COVEY__V1__FLARE_STATE__FLARE_STATE_PREPARING;
static const Covey__V1__FlareState running = COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING;
static const Covey__V1__FlareState ending = COVEY__V1__FLARE_STATE__FLARE_STATE_ENDING;
static const Covey__V1__FlareState succeeded = COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED;
static const Covey__V1__FlareState failed = COVEY__V1__FLARE_STATE__FLARE_STATE_FAILED;
static const Covey__V1__FlareState cancelled = COVEY__V1__FLARE_STATE__FLARE_STATE_CANCELLED;
static const Covey__V1__FlareState timed_out = COVEY__V1__FLARE_STATE__FLARE_STATE_TIMED_OUT;

/* Two agents of four slots, and hello deployed. */
static void start(struct agent **a, struct agent **b)
{
    cluster_start(&cluster, NULL, "--node-grace", "300ms", "--prepare-timeout", "2s", NULL);
    cluster_deploy(&cluster);
    *a = cluster_agent(&cluster, "a", 4);
    *b = cluster_agent(&cluster, "b", 4);
    TEST_REQUIRE(agent_attach(*a));
    TEST_REQUIRE(agent_attach(*b));
}

static void cancel(const char *id)
{
    Covey__V1__CancelFlareRequest request = COVEY__V1__CANCEL_FLARE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.reason = (char *)(uintptr_t) "enough";
    cluster_call(&cluster, &answer, "/covey.v1.Covey/CancelFlare", &request.base);
    TEST_EQUAL(answer.code, RPC_OK);
    answer_clear(&answer);
}

static void check_free(void)
{
    Covey__V1__ListNodesRequest request = COVEY__V1__LIST_NODES_REQUEST__INIT;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/ListNodes", &request.base);
    const Covey__V1__ListNodesResponse *nodes =
        (const Covey__V1__ListNodesResponse *)answer.messages[0];
    for (size_t i = 0; i < nodes->n_nodes; i++) {
        TEST_EQUAL(nodes->nodes[i]->slots_used, 0);
        TEST_EQUAL(nodes->nodes[i]->n_flare_ids, 0);
    }
    answer_clear(&answer);
}

static void flare__all_workers_succeed__succeeds_with_results(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    a->finish = b->finish = true;
    cluster_flare(&cluster, &answer, 6, id);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_TRUE(cluster_reaches(&cluster, id, succeeded));
    const Covey__V1__Flare *flare = cluster_get(&cluster, &answer, id);
    TEST_REQUIRE(flare != NULL);
    TEST_EQUAL(flare->state, succeeded);
    TEST_EQUAL(flare->n_packs, 2);
    TEST_EQUAL(flare->n_workers, 6);
    TEST_EQUAL(flare->workers[5]->pid, 1005);
    TEST_EQUAL(flare->workers[5]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_DONE);
    TEST_TRUE(flare->error == NULL);
    TEST_EQUAL_STRING(flare->timeline->transport, "test");
    TEST_TRUE(flare->timeline->accepted_at && flare->timeline->placed_at &&
              flare->timeline->ready_at && flare->timeline->started_at &&
              flare->timeline->first_worker_at && flare->timeline->last_worker_at &&
              flare->timeline->outcome_at && flare->timeline->ended_at);
    answer_clear(&answer);
    TEST_EQUAL(a->starts, 1);
    TEST_EQUAL(b->starts, 1);
    Covey__V1__StreamResultsRequest results = COVEY__V1__STREAM_RESULTS_REQUEST__INIT;
    results.id = id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/StreamResults", &results.base);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_EQUAL(answer.count, 6);
    for (size_t i = 0; i < answer.count; i++) {
        const Covey__V1__StreamResultsResponse *piece =
            (const Covey__V1__StreamResultsResponse *)answer.messages[i];
        char expected[8];
        (void)snprintf(expected, sizeof expected, "rank%02u", (unsigned)i % 100);
        TEST_EQUAL(piece->rank, i);
        TEST_TRUE(piece->last);
        TEST_TRUE(piece->data.len == 6 && memcmp(piece->data.data, expected, 6) == 0);
    }
    answer_clear(&answer);
    check_free();
    cluster_stop(&cluster);
}

static void flare__on_two_nodes__each_gets_its_parameters_and_one_secret(void)
{
    struct agent *a;
    struct agent *b;
    start(&a, &b);
    a->hold_stop = b->hold_stop = true;
    uint8_t letters[6] = "abcdef";
    ProtobufCBinaryData parameters[6];
    for (size_t i = 0; i < 6; i++)
        parameters[i] = (ProtobufCBinaryData){1, &letters[i]};
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    request.definition = (char *)(uintptr_t) "hello";
    request.n_parameters = 6;
    request.parameters = parameters;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/Flare", &request.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    char id[32];
    (void)snprintf(id, sizeof id, "%s",
                   ((Covey__V1__FlareResponse *)answer.messages[0])->flare->id);
    answer_clear(&answer);
    TEST_TRUE(cluster_reaches(&cluster, id, running));
    const struct agent_flare *on_a = agent_flare(a, id);
    const struct agent_flare *on_b = agent_flare(b, id);
    TEST_REQUIRE(on_a && on_b);
    TEST_EQUAL(on_a->workers + on_b->workers, 6);
    TEST_EQUAL(on_a->prepare->n_parameters, on_a->workers);
    TEST_EQUAL(on_b->prepare->n_parameters, on_b->workers);
    TEST_EQUAL(on_a->prepare->parameters[0].data[0], letters[on_a->first_rank]);
    TEST_EQUAL(on_b->prepare->parameters[0].data[0], letters[on_b->first_rank]);
    TEST_EQUAL(memcmp(on_a->secret, on_b->secret, 32), 0);
    static const uint8_t zeros[32];
    TEST_TRUE(memcmp(on_a->secret, zeros, 32) != 0);
    cluster_stop(&cluster);
}

static void prepare__one_node_cannot__all_is_undone_and_tried_again(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    b->fail_prepare = "ENOMEM";
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, failed));
    TEST_EQUAL(b->prepares, 3);
    TEST_EQUAL(a->prepares, 3);
    TEST_EQUAL(a->starts + b->starts, 0);
    TEST_EQUAL(a->flare_count, 0);
    const Covey__V1__Flare *flare = cluster_get(&cluster, &answer, id);
    TEST_REQUIRE(flare && flare->error);
    TEST_EQUAL_STRING(flare->error->status, "ENOMEM");
    TEST_EQUAL_STRING(flare->error->node, "b");
    answer_clear(&answer);
    check_free();
    cluster_stop(&cluster);
}

static void prepare__fault_of_the_code__fails_at_once(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    b->fail_prepare = "EINVAL";
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, failed));
    TEST_EQUAL(b->prepares, 1);
    check_free();
    cluster_stop(&cluster);
}

static bool b_has_prepared(void *data)
{
    return ((struct agent *)data)->prepares > 0;
}

static void prepare__node_lost__requeued_and_runs_when_it_is_back(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    a->finish = b->finish = true;
    b->hold_prepare = true;
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_run(&cluster, b_has_prepared, b));
    agent_drop(b);
    b->hold_prepare = false;
    TEST_REQUIRE(agent_attach(b));
    TEST_TRUE(cluster_reaches(&cluster, id, succeeded));
    TEST_EQUAL(b->prepares, 2);
    check_free();
    cluster_stop(&cluster);
}

static void worker__is_killed__flare_fails_and_peers_are_told(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, running));
    struct agent_flare *flare = agent_flare(b, id);
    TEST_REQUIRE(flare != NULL);
    uint32_t rank = flare->first_rank;
    agent_worker_ends(b, flare, 0, 9);
    TEST_TRUE(cluster_reaches(&cluster, id, ending));
    TEST_TRUE(cluster_reaches(&cluster, id, failed));
    TEST_EQUAL(a->peers_ended, 1);
    TEST_EQUAL(a->peer_rank, rank);
    TEST_TRUE(strstr(a->peer_reason, "signal 9") && strstr(a->peer_reason, "node b"));
    TEST_EQUAL(b->peers_ended, 0);
    TEST_EQUAL(a->stop_grace_ns, COVEY_NS_PER_S);
    const Covey__V1__Flare *view = cluster_get(&cluster, &answer, id);
    TEST_REQUIRE(view && view->error);
    TEST_EQUAL(view->error->rank, (int32_t)rank);
    TEST_EQUAL(view->error->signal, 9);
    TEST_EQUAL_STRING(view->error->node, "b");
    TEST_EQUAL(view->workers[rank]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED);
    TEST_EQUAL(view->workers[0]->state, COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED);
    answer_clear(&answer);
    check_free();
    cluster_stop(&cluster);
}

/* Who gave up because of another may be heard first; who ended first is to blame. */
static void workers__exit_and_are_told_in_another_order__the_first_is_named(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, running));
    struct agent_flare *on_a = agent_flare(a, id), *on_b = agent_flare(b, id);
    TEST_REQUIRE(on_a && on_b);
    uint32_t rank = on_b->first_rank;
    agent_worker_ends(a, on_a, 1, 0);
    TEST_TRUE(cluster_reaches(&cluster, id, ending));
    b->late_ns = COVEY_NS_PER_S;
    agent_worker_ends(b, on_b, 4, 0);
    b->late_ns = 0;
    agent_worker_ends(b, on_b, 5, 0);
    TEST_TRUE(cluster_reaches(&cluster, id, failed));
    const Covey__V1__Flare *view = cluster_get(&cluster, &answer, id);
    TEST_REQUIRE(view && view->error);
    TEST_EQUAL(view->error->rank, (int32_t)rank);
    TEST_EQUAL(view->error->exit_status, 4);
    TEST_EQUAL_STRING(view->error->node, "b");
    answer_clear(&answer);
    check_free();
    cluster_stop(&cluster);
}

static void node__goes_and_stays_away__flare_fails_with_its_name(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, running));
    agent_drop(b);
    TEST_TRUE(cluster_reaches(&cluster, id, failed));
    const Covey__V1__Flare *view = cluster_get(&cluster, &answer, id);
    TEST_REQUIRE(view && view->error);
    TEST_EQUAL_STRING(view->error->status, "ENODE");
    TEST_EQUAL_STRING(view->error->node, "b");
    TEST_TRUE(a->peers_ended > 0);
    answer_clear(&answer);
    check_free();
    cluster_stop(&cluster);
}

static void node__is_back_within_its_grace__flare_goes_on(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    start(&a, &b);
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, running));
    agent_drop(b);
    /* What it says while it is away is repeated when it is back. */
    struct agent_flare *on_b = agent_flare(b, id);
    while (on_b->ended < on_b->workers) {
        agent_result(b, on_b, on_b->first_rank + on_b->ended, 0, "result");
        agent_worker_ends(b, on_b, 0, 0);
    }
    TEST_REQUIRE(agent_attach(b));
    struct agent_flare *on_a = agent_flare(a, id);
    while (on_a->ended < on_a->workers) {
        agent_result(a, on_a, on_a->first_rank + on_a->ended, 0, "result");
        agent_worker_ends(a, on_a, 0, 0);
    }
    TEST_TRUE(cluster_reaches(&cluster, id, succeeded));
    check_free();
    cluster_stop(&cluster);
}

static void cancel__in_every_state__ends_cancelled(void)
{
    struct agent *a;
    struct agent *b;
    char first[32];
    char second[32];
    start(&a, &b);
    a->hold_prepare = true;
    cluster_flare(&cluster, &answer, 8, first);
    TEST_TRUE(cluster_reaches(&cluster, first, preparing));
    cluster_flare(&cluster, &answer, 8, second);
    TEST_TRUE(cluster_reaches(&cluster, second, queued));
    cancel(second);
    TEST_TRUE(cluster_reaches(&cluster, second, cancelled));
    cancel(first);
    TEST_TRUE(cluster_reaches(&cluster, first, cancelled));
    a->hold_prepare = false;
    cluster_flare(&cluster, &answer, 8, first);
    TEST_TRUE(cluster_reaches(&cluster, first, running));
    a->hold_stop = true;
    cancel(first);
    TEST_TRUE(cluster_reaches(&cluster, first, ending));
    cancel(first); /* changes nothing */
    agent_gone(a, agent_flare(a, first));
    TEST_TRUE(cluster_reaches(&cluster, first, cancelled));
    cancel(first);
    const Covey__V1__Flare *view = cluster_get(&cluster, &answer, first);
    TEST_REQUIRE(view && view->error);
    TEST_EQUAL(view->state, cancelled);
    TEST_TRUE(strstr(view->error->message, "enough") != NULL);
    answer_clear(&answer);
    check_free();
    cluster_stop(&cluster);
}

/* A reason that is cut inside a letter is still UTF-8: this client, too, refuses what is not. */
static void cancel__long_reason__cut_between_letters(void)
{
    struct agent *a;
    struct agent *b;
    char id[32];
    char reason[700];
    start(&a, &b);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(reason, 'x', sizeof reason);
        for (size_t i = shift; i + 3 < sizeof reason; i += 3)
            memcpy(reason + i, "\xe2\x82\xac", 3);
        reason[shift + 600] = '\0';
        cluster_flare(&cluster, &answer, 2, id);
        Covey__V1__CancelFlareRequest request = COVEY__V1__CANCEL_FLARE_REQUEST__INIT;
        request.id = id;
        request.reason = reason;
        cluster_call(&cluster, &answer, "/covey.v1.Covey/CancelFlare", &request.base);
        TEST_EQUAL(answer.code, RPC_OK);
        answer_clear(&answer);
        TEST_TRUE(cluster_reaches(&cluster, id, cancelled));
    }
    cluster_stop(&cluster);
}

static void time_limit__reached__times_out(void)
{
    struct agent *a;
    struct agent *b;
    start(&a, &b);
    Google__Protobuf__Duration limit = message_duration(50 * COVEY_NS_PER_MS);
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    options.time_limit = &limit;
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = 2;
    request.options = &options;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/Flare", &request.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    char id[32];
    (void)snprintf(id, sizeof id, "%s",
                   ((Covey__V1__FlareResponse *)answer.messages[0])->flare->id);
    answer_clear(&answer);
    TEST_TRUE(cluster_reaches(&cluster, id, timed_out));
    check_free();
    cluster_stop(&cluster);
}

static const struct test_case flares[] = {
    TEST_CASE(flare__all_workers_succeed__succeeds_with_results),
    TEST_CASE(flare__on_two_nodes__each_gets_its_parameters_and_one_secret),
    TEST_CASE(prepare__one_node_cannot__all_is_undone_and_tried_again),
    TEST_CASE(prepare__fault_of_the_code__fails_at_once),
    TEST_CASE(prepare__node_lost__requeued_and_runs_when_it_is_back),
    TEST_CASE(worker__is_killed__flare_fails_and_peers_are_told),
    TEST_CASE(workers__exit_and_are_told_in_another_order__the_first_is_named),
    TEST_CASE(node__goes_and_stays_away__flare_fails_with_its_name),
    TEST_CASE(node__is_back_within_its_grace__flare_goes_on),
    TEST_CASE(cancel__in_every_state__ends_cancelled),
    TEST_CASE(cancel__long_reason__cut_between_letters),
    TEST_CASE(time_limit__reached__times_out),
    {0}};

const struct test_suite test_suites[] = {{"flares", flares, NULL, NULL}, {0}};
