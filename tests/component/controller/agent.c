/* An agent as the test plays it. */
#include "base/clock.h"
#include "base/memory.h"
#include "service/common/local.h"
#include "service/controller/messages.h"
#include "tests/component/controller/cluster.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

static void forget(struct agent *agent, struct agent_flare *flare)
{
    message_free(flare->prepare);
    *flare = agent->flares[--agent->flare_count];
    memset(&agent->flares[agent->flare_count], 0, sizeof *flare);
}

void agent_clear(struct agent *agent)
{
    while (agent->flare_count)
        forget(agent, &agent->flares[0]);
    for (size_t i = 0; i < agent->report_count; i++)
        message_free(agent->reports[i]);
    agent->report_count = 0;
}

struct agent *cluster_agent(struct cluster *cluster, const char *name, uint32_t slots)
{
    struct agent *agent = &cluster->agents[cluster->agent_count++];
    agent->cluster = cluster;
    agent->slots = slots;
    (void)snprintf(agent->name, sizeof agent->name, "%s", name);
    struct rpc_channel_options options;
    rpc_channel_options_init(&options);
    TEST_REQUIRE(rpc_channel_create(&cluster->loop, cluster->address, &options, &agent->channel,
                                    NULL) == COVEY_OK);
    return agent;
}

struct agent_flare *agent_flare(struct agent *agent, const char *id)
{
    for (size_t i = 0; i < agent->flare_count; i++)
        if (strcmp(agent->flares[i].id, id) == 0)
            return &agent->flares[i];
    return NULL;
}

static void send_now(struct agent *agent, Covey__V1__AttachRequest *message)
{
    message->epoch = agent->epoch + agent->epoch_error;
    if (agent->call && rpc_call_send(agent->call, &message->base) != COVEY_OK)
        fprintf(stderr, "agent %s cannot send\n", agent->name);
}

void agent_say(struct agent *agent, Covey__V1__AttachRequest *message, bool report)
{
    if (report) {
        message->sequence = ++agent->sequence;
        TEST_REQUIRE(agent->report_count < CLUSTER_REPORTS);
        agent->reports[agent->report_count++] = message_copy(&message->base);
    }
    send_now(agent, message);
}

#define SAY(agent, report, kind, CASE, value)                                                      \
    do {                                                                                           \
        Covey__V1__AttachRequest said = COVEY__V1__ATTACH_REQUEST__INIT;                           \
        said.body_case = COVEY__V1__ATTACH_REQUEST__BODY_##CASE;                                   \
        said.kind = (value);                                                                       \
        agent_say(agent, &said, report);                                                           \
    } while (0)

static uint32_t pid_of(uint32_t rank)
{
    return 1000 + rank;
}

static void list_workers(const struct agent_flare *flare, Covey__V1__WorkerState state,
                         Google__Protobuf__Timestamp *at, Covey__V1__Worker *workers,
                         Covey__V1__Worker **list)
{
    for (uint32_t i = 0; i < flare->workers; i++) {
        workers[i] = (Covey__V1__Worker)COVEY__V1__WORKER__INIT;
        workers[i].rank = flare->first_rank + i;
        workers[i].pid = pid_of(flare->first_rank + i);
        workers[i].state = state;
        workers[i].started_at = at;
        list[i] = &workers[i];
    }
}

void agent_prepared(struct agent *agent, struct agent_flare *flare)
{
    Covey__V1__Worker workers[64];
    Covey__V1__Worker *list[64];
    Covey__V1__Prepared prepared = COVEY__V1__PREPARED__INIT;
    list_workers(flare, COVEY__V1__WORKER_STATE__WORKER_STATE_STARTING, NULL, workers, list);
    prepared.flare_id = flare->id;
    prepared.host_address = (char *)(uintptr_t) "127.0.0.1:4711";
    prepared.n_workers = flare->workers;
    prepared.workers = list;
    SAY(agent, false, prepared, PREPARED, &prepared);
}

static void workers_started(struct agent *agent, struct agent_flare *flare)
{
    Covey__V1__Worker workers[64];
    Covey__V1__Worker *list[64];
    Google__Protobuf__Timestamp at = message_time(covey_wall_ns());
    Covey__V1__WorkersStarted started = COVEY__V1__WORKERS_STARTED__INIT;
    list_workers(flare, COVEY__V1__WORKER_STATE__WORKER_STATE_RUNNING, &at, workers, list);
    started.flare_id = flare->id;
    started.n_workers = flare->workers;
    started.workers = list;
    started.transport = (char *)(uintptr_t) "test";
    SAY(agent, true, workers_started, WORKERS_STARTED, &started);
}

void agent_result(struct agent *agent, struct agent_flare *flare, uint32_t rank, uint64_t offset,
                  const char *text)
{
    Covey__V1__ResultChunk chunk = COVEY__V1__RESULT_CHUNK__INIT;
    chunk.flare_id = flare->id;
    chunk.rank = rank;
    chunk.offset = offset;
    chunk.data = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    SAY(agent, true, result_chunk, RESULT_CHUNK, &chunk);
}

