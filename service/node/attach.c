/* The stream to the controller. */
#include "base/log.h"
#include "service/common/envelope.h"
#include "service/node/node.h"

#define BACK_OFF_MIN_NS  (20 * COVEY_NS_PER_MS)
#define BACK_OFF_MAX_NS  (2 * COVEY_NS_PER_S)
#define HEARTBEAT_MIN_NS (10 * COVEY_NS_PER_MS)
#define HEARTBEAT_NS     (250 * COVEY_NS_PER_MS)
#define WITHDRAWING_MS   5

/* A registration that lasts less is none: the back-off goes on. */
#define SETTLED_NS COVEY_NS_PER_S

/* As long as the controller has not said another one. */
#define MESSAGE_BYTES ((size_t)4 << 20)

/* What this side takes and sends: a Prepare brings the parameters of all workers. */
#define MESSAGE_MAX_BYTES ((size_t)64 << 20)

static void on_retry(uv_timer_t *timer)
{
    attach_start(timer->data);
}

/* Everything runs on while nobody listens. */
static void retry(struct node *agent)
{
    struct attach *attach = &agent->attach;
    if (attach->closing)
        return;
    attach->back_off_ns = attach->back_off_ns ? attach->back_off_ns * 2 : BACK_OFF_MIN_NS;
    if (attach->back_off_ns > BACK_OFF_MAX_NS)
        attach->back_off_ns = BACK_OFF_MAX_NS;
    (void)uv_timer_start(&attach->retry, on_retry,
                         (uint64_t)(attach->back_off_ns / COVEY_NS_PER_MS), 0);
}

/* What trying again does not cure: the options are wrong, or the versions. Where flares run it is
 * tried all the same, for their sake. */
static bool is_final(const struct node *agent, enum rpc_code code)
{
    return agent->attach.epoch == 0 && agent->flares.count == 0 &&
           (code == RPC_UNAUTHENTICATED || code == RPC_INVALID_ARGUMENT ||
            code == RPC_FAILED_PRECONDITION || code == RPC_UNIMPLEMENTED);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct node *agent = data;
    struct attach *attach = &agent->attach;
    (void)call;
    if (attach->closing) {
        attach->call = NULL;
        attach->registered = false;
        return;
    }
    if (is_final(agent, code)) {
        log_error("the controller refuses this node controller=%s code=%s reason=\"%s\"",
                  agent->options.controller, rpc_code_name(code), message);
        attach->call = NULL;
        agent->exit_status = 1;
        node_shut_down(agent, true);
        return;
    }
    if (attach->registered || attach->back_off_ns == 0 ||
        (code != RPC_UNAVAILABLE && code != RPC_CANCELLED))
        log_warn("the controller is lost: trying again controller=%s code=%s reason=\"%s\"",
                 agent->options.controller, rpc_code_name(code), message);
    if (attach->registered && covey_now_ns() - attach->registered_ns >= SETTLED_NS)
        attach->back_off_ns = 0;
    attach->call = NULL;
    attach->registered = false;
    (void)uv_timer_stop(&attach->heartbeat);
    flare_withdraw_unprepared(agent);
    retry(agent);
    node_check_stopped(agent);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct node *agent = timer->data;
    oom_look(&agent->oom, covey_now_ns());
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__Heartbeat heartbeat = COVEY__V1__HEARTBEAT__INIT;
    request.epoch = agent->attach.epoch;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT;
    request.heartbeat = &heartbeat;
    heartbeat.warm_hosts = agent->warm.host_count;
    heartbeat.warm_packs = agent->warm.pack_count;
    if (rpc_call_send(agent->attach.call, &request.base) != COVEY_OK)
        log_warn("a heartbeat cannot be sent");
}

