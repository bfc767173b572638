/* libcovey through its public header only, against the fake controller. */
#include "covey/client.h"
#include "tests/component/client/fake.h"
#include "tests/harness/harness.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL

static int setup(void)
{
    return fake_start() ? 0 : 1;
}

static int teardown(void)
{
    return fake_stop() ? 0 : 1;
}

static struct covey_client *connect_with(bool json)
{
    struct covey_client_options options;
    struct covey_client *client;
    struct covey_error error;
    covey_client_options_init(&options);
    options.server = fake_address();
    options.json = json;
    TEST_REQUIRE(covey_client_create(&options, &client, &error) == COVEY_OK);
    return client;
}

static void deploy_as(struct covey_client *client, const char *name)
{
    struct covey_deployment deployment = {.name = name, .file = fake_code()};
    struct covey_definition *definition;
    struct covey_error error = {0};
    enum covey_status status = covey_client_deploy(client, &deployment, 0, &definition, &error);
    if (status)
        fprintf(stderr, "%s\n", error.message);
    TEST_REQUIRE(status == COVEY_OK);
    covey_definition_free(definition);
}

static struct covey_flare *flare_of(struct covey_client *client, const char *name, uint32_t workers)
{
    struct covey_flare_request request = {.definition = name, .workers = workers};
    struct covey_flare *flare;
    request.parameter = (struct covey_bytes){"abc", 3};
    TEST_REQUIRE(covey_client_flare(client, &request, 0, &flare, NULL) == COVEY_OK);
    return flare;
}

/* ---- blocking calls ---- */

static void deploy__code_of_several_pieces__is_put_once(void)
{
    struct covey_client *client = connect_with(false);
    const char *arguments[] = {"one", "two"};
    struct covey_pair environment[] = {{"KEY", "value"}};
    struct covey_deployment deployment = {.name = "big",
                                          .file = fake_big_code(),
                                          .arguments = arguments,
                                          .argument_count = 2,
                                          .environment = environment,
                                          .environment_count = 1};
    struct covey_definition *definition;
    TEST_REQUIRE(covey_client_deploy(client, &deployment, 0, &definition, NULL) == COVEY_OK);
    TEST_EQUAL_STRING(definition->name, "big");
    TEST_EQUAL(definition->version, 1);
    TEST_EQUAL(definition->code_kind, COVEY_CODE_EXECUTABLE);
    TEST_EQUAL(strlen(definition->code_sha256), 64);
    TEST_TRUE(definition->json == NULL);
    const char *digests[] = {definition->code_sha256};
    struct covey_blob_list *blobs;
    TEST_REQUIRE(covey_client_stat_blobs(client, digests, 1, 0, &blobs, NULL) == COVEY_OK);
    TEST_EQUAL(blobs->count, 1);
    TEST_EQUAL(blobs->blobs[0].size_bytes, 5 << 20);
    covey_blob_list_free(blobs);
    covey_definition_free(definition);
    TEST_REQUIRE(covey_client_deploy(client, &deployment, 0, &definition, NULL) == COVEY_OK);
    TEST_EQUAL(definition->version, 1);
    covey_definition_free(definition);
    covey_client_destroy(client);
}

static void deploy__bad_files__are_refused_with_a_sentence(void)
{
    struct covey_client *client = connect_with(false);
    struct covey_deployment deployment = {.name = "bad", .file = "/nowhere/code.so"};
    struct covey_definition *definition;
    struct covey_error error = {0};
    TEST_EQUAL(covey_client_deploy(client, &deployment, 0, &definition, &error), COVEY_ENOTFOUND);
    TEST_TRUE(strstr(error.message, "/nowhere/code.so") != NULL);
    TEST_TRUE(definition == NULL);
    deployment.file = fake_code();
    deployment.code_kind = COVEY_CODE_SHARED_OBJECT;
    TEST_EQUAL(covey_client_deploy(client, &deployment, 0, &definition, &error), COVEY_EINVAL);
    covey_client_destroy(client);
}

