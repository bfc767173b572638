#include "tests/component/controller/cluster.h"

#include "base/clock.h"
#include "base/memory.h"
#include "service/controller/messages.h"
#include "tests/harness/harness.h"

#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLAGS_MAX    32
#define HEARTBEAT_MS 200
#define LONG_MS      120000 /* for what must come: no promise */

static char *flags[FLAGS_MAX];
static size_t flag_count;
static const char code_bytes[] = "not really code";

/* ---- coveyd ---- */

static void run_daemon(const struct cluster *cluster, const char *fault, int ready_fd)
{
    char listen[160];
    char ready[16];
    char *arguments[FLAGS_MAX + 8] = {NULL};
    size_t count = 0;
    (void)snprintf(listen, sizeof listen, "%s", cluster->address);
    (void)snprintf(ready, sizeof ready, "%d", ready_fd);
    char *fixed[] = {(char *)(uintptr_t)COVEYD,
                     (char *)(uintptr_t) "--listen",
                     listen,
                     (char *)(uintptr_t) "--state-dir",
                     (char *)(uintptr_t)cluster->state_dir,
                     (char *)(uintptr_t) "--ready-fd",
                     ready};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        arguments[count++] = fixed[i];
    for (size_t i = 0; i < flag_count; i++)
        arguments[count++] = flags[i];
    if (fault)
        (void)setenv("COVEY_FAULT", fault, 1);
    else
        (void)unsetenv("COVEY_FAULT");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a case may end by TEST_REQUIRE */
    (void)execv(COVEYD, arguments);
    _exit(127);
}

static void spawn(struct cluster *cluster, const char *fault)
{
    int ends[2];
    TEST_REQUIRE(pipe(ends) == 0);
    cluster->pid = fork();
    TEST_REQUIRE(cluster->pid >= 0);
    if (cluster->pid == 0) {
        (void)close(ends[0]);
        run_daemon(cluster, fault, ends[1]);
    }
    (void)close(ends[1]);
    char line[256] = "";
    struct pollfd waited = {.fd = ends[0], .events = POLLIN};
    TEST_REQUIRE(poll(&waited, 1, LONG_MS) == 1);
    TEST_REQUIRE(read(ends[0], line, sizeof line - 1) > 6);
    TEST_REQUIRE(strncmp(line, "READY unix:", 11) == 0);
    (void)close(ends[0]);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct cluster *cluster = timer->data;
    Covey__V1__Heartbeat heartbeat = COVEY__V1__HEARTBEAT__INIT;
    Covey__V1__AttachRequest message = COVEY__V1__ATTACH_REQUEST__INIT;
    message.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    for (size_t i = 0; i < cluster->agent_count; i++)
        if (cluster->agents[i].registered && !cluster->agents[i].mute) {
            cluster->agents[i].heartbeats++;
            agent_say(&cluster->agents[i], &message, false);
        }
}

