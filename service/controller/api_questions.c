/*
 * Questions whose answers take long: each goes on a bit at each turn of its call, so that other
 * callers have theirs in between; and of one caller's questions one is at work, while the others
 * wait in its line.
 */
#include "service/controller/api_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "service/controller/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a question is worked on at a time. */
#define BIT_NS (COVEY_NS_PER_MS / 2)

struct question_line {
    struct covey_list questions; /* the first is at work */
    char whose[80];
};

struct question;

struct question_kind {
    enum covey_status (*begin)(struct question *question, struct covey_error *error);
    enum covey_status (*step)(struct question *question, bool *done, struct covey_error *error);
    void (*reply)(struct question *question);
};

struct question {
    struct covey_list link; /* in its line */
    struct question_line *line;
    struct api *api;
    struct rpc_call *call;
    const struct question_kind *kind;
    struct controller_identity caller;
    void *request; /* an owned copy */
    bool begun;
    struct controller_listing *listing;
    struct controller_viewing *viewing;
    struct controller_estimate *estimate;
    Covey__V1__PlanFlareResponse plan;
    Covey__V1__ExplainFlareResponse *explanation;
};

/* ---- lines ---- */

static struct question_line *line_of(struct api *api, const struct controller_identity *caller)
{
    char whose[80];
    (void)snprintf(whose, sizeof whose, "%c %s", caller->is_operator ? 'o' : 't', caller->tenant);
    struct question_line *line = covey_map_get(&api->lines, whose);
    if (line)
        return line;
    line = covey_malloc(sizeof *line);
    if (!line || covey_map_set(&api->lines, whose, line) != COVEY_OK) {
        free(line);
        return NULL;
    }
    covey_list_init(&line->questions);
    memcpy(line->whose, whose, sizeof whose);
    return line;
}

static struct question *first_of(const struct question_line *line)
{
    return covey_container_of(line->questions.next, struct question, link);
}

/* It is answered, or nobody waits for it any more. */
static void leave_line(struct question *question)
{
    struct question_line *line = question->line;
    if (!line)
        return;
    bool was_first = first_of(line) == question;
    covey_list_remove(&question->link);
    question->line = NULL;
    if (covey_list_empty(&line->questions)) {
        (void)covey_map_remove(&question->api->lines, line->whose);
        free(line);
    } else if (was_first) {
        rpc_call_schedule(first_of(line)->call);
    }
}

/* ---- kinds ---- */

static enum covey_status begin_list(struct question *question, struct covey_error *error)
{
    return controller_list(question->api->controller, &question->caller, question->request,
                           &question->listing, error);
}

static enum covey_status step_list(struct question *question, bool *done, struct covey_error *error)
{
    return controller_listing_step(question->listing, done, error);
}

static void reply_list(struct question *question)
{
    rpc_call_reply(question->call, &controller_listing_answer(question->listing)->base);
}

static enum covey_status begin_get(struct question *question, struct covey_error *error)
{
    const Covey__V1__GetFlareRequest *request = question->request;
    enum covey_status status = controller_view(question->api->controller, &question->caller,
                                               request->id, &question->viewing, error);
    if (!status && request->usage)
        controller_measure(question->api->controller, request->id);
    return status;
}

static enum covey_status step_get(struct question *question, bool *done, struct covey_error *error)
{
    return controller_viewing_step(question->viewing, done, error);
}

static void reply_get(struct question *question)
{
    Covey__V1__GetFlareResponse response = COVEY__V1__GET_FLARE_RESPONSE__INIT;
    response.flare = controller_viewing_answer(question->viewing);
    rpc_call_reply(question->call, &response.base);
}

static enum covey_status begin_plan(struct question *question, struct covey_error *error)
{
    const Covey__V1__PlanFlareRequest *request = question->request;
    if (!request->request)
        return covey_error_set(error, COVEY_EINVAL, "no request is given to plan");
    return controller_plan(question->api->controller, &question->caller, request->request,
                           &question->plan, &question->estimate, error);
}

static enum covey_status begin_explain(struct question *question, struct covey_error *error)
{
    const Covey__V1__ExplainFlareRequest *request = question->request;
    return controller_explain(question->api->controller, &question->caller, request->id,
                              &question->explanation, &question->estimate, error);
}