static void on_registered(struct node *agent, const Covey__V1__Registered *registered)
{
    struct attach *attach = &agent->attach;
    attach->epoch = registered->epoch;
    attach->registered = true;
    attach->registered_ns = covey_now_ns();
    attach->message_bytes =
        registered->max_message_bytes ? (size_t)registered->max_message_bytes : MESSAGE_BYTES;
    if (attach->message_bytes > MESSAGE_MAX_BYTES)
        attach->message_bytes = MESSAGE_MAX_BYTES;
    attach->heartbeat_ns = node_duration_ns(registered->heartbeat_interval, HEARTBEAT_NS);
    if (attach->heartbeat_ns < HEARTBEAT_MIN_NS)
        attach->heartbeat_ns = HEARTBEAT_MIN_NS;
    uint64_t interval_ms = (uint64_t)(attach->heartbeat_ns / COVEY_NS_PER_MS);
    (void)uv_timer_start(&attach->heartbeat, on_heartbeat, interval_ms, interval_ms);
    log_info("registered controller=%s epoch=%llu", agent->options.controller,
             (unsigned long long)attach->epoch);
    for (size_t i = 0; i < registered->n_unknown_flare_ids; i++)
        flare_stop(agent, registered->unknown_flare_ids[i], 0,
                   "the controller does not know the flare");
    outbox_rewind(&agent->outbox);
    relay_rewind(&agent->relay);
    outbox_pump(agent);
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *decoded, void *data)
{
    struct node *agent = data;
    const Covey__V1__AttachResponse *response = (const Covey__V1__AttachResponse *)decoded;
    bool first = response->body_case == COVEY__V1__ATTACH_RESPONSE__BODY_REGISTERED;
    if (first == agent->attach.registered) {
        log_error("the controller does not keep to the order of registration");
        rpc_call_cancel(call);
        return;
    }
    switch (response->body_case) {
    case COVEY__V1__ATTACH_RESPONSE__BODY_REGISTERED:
        on_registered(agent, response->registered);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_ACKNOWLEDGE:
        outbox_acknowledge(agent, response->acknowledge->sequence);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_REFUSED:
        outbox_refused(agent, response->refused->sequence, response->refused->reason);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE:
        flare_prepare(agent, response->prepare);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_START:
        flare_start(agent, response->start);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_STOP:
        flare_stop(agent, response->stop->flare_id, node_duration_ns(response->stop->grace, 0),
                   response->stop->reason);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_LOG_TAKEN:
        flare_log_taken(agent, response->log_taken);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_PEERS_ENDED:
        flare_peers_ended(agent, response->peers_ended);
        break;
    case COVEY__V1__ATTACH_RESPONSE__BODY_MEASURE:
        usage_tell(agent, response->measure->flare_id);
        break;
    default:
        log_warn("the controller said what this node does not know: is it newer?");
        break;
    }
}

/* It costs the flare that it is about, and never the stream: the controller would say it again. */
static bool on_bad_message(struct rpc_call *call, enum covey_status why, const uint8_t *bytes,
                           size_t length_bytes, void *data)
{
    struct node *agent = data;
    struct envelope envelope;
    (void)call;
    envelope_read(bytes, length_bytes, &envelope);
    log_error("the controller said what cannot be read body=%u flare=%s status=%s", envelope.body,
              envelope.flare_id, covey_status_name(why));
    if (!agent->attach.registered)
        return false;
    flare_not_understood(agent, envelope.body, envelope.flare_id);
    return true;
}

static void on_writable(struct rpc_call *call, void *data)
{
    (void)call;
    outbox_pump(data);
}

static const struct rpc_call_events events = {.on_message = on_message,
                                              .on_bad_message = on_bad_message,
                                              .on_writable = on_writable,
                                              .on_end = on_end};

enum covey_status attach_open(struct node *agent, struct covey_error *error)
{
    struct rpc_channel_options options;
    const struct node_options *own = &agent->options;
    struct rpc_tls tls = {.ca_file = own->ca_file,
                          .certificate_file = *own->certificate_file ? own->certificate_file : NULL,
                          .key_file = *own->key_file ? own->key_file : NULL};
    rpc_channel_options_init(&options);
    options.limits.message_bytes = MESSAGE_MAX_BYTES;
    if (*agent->options.join_token)
        options.token = agent->options.join_token;
    if (*agent->options.ca_file)
        options.tls = &tls;
    (void)uv_timer_init(&agent->loop, &agent->attach.retry);
    (void)uv_timer_init(&agent->loop, &agent->attach.heartbeat);
    agent->attach.retry.data = agent->attach.heartbeat.data = agent;
    return rpc_channel_create(&agent->loop, agent->options.controller, &options,
                              &agent->attach.channel, error);
}

void attach_start(struct node *agent)
{
    struct attach *attach = &agent->attach;
    if (attach->closing || attach->call)
        return;
    /* What is on its way out is not to be taken for what runs. */
    if (flare_withdrawing(agent)) {
        (void)uv_timer_start(&attach->retry, on_retry, WITHDRAWING_MS, 0);
        return;
    }
    enum covey_status status = rpc_channel_call(attach->channel, "/covey.v1.Node/Attach",
                                                &covey__v1__attach_response__descriptor, &events,
                                                agent, NULL, &attach->call);
    if (status) {
        attach->call = NULL;
        log_error("cannot call the controller status=%s", covey_status_name(status));
        retry(agent);
        return;
    }
    rpc_call_mend_text(attach->call);
    if (!register_send(agent))
        rpc_call_cancel(attach->call);
}

static void on_channel_closed(void *data)
{
    struct node *agent = data;
    agent->attach.channel = NULL;
    node_check_stopped(agent);
}

void attach_close(struct node *agent)
{
    struct attach *attach = &agent->attach;
    if (attach->closing)
        return;
    attach->closing = true;
    uv_close((uv_handle_t *)&attach->retry, NULL);
    uv_close((uv_handle_t *)&attach->heartbeat, NULL);
    if (attach->channel)
        rpc_channel_destroy(attach->channel, on_channel_closed, agent);
}