void cluster_start(struct cluster *cluster, const char *fault, ...)
{
    static unsigned number;
    memset(cluster, 0, sizeof *cluster);
    number++;
    (void)snprintf(cluster->address, sizeof cluster->address, "unix:%s/%u.sock", test_folder(),
                   number);
    (void)snprintf(cluster->state_dir, sizeof cluster->state_dir, "%s/state%u", test_folder(),
                   number);
    va_list more;
    va_start(more, fault);
    flag_count = 0;
    for (char *flag; (flag = va_arg(more, char *)) != NULL && flag_count < FLAGS_MAX;)
        flags[flag_count++] = flag;
    va_end(more);
    TEST_REQUIRE(uv_loop_init(&cluster->loop) == 0);
    (void)uv_timer_init(&cluster->loop, &cluster->heartbeat);
    cluster->heartbeat.data = cluster;
    (void)uv_timer_start(&cluster->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
    spawn(cluster, fault);
    struct rpc_channel_options options;
    rpc_channel_options_init(&options);
    TEST_REQUIRE(rpc_channel_create(&cluster->loop, cluster->address, &options, &cluster->channel,
                                    NULL) == COVEY_OK);
}

void cluster_restart(struct cluster *cluster)
{
    spawn(cluster, NULL);
}

static void set_true(void *data)
{
    *(bool *)data = true;
}

static bool is_true(void *data)
{
    return *(bool *)data;
}

static void on_exit_seen(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    set_true(poll->data);
    (void)uv_poll_stop(poll);
}

static void on_poll_closed(uv_handle_t *poll)
{
    poll->data = NULL;
}

/* The loop runs meanwhile: the daemon says good-bye to its clients. */
int cluster_wait(struct cluster *cluster)
{
    int status = 0;
    bool exited = false;
    uv_poll_t poll = {.data = &exited};
    int pidfd = pidfd_open(cluster->pid, 0);
    TEST_REQUIRE(pidfd >= 0);
    TEST_REQUIRE(uv_poll_init(&cluster->loop, &poll, pidfd) == 0);
    poll.data = &exited;
    (void)uv_poll_start(&poll, UV_READABLE, on_exit_seen);
    TEST_TRUE(cluster_run(cluster, is_true, &exited));
    uv_close((uv_handle_t *)&poll, on_poll_closed);
    while (poll.data)
        (void)uv_run(&cluster->loop, UV_RUN_NOWAIT);
    (void)close(pidfd);
    TEST_REQUIRE(waitpid(cluster->pid, &status, WNOHANG) == cluster->pid);
    cluster->pid = 0;
    return status;
}

void cluster_kill(struct cluster *cluster)
{
    (void)kill(cluster->pid, SIGKILL);
    (void)cluster_wait(cluster);
}

static void destroy_channel(struct cluster *cluster, struct rpc_channel **channel)
{
    bool done = false;
    rpc_channel_destroy(*channel, set_true, &done);
    TEST_TRUE(cluster_run(cluster, is_true, &done));
    *channel = NULL;
}

void cluster_stop(struct cluster *cluster)
{
    if (cluster->pid) {
        (void)kill(cluster->pid, SIGTERM);
        int status = cluster_wait(cluster);
        TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (size_t i = 0; i < cluster->agent_count; i++) {
        struct agent *agent = &cluster->agents[i];
        destroy_channel(cluster, &agent->channel);
        agent_clear(agent);
    }
    destroy_channel(cluster, &cluster->channel);
    uv_close((uv_handle_t *)&cluster->heartbeat, NULL);
    (void)uv_run(&cluster->loop, UV_RUN_NOWAIT);
    TEST_EQUAL(uv_loop_close(&cluster->loop), 0);
}

static void on_timeout(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_closed(uv_handle_t *timer)
{
    timer->data = NULL;
}

bool cluster_run(struct cluster *cluster, bool (*condition)(void *data), void *data)
{
    bool late = false;
    uv_timer_t timer = {.data = &late};
    (void)uv_timer_init(&cluster->loop, &timer);
    uv_update_time(&cluster->loop);
    (void)uv_timer_start(&timer, on_timeout, LONG_MS, 0);
    while (!condition(data) && !late)
        (void)uv_run(&cluster->loop, UV_RUN_ONCE);
    bool held = condition(data);
    uv_close((uv_handle_t *)&timer, on_closed);
    while (timer.data)
        (void)uv_run(&cluster->loop, UV_RUN_NOWAIT);
    return held;
}

/* ---- calls ---- */

static void answer_on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct answer *answer = data;
    (void)call;
    TEST_REQUIRE(answer->count < sizeof answer->messages / sizeof answer->messages[0]);
    answer->messages[answer->count++] = message_copy(message);
}

static void answer_on_end(struct rpc_call *call, enum rpc_code code, const char *message,
                          void *data)
{
    struct answer *answer = data;
    (void)call;
    answer->call = NULL;
    answer->ended = true;
    answer->code = code;
    (void)snprintf(answer->message, sizeof answer->message, "%s", message);
}

static const struct rpc_call_events answer_events = {.on_message = answer_on_message,
                                                     .on_end = answer_on_end};

/* The descriptor of the answer to a request: its name with Response for Request. */
static const ProtobufCMessageDescriptor *response_of(const ProtobufCMessage *request)
{
    static const ProtobufCMessageDescriptor *const all[] = {
        &covey__v1__deploy_response__descriptor,
        &covey__v1__list_definitions_response__descriptor,
        &covey__v1__get_definition_response__descriptor,
        &covey__v1__delete_definition_response__descriptor,
        &covey__v1__flare_response__descriptor,
        &covey__v1__get_flare_response__descriptor,
        &covey__v1__list_flares_response__descriptor,
        &covey__v1__watch_flare_response__descriptor,
        &covey__v1__stream_logs_response__descriptor,
        &covey__v1__stream_results_response__descriptor,
        &covey__v1__cancel_flare_response__descriptor,
        &covey__v1__plan_flare_response__descriptor,
        &covey__v1__list_nodes_response__descriptor,
        &covey__v1__drain_node_response__descriptor,
        &covey__v1__get_server_info_response__descriptor,
        &covey__v1__put_response__descriptor,
        &covey__v1__get_response__descriptor,
        &covey__v1__stat_response__descriptor,
    };
    const char *name = request->descriptor->name;
    size_t stem = strlen(name) - strlen("Request");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strncmp(all[i]->name, name, stem) == 0 && strcmp(all[i]->name + stem, "Response") == 0)
            return all[i];
    return NULL;
}

void cluster_begin(struct cluster *cluster, struct answer *answer, const char *method,
                   const ProtobufCMessage *request)
{
    memset(answer, 0, sizeof *answer);
    TEST_REQUIRE(rpc_channel_call(cluster->channel, method, response_of(request), &answer_events,
                                  answer, NULL, &answer->call) == COVEY_OK);
    TEST_REQUIRE(rpc_call_send(answer->call, request) == COVEY_OK);
    rpc_call_half_close(answer->call);
}

static bool answer_has_ended(void *data)
{
    return ((struct answer *)data)->ended;
}

void cluster_call(struct cluster *cluster, struct answer *answer, const char *method,
                  const ProtobufCMessage *request)
{
    cluster_begin(cluster, answer, method, request);
    TEST_TRUE(cluster_run(cluster, answer_has_ended, answer));
}

void answer_clear(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        message_free(answer->messages[i]);
    answer->count = 0;
}

static void code_digest(char text[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)code_bytes, sizeof code_bytes, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

void cluster_deploy(struct cluster *cluster)
{
    struct answer answer;
    char digest[65];
    code_digest(digest);
    Covey__V1__PutRequest put = COVEY__V1__PUT_REQUEST__INIT;
    put.sha256 = digest;
    put.data = (ProtobufCBinaryData){sizeof code_bytes, (uint8_t *)(uintptr_t)code_bytes};
    cluster_call(cluster, &answer, "/covey.v1.Blobs/Put", &put.base);
    TEST_EQUAL(answer.code, RPC_OK);
    answer_clear(&answer);
    Covey__V1__Definition definition = COVEY__V1__DEFINITION__INIT;
    definition.name = (char *)(uintptr_t) "hello";
    definition.code_kind = COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT;
    definition.code_sha256 = digest;
    Covey__V1__DeployRequest deploy = COVEY__V1__DEPLOY_REQUEST__INIT;
    deploy.definition = &definition;
    cluster_call(cluster, &answer, "/covey.v1.Covey/Deploy", &deploy.base);
    TEST_EQUAL(answer.code, RPC_OK);
    answer_clear(&answer);
}

void cluster_flare(struct cluster *cluster, struct answer *answer, uint32_t workers, char id[32])
{
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    request.definition = (char *)(uintptr_t) "hello";
    request.workers = workers;
    cluster_call(cluster, answer, "/covey.v1.Covey/Flare", &request.base);
    id[0] = '\0';
    if (answer->code == RPC_OK)
        (void)snprintf(id, 32, "%s", ((Covey__V1__FlareResponse *)answer->messages[0])->flare->id);
    answer_clear(answer);
}

Covey__V1__Flare *cluster_get(struct cluster *cluster, struct answer *answer, const char *id)
{
    Covey__V1__GetFlareRequest request = COVEY__V1__GET_FLARE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    cluster_call(cluster, answer, "/covey.v1.Covey/GetFlare", &request.base);
    return answer->code == RPC_OK ? ((Covey__V1__GetFlareResponse *)answer->messages[0])->flare
                                  : NULL;
}

struct wait_state {
    struct answer watch;
    Covey__V1__FlareState state;
};

static bool has_reached(void *data)
{
    const struct wait_state *wait = data;
    if (wait->watch.ended)
        return true;
    for (size_t i = 0; i < wait->watch.count; i++)
        if (((Covey__V1__WatchFlareResponse *)wait->watch.messages[i])->event->state == wait->state)
            return true;
    return false;
}

bool cluster_reaches(struct cluster *cluster, const char *id, Covey__V1__FlareState state)
{
    static struct wait_state wait;
    Covey__V1__WatchFlareRequest request = COVEY__V1__WATCH_FLARE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    wait.state = state;
    cluster_begin(cluster, &wait.watch, "/covey.v1.Covey/WatchFlare", &request.base);
    bool reached = cluster_run(cluster, has_reached, &wait);
    if (!wait.watch.ended) {
        rpc_call_cancel(wait.watch.call);
        (void)cluster_run(cluster, answer_has_ended, &wait.watch);
    }
    bool found = false;
    for (size_t i = 0; i < wait.watch.count; i++)
        found = found ||
                ((Covey__V1__WatchFlareResponse *)wait.watch.messages[i])->event->state == state;
    answer_clear(&wait.watch);
    return reached && found;
}