static enum covey_status step_estimate(struct question *question, bool *done,
                                       struct covey_error *error)
{
    *done = !question->estimate;
    return *done ? COVEY_OK : controller_estimate_step(question->estimate, done, error);
}

static void reply_estimate(struct question *question, ProtobufCMessage *response,
                           Google__Protobuf__Duration **wait, char **none)
{
    enum covey_status status =
        question->estimate ? controller_estimate_take(question->estimate, wait, none) : COVEY_OK;
    if (status)
        rpc_call_fail(question->call, status, NULL);
    else
        rpc_call_reply(question->call, response);
}

static void reply_plan(struct question *question)
{
    Covey__V1__PlanFlareResponse *plan = &question->plan;
    reply_estimate(question, &plan->base, &plan->estimated_wait, &plan->no_estimate);
}

static void reply_explain(struct question *question)
{
    Covey__V1__ExplainFlareResponse *explanation = question->explanation;
    reply_estimate(question, &explanation->base, &explanation->estimated_wait,
                   &explanation->no_estimate);
}

static const struct question_kind list_kind = {begin_list, step_list, reply_list};
static const struct question_kind get_kind = {begin_get, step_get, reply_get};
static const struct question_kind plan_kind = {begin_plan, step_estimate, reply_plan};
static const struct question_kind explain_kind = {begin_explain, step_estimate, reply_explain};

/* ---- at work ---- */

/* A bit of it: at least one step. */
static enum covey_status work(struct question *question, bool *done, struct covey_error *error)
{
    int64_t until_ns = covey_now_ns() + BIT_NS;
    enum covey_status status = COVEY_OK;
    if (!question->begun) {
        question->begun = true;
        status = question->kind->begin(question, error);
    }
    *done = false;
    do {
        if (!status)
            status = question->kind->step(question, done, error);
    } while (!status && !*done && covey_now_ns() < until_ns);
    return status;
}

static void on_turn(struct rpc_call *call, void *data)
{
    struct question *question = data;
    struct covey_error error = {0};
    bool done;
    if (!question->line || first_of(question->line) != question)
        return;
    enum covey_status status = work(question, &done, &error);
    if (!status && !done) {
        rpc_call_schedule(call);
        return;
    }
    if (status)
        rpc_call_fail(call, status, &error);
    else
        question->kind->reply(question);
    leave_line(question);
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct question *question = data;
    if (!api_caller(question->api, call, &question->caller))
        return;
    question->request = message_copy(message);
    struct question_line *line =
        question->request ? line_of(question->api, &question->caller) : NULL;
    if (!line) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return;
    }
    question->line = line;
    covey_list_push_back(&line->questions, &question->link);
    if (first_of(line) == question)
        on_turn(call, question);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    struct question *question = data;
    leave_line(question);
    controller_listing_end(question->listing);
    controller_viewing_end(question->viewing);
    controller_estimate_end(question->estimate);
    controller_plan_clear(&question->plan);
    message_free(question->explanation);
    message_free(question->request);
    free(question);
}

static const struct rpc_call_events *ask(struct rpc_call *call, struct api *api,
                                         const struct question_kind *kind, void **data)
{
    static const struct rpc_call_events events = {
        .on_message = on_message, .on_turn = on_turn, .on_end = on_end};
    struct question *question = covey_calloc(1, sizeof *question);
    if (!question) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    covey_list_init(&question->link);
    question->api = api;
    question->call = call;
    question->kind = kind;
    question->plan = (Covey__V1__PlanFlareResponse)COVEY__V1__PLAN_FLARE_RESPONSE__INIT;
    *data = question;
    return &events;
}

const struct rpc_call_events *api_list_flares(struct rpc_call *call, void *service, void **data)
{
    return ask(call, service, &list_kind, data);
}

const struct rpc_call_events *api_get_flare(struct rpc_call *call, void *service, void **data)
{
    return ask(call, service, &get_kind, data);
}

const struct rpc_call_events *api_plan_flare(struct rpc_call *call, void *service, void **data)
{
    return ask(call, service, &plan_kind, data);
}

const struct rpc_call_events *api_explain_flare(struct rpc_call *call, void *service, void **data)
{
    return ask(call, service, &explain_kind, data);
}