void agent_log(struct agent *agent, struct agent_flare *flare, uint32_t rank, const char *text)
{
    char line[1024];
    Covey__V1__LogLines lines = COVEY__V1__LOG_LINES__INIT;
    Covey__V1__LogLines *list[] = {&lines};
    int length = snprintf(line, sizeof line, "%s\n", text);
    lines.rank = rank;
    lines.stream = 1;
    lines.text = (ProtobufCBinaryData){(size_t)length, (uint8_t *)line};
    Covey__V1__LogChunk chunk = COVEY__V1__LOG_CHUNK__INIT;
    chunk.flare_id = flare->id;
    chunk.pack = flare->pack;
    chunk.offset = flare->log_offset;
    chunk.n_lines = 1;
    chunk.lines = list;
    flare->log_offset += local_log_cost(list, 1);
    SAY(agent, false, log_chunk, LOG_CHUNK, &chunk);
}

void agent_worker_ends(struct agent *agent, struct agent_flare *flare, uint32_t exit_status,
                       uint32_t signal)
{
    Google__Protobuf__Timestamp at = message_time(covey_wall_ns() - agent->late_ns);
    Covey__V1__Worker worker = COVEY__V1__WORKER__INIT;
    Covey__V1__WorkerEnded ended = COVEY__V1__WORKER_ENDED__INIT;
    worker.rank = flare->first_rank + flare->ended++;
    worker.ended_at = &at;
    worker.exit_status = exit_status;
    worker.signal = signal;
    worker.state = exit_status || signal ? COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED
                                         : COVEY__V1__WORKER_STATE__WORKER_STATE_DONE;
    if (worker.state == COVEY__V1__WORKER_STATE__WORKER_STATE_DONE)
        worker.result_bytes = agent->result_bytes ? agent->result_bytes : 6;
    ended.flare_id = flare->id;
    ended.worker = &worker;
    SAY(agent, true, worker_ended, WORKER_ENDED, &ended);
}

static void say_gone(struct agent *agent, char *id)
{
    Covey__V1__FlareGone gone = COVEY__V1__FLARE_GONE__INIT;
    gone.flare_id = id;
    agent->gone++;
    SAY(agent, true, flare_gone, FLARE_GONE, &gone);
}

void agent_gone(struct agent *agent, struct agent_flare *flare)
{
    say_gone(agent, flare->id);
    forget(agent, flare);
}

static void on_prepare(struct agent *agent, const Covey__V1__Prepare *prepare)
{
    TEST_REQUIRE(agent->flare_count < CLUSTER_FLARES);
    agent->prepares++;
    if (agent->fail_prepare) {
        Covey__V1__Failure failure = COVEY__V1__FAILURE__INIT;
        Covey__V1__PrepareFailed failed = COVEY__V1__PREPARE_FAILED__INIT;
        failure.status = (char *)(uintptr_t)agent->fail_prepare;
        failure.message = (char *)(uintptr_t) "it cannot be made ready";
        failure.rank = -1;
        failed.flare_id = prepare->flare_id;
        failed.failure = &failure;
        SAY(agent, true, prepare_failed, PREPARE_FAILED, &failed);
        return;
    }
    struct agent_flare *flare = &agent->flares[agent->flare_count++];
    (void)snprintf(flare->id, sizeof flare->id, "%s", prepare->flare_id);
    TEST_EQUAL(prepare->secret.len, sizeof flare->secret);
    memcpy(flare->secret, prepare->secret.data, sizeof flare->secret);
    flare->prepare = message_copy(&prepare->base);
    bool first = true;
    for (size_t i = 0; i < prepare->n_packs; i++) {
        if (strcmp(prepare->packs[i]->node, agent->name) != 0)
            continue;
        if (first) {
            flare->first_rank = prepare->packs[i]->first_rank;
            flare->pack = prepare->packs[i]->id;
        }
        first = false;
        flare->workers += prepare->packs[i]->workers;
    }
    if (!agent->hold_prepare)
        agent_prepared(agent, flare);
}

static void on_start(struct agent *agent, const Covey__V1__Start *start)
{
    struct agent_flare *flare = agent_flare(agent, start->flare_id);
    agent->starts++;
    TEST_REQUIRE(flare != NULL);
    flare->started = true;
    workers_started(agent, flare);
    while (agent->finish && flare->ended < flare->workers) {
        uint32_t rank = flare->first_rank + flare->ended;
        char text[8];
        (void)snprintf(text, sizeof text, "rank%02u", rank % 100);
        agent_result(agent, flare, rank, 0, text);
        agent_worker_ends(agent, flare, 0, 0);
    }
}

static void on_stop(struct agent *agent, const Covey__V1__Stop *stop)
{
    struct agent_flare *flare = agent_flare(agent, stop->flare_id);
    agent->stops++;
    (void)message_duration_ns(stop->grace, 0, &agent->stop_grace_ns);
    if (agent->hold_stop)
        return;
    /* Also of a flare that it does not have: nothing of it is left. */
    if (flare)
        agent_gone(agent, flare);
    else
        say_gone(agent, stop->flare_id);
}

