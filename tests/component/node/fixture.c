#include "tests/component/node/fixture.h"

#include "base/io.h"
#include "base/memory.h"
#include "covey/v1/blobs.pb-c.h"
#include "service/common/local.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE_BYTES 300000

static struct fixture *the_fixture;

/* ---- the controller ---- */

static void keep(struct fixture_node *node, const Covey__V1__AttachRequest *request)
{
    struct fixture *fixture = node->fixture;
    TEST_REQUIRE(fixture->said_count < FIXTURE_SAID);
    size_t length = covey__v1__attach_request__get_packed_size(request);
    uint8_t *bytes = malloc(length + 1);
    covey__v1__attach_request__pack(request, bytes);
    struct said *said = &fixture->said[fixture->said_count++];
    said->node = (int)(node - fixture->nodes);
    said->at_ns = covey_now_ns();
    said->message = covey__v1__attach_request__unpack(NULL, length, bytes);
    free(bytes);
}

static void answer_registration(struct fixture_node *node, const Covey__V1__Register *registration)
{
    struct fixture *fixture = node->fixture;
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__Registered registered = COVEY__V1__REGISTERED__INIT;
    Google__Protobuf__Duration interval = GOOGLE__PROTOBUF__DURATION__INIT;
    char *unknown = (char *)(uintptr_t)fixture->unknown_flare;
    (void)registration;
    interval.nanos = 250000000;
    registered.epoch = ++node->epoch;
    registered.heartbeat_interval = &interval;
    if (unknown) {
        registered.unknown_flare_ids = &unknown;
        registered.n_unknown_flare_ids = 1;
    }
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_REGISTERED;
    response.registered = &registered;
    TEST_EQUAL(rpc_call_send(node->call, &response.base), COVEY_OK);
}

static void acknowledge(struct fixture_node *node, uint64_t sequence)
{
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__Acknowledge said = COVEY__V1__ACKNOWLEDGE__INIT;
    if (node->fixture->withhold_acknowledgements)
        return;
    said.sequence = node->acknowledged = sequence;
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_ACKNOWLEDGE;
    response.acknowledge = &said;
    TEST_EQUAL(rpc_call_send(node->call, &response.base), COVEY_OK);
}

static void take_log(struct fixture_node *node, const Covey__V1__LogChunk *chunk)
{
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__LogTaken taken = COVEY__V1__LOG_TAKEN__INIT;
    if (node->fixture->withhold_log)
        return;
    taken.flare_id = chunk->flare_id;
    taken.pack = chunk->pack;
    taken.offset = chunk->offset + local_log_cost(chunk->lines, chunk->n_lines);
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_LOG_TAKEN;
    response.log_taken = &taken;
    TEST_EQUAL(rpc_call_send(node->call, &response.base), COVEY_OK);
}

static struct fixture_node *node_by_name(struct fixture *fixture, const char *name)
{
    for (int i = 0; i < FIXTURE_NODES; i++) {
        if (strcmp(fixture->nodes[i].name, name) == 0)
            return &fixture->nodes[i];
    }
    return NULL;
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *decoded, void *data)
{
    const Covey__V1__AttachRequest *request = (const Covey__V1__AttachRequest *)decoded;
    struct fixture_node *node = rpc_call_data(call);
    (void)data;
    if (request->body_case == COVEY__V1__ATTACH_REQUEST__BODY_REGISTER) {
        node = node_by_name(the_fixture, request->register_->name);
        TEST_REQUIRE(node != NULL);
        if (the_fixture->refuse) {
            the_fixture->refusals++;
            rpc_call_finish(call, RPC_UNAUTHENTICATED, "the join token is wrong");
            return;
        }
        rpc_call_set_data(call, node);
        node->call = call;
        keep(node, request);
        answer_registration(node, request->register_);
        if (the_fixture->dismiss) {
            node->call = NULL;
            rpc_call_finish(call, RPC_INVALID_ARGUMENT, "what was said cannot be taken");
        }
        return;
    }
    TEST_REQUIRE(node != NULL);
    /* The last words on a stream that the test has given up. */
    if (node->call != call)
        return;
    TEST_EQUAL(request->epoch, node->epoch);
    keep(node, request);
    if (request->sequence > 0)
        acknowledge(node, request->sequence);
    if (the_fixture->pause_reading)
        rpc_call_pause(call);
    else if (request->body_case == COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK)
        take_log(node, request->log_chunk);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct fixture_node *node = data;
    (void)code;
    (void)message;
    if (node && node->call == call)
        node->call = NULL;
}

