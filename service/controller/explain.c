/* Why a flare is where it is, in words and for programs. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Covey__V1__ExplainFlareResponse explain_message;

#define REASONS_MAX 8

static const Covey__V1__ReasonKind kinds[] = {
    [SCHED_REASON_NONE] = COVEY__V1__REASON_KIND__REASON_KIND_NEXT,
    [SCHED_REASON_BEHIND] = COVEY__V1__REASON_KIND__REASON_KIND_BEHIND,
    [SCHED_REASON_PROMISED] = COVEY__V1__REASON_KIND__REASON_KIND_PROMISED,
    [SCHED_REASON_QUOTA] = COVEY__V1__REASON_KIND__REASON_KIND_QUOTA,
    [SCHED_REASON_NO_MATCH] = COVEY__V1__REASON_KIND__REASON_KIND_NO_MATCH,
    [SCHED_REASON_NO_NODES] = COVEY__V1__REASON_KIND__REASON_KIND_NO_NODES,
    [SCHED_REASON_CAPACITY] = COVEY__V1__REASON_KIND__REASON_KIND_CAPACITY,
    [SCHED_REASON_FRAGMENTED] = COVEY__V1__REASON_KIND__REASON_KIND_FRAGMENTED,
    [SCHED_REASON_FEW_NODES] = COVEY__V1__REASON_KIND__REASON_KIND_FEW_NODES,
    [SCHED_REASON_NODE_LIMIT] = COVEY__V1__REASON_KIND__REASON_KIND_NODE_LIMIT,
};

/* NULL: no memory. */
static Covey__V1__Reason *add_reason(explain_message *response, Covey__V1__ReasonKind kind,
                                     const char *text)
{
    Covey__V1__Reason *reason = message_new(&covey__v1__reason__descriptor);
    if (!reason)
        return NULL;
    response->reasons[response->n_reasons++] = reason;
    reason->kind = kind;
    return message_set_string(&reason->message, text) ? reason : NULL;
}

/* What also stands in the way of it, or does not help it, after what decides. */
static bool add_about_nodes(explain_message *response, Covey__V1__ReasonKind kind, uint32_t nodes,
                            const char *what)
{
    char text[128];
    if (nodes == 0)
        return true;
    (void)snprintf(text, sizeof text, "%u node%s %s", nodes, nodes == 1 ? "" : "s", what);
    Covey__V1__Reason *reason = add_reason(response, kind, text);
    if (reason)
        reason->nodes = nodes;
    return reason != NULL;
}

static bool explain_numbers(const struct sched_reason *why, Covey__V1__Reason *reason)
{
    reason->absent = why->absent;
    reason->never = why->never;
    if (why->kind != SCHED_REASON_CAPACITY && why->kind != SCHED_REASON_FRAGMENTED &&
        (why->kind != SCHED_REASON_QUOTA || why->dimension == SCHED_DIMENSIONS))
        return true;
    reason->asked = why->asked;
    reason->available = why->available;
    return message_set_string(&reason->dimension, why->dimension_name);
}

/* Other tenants' flares are not named. */
static bool explain_blocker(const struct controller *controller, const char *tenant,
                            const struct sched_reason *why, Covey__V1__Reason *reason)
{
    const struct flare *blocker = flare_find(controller, why->blocker);
    if (!blocker || (tenant && strcmp(blocker->tenant, tenant) != 0))
        return true;
    return message_set_string(&reason->flare_id, why->blocker);
}

/* When it starts as far as that was promised. */
static bool explain_when(struct controller *controller, const struct sched_reason *why,
                         explain_message *response)
{
    return !why->promised_ns || !why->promise_is_expected ||
           message_set_duration(&response->promised_wait,
                                why->promised_ns - sched_now_of(controller));
}

static bool explain_waiting(struct controller *controller, const char *tenant,
                            const struct sched_reason *why, explain_message *response)
{
    char text[SCHED_TEXT_BYTES];
    (void)sched_reason_text(why, text);
    Covey__V1__Reason *first =
        add_reason(response, kinds[why->kind], *text ? text : "it fits now and is next");
    response->nodes = message_new(&covey__v1__node_counts__descriptor);
    if (!first || !response->nodes || !explain_numbers(why, first) ||
        !explain_blocker(controller, tenant, why, first) ||
        !explain_when(controller, why, response))
        return false;
    response->nodes->up = why->nodes_up;
    response->nodes->draining = why->nodes_draining;
    response->nodes->down = why->nodes_down;
    response->nodes->unmatched = why->nodes_unmatched;
    response->nodes->too_small = why->nodes_too_small;
    response->ahead = why->ahead;
    response->unit = why->unit;
    response->fitting = why->fitting;
    if (why->ahead && why->kind != SCHED_REASON_BEHIND) {
        (void)snprintf(text, sizeof text, "%s%u flare%s ahead of it in the queue",
                       why->ahead_at_least ? "at least " : "", why->ahead,
                       why->ahead == 1 ? " is" : "s are");
        if (!add_reason(response, COVEY__V1__REASON_KIND__REASON_KIND_BEHIND, text))
            return false;
    }
    if (why->kind != SCHED_REASON_NO_MATCH &&
        !add_about_nodes(
            response, COVEY__V1__REASON_KIND__REASON_KIND_NO_MATCH, why->nodes_unmatched,
            why->nodes_unmatched == 1 ? "is not selected, or has a taint that is not tolerated"
                                      : "are not selected, or have taints that are not tolerated"))
        return false;
    return add_about_nodes(response, COVEY__V1__REASON_KIND__REASON_KIND_DRAINING,
                           why->nodes_draining,
                           why->nodes_draining == 1 ? "is being drained and takes nothing new"
                                                    : "are being drained and take nothing new") &&
           add_about_nodes(response, COVEY__V1__REASON_KIND__REASON_KIND_DOWN, why->nodes_down,
                           why->nodes_down == 1 ? "is lost or down" : "are lost or down");
}