static void flare__from_submit_to_results__is_copied_out(void)
{
    struct covey_client *client = connect_with(true);
    deploy_as(client, "hello");
    struct covey_flare *submitted = flare_of(client, "hello", 4);
    TEST_EQUAL(submitted->state, COVEY_FLARE_QUEUED);
    TEST_EQUAL(strlen(submitted->id), 26);
    struct covey_flare *flare;
    TEST_REQUIRE(covey_client_wait(client, submitted->id, 0, &flare, NULL) == COVEY_OK);
    TEST_EQUAL(flare->state, COVEY_FLARE_SUCCEEDED);
    TEST_EQUAL(flare->worker_count, 4);
    TEST_EQUAL(flare->workers[3].pid, 1003);
    TEST_EQUAL_STRING(flare->workers[3].node, "node-2");
    TEST_EQUAL(flare->pack_count, 2);
    TEST_EQUAL(flare->timeline.accepted_at_ns, 1700000000 * SECOND_NS + 1500000);
    TEST_EQUAL_STRING(flare->timeline.transport, "ucx:tcp");
    TEST_TRUE(flare->error == NULL);
    TEST_TRUE(strstr(flare->json, "\"state\":\"SUCCEEDED\"") != NULL);
    struct covey_result_list *results;
    TEST_REQUIRE(covey_client_results(client, flare->id, (struct covey_ranks){0}, 1000, 0, &results,
                                      NULL) == COVEY_OK);
    TEST_REQUIRE(results->count == 4);
    TEST_EQUAL(results->results[2].rank, 2);
    TEST_EQUAL(results->results[2].data.length_bytes, 3);
    TEST_TRUE(memcmp(results->results[2].data.data, "abc", 3) == 0);
    covey_result_list_free(results);
    covey_flare_free(flare);
    covey_flare_free(submitted);
    covey_client_destroy(client);
}

static void results__in_pieces__are_put_together_up_to_the_limit(void)
{
    struct covey_client *client = connect_with(false);
    deploy_as(client, "bigger");
    struct covey_flare *flare = flare_of(client, "bigger", 3);
    struct covey_result_list *results;
    struct covey_error error;
    const struct covey_ranks all = {0};
    TEST_REQUIRE(covey_client_results(client, flare->id, all, 9 << 20, 0, &results, NULL) ==
                 COVEY_OK);
    TEST_REQUIRE(results->count == 3);
    TEST_EQUAL(results->results[1].data.length_bytes, 3 << 20);
    TEST_EQUAL(((const unsigned char *)results->results[2].data.data)[(3 << 20) - 1], 2);
    covey_result_list_free(results);
    TEST_EQUAL(covey_client_results(client, flare->id, all, (9 << 20) - 1, 0, &results, &error),
               COVEY_ELIMIT);
    TEST_TRUE(results == NULL);
    covey_flare_free(flare);
    covey_client_destroy(client);
}

static void flare__refused__gives_the_status_and_the_servers_sentence(void)
{
    struct covey_client *client = connect_with(false);
    struct covey_flare_request request = {.definition = "unknown", .workers = 1};
    struct covey_flare *flare = NULL;
    struct covey_error error = {0};
    deploy_as(client, "huge");
    TEST_EQUAL(covey_client_flare(client, &request, 0, &flare, &error), COVEY_ENOTFOUND);
    TEST_EQUAL_STRING(error.message, "there is no definition \"unknown\"; deploy it first");
    TEST_EQUAL(error.status, COVEY_ENOTFOUND);
    TEST_TRUE(flare == NULL);
    static const struct covey_bytes parameters[] = {{"a", 1}, {"b", 1}};
    const struct covey_flare_request uncounted = {.definition = "huge", .parameters = parameters};
    TEST_EQUAL(covey_client_flare(client, &uncounted, 0, &flare, &error), COVEY_EINVAL);
    TEST_EQUAL_STRING(error.message,
                      "parameters are given without their number: set parameter_count");
    struct covey_plan *plan;
    TEST_EQUAL(covey_client_plan_flare(client, &uncounted, 0, &plan, &error), COVEY_EINVAL);
    const struct covey_flare_request empty = {.definition = "huge", .parameter_count = 2};
    TEST_EQUAL(covey_client_flare(client, &empty, 0, &flare, &error), COVEY_EINVAL);
    request.definition = "huge";
    TEST_EQUAL(covey_client_flare(client, &request, 0, &flare, &error), COVEY_EUNPLACEABLE);
    TEST_EQUAL(covey_client_get_flare(client, "nonsense", 0, &flare, &error), COVEY_ENOTFOUND);
    covey_client_destroy(client);
}