static void on_acknowledge(struct agent *agent, uint64_t sequence)
{
    agent->acknowledged = sequence;
    size_t kept = 0;
    for (size_t i = 0; i < agent->report_count; i++) {
        if (agent->reports[i]->sequence <= sequence)
            message_free(agent->reports[i]);
        else
            agent->reports[kept++] = agent->reports[i];
    }
    agent->report_count = kept;
}

static void on_registered(struct agent *agent, const Covey__V1__Registered *registered)
{
    TEST_TRUE(registered->epoch > agent->epoch);
    agent->epoch = registered->epoch;
    agent->registrations++;
    agent->registered = true;
    agent->unknown = registered->n_unknown_flare_ids;
    for (size_t i = 0; i < agent->report_count; i++)
        send_now(agent, agent->reports[i]);
    for (size_t i = 0; i < registered->n_unknown_flare_ids; i++) {
        struct agent_flare *flare = agent_flare(agent, registered->unknown_flare_ids[i]);
        TEST_REQUIRE(flare != NULL);
        agent_gone(agent, flare);
    }
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct agent *agent = data;
    const Covey__V1__AttachResponse *in = (const Covey__V1__AttachResponse *)message;
    (void)call;
    switch (in->body_case) {
    case COVEY__V1__ATTACH_RESPONSE__BODY_REGISTERED:
        on_registered(agent, in->registered);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_ACKNOWLEDGE:
        on_acknowledge(agent, in->acknowledge->sequence);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE:
        on_prepare(agent, in->prepare);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_START:
        on_start(agent, in->start);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_STOP:
        on_stop(agent, in->stop);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_PEERS_ENDED:
        for (size_t i = 0; i < in->peers_ended->n_peers; i++) {
            agent->peers_ended++;
            agent->peer_rank = in->peers_ended->peers[i]->rank;
            (void)snprintf(agent->peer_reason, sizeof agent->peer_reason, "%s",
                           in->peers_ended->peers[i]->reason);
        }
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_LOG_TAKEN:
        agent->log_taken = in->log_taken->offset;
        break;
    default:
        TEST_TRUE(!"an answer of a known kind");
    }
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct agent *agent = data;
    (void)call;
    agent->call = NULL;
    agent->registered = false;
    agent->ended = true;
    agent->code = code;
    (void)snprintf(agent->message, sizeof agent->message, "%s", message);
}

static void send_register(struct agent *agent)
{
    Covey__V1__Capacity capacity = COVEY__V1__CAPACITY__INIT;
    Covey__V1__Register registration = COVEY__V1__REGISTER__INIT;
    Covey__V1__RunningFlare running[CLUSTER_FLARES];
    Covey__V1__RunningFlare *list[CLUSTER_FLARES];
    char identity[64];
    (void)snprintf(identity, sizeof identity, "machine:%s", agent->name);
    capacity.slots = agent->slots;
    capacity.memory_bytes = 1ULL << 30;
    registration.name = agent->name;
    registration.identity = (char *)(uintptr_t)(agent->identity ? agent->identity : identity);
    registration.version = (char *)(uintptr_t)(agent->version ? agent->version : COVEY_VERSION);
    registration.data_address = (char *)(uintptr_t) "127.0.0.1";
    registration.capacity = &capacity;
    for (size_t i = 0; i < agent->flare_count; i++) {
        running[i] = (Covey__V1__RunningFlare)COVEY__V1__RUNNING_FLARE__INIT;
        running[i].flare_id = agent->flares[i].id;
        running[i].started = agent->flares[i].started;
        running[i].host_address = (char *)(uintptr_t) "127.0.0.1:4711";
        list[i] = &running[i];
    }
    registration.n_flares = agent->flare_count;
    if (agent->report_count)
        registration.last_report = agent->reports[agent->report_count - 1]->sequence;
    registration.flares = list;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_REGISTER;
    message.register_ = &registration;
    TEST_REQUIRE(rpc_call_send(agent->call, &message.base) == COVEY_OK);
}

struct wait_registered {
    struct agent *agent;
    unsigned before;
};

static bool is_registered(void *data)
{
    const struct wait_registered *wait = data;
    return wait->agent->ended || wait->agent->registrations > wait->before;
}

bool agent_attach(struct agent *agent)
{
    static const struct rpc_call_events events = {.on_message = on_message, .on_end = on_end};
    agent->ended = false;
    agent->registered = false;
    TEST_REQUIRE(rpc_channel_call(agent->channel, "/covey.v1.Node/Attach",
                                  &covey__v1__attach_response__descriptor, &events, agent, NULL,
                                  &agent->call) == COVEY_OK);
    send_register(agent);
    struct wait_registered wait = {agent, agent->registrations};
    TEST_TRUE(cluster_run(agent->cluster, is_registered, &wait));
    return !agent->ended;
}

static bool agent_has_ended(void *data)
{
    return ((struct agent *)data)->ended;
}

void agent_drop(struct agent *agent)
{
    rpc_call_cancel(agent->call);
    TEST_TRUE(cluster_run(agent->cluster, agent_has_ended, agent));
}
