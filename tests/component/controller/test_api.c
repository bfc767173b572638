/* What users ask for: answers, refusals with one clear sentence, and streams. */
#include "base/clock.h"
#include "base/io.h"
#include "service/controller/messages.h"
#include "tests/component/controller/cluster.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cluster cluster;
static struct answer answer;
static struct agent *node;

static void start(void)
{
    cluster_start(&cluster, NULL, "--max-workers", "64", "--max-parameter-bytes", "16",
                  "--max-log-bytes", "4KiB", "--max-blob-bytes", "1MiB", NULL);
    cluster_deploy(&cluster);
    node = cluster_agent(&cluster, "a", 8);
    TEST_REQUIRE(agent_attach(node));
}

static char *text(const char *string)
{
    return (char *)(uintptr_t)string;
}

static void expect(enum rpc_code code, const char *part)
{
    if (answer.code != code || !strstr(answer.message, part))
        fprintf(stderr, "%s: %s\n", rpc_code_name(answer.code), answer.message);
    TEST_EQUAL(answer.code, code);
    TEST_TRUE(strstr(answer.message, part) != NULL);
    answer_clear(&answer);
}

static Covey__V1__FlareRequest hello(uint32_t workers)
{
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    request.definition = text("hello");
    request.workers = workers;
    return request;
}

static void refuse(const Covey__V1__FlareRequest *request, enum rpc_code code, const char *part)
{
    cluster_call(&cluster, &answer, "/covey.v1.Covey/Flare", &request->base);
    expect(code, part);
}

static void flare__bad_input__one_clear_sentence(void)
{
    start();
    ProtobufCBinaryData parameter = {17, (uint8_t *)(uintptr_t) "12345678901234567"};
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    Covey__V1__FlareRequest request = hello(1);
    request.definition = text("helo");
    refuse(&request, RPC_NOT_FOUND, "did you mean hello?");
    request.definition = text("something-else");
    refuse(&request, RPC_NOT_FOUND, "deploy it first");
    request.definition = text("");
    refuse(&request, RPC_INVALID_ARGUMENT, "no definition is given");
    request = hello(1);
    request.definition_version = 9;
    refuse(&request, RPC_NOT_FOUND, "has no version 9: the newest is 1");
    request = hello(0);
    refuse(&request, RPC_INVALID_ARGUMENT, "at least one worker");
    request = hello(65);
    refuse(&request, RPC_INVALID_ARGUMENT, "over the limit of 64");
    request = hello(1);
    request.n_parameters = 1;
    request.parameters = &parameter;
    refuse(&request, RPC_INVALID_ARGUMENT, "both given");
    request.workers = 0;
    refuse(&request, RPC_INVALID_ARGUMENT, "the parameter of rank 0 has 17 bytes");
    request = hello(1);
    request.parameter = parameter;
    refuse(&request, RPC_INVALID_ARGUMENT, "over the limit of 16");
    request = hello(9);
    refuse(&request, RPC_FAILED_PRECONDITION, "8");
    request = hello(1);
    request.options = &options;
    options.packing = (Covey__V1__Packing)7;
    refuse(&request, RPC_INVALID_ARGUMENT, "packing 7");
    options.packing = 0;
    options.placement = (Covey__V1__Placement)-1;
    refuse(&request, RPC_INVALID_ARGUMENT, "placement -1");
    options.placement = 0;
    options.priority = 1001;
    refuse(&request, RPC_INVALID_ARGUMENT, "priority");
    options.priority = 0;
    Google__Protobuf__Duration wrong = GOOGLE__PROTOBUF__DURATION__INIT;
    wrong.nanos = -1;
    options.time_limit = &wrong;
    refuse(&request, RPC_INVALID_ARGUMENT, "time_limit");
    options.time_limit = NULL;
    Covey__V1__ListFlaresRequest list = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/ListFlares", &list.base);
    TEST_EQUAL(((Covey__V1__ListFlaresResponse *)answer.messages[0])->n_flares, 0);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

static void flare__same_idempotency_key__same_flare(void)
{
    start();
    char ids[2][32];
    Covey__V1__FlareRequest request = hello(2);
    request.idempotency_key = text("once");
    for (size_t i = 0; i < 2; i++) {
        cluster_call(&cluster, &answer, "/covey.v1.Covey/Flare", &request.base);
        TEST_REQUIRE(answer.code == RPC_OK);
        (void)snprintf(ids[i], 32, "%s",
                       ((Covey__V1__FlareResponse *)answer.messages[0])->flare->id);
        answer_clear(&answer);
    }
    TEST_EQUAL_STRING(ids[0], ids[1]);
    TEST_TRUE(cluster_reaches(&cluster, ids[0], COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    TEST_EQUAL(node->prepares, 1);
    cluster_stop(&cluster);
}

static void deploy__bad_input__one_clear_sentence(void)
{
    start();
    Covey__V1__Definition definition = COVEY__V1__DEFINITION__INIT;
    Covey__V1__DeployRequest request = COVEY__V1__DEPLOY_REQUEST__INIT;
    static const char method[] = "/covey.v1.Covey/Deploy";
    char digest[65];
    memset(digest, 'a', 64);
    digest[64] = '\0';
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "no definition");
    request.definition = &definition;
    definition.name = text("Bad Name");
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "no definition's name");
    definition.name = text("good");
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "code_kind 0");
    definition.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE;
    definition.worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD;
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "threads only of shared objects");
    definition.worker_kind = 0;
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "64 lowercase hexadecimal");
    definition.code_sha256 = digest;
    Covey__V1__Definition__EnvironmentEntry variable =
        COVEY__V1__DEFINITION__ENVIRONMENT_ENTRY__INIT;
    Covey__V1__Definition__EnvironmentEntry *variables[] = {&variable};
    definition.n_environment = 1;
    definition.environment = variables;
    variable.key = text("COVEY_RANK");
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "names that start with COVEY_");
    variable.key = text("A=B");
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_INVALID_ARGUMENT, "'A=B' is no name of an environment variable");
    definition.n_environment = 0;
    cluster_call(&cluster, &answer, method, &request.base);
    expect(RPC_FAILED_PRECONDITION, "put it by Blobs.Put first");
    cluster_stop(&cluster);
}