static void flare__request_over_the_message_limit__is_refused_here(void)
{
    struct covey_client *client = connect_with(false);
    struct covey_flare_request request = {.definition = "hello", .workers = 1};
    struct covey_flare *flare;
    struct covey_error error = {0};
    void *bytes = calloc(1, 5 << 20);
    TEST_REQUIRE(bytes != NULL);
    request.parameter = (struct covey_bytes){bytes, 5 << 20};
    TEST_EQUAL(covey_client_flare(client, &request, 0, &flare, &error), COVEY_ELIMIT);
    TEST_TRUE(strstr(error.message, "longer than a message may be") != NULL);
    free(bytes);
    covey_client_destroy(client);
}

static void flare__same_idempotency_key__is_the_same_flare(void)
{
    struct covey_client *client = connect_with(false);
    struct covey_flare_request request = {
        .definition = "hello", .workers = 1, .idempotency_key = "once"};
    struct covey_flare *first;
    struct covey_flare *second;
    deploy_as(client, "hello");
    TEST_REQUIRE(covey_client_flare(client, &request, 0, &first, NULL) == COVEY_OK);
    TEST_REQUIRE(covey_client_flare(client, &request, 0, &second, NULL) == COVEY_OK);
    TEST_EQUAL_STRING(first->id, second->id);
    covey_flare_free(first);
    covey_flare_free(second);
    covey_client_destroy(client);
}

static void wait__longer_than_its_timeout__ends_with_etimeout(void)
{
    struct covey_client *client = connect_with(false);
    deploy_as(client, "hanging");
    struct covey_flare *flare = flare_of(client, "hanging", 1);
    struct covey_flare *waited;
    struct covey_error error = {0};
    enum covey_status status =
        covey_client_wait(client, flare->id, SECOND_NS / 20, &waited, &error);
    if (status != COVEY_ETIMEOUT)
        fprintf(stderr, "%s: %s\n", covey_status_name(status), error.message);
    TEST_EQUAL(status, COVEY_ETIMEOUT);
    struct covey_flare *cancelled;
    TEST_REQUIRE(covey_client_cancel_flare(client, flare->id, NULL, 0, &cancelled, NULL) ==
                 COVEY_OK);
    TEST_EQUAL(cancelled->state, COVEY_FLARE_CANCELLED);
    covey_flare_free(cancelled);
    covey_flare_free(flare);
    covey_client_destroy(client);
}