static const struct rpc_call_events *on_attach(struct rpc_call *call, void *service, void **data)
{
    static const struct rpc_call_events events = {.on_message = on_message, .on_end = on_end};
    (void)call;
    (void)service;
    *data = NULL;
    return &events;
}

static char *code_files[16];
static char code_digests[16][65];
static size_t code_count;

/* The digest of a file, which is then served. */
static const char *serve_code(const char *path)
{
    struct covey_buffer bytes = {0};
    struct covey_error error = {0};
    unsigned char digest[32];
    for (size_t i = 0; i < code_count; i++) {
        if (strcmp(code_files[i], path) == 0)
            return code_digests[i];
    }
    TEST_REQUIRE(covey_file_read(path, 64 << 20, &bytes, &error) == COVEY_OK);
    TEST_REQUIRE(EVP_Digest(bytes.data ? bytes.data : (uint8_t *)"", bytes.length_bytes, digest,
                            NULL, EVP_sha256(), NULL) == 1);
    for (int i = 0; i < 32; i++)
        (void)snprintf(code_digests[code_count] + 2 * (size_t)i, 3, "%02x", digest[i]);
    covey_buffer_free(&bytes);
    code_files[code_count] = strdup(path);
    return code_digests[code_count++];
}

static void on_get(struct rpc_call *call, const ProtobufCMessage *decoded, void *data)
{
    const Covey__V1__GetRequest *request = (const Covey__V1__GetRequest *)decoded;
    struct covey_buffer bytes = {0};
    struct covey_error error = {0};
    (void)data;
    the_fixture->blob_calls++;
    for (size_t i = 0; i < code_count; i++) {
        if (strcmp(code_digests[i], request->sha256) != 0)
            continue;
        TEST_REQUIRE(covey_file_read(code_files[i], 64 << 20, &bytes, &error) == COVEY_OK);
        for (size_t at = 0; at < bytes.length_bytes; at += PIECE_BYTES) {
            Covey__V1__GetResponse piece = COVEY__V1__GET_RESPONSE__INIT;
            piece.offset = at;
            piece.data.data = bytes.data + at;
            piece.data.len =
                bytes.length_bytes - at < PIECE_BYTES ? bytes.length_bytes - at : PIECE_BYTES;
            TEST_EQUAL(rpc_call_send(call, &piece.base), COVEY_OK);
        }
        covey_buffer_free(&bytes);
        rpc_call_finish(call, RPC_OK, NULL);
        return;
    }
    rpc_call_finish(call, RPC_NOT_FOUND, "no such blob");
}

static void on_get_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    (void)data;
}

static const struct rpc_call_events *on_get_call(struct rpc_call *call, void *service, void **data)
{
    static const struct rpc_call_events events = {.on_message = on_get, .on_end = on_get_end};
    (void)call;
    (void)service;
    *data = NULL;
    return &events;
}

static const struct rpc_method node_methods[] = {{"Attach", &covey__v1__attach_request__descriptor,
                                                  &covey__v1__attach_response__descriptor, true,
                                                  true, on_attach}};
static const struct rpc_method blob_methods[] = {{"Get", &covey__v1__get_request__descriptor,
                                                  &covey__v1__get_response__descriptor, false, true,
                                                  on_get_call}};
static const struct rpc_service node_service = {"covey.v1.Node", node_methods, 1};
static const struct rpc_service blob_service = {"covey.v1.Blobs", blob_methods, 1};

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

struct fixture *fixture_create(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct rpc_server_options options = {0};
    struct covey_error error = {0};
    static int made;
    the_fixture = fixture;
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->tick);
    uv_timer_start(&fixture->tick, on_tick, 2, 2);
    rpc_limits_init(&options.limits);
    options.limits.message_bytes = 16 << 20;
    TEST_REQUIRE(rpc_server_create(&fixture->loop, &options, &fixture->server, &error) == COVEY_OK);
    TEST_REQUIRE(rpc_server_add(fixture->server, &node_service, fixture) == COVEY_OK);
    TEST_REQUIRE(rpc_server_add(fixture->server, &blob_service, fixture) == COVEY_OK);
    snprintf(fixture->address, sizeof(fixture->address), "unix:%s/controller-%d.sock",
             test_folder(), made);
    TEST_REQUIRE(rpc_server_listen(fixture->server, fixture->address, NULL, NULL, 0, &error) ==
                 COVEY_OK);
    for (int i = 0; i < FIXTURE_NODES; i++) {
        struct fixture_node *node = &fixture->nodes[i];
        node->fixture = fixture;
        node->lifeline = -1;
        snprintf(node->name, sizeof(node->name), "n%d", i);
        snprintf(node->state_dir, sizeof(node->state_dir), "%s/state-%d-%d", test_folder(), made,
                 i);
        snprintf(node->runtime_dir, sizeof(node->runtime_dir), "%s/run-%d-%d", test_folder(), made,
                 i);
    }
    made++;
    return fixture;
}

