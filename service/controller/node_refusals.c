/*
 * Reports that cannot be taken. Each costs itself and, where a flare cannot go on without it, that
 * flare on that node; never the stream, on which the reports of other flares come. The agent is
 * told, or it would repeat the report for ever.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <string.h>

static const char *body_name(uint32_t body)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&covey__v1__attach_request__descriptor, body);
    return field ? field->name : "no known body";
}

/* What a flare waits for, and its workers where it is their output: without it, it would hang. */
static bool is_waited_for(uint32_t body)
{
    switch (body) {
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARED:
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED:
    case COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED:
    case COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED:
    case COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK:
        return true;
    default:
        return false;
    }
}

/* The user sees why, once for each node and attempt: an agent may say such things for ever. */
static void mark(struct controller *controller, struct share *share, const char *text)
{
    if (share->refusal_told)
        return;
    share->refusal_told = true;
    (void)flare_must(controller, share->flare, FLARE_EVENT_REPORT_REFUSED, NULL, text);
}

static void blame(struct controller *controller, struct share *share, uint32_t body,
                  const char *reason)
{
    char text[COVEY_ERROR_MESSAGE_BYTES];
    (void)covey_text_print(text, sizeof text,
                           "node %s said of it what the controller cannot take (%s): %s",
                           share->node->name, body_name(body), reason);
    if (!is_waited_for(body) || share->flare->rolling_back || share->flare->state > FLARE_RUNNING) {
        mark(controller, share, text);
        return;
    }
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t) "EPROTO";
    failure.message = text;
    failure.node = share->node->name;
    failure.rank = -1;
    restart_or_fail(controller, share->flare, &failure, NULL);
}

static void tell(struct controller *controller, struct controller_node *node, uint64_t sequence,
                 const char *reason)
{
    Covey__V1__Refused refused = COVEY__V1__REFUSED__INIT;
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    refused.sequence = sequence;
    refused.reason = (char *)(uintptr_t)reason;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_REFUSED;
    message.refused = &refused;
    (void)node_send(controller, node, &message);
}

void node_refuse_report(struct controller *controller, struct controller_node *node,
                        const struct envelope *envelope, const char *reason)
{
    const struct flare *flare = flare_find(controller, envelope->flare_id);
    struct share *share = flare ? gang_share(flare, node) : NULL;
    uint64_t count = ++node->refusals;
    if ((count & (count - 1)) == 0) /* at 1, 2, 4, ...: a bad agent must not fill the log */
        log_warn("a report is set aside: %s node=%s report=%s flare=%s refused=%llu", reason,
                 node->name, body_name(envelope->body), envelope->flare_id,
                 (unsigned long long)count);
    if (envelope->sequence)
        tell(controller, node, envelope->sequence, reason);
    if (!share || share->state == SHARE_GONE)
        return;
    /* This one says all with its flare's id. */
    if (envelope->body == COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE && share->stop_sent)
        ending_share_gone(controller, share);
    else
        blame(controller, share, envelope->body, reason);
}