static void cluster_calls__all__bring_their_structs(void)
{
    struct covey_client *client = connect_with(true);
    struct covey_node_list *nodes;
    struct covey_node *node;
    struct covey_server_info *info;
    struct covey_plan *plan;
    struct covey_explanation *why;
    const struct covey_drain drain = {.reason = "a trial", .deadline_ns = 60000000000};
    struct covey_definition *definition;
    struct covey_definition_list *definitions;
    struct covey_flare_list *flares;
    struct covey_pair labels[] = {{"a", "b"}};
    struct covey_flare_request request = {
        .definition = "planned", .workers = 3, .options = {.labels = labels, .label_count = 1}};
    deploy_as(client, "planned");
    TEST_REQUIRE(covey_client_list_nodes(client, 0, &nodes, NULL) == COVEY_OK);
    TEST_EQUAL(nodes->count, 2);
    TEST_EQUAL(nodes->nodes[1].slots, 8);
    TEST_EQUAL(nodes->nodes[1].state, COVEY_NODE_UP);
    TEST_REQUIRE(covey_client_drain_node(client, "node-1", &drain, 0, &node, NULL) == COVEY_OK);
    TEST_EQUAL(node->state, COVEY_NODE_DRAINING);
    TEST_EQUAL_STRING(node->drain_reason, "a trial");
    TEST_EQUAL(node->drain_until_ns, 60000000000);
    TEST_REQUIRE(covey_client_server_info(client, 0, &info, NULL) == COVEY_OK);
    TEST_EQUAL_STRING(info->version, covey_client_version());
    TEST_REQUIRE(covey_client_explain_flare(client, "F", 0, &why, NULL) == COVEY_OK);
    TEST_EQUAL_STRING(why->flare.id, "F");
    TEST_REQUIRE(why->reason_count == 1);
    TEST_EQUAL(why->reasons[0].kind, COVEY_REASON_CAPACITY);
    TEST_EQUAL_STRING(covey_reason_kind_name(why->reasons[0].kind), "CAPACITY");
    TEST_EQUAL(why->reasons[0].available, 4);
    TEST_EQUAL(why->nodes_up, 2);
    covey_explanation_free(why);
    TEST_REQUIRE(covey_client_plan_flare(client, &request, 0, &plan, NULL) == COVEY_OK);
    TEST_TRUE(plan->placeable && plan->pack_count == 2 && plan->packs[0].workers == 2);
    TEST_REQUIRE(covey_client_get_definition(client, "planned", 0, 0, &definition, NULL) ==
                 COVEY_OK);
    TEST_REQUIRE(covey_client_list_definitions(client, 0, &definitions, NULL) == COVEY_OK);
    TEST_TRUE(definitions->count >= 1 && definitions->definitions[0].json != NULL);
    TEST_REQUIRE(covey_client_list_flares(client, NULL, 0, &flares, NULL) == COVEY_OK);
    TEST_EQUAL(flares->count, 1);
    TEST_REQUIRE(covey_client_delete_definition(client, "planned", 0, NULL) == COVEY_OK);
    TEST_EQUAL(covey_client_delete_definition(client, "planned", 0, NULL), COVEY_ENOTFOUND);
    covey_flare_list_free(flares);
    covey_definition_list_free(definitions);
    covey_definition_free(definition);
    covey_plan_free(plan);
    covey_server_info_free(info);
    covey_node_free(node);
    covey_node_list_free(nodes);
    covey_client_destroy(client);
}

static void any_call__nobody_listens__is_eunavailable(void)
{
    struct covey_client_options options;
    struct covey_client *client;
    struct covey_node_list *nodes;
    struct covey_error error = {0};
    covey_client_options_init(&options);
    options.server = "unix:/nowhere/covey.sock";
    TEST_REQUIRE(covey_client_create(&options, &client, &error) == COVEY_OK);
    TEST_EQUAL(covey_client_list_nodes(client, 0, &nodes, &error), COVEY_EUNAVAILABLE);
    TEST_TRUE(nodes == NULL);
    covey_client_destroy(client);
    options.server = "nonsense";
    TEST_EQUAL(covey_client_create(&options, &client, &error), COVEY_EINVAL);
    TEST_TRUE(client == NULL);
}

/* ---- event-driven use ---- */

struct seen {
    struct covey_client *client;
    bool done;
    enum covey_status status;
    enum covey_flare_state end;
    uint64_t sequences[8];
    size_t events;
    size_t lines;
    size_t lost;
    enum covey_status blocking_inside;
    char id[32];
};

static void on_done(void *data, const struct covey_reply *reply)
{
    struct seen *seen = data;
    TEST_TRUE(!seen->done);
    seen->done = true;
    seen->status = reply->status;
    if (reply->flare) {
        seen->end = reply->flare->state;
        snprintf(seen->id, sizeof seen->id, "%s", reply->flare->id);
    }
}

static void on_event(void *data, const struct covey_event *event, const struct covey_flare *flare)
{
    struct seen *seen = data;
    struct covey_node_list *nodes;
    TEST_TRUE(event || flare);
    if (event && seen->events < 8)
        seen->sequences[seen->events++] = event->sequence;
    seen->blocking_inside = covey_client_list_nodes(seen->client, 0, &nodes, NULL);
    TEST_EQUAL(covey_client_process(seen->client), COVEY_EPRECONDITION);
}

static void on_log(void *data, const struct covey_log_line *line)
{
    struct seen *seen = data;
    TEST_EQUAL(line->rank, seen->lines / 3);
    seen->lines++;
}

static void on_reconnect(void *data, const char *reason)
{
    struct seen *seen = data;
    TEST_TRUE(strstr(reason, "a trial") != NULL);
    seen->lost++;
}