bool fixture_until(struct fixture *fixture, bool (*condition)(struct fixture *fixture, void *data),
                   void *data, int64_t timeout_ns)
{
    int64_t deadline_ns = covey_now_ns() + timeout_ns;
    while (!condition(fixture, data)) {
        if (covey_now_ns() > deadline_ns)
            return false;
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    return true;
}

struct reaping {
    pid_t pid;
    int status;
};

static bool has_ended(struct fixture *fixture, void *data)
{
    struct reaping *reaping = data;
    (void)fixture;
    return waitpid(reaping->pid, &reaping->status, WNOHANG) == reaping->pid;
}

int fixture_reap(struct fixture *fixture, int i, int64_t timeout_ns)
{
    struct fixture_node *node = &fixture->nodes[i];
    struct reaping reaping = {node->pid, -1};
    if (node->pid <= 0 || !fixture_until(fixture, has_ended, &reaping, timeout_ns))
        return -1;
    node->pid = 0;
    covey_close(&node->lifeline);
    return reaping.status;
}

static void on_stopped(void *data)
{
    ((struct fixture *)data)->stopped = true;
}

static bool is_stopped(struct fixture *fixture, void *data)
{
    (void)data;
    return fixture->stopped;
}

void fixture_destroy(struct fixture *fixture)
{
    for (int i = 0; i < FIXTURE_NODES; i++) {
        struct fixture_node *node = &fixture->nodes[i];
        if (node->pid <= 0)
            continue;
        kill(node->pid, SIGTERM);
        int status = fixture_reap(fixture, i, FIXTURE_LONG_NS);
        TEST_EQUAL(status, 0);
        if (status == -1)
            kill(node->pid, SIGKILL);
        TEST_TRUE(access(node->runtime_dir, F_OK) < 0 && errno == ENOENT);
    }
    rpc_server_stop(fixture->server, 0, on_stopped, fixture);
    TEST_TRUE(fixture_until(fixture, is_stopped, NULL, FIXTURE_LONG_NS));
    uv_close((uv_handle_t *)&fixture->tick, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    TEST_EQUAL(uv_loop_close(&fixture->loop), 0);
    for (size_t i = 0; i < fixture->said_count; i++)
        covey__v1__attach_request__free_unpacked(fixture->said[i].message, NULL);
    for (size_t i = 0; i < code_count; i++)
        free(code_files[i]);
    code_count = 0;
    free(fixture);
    the_fixture = NULL;
}

void fixture_spawn(struct fixture *fixture, int i, const char *const *arguments,
                   const char *environment)
{
    struct fixture_node *node = &fixture->nodes[i];
    int lifeline[2];
    char number[16];
    char ports[32];
    TEST_REQUIRE(pipe2(lifeline, O_CLOEXEC) == 0);
    snprintf(number, sizeof(number), "%d", lifeline[0]);
    unsigned first = test_ports() + 20 * (unsigned)i;
    snprintf(ports, sizeof(ports), "%u-%u", first, first + 19);
    static const char program[] = TEST_BIN "/covey-node";
    const char *full[40] = {
        program,       "--name",        node->name,      "--controller",    fixture->address,
        "--state-dir", node->state_dir, "--runtime-dir", node->runtime_dir, "--lifeline-fd",
        number,        "--data-ports",  ports,           "--slots",         "64"};
    size_t count = 15;
    for (size_t k = 0; arguments && arguments[k]; k++)
        full[count++] = arguments[k];
    node->pid = fork();
    TEST_REQUIRE(node->pid >= 0);
    if (node->pid == 0) {
        fcntl(lifeline[0], F_SETFD, 0);
        if (fixture->run_as &&
            (setgroups(0, NULL) < 0 || setgid(fixture->run_as) < 0 || setuid(fixture->run_as) < 0))
            _exit(126);
        if (environment)
            putenv(strdup(environment));
        execv(full[0], (char *const *)(uintptr_t)full);
        _exit(127);
    }
    close(lifeline[0]);
    covey_close(&node->lifeline);
    node->lifeline = lifeline[1];
}

struct ready {
    struct fixture_node *node;
    size_t from;
};

static bool is_ready(struct fixture *fixture, void *data)
{
    struct ready *ready = data;
    if (!ready->node->call)
        return false;
    for (size_t i = ready->from; i < fixture->said_count; i++) {
        const struct said *said = &fixture->said[i];
        if (&fixture->nodes[said->node] == ready->node &&
            said->message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT &&
            said->message->heartbeat->warm_hosts >= 1 && said->message->heartbeat->warm_packs >= 2)
            return true;
    }
    return false;
}

void fixture_start_node(struct fixture *fixture, int i, const char *const *arguments,
                        const char *environment)
{
    struct ready ready = {&fixture->nodes[i], fixture->said_count};
    fixture_spawn(fixture, i, arguments, environment);
    TEST_REQUIRE(fixture_until(fixture, is_ready, &ready, FIXTURE_LONG_NS));
}

/* ---- what a test tells a node ---- */

const char *fixture_own_id(const char *id)
{
    static char ids[128][27];
    static unsigned next;
    char *own = ids[next++ % 128];
    int length = snprintf(own, sizeof(ids[0]), "%s-%d", id, (int)getpid());
    TEST_REQUIRE(length < (int)sizeof(ids[0]));
    return own;
}

uint32_t plan_workers(const struct flare_plan *plan)
{
    uint32_t total = 0;
    for (size_t i = 0; i < plan->pack_count; i++)
        total += plan->packs[i].workers;
    return total;
}

static bool plan_uses(const struct flare_plan *plan, int node)
{
    for (size_t i = 0; i < plan->pack_count; i++) {
        if (plan->packs[i].node == node)
            return true;
    }
    return false;
}

static void tell(struct fixture *fixture, int node, const Covey__V1__AttachResponse *response)
{
    TEST_REQUIRE(fixture->nodes[node].call != NULL);
    TEST_REQUIRE(rpc_call_send(fixture->nodes[node].call, &response->base) == COVEY_OK);
}

void fixture_prepare(struct fixture *fixture, const struct flare_plan *plan)
{
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__Prepare prepare = COVEY__V1__PREPARE__INIT;
    Covey__V1__Definition definition = COVEY__V1__DEFINITION__INIT;
    Covey__V1__Pack packs[8];
    Covey__V1__Pack *pointers[8];
    uint8_t secret[32] = {1, 2, 3};
    char *argument = (char *)(uintptr_t)plan->argument;
    ProtobufCBinaryData parameter = {plan->parameter ? strlen(plan->parameter) : 0,
                                     (uint8_t *)(uintptr_t)plan->parameter};
    uint32_t rank = 0;
    for (size_t i = 0; i < plan->pack_count; i++) {
        covey__v1__pack__init(&packs[i]);
        packs[i].id = (uint32_t)i;
        packs[i].node = fixture->nodes[plan->packs[i].node].name;
        packs[i].first_rank = rank;
        packs[i].workers = plan->packs[i].workers;
        rank += plan->packs[i].workers;
        pointers[i] = &packs[i];
    }
    definition.name = (char *)(uintptr_t) "test";
    definition.code_kind = plan->code_kind;
    definition.worker_kind = plan->worker_kind;
    definition.code_sha256 =
        (char *)(uintptr_t)(plan->sha256 ? plan->sha256 : serve_code(plan->code));
    definition.arguments = &argument;
    definition.n_arguments = argument ? 1 : 0;
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE;
    response.prepare = &prepare;
    prepare.flare_id = (char *)(uintptr_t)plan->id;
    prepare.definition = &definition;
    prepare.packs = pointers;
    prepare.n_packs = plan->pack_count;
    prepare.workers_total = rank;
    prepare.parameters = &parameter;
    prepare.n_parameters = 1;
    prepare.shared_parameter = true;
    prepare.secret.data = secret;
    prepare.secret.len = sizeof(secret);
    prepare.max_result_bytes = plan->max_result_bytes ? plan->max_result_bytes : 1 << 20;
    for (int i = 0; i < FIXTURE_NODES; i++) {
        if (plan_uses(plan, i))
            tell(fixture, i, &response);
    }
}

struct planned {
    const struct flare_plan *plan;
    Covey__V1__AttachRequest__BodyCase kind;
    bool failed;
};

static size_t count_nodes(const struct flare_plan *plan)
{
    size_t count = 0;
    for (int i = 0; i < FIXTURE_NODES; i++)
        count += plan_uses(plan, i) ? 1 : 0;
    return count;
}

static bool all_said(struct fixture *fixture, void *data)
{
    struct planned *planned = data;
    planned->failed = fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED,
                                   planned->plan->id, 0) != NULL;
    return planned->failed || fixture_find(fixture, planned->kind, planned->plan->id,
                                           count_nodes(planned->plan) - 1) != NULL;
}

bool fixture_start_flare(struct fixture *fixture, const struct flare_plan *plan)
{
    struct planned planned = {plan, COVEY__V1__ATTACH_REQUEST__BODY_PREPARED, false};
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__Start start = COVEY__V1__START__INIT;
    Covey__V1__HostAddress hosts[FIXTURE_NODES];
    Covey__V1__HostAddress *pointers[FIXTURE_NODES];
    if (!fixture_until(fixture, all_said, &planned, FIXTURE_LONG_NS) || planned.failed)
        return false;
    for (size_t i = 0; i < count_nodes(plan); i++) {
        const struct said *said =
            fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARED, plan->id, i);
        covey__v1__host_address__init(&hosts[i]);
        hosts[i].node = fixture->nodes[said->node].name;
        hosts[i].address = said->message->prepared->host_address;
        pointers[i] = &hosts[i];
    }
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_START;
    response.start = &start;
    start.flare_id = (char *)(uintptr_t)plan->id;
    start.hosts = pointers;
    start.n_hosts = count_nodes(plan);
    for (int i = 0; i < FIXTURE_NODES; i++) {
        if (plan_uses(plan, i))
            tell(fixture, i, &response);
    }
    return true;
}