/* "on a, b and 3 others". */
static void describe_place(const flare_message *view, char *text, size_t size_bytes)
{
    uint32_t nodes = 0;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < view->n_packs; i++) {
        if (i > 0 && strcmp(view->packs[i]->node, view->packs[i - 1]->node) == 0)
            continue;
        if (nodes++ < 8 && used < size_bytes)
            used +=
                covey_text_print(text + used, size_bytes - used, "%s%.*s", nodes > 1 ? ", " : "",
                                 covey_text_fit(view->packs[i]->node, 64), view->packs[i]->node);
    }
    if (nodes > 8 && used < size_bytes)
        (void)snprintf(text + used, size_bytes - used, " and %u others", nodes - 8);
}

static bool explain_placed(const struct flare *flare, explain_message *response)
{
    const flare_message *view = flare->view;
    char place[640];
    char text[COVEY_ERROR_MESSAGE_BYTES + 640];
    Covey__V1__ReasonKind kind = COVEY__V1__REASON_KIND__REASON_KIND_PREPARING;
    describe_place(view, place, sizeof place);
    if (flare->state == FLARE_RUNNING) {
        kind = COVEY__V1__REASON_KIND__REASON_KIND_RUNNING;
        (void)covey_text_print(text, sizeof text, "it runs on %s: %u worker%s in %zu pack%s", place,
                               view->workers_total, view->workers_total == 1 ? "" : "s",
                               view->n_packs, view->n_packs == 1 ? "" : "s");
    } else if (flare->state == FLARE_ENDING) {
        kind = COVEY__V1__REASON_KIND__REASON_KIND_ENDING;
        (void)covey_text_print(text, sizeof text, "it is ending: %s",
                               view->error ? view->error->message : "every worker has ended well");
    } else if (flare->rolling_back) {
        (void)covey_text_print(text, sizeof text, "it is removed from %s to start again: %s", place,
                               flare->stop_reason ? flare->stop_reason : "");
    } else {
        (void)covey_text_print(text, sizeof text, "%s: %u workers are made ready", place,
                               view->workers_total);
    }
    return add_reason(response, kind, text) != NULL;
}

static bool explain_ended(explain_message *response)
{
    static const char *const words[] = {[FLARE_FAILED] = "it has failed: ",
                                        [FLARE_CANCELLED] = "it was stopped: ",
                                        [FLARE_TIMED_OUT] = "it was stopped: "};
    const flare_message *view = response->flare;
    char text[COVEY_ERROR_MESSAGE_BYTES + 64];
    enum flare_state state = (enum flare_state)view->state;
    if (state == FLARE_SUCCEEDED)
        (void)covey_text_print(text, sizeof text, "it has succeeded: every worker has ended well");
    else
        (void)covey_text_print(text, sizeof text, "%s%s", words[state],
                               view->error ? view->error->message : "ended");
    return add_reason(response, COVEY__V1__REASON_KIND__REASON_KIND_ENDED, text) != NULL;
}

/* tenant NULL: whose flares are all shown. */
static bool explain(struct controller *controller, const char *tenant, explain_message *response)
{
    const struct flare *live = flare_find(controller, response->flare->id);
    struct sched_reason why;
    response->reasons = covey_calloc(REASONS_MAX, sizeof(Covey__V1__Reason *));
    if (!response->reasons)
        return false;
    if (!live || flare_state_is_final(live->state))
        return explain_ended(response);
    if (live->state == FLARE_QUEUED &&
        sched_explain(controller->sched, live->id, sched_now_of(controller), &why) == COVEY_OK)
        return explain_waiting(controller, tenant, &why, response);
    return explain_placed(live, response);
}

enum covey_status controller_explain(struct controller *controller,
                                     const struct controller_identity *caller, const char *id,
                                     explain_message **response,
                                     struct controller_estimate **estimate,
                                     struct covey_error *error)
{
    flare_message *view;
    *response = NULL;
    *estimate = NULL;
    enum covey_status status = controller_get(controller, caller, id, false, &view, error);
    if (status)
        return status;
    explain_message *made = message_new(&covey__v1__explain_flare_response__descriptor);
    if (made)
        made->flare = view;
    else
        message_free(view);
    if (!made || !explain(controller, caller->is_operator ? NULL : caller->tenant, made)) {
        message_free(made);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for an answer");
    }
    const struct flare *live = flare_find(controller, id);
    if (live && live->state == FLARE_QUEUED)
        status = estimate_begin(controller, NULL, id, estimate, error);
    if (status)
        message_free(made);
    else
        *response = made;
    return status;
}