/* Drives the client by its descriptor alone. */
static void run_until(struct covey_client *client, const bool *done)
{
    while (!*done) {
        struct pollfd fd = {.fd = covey_client_fd(client), .events = POLLIN};
        TEST_REQUIRE(poll(&fd, 1, 20000) == 1);
        TEST_REQUIRE(covey_client_process(client) == COVEY_OK);
    }
}

static struct covey_start start_of(struct seen *seen)
{
    return (struct covey_start){.callbacks = {.on_done = on_done,
                                              .on_event = on_event,
                                              .on_log = on_log,
                                              .on_reconnect = on_reconnect,
                                              .data = seen}};
}

static void watch__connection_lost_in_its_middle__gives_each_event_once(void)
{
    struct covey_client *client = connect_with(false);
    deploy_as(client, "flaky");
    struct covey_flare *flare = flare_of(client, "flaky", 3);
    struct seen watch = {.client = client};
    struct seen logs = {.client = client};
    struct covey_start watch_start = start_of(&watch);
    struct covey_start logs_start = start_of(&logs);
    TEST_REQUIRE(covey_client_watch_start(client, flare->id, 0, &watch_start, NULL) == COVEY_OK);
    TEST_REQUIRE(covey_client_logs_start(client, flare->id, (struct covey_ranks){0}, true,
                                         &logs_start, NULL) == COVEY_OK);
    TEST_TRUE(!watch.done);
    run_until(client, &watch.done);
    run_until(client, &logs.done);
    TEST_EQUAL(watch.status, COVEY_OK);
    TEST_EQUAL(watch.end, COVEY_FLARE_SUCCEEDED);
    TEST_EQUAL(watch.lost, 1);
    TEST_REQUIRE(watch.events == 4);
    for (uint64_t i = 0; i < 4; i++)
        TEST_EQUAL(watch.sequences[i], i + 1);
    TEST_EQUAL(watch.blocking_inside, COVEY_EPRECONDITION);
    TEST_EQUAL(logs.status, COVEY_OK);
    TEST_EQUAL(logs.lost, 1);
    TEST_EQUAL(logs.lines, 9);
    covey_flare_free(flare);
    covey_client_destroy(client);
}

static void operation_cancel__while_watching__ends_with_ecancelled(void)
{
    struct covey_client *client = connect_with(false);
    deploy_as(client, "hanging");
    struct covey_flare *flare = flare_of(client, "hanging", 1);
    struct covey_operation *operation;
    struct seen seen = {.client = client};
    struct covey_start start = start_of(&seen);
    start.operation = &operation;
    TEST_REQUIRE(covey_client_watch_start(client, flare->id, 0, &start, NULL) == COVEY_OK);
    while (seen.events < 3) {
        struct pollfd fd = {.fd = covey_client_fd(client), .events = POLLIN};
        TEST_REQUIRE(poll(&fd, 1, 20000) == 1);
        TEST_REQUIRE(covey_client_process(client) == COVEY_OK);
    }
    covey_operation_cancel(operation);
    TEST_TRUE(!seen.done);
    run_until(client, &seen.done);
    TEST_EQUAL(seen.status, COVEY_ECANCELLED);
    covey_flare_free(flare);
    covey_client_destroy(client);
}

static void destroy__operations_under_way__end_with_ecancelled(void)
{
    struct covey_client *client = connect_with(false);
    deploy_as(client, "hanging");
    struct covey_flare *flare = flare_of(client, "hanging", 1);
    struct seen seen[2] = {{.client = client}, {.client = client}};
    struct covey_start starts[2] = {start_of(&seen[0]), start_of(&seen[1])};
    TEST_REQUIRE(covey_client_watch_start(client, flare->id, 0, &starts[0], NULL) == COVEY_OK);
    TEST_REQUIRE(covey_client_get_flare_start(client, flare->id, &starts[1], NULL) == COVEY_OK);
    covey_flare_free(flare);
    covey_client_destroy(client);
    TEST_TRUE(seen[0].done && seen[1].done);
    TEST_EQUAL(seen[0].status, COVEY_ECANCELLED);
    TEST_EQUAL(seen[1].status, COVEY_ECANCELLED);
}