bool fixture_run(struct fixture *fixture, const struct flare_plan *plan)
{
    fixture->looked_from = fixture->said_count;
    fixture_prepare(fixture, plan);
    return fixture_start_flare(fixture, plan);
}

void fixture_stop_flare(struct fixture *fixture, const struct flare_plan *plan, int64_t grace_ns)
{
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__Stop stop = COVEY__V1__STOP__INIT;
    Google__Protobuf__Duration grace = GOOGLE__PROTOBUF__DURATION__INIT;
    grace.seconds = grace_ns / COVEY_NS_PER_S;
    grace.nanos = (int32_t)(grace_ns % COVEY_NS_PER_S);
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_STOP;
    response.stop = &stop;
    stop.flare_id = (char *)(uintptr_t)plan->id;
    stop.grace = grace_ns > 0 ? &grace : NULL;
    stop.reason = (char *)(uintptr_t) "the test is over";
    for (int i = 0; i < FIXTURE_NODES; i++) {
        if (plan_uses(plan, i) && fixture->nodes[i].call)
            tell(fixture, i, &response);
    }
}

bool fixture_gone(struct fixture *fixture, const struct flare_plan *plan, int64_t timeout_ns)
{
    return fixture_wait(fixture, COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE, plan->id,
                        count_nodes(plan) - 1, timeout_ns) != NULL;
}