static void deploy__twice_then_other__versions_grow(void)
{
    start();
    cluster_deploy(&cluster); /* the same again */
    Covey__V1__GetDefinitionRequest get = COVEY__V1__GET_DEFINITION_REQUEST__INIT;
    get.name = text("hello");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/GetDefinition", &get.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    Covey__V1__Definition *definition =
        ((Covey__V1__GetDefinitionResponse *)answer.messages[0])->definition;
    TEST_EQUAL(definition->version, 1);
    TEST_EQUAL(definition->code_bytes, 16);
    struct answer second;
    char *arguments[] = {text("-v")};
    Covey__V1__Definition other = *definition;
    other.n_arguments = 1;
    other.arguments = arguments;
    Covey__V1__DeployRequest deploy = COVEY__V1__DEPLOY_REQUEST__INIT;
    deploy.definition = &other;
    cluster_call(&cluster, &second, "/covey.v1.Covey/Deploy", &deploy.base);
    TEST_REQUIRE(second.code == RPC_OK);
    TEST_EQUAL(((Covey__V1__DeployResponse *)second.messages[0])->definition->version, 2);
    answer_clear(&second);
    answer_clear(&answer);
    Covey__V1__DeleteDefinitionRequest delete = COVEY__V1__DELETE_DEFINITION_REQUEST__INIT;
    delete.name = text("hello");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/DeleteDefinition", &delete.base);
    expect(RPC_OK, "");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/DeleteDefinition", &delete.base);
    expect(RPC_NOT_FOUND, "hello");
    cluster_stop(&cluster);
}

