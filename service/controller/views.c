/* Flares as users see them: from memory while they live, from the journal afterwards. */
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

enum covey_status views_not_found(const char *id, struct covey_error *error)
{
    if (!ulid_is_valid(id))
        return covey_error_set(error, COVEY_ENOTFOUND,
                               "'%.*s' is no flare's id: those have %d letters and digits",
                               covey_text_fit(id, 40), id, ULID_BYTES - 1);
    return covey_error_set(error, COVEY_ENOTFOUND, "no flare has the id %s", id);
}

bool views_may_see(const struct controller_identity *caller, const char *tenant)
{
    return caller->is_operator || strcmp(caller->tenant, tenant) == 0;
}

void views_clear_workers(flare_message *view)
{
    for (size_t i = 0; i < view->n_workers; i++)
        message_free(view->workers[i]);
    free(view->workers);
    view->workers = NULL;
    view->n_workers = 0;
}

enum covey_status views_show_live(struct controller *controller, const struct flare *flare,
                                  flare_message *shown)
{
    struct sched_reason reason;
    *shown = *flare->view;
    if (flare->state != FLARE_QUEUED ||
        sched_explain(controller->sched, flare->id, sched_now_of(controller), &reason) != COVEY_OK)
        return COVEY_OK;
    char text[SCHED_TEXT_BYTES];
    shown->queue_position = reason.ahead;
    shown->pending_reason = (char *)(uintptr_t)protobuf_c_empty_string;
    return message_set_string(&shown->pending_reason, sched_reason_text(&reason, text))
               ? COVEY_OK
               : COVEY_ENOMEM;
}

void views_shown_clear(flare_message *shown)
{
    if (shown->pending_reason != protobuf_c_empty_string)
        free(shown->pending_reason);
}

enum covey_status views_copy_live(struct controller *controller, const struct flare *flare,
                                  bool with_workers, flare_message **view)
{
    flare_message shown;
    *view = NULL;
    enum covey_status status = views_show_live(controller, flare, &shown);
    if (status)
        return status;
    if (!with_workers) {
        shown.n_workers = 0;
        shown.workers = NULL;
    }
    *view = message_copy(&shown.base);
    views_shown_clear(&shown);
    return *view ? COVEY_OK : COVEY_ENOMEM;
}

struct lookup {
    struct controller *controller;
    const struct controller_identity *caller;
    bool with_workers;
    bool row_only;
    bool found;
    flare_message *view;
    enum covey_status status;
    struct covey_error *error;
};

static bool take_row(const struct store_flare *row, void *data)
{
    struct lookup *lookup = data;
    if (lookup->caller && !views_may_see(lookup->caller, row->tenant))
        return false;
    lookup->found = true;
    const struct flare *live = flare_find(lookup->controller, row->id);
    if (lookup->row_only)
        return false;
    if (live)
        lookup->status =
            views_copy_live(lookup->controller, live, lookup->with_workers, &lookup->view);
    else
        lookup->status = replay_view(lookup->controller, row, &lookup->view, lookup->error);
    if (lookup->view && !lookup->with_workers)
        views_clear_workers(lookup->view);
    return false;
}

static enum covey_status look_up(struct lookup *lookup, const char *id)
{
    const struct flare *live = flare_find(lookup->controller, id);
    if (live && views_may_see(lookup->caller, live->tenant)) {
        lookup->found = true;
        return lookup->row_only
                   ? COVEY_OK
                   : views_copy_live(lookup->controller, live, lookup->with_workers, &lookup->view);
    }
    enum covey_status status = COVEY_OK;
    if (!live)
        journal_settle(lookup->controller);
    if (!live)
        status = store_flare_get(lookup->controller->store, id, take_row, lookup, lookup->error);
    if (!status)
        status = lookup->status;
    if (!status && !lookup->found)
        status = views_not_found(id, lookup->error);
    return status;
}

enum covey_status controller_get(struct controller *controller,
                                 const struct controller_identity *caller, const char *id,
                                 bool with_workers, flare_message **flare,
                                 struct covey_error *error)
{
    struct lookup lookup = {
        .controller = controller, .caller = caller, .with_workers = with_workers, .error = error};
    enum covey_status status = look_up(&lookup, id);
    *flare = lookup.view;
    if (status) {
        message_free(lookup.view);
        *flare = NULL;
    }
    return status;
}

enum covey_status controller_find(struct controller *controller,
                                  const struct controller_identity *caller, const char *id,
                                  bool *ended, struct covey_error *error)
{
    struct lookup lookup = {
        .controller = controller, .caller = caller, .row_only = true, .error = error};
    enum covey_status status = look_up(&lookup, id);
    /* Its last event may wait for room in the journal. */
    *ended = flare_find(controller, id) == NULL && journal_is_written(controller);
    return status;
}

enum covey_status views_by_key(struct controller *controller, const char *tenant, const char *key,
                               flare_message **flare, struct covey_error *error)
{
    struct lookup lookup = {.controller = controller, .error = error};
    journal_settle(controller);
    enum covey_status status =
        store_flare_by_key(controller->store, tenant, key, take_row, &lookup, error);
    *flare = lookup.view;
    return status ? status : lookup.status;
}
