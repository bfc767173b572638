#include "tests/component/rpc/echo_service.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Covey__Test__Note note;

static uint8_t zeros[((size_t)16 << 20)];

struct serving {
    struct echo *echo;
    uint32_t left;
    size_t note_bytes;
    uint32_t joined;
    size_t joined_bytes;
    bool chat;
};

Covey__Test__Note echo_note(const char *text, uint32_t count, size_t payload_bytes)
{
    note made = COVEY__TEST__NOTE__INIT;
    made.text = (char *)(uintptr_t)text;
    made.count = count;
    made.payload.data = zeros;
    made.payload.len = payload_bytes;
    return made;
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct serving *serving = data;
    struct echo *echo = serving->echo;
    echo->calls_ended++;
    echo->last_end = code;
    snprintf(echo->last_end_message, sizeof echo->last_end_message, "%s", message);
    if (echo->held == call)
        echo->held = NULL;
    free(serving);
}

static void split_on(struct rpc_call *call, void *data)
{
    struct serving *serving = data;
    while (serving->left > 0 && rpc_call_writable(call)) {
        note part = echo_note("part", serving->left, serving->note_bytes);
        enum covey_status status = rpc_call_send(call, &part.base);
        if (status) {
            rpc_call_fail(call, status, NULL);
            return;
        }
        serving->left--;
        serving->echo->notes_sent++;
    }
    if (serving->left == 0)
        rpc_call_finish(call, RPC_OK, NULL);
}

static void reply_large(struct rpc_call *call)
{
    note large = echo_note("", 0, ((size_t)5 << 20));
    rpc_call_reply(call, &large.base);
}

static void work(struct echo *echo)
{
    int64_t until_ns = covey_now_ns() + 5 * COVEY_NS_PER_MS;
    while (covey_now_ns() < until_ns)
        ;
    echo->works++;
}

static void work_on(struct rpc_call *call, void *data)
{
    struct serving *serving = data;
    work(serving->echo);
    if (--serving->left > 0) {
        rpc_call_schedule(call);
        return;
    }
    note done = echo_note("done", 0, 0);
    rpc_call_reply(call, &done.base);
}

static void on_unary(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *asked = (const note *)message;
    if (strcmp(asked->text, "work") == 0)
        work(serving->echo);
    if (strcmp(asked->text, "bits") == 0) {
        serving->left = asked->count;
        rpc_call_schedule(call);
        return;
    }
    if (strcmp(asked->text, "fail") == 0)
        rpc_call_finish(call, RPC_NOT_FOUND, " nicht da: 100 % \xc3\xbc\n ");
    else if (strcmp(asked->text, "hold") == 0)
        serving->echo->held = call;
    else if (strcmp(asked->text, "die") == 0)
        rpc_call_finish(call, RPC_OK, NULL);
    else if (strcmp(asked->text, "large") == 0)
        reply_large(call);
    else
        rpc_call_reply(call, message);
}

static void on_split(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *asked = (const note *)message;
    serving->left = asked->count;
    serving->note_bytes = asked->payload.len;
    split_on(call, data);
}

static void on_join(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *part = (const note *)message;
    serving->joined++;
    serving->joined_bytes += part->payload.len;
    if (strcmp(part->text, "pause") == 0) {
        serving->echo->held = call;
        rpc_call_pause(call);
    } else if (strcmp(part->text, "fail") == 0) {
        rpc_call_finish(call, RPC_ABORTED, "enough");
    }
}

static void on_join_end(struct rpc_call *call, void *data)
{
    struct serving *serving = data;
    char text[64];
    snprintf(text, sizeof text, "%zu", serving->joined_bytes);
    note sum = echo_note(text, serving->joined, 0);
    serving->echo->half_closes++;
    rpc_call_reply(call, &sum.base);
}

static void on_chat(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct serving *serving = data;
    const note *said = (const note *)message;
    if (strcmp(said->text, "pause") == 0) {
        serving->echo->held = call;
        rpc_call_pause(call);
        return;
    }
    enum covey_status status = rpc_call_send(call, message);
    if (status)
        rpc_call_fail(call, status, NULL);
    else if (!rpc_call_writable(call))
        rpc_call_pause(call);
}

static void chat_on(struct rpc_call *call, void *data)
{
    const struct serving *serving = data;
    if (serving->echo->held != call)
        rpc_call_resume(call);
}

static void on_chat_end(struct rpc_call *call, void *data)
{
    (void)data;
    rpc_call_finish(call, RPC_OK, NULL);
}

static const struct rpc_call_events *start(struct rpc_call *call, void *service_data, void **data,
                                           const struct rpc_call_events *events)
{
    struct echo *echo = service_data;
    struct serving *serving = covey_calloc(1, sizeof *serving);
    if (!serving) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    serving->echo = echo;
    echo->peer = *rpc_call_peer(call);
    (void)snprintf(echo->certificate_name, sizeof echo->certificate_name, "%s",
                   echo->peer.certificate_name ? echo->peer.certificate_name : "");
    const char *value = rpc_call_metadata(call, "x-test");
    snprintf(echo->metadata, sizeof echo->metadata, "%s", value ? value : "");
    *data = serving;
    return events;
}

#define ON_CALL(name, ...)                                                                         \
    static const struct rpc_call_events *name(struct rpc_call *call, void *service_data,           \
                                              void **data)                                         \
    {                                                                                              \
        static const struct rpc_call_events events = {.on_end = on_end, __VA_ARGS__};              \
        return start(call, service_data, data, &events);                                           \
    }

ON_CALL(on_unary_call, .on_message = on_unary, .on_turn = work_on)
ON_CALL(on_split_call, .on_message = on_split, .on_writable = split_on)
ON_CALL(on_join_call, .on_message = on_join, .on_half_close = on_join_end)
ON_CALL(on_chat_call, .on_message = on_chat, .on_half_close = on_chat_end, .on_writable = chat_on)

static bool on_bad_note(struct rpc_call *call, enum covey_status why, const uint8_t *bytes,
                        size_t length_bytes, void *data)
{
    (void)bytes;
    (void)data;
    note answer = echo_note("malformed", (uint32_t)length_bytes, 0);
    return why == COVEY_EPROTO && rpc_call_send(call, &answer.base) == COVEY_OK;
}

ON_CALL(on_mending_call, .on_message = on_chat, .on_bad_message = on_bad_note,
        .on_half_close = on_chat_end, .on_writable = chat_on)

static const struct rpc_call_events *on_mend_call(struct rpc_call *call, void *service_data,
                                                  void **data)
{
    rpc_call_mend_text(call);
    return on_mending_call(call, service_data, data);
}

#define NOTES .request = &covey__test__note__descriptor, .response = &covey__test__note__descriptor

static const struct rpc_method methods[] = {
    {.name = "Unary", NOTES, .on_call = on_unary_call},
    {.name = "Split", NOTES, .server_streaming = true, .on_call = on_split_call},
    {.name = "Join", NOTES, .client_streaming = true, .on_call = on_join_call},
    {.name = "Chat",
     NOTES,
     .client_streaming = true,
     .server_streaming = true,
     .on_call = on_chat_call},
    {.name = "Mend",
     NOTES,
     .client_streaming = true,
     .server_streaming = true,
     .on_call = on_mend_call},
};

const struct rpc_service echo_service = {"covey.test.Echo", methods,
                                         sizeof methods / sizeof *methods};