static void put__wrong_digest_or_too_long__refused_and_nothing_left(void)
{
    start();
    char digest[65];
    static uint8_t large[(1 << 20) + 1];
    memset(digest, 'a', 64);
    digest[64] = '\0';
    Covey__V1__PutRequest put = COVEY__V1__PUT_REQUEST__INIT;
    put.sha256 = digest;
    put.data = (ProtobufCBinaryData){3, (uint8_t *)text("abc")};
    cluster_call(&cluster, &answer, "/covey.v1.Blobs/Put", &put.base);
    expect(RPC_INVALID_ARGUMENT, "the data has the SHA-256 ba7816bf");
    put.data = (ProtobufCBinaryData){sizeof large, large};
    cluster_call(&cluster, &answer, "/covey.v1.Blobs/Put", &put.base);
    expect(RPC_RESOURCE_EXHAUSTED, "over the limit");
    char path[256];
    (void)snprintf(path, sizeof path, "%s/controller/tmp", cluster.state_dir);
    TEST_EQUAL(rmdir(path), 0); /* it is empty */
    cluster_stop(&cluster);
}

static void get__a_blob__comes_back_whole(void)
{
    start();
    Covey__V1__GetDefinitionRequest definition = COVEY__V1__GET_DEFINITION_REQUEST__INIT;
    definition.name = text("hello");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/GetDefinition", &definition.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    char digest[65];
    (void)snprintf(
        digest, sizeof digest, "%s",
        ((Covey__V1__GetDefinitionResponse *)answer.messages[0])->definition->code_sha256);
    answer_clear(&answer);
    Covey__V1__GetRequest get = COVEY__V1__GET_REQUEST__INIT;
    get.sha256 = digest;
    cluster_call(&cluster, &answer, "/covey.v1.Blobs/Get", &get.base);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_REQUIRE(answer.count == 1);
    TEST_EQUAL(((Covey__V1__GetResponse *)answer.messages[0])->data.len, 16);
    answer_clear(&answer);
    char *wanted[] = {digest, text("no digest")};
    Covey__V1__StatRequest stat_request = COVEY__V1__STAT_REQUEST__INIT;
    stat_request.n_sha256 = 2;
    stat_request.sha256 = wanted;
    cluster_call(&cluster, &answer, "/covey.v1.Blobs/Stat", &stat_request.base);
    TEST_EQUAL(((Covey__V1__StatResponse *)answer.messages[0])->n_blobs, 1);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

static void watch__from_a_sequence__goes_on_from_there(void)
{
    char id[32];
    start();
    node->finish = true;
    cluster_flare(&cluster, &answer, 2, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    Covey__V1__WatchFlareRequest watch = COVEY__V1__WATCH_FLARE_REQUEST__INIT;
    watch.id = id;
    watch.from_sequence = 3;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/WatchFlare", &watch.base);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_REQUIRE(answer.count > 2);
    for (size_t i = 0; i < answer.count; i++)
        TEST_EQUAL(((Covey__V1__WatchFlareResponse *)answer.messages[i])->event->sequence, i + 3);
    const Covey__V1__WatchFlareResponse *last =
        (const Covey__V1__WatchFlareResponse *)answer.messages[answer.count - 1];
    TEST_EQUAL(last->event->workers_started, 2);
    TEST_EQUAL(last->event->workers_ended, 2);
    TEST_REQUIRE(last->flare != NULL);
    TEST_EQUAL(last->flare->n_workers, 2);
    answer_clear(&answer);
    watch.from_sequence = 1000;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/WatchFlare", &watch.base);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_EQUAL(answer.count, 0);
    watch.id = text("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/WatchFlare", &watch.base);
    expect(RPC_NOT_FOUND, "no flare has the id");
    watch.id = text("x");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/WatchFlare", &watch.base);
    expect(RPC_NOT_FOUND, "26");
    cluster_stop(&cluster);
}

static void logs__followed__come_as_written_and_end_with_the_flare(void)
{
    char id[32];
    struct answer logs;
    start();
    cluster_flare(&cluster, &answer, 2, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    struct agent_flare *flare = agent_flare(node, id);
    agent_log(node, flare, 0, "first");
    Covey__V1__StreamLogsRequest request = COVEY__V1__STREAM_LOGS_REQUEST__INIT;
    uint32_t ranks[] = {0};
    request.id = id;
    request.n_ranks = 1;
    request.ranks = ranks;
    request.follow = true;
    cluster_begin(&cluster, &logs, "/covey.v1.Covey/StreamLogs", &request.base);
    agent_log(node, flare, 1, "not wanted");
    for (int i = 0; i < 2; i++) {
        agent_log(node, flare, 0, "more");
        /* Each as it comes: not in one piece at the end. */
        (void)uv_run(&cluster.loop, UV_RUN_ONCE);
    }
    size_t lines = 0;
    while (!logs.ended && lines < 3) {
        (void)uv_run(&cluster.loop, UV_RUN_ONCE);
        lines = 0;
        for (size_t i = 0; i < logs.count; i++)
            lines += ((Covey__V1__StreamLogsResponse *)logs.messages[i])->n_lines;
    }
    TEST_EQUAL(lines, 3);
    TEST_TRUE(!logs.ended);
    agent_worker_ends(node, flare, 0, 0);
    agent_worker_ends(node, flare, 0, 0);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    while (!logs.ended)
        (void)uv_run(&cluster.loop, UV_RUN_ONCE);
    TEST_EQUAL(logs.code, RPC_OK);
    answer_clear(&logs);
    cluster_stop(&cluster);
}

static void logs__over_the_limit__oldest_kept_and_marked(void)
{
    char id[32];
    char line[512];
    start();
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    cluster_flare(&cluster, &answer, 1, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    struct agent_flare *flare = agent_flare(node, id);
    agent_log(node, flare, 0, "first");
    for (int i = 0; i < 20; i++)
        agent_log(node, flare, 0, line);
    agent_worker_ends(node, flare, 0, 0);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    Covey__V1__StreamLogsRequest request = COVEY__V1__STREAM_LOGS_REQUEST__INIT;
    request.id = id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/StreamLogs", &request.base);
    TEST_REQUIRE(answer.count == 1);
    const Covey__V1__StreamLogsResponse *logs =
        (const Covey__V1__StreamLogsResponse *)answer.messages[0];
    TEST_EQUAL(memcmp(logs->lines[0]->text.data, "first", 5), 0);
    TEST_TRUE(logs->n_lines < 12);
    const Covey__V1__LogLines *last = logs->lines[logs->n_lines - 1];
    TEST_TRUE(memmem(last->text.data, last->text.len, "reached its limit", 17) != NULL);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

static void results__not_ended__refused(void)
{
    char id[32];
    start();
    cluster_flare(&cluster, &answer, 1, id);
    Covey__V1__StreamResultsRequest request = COVEY__V1__STREAM_RESULTS_REQUEST__INIT;
    request.id = id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/StreamResults", &request.base);
    expect(RPC_FAILED_PRECONDITION, "has not ended");
    cluster_stop(&cluster);
}

/* Of 1,200,000 bytes, sent by the agent in four chunks: more than one message to the user. */
static void results__long__come_in_pieces_and_whole(void)
{
    static char chunk[300001];
    char id[32];
    start();
    node->result_bytes = 4ULL * 300000;
    cluster_flare(&cluster, &answer, 1, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    struct agent_flare *flare = agent_flare(node, id);
    for (int i = 0; i < 4; i++) {
        memset(chunk, 'a' + i, sizeof chunk - 1);
        agent_result(node, flare, 0, (uint64_t)i * 300000, chunk);
    }
    agent_worker_ends(node, flare, 0, 0);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    Covey__V1__StreamResultsRequest request = COVEY__V1__STREAM_RESULTS_REQUEST__INIT;
    request.id = id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/StreamResults", &request.base);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_TRUE(answer.count > 1);
    uint64_t offset = 0;
    for (size_t i = 0; i < answer.count; i++) {
        const Covey__V1__StreamResultsResponse *piece =
            (const Covey__V1__StreamResultsResponse *)answer.messages[i];
        TEST_EQUAL(piece->offset, offset);
        TEST_EQUAL(piece->data.data[0], 'a' + (int)(offset / 300000));
        TEST_EQUAL(piece->last, i + 1 == answer.count);
        offset += piece->data.len;
    }
    TEST_EQUAL(offset, 4ULL * 300000);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

/* A worker said to have more than has come. */
static void results__not_whole__says_so(void)
{
    char id[32];
    start();
    node->finish = true;
    node->result_bytes = 100;
    cluster_flare(&cluster, &answer, 1, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    Covey__V1__StreamResultsRequest request = COVEY__V1__STREAM_RESULTS_REQUEST__INIT;
    request.id = id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/StreamResults", &request.base);
    expect(RPC_INTERNAL, "up to byte 6 of 100");
    cluster_stop(&cluster);
}

static void list__pages__newest_first(void)
{
    char ids[5][32];
    start();
    node->finish = true;
    for (size_t i = 0; i < 5; i++) {
        cluster_flare(&cluster, &answer, 1, ids[i]);
        TEST_TRUE(cluster_reaches(&cluster, ids[i], COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
        if (i > 0)
            TEST_TRUE(strcmp(ids[i - 1], ids[i]) < 0);
    }
    char token[32] = "";
    for (size_t seen = 0; seen < 5;) {
        Covey__V1__ListFlaresRequest list = COVEY__V1__LIST_FLARES_REQUEST__INIT;
        list.page_size = 2;
        list.page_token = token;
        cluster_call(&cluster, &answer, "/covey.v1.Covey/ListFlares", &list.base);
        TEST_REQUIRE(answer.code == RPC_OK);
        const Covey__V1__ListFlaresResponse *page =
            (const Covey__V1__ListFlaresResponse *)answer.messages[0];
        TEST_REQUIRE(page->n_flares > 0);
        for (size_t i = 0; i < page->n_flares; i++)
            TEST_EQUAL_STRING(page->flares[i]->id, ids[4 - seen - i]);
        seen += page->n_flares;
        TEST_EQUAL(*page->next_page_token == '\0', seen == 5);
        (void)snprintf(token, sizeof token, "%.31s", page->next_page_token);
        answer_clear(&answer);
    }
    Covey__V1__FlareState running = COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING;
    Covey__V1__ListFlaresRequest list = COVEY__V1__LIST_FLARES_REQUEST__INIT;
    list.n_states = 1;
    list.states = &running;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/ListFlares", &list.base);
    TEST_EQUAL(((Covey__V1__ListFlaresResponse *)answer.messages[0])->n_flares, 0);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

static void plan__fits_waits_or_never__says_so(void)
{
    char id[32];
    start();
    Covey__V1__FlareRequest request = hello(6);
    Covey__V1__PlanFlareRequest plan = COVEY__V1__PLAN_FLARE_REQUEST__INIT;
    const Covey__V1__PlanFlareResponse *planned;
    plan.request = &request;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/PlanFlare", &plan.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    planned = (const Covey__V1__PlanFlareResponse *)answer.messages[0];
    TEST_TRUE(planned->placeable && planned->n_packs == 1);
    TEST_EQUAL_STRING(planned->packs[0]->node, "a");
    answer_clear(&answer);
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    cluster_call(&cluster, &answer, "/covey.v1.Covey/PlanFlare", &plan.base);
    planned = (const Covey__V1__PlanFlareResponse *)answer.messages[0];
    TEST_TRUE(!planned->placeable && !planned->impossible && *planned->reason);
    answer_clear(&answer);
    request.workers = 9;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/PlanFlare", &plan.base);
    planned = (const Covey__V1__PlanFlareResponse *)answer.messages[0];
    TEST_TRUE(!planned->placeable && planned->impossible && *planned->reason);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

static void drain__needs_a_reason__and_takes_no_new_work(void)
{
    char id[32];
    start();
    Covey__V1__DrainNodeRequest drain = COVEY__V1__DRAIN_NODE_REQUEST__INIT;
    drain.name = text("nobody");
    drain.drain = true;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/DrainNode", &drain.base);
    expect(RPC_NOT_FOUND, "nobody");
    drain.name = text("a");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/DrainNode", &drain.base);
    expect(RPC_INVALID_ARGUMENT, "a reason is needed");
    drain.reason = text("new disk");
    cluster_call(&cluster, &answer, "/covey.v1.Covey/DrainNode", &drain.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    TEST_EQUAL(((Covey__V1__DrainNodeResponse *)answer.messages[0])->node->state,
               COVEY__V1__NODE_STATE__NODE_STATE_DRAINING);
    answer_clear(&answer);
    cluster_flare(&cluster, &answer, 1, id);
    TEST_EQUAL(answer.code, RPC_OK);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED));
    /* It comes back drained. */
    agent_drop(node);
    TEST_REQUIRE(agent_attach(node));
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_QUEUED));
    drain.drain = false;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/DrainNode", &drain.base);
    expect(RPC_OK, "");
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    cluster_stop(&cluster);
}

static void attach__not_as_it_should_be__refused(void)
{
    start();
    struct agent *other = cluster_agent(&cluster, "a", 8);
    other->identity = "another machine";
    TEST_TRUE(!agent_attach(other));
    TEST_EQUAL(other->code, RPC_ALREADY_EXISTS);
    TEST_TRUE(!node->ended);
    (void)snprintf(other->name, sizeof other->name, "b");
    other->version = "9.9.9";
    TEST_TRUE(!agent_attach(other));
    TEST_EQUAL(other->code, RPC_FAILED_PRECONDITION);
    other->version = NULL;
    other->slots = 0;
    TEST_TRUE(!agent_attach(other));
    TEST_EQUAL(other->code, RPC_INVALID_ARGUMENT);
    other->slots = 1;
    TEST_TRUE(agent_attach(other));
    other->epoch_error = 7;
    while (!other->ended)
        (void)uv_run(&cluster.loop, UV_RUN_ONCE);
    TEST_EQUAL(other->code, RPC_FAILED_PRECONDITION);
    TEST_TRUE(strstr(other->message, "epoch") != NULL);
    cluster_stop(&cluster);
}

static void heartbeats__missed__node_is_lost(void)
{
    start();
    node->mute = true;
    while (!node->ended)
        (void)uv_run(&cluster.loop, UV_RUN_ONCE);
    TEST_EQUAL(node->code, RPC_UNAVAILABLE);
    Covey__V1__ListNodesRequest list = COVEY__V1__LIST_NODES_REQUEST__INIT;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/ListNodes", &list.base);
    TEST_EQUAL(((Covey__V1__ListNodesResponse *)answer.messages[0])->nodes[0]->state,
               COVEY__V1__NODE_STATE__NODE_STATE_LOST);
    answer_clear(&answer);
    cluster_stop(&cluster);
}

static bool enough_heartbeats(void *data)
{
    return ((struct agent *)data)->heartbeats >= 12;
}

/* What agents said while it could not read counts. */
static void controller__stopped_for_a_while__loses_no_node(void)
{
    char id[32];
    start();
    node->heartbeats = 0;
    (void)kill(cluster.pid, SIGSTOP);
    TEST_TRUE(cluster_run(&cluster, enough_heartbeats, node)); /* 2.4 s of them */
    (void)kill(cluster.pid, SIGCONT);
    node->finish = true;
    cluster_flare(&cluster, &answer, 1, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    TEST_TRUE(!node->ended);
    cluster_stop(&cluster);
}

static const struct test_case calls[] = {
    TEST_CASE(flare__bad_input__one_clear_sentence),
    TEST_CASE(flare__same_idempotency_key__same_flare),
    TEST_CASE(deploy__bad_input__one_clear_sentence),
    TEST_CASE(deploy__twice_then_other__versions_grow),
    TEST_CASE(put__wrong_digest_or_too_long__refused_and_nothing_left),
    TEST_CASE(get__a_blob__comes_back_whole),
    TEST_CASE(watch__from_a_sequence__goes_on_from_there),
    TEST_CASE(logs__followed__come_as_written_and_end_with_the_flare),
    TEST_CASE(logs__over_the_limit__oldest_kept_and_marked),
    TEST_CASE(results__not_ended__refused),
    TEST_CASE(results__long__come_in_pieces_and_whole),
    TEST_CASE(results__not_whole__says_so),
    TEST_CASE(list__pages__newest_first),
    TEST_CASE(plan__fits_waits_or_never__says_so),
    TEST_CASE(drain__needs_a_reason__and_takes_no_new_work),
    TEST_CASE(attach__not_as_it_should_be__refused),
    TEST_CASE(heartbeats__missed__node_is_lost),
    TEST_CASE(controller__stopped_for_a_while__loses_no_node),
    {0}};

const struct test_suite test_suites[] = {{"calls", calls, NULL, NULL}, {0}};