static void start__many_at_once__all_end(void)
{
    struct covey_client *client = connect_with(false);
    struct covey_flare_request request = {.definition = "many", .workers = 2};
    struct seen seen[10] = {0};
    struct covey_error error = {0};
    deploy_as(client, "many");
    for (size_t i = 0; i < 10; i++) {
        struct covey_start start = start_of(&seen[i]);
        seen[i].client = client;
        TEST_REQUIRE(covey_client_flare_start(client, &request, &start, &error) == COVEY_OK);
    }
    for (size_t i = 0; i < 10; i++) {
        run_until(client, &seen[i].done);
        TEST_EQUAL(seen[i].status, COVEY_OK);
        for (size_t k = 0; k < i; k++)
            TEST_TRUE(strcmp(seen[i].id, seen[k].id) != 0);
    }
    covey_client_destroy(client);
}

static void watch__controller_restarted__goes_on(void)
{
    struct covey_client *client = connect_with(false);
    deploy_as(client, "hanging");
    struct covey_flare *flare = flare_of(client, "hanging", 1);
    struct seen seen = {.client = client};
    struct covey_start start = start_of(&seen);
    start.callbacks.on_reconnect = NULL;
    TEST_REQUIRE(covey_client_watch_start(client, flare->id, 0, &start, NULL) == COVEY_OK);
    while (seen.events < 3) {
        struct pollfd fd = {.fd = covey_client_fd(client), .events = POLLIN};
        TEST_REQUIRE(poll(&fd, 1, 20000) == 1);
        TEST_REQUIRE(covey_client_process(client) == COVEY_OK);
    }
    fake_kill();
    TEST_REQUIRE(fake_start());
    /* The fake has forgotten the flare: that answer comes from the new one. */
    run_until(client, &seen.done);
    TEST_EQUAL(seen.status, COVEY_ENOTFOUND);
    covey_flare_free(flare);
    covey_client_destroy(client);
}

/* ---- names ---- */

static void names__of_each_enum__are_those_of_json(void)
{
    TEST_EQUAL_STRING(covey_flare_state_name(COVEY_FLARE_TIMED_OUT), "TIMED_OUT");
    TEST_EQUAL_STRING(covey_worker_state_name(COVEY_WORKER_STATE_DONE), "DONE");
    TEST_EQUAL_STRING(covey_node_state_name(COVEY_NODE_LOST), "LOST");
    TEST_EQUAL_STRING(covey_code_kind_name(COVEY_CODE_SHARED_OBJECT), "SHARED_OBJECT");
    TEST_EQUAL_STRING(covey_flare_state_name((enum covey_flare_state)99), "UNKNOWN");
    TEST_TRUE(covey_flare_state_ended(COVEY_FLARE_CANCELLED));
    TEST_TRUE(!covey_flare_state_ended(COVEY_FLARE_ENDING));
}

static const struct test_case cases[] = {
    TEST_CASE(deploy__code_of_several_pieces__is_put_once),
    TEST_CASE(deploy__bad_files__are_refused_with_a_sentence),
    TEST_CASE(flare__from_submit_to_results__is_copied_out),
    TEST_CASE(results__in_pieces__are_put_together_up_to_the_limit),
    TEST_CASE(flare__refused__gives_the_status_and_the_servers_sentence),
    TEST_CASE(flare__request_over_the_message_limit__is_refused_here),
    TEST_CASE(flare__same_idempotency_key__is_the_same_flare),
    TEST_CASE(wait__longer_than_its_timeout__ends_with_etimeout),
    TEST_CASE(cluster_calls__all__bring_their_structs),
    TEST_CASE(any_call__nobody_listens__is_eunavailable),
    TEST_CASE(watch__connection_lost_in_its_middle__gives_each_event_once),
    TEST_CASE(operation_cancel__while_watching__ends_with_ecancelled),
    TEST_CASE(destroy__operations_under_way__end_with_ecancelled),
    TEST_CASE(start__many_at_once__all_end),
    TEST_CASE(watch__controller_restarted__goes_on),
    TEST_CASE(names__of_each_enum__are_those_of_json),
    {0},
};

const struct test_suite test_suites[] = {{"library", cases, setup, teardown}, {0}};