void fixture_tell_peers_ended(struct fixture *fixture, int node, const char *flare_id,
                              uint32_t rank, const char *reason)
{
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__PeersEnded ended = COVEY__V1__PEERS_ENDED__INIT;
    Covey__V1__PeerEnd end = COVEY__V1__PEER_END__INIT;
    Covey__V1__PeerEnd *pointer = &end;
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_PEERS_ENDED;
    response.peers_ended = &ended;
    ended.flare_id = (char *)(uintptr_t)flare_id;
    ended.peers = &pointer;
    ended.n_peers = 1;
    end.rank = rank;
    end.reason = (char *)(uintptr_t)reason;
    tell(fixture, node, &response);
}

void fixture_send_refused(struct fixture *fixture, int node, uint64_t sequence, const char *reason)
{
    Covey__V1__AttachResponse response = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__Refused refused = COVEY__V1__REFUSED__INIT;
    response.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_REFUSED;
    response.refused = &refused;
    refused.sequence = sequence;
    refused.reason = (char *)(uintptr_t)reason;
    tell(fixture, node, &response);
}

void fixture_send_raw(struct fixture *fixture, int node, uint32_t body, const void *bytes,
                      size_t length_bytes)
{
    /* A type without fields of these numbers, so that nothing is made valid on the way. */
    Google__Protobuf__Duration message = GOOGLE__PROTOBUF__DURATION__INIT;
    uint8_t data[600];
    TEST_REQUIRE(body > 2 && length_bytes + 2 <= sizeof(data));
    data[0] = (uint8_t)(0x80 | (length_bytes & 0x7f));
    data[1] = (uint8_t)(length_bytes >> 7);
    memcpy(data + 2, bytes, length_bytes);
    ProtobufCMessageUnknownField field = {.tag = body,
                                          .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                          .len = length_bytes + 2,
                                          .data = data};
    message.base.n_unknown_fields = 1;
    message.base.unknown_fields = &field;
    TEST_EQUAL(rpc_call_send(fixture->nodes[node].call, &message.base), COVEY_OK);
}
