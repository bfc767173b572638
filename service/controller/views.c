/* Flares as users see them: from memory while they live, from the journal afterwards. */
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

static enum covey_status not_found(const char *id, struct covey_error *error)
{
    if (!ulid_is_valid(id))
        return covey_error_set(error, COVEY_ENOTFOUND,
                               "'%.*s' is no flare's id: those have %d letters and digits",
                               covey_text_fit(id, 40), id, ULID_BYTES - 1);
    return covey_error_set(error, COVEY_ENOTFOUND, "no flare has the id %s", id);
}

static bool may_see(const struct controller_identity *caller, const char *tenant)
{
    return caller->is_operator || strcmp(caller->tenant, tenant) == 0;
}

static void clear_workers(flare_message *view)
{
    for (size_t i = 0; i < view->n_workers; i++)
        message_free(view->workers[i]);
    free(view->workers);
    view->workers = NULL;
    view->n_workers = 0;
}

/* A copy of a live flare, with its place in the queue. */
static enum covey_status copy_live(struct controller *controller, const struct flare *flare,
                                   bool with_workers, flare_message **view)
{
    flare_message shown = *flare->view;
    if (!with_workers) {
        shown.n_workers = 0;
        shown.workers = NULL;
    }
    *view = message_copy(&shown.base);
    if (!*view)
        return COVEY_ENOMEM;
    struct sched_reason reason;
    if (flare->state != FLARE_QUEUED ||
        sched_explain(controller->sched, flare->id, sched_now_of(controller), &reason) != COVEY_OK)
        return COVEY_OK;
    char text[SCHED_TEXT_BYTES];
    (*view)->queue_position = reason.ahead;
    return message_set_string(&(*view)->pending_reason, sched_reason_text(&reason, text))
               ? COVEY_OK
               : COVEY_ENOMEM;
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
    if (lookup->caller && !may_see(lookup->caller, row->tenant))
        return false;
    lookup->found = true;
    const struct flare *live = flare_find(lookup->controller, row->id);
    if (lookup->row_only)
        return false;
    if (live)
        lookup->status = copy_live(lookup->controller, live, lookup->with_workers, &lookup->view);
    else
        lookup->status = replay_view(lookup->controller, row, &lookup->view, lookup->error);
    if (lookup->view && !lookup->with_workers)
        clear_workers(lookup->view);
    return false;
}

static enum covey_status look_up(struct lookup *lookup, const char *id)
{
    const struct flare *live = flare_find(lookup->controller, id);
    if (live && may_see(lookup->caller, live->tenant)) {
        lookup->found = true;
        return lookup->row_only
                   ? COVEY_OK
                   : copy_live(lookup->controller, live, lookup->with_workers, &lookup->view);
    }
    enum covey_status status = COVEY_OK;
    if (!live)
        status = store_flare_get(lookup->controller->store, id, take_row, lookup, lookup->error);
    if (!status)
        status = lookup->status;
    if (!status && !lookup->found)
        status = not_found(id, lookup->error);
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
    *ended = flare_find(controller, id) == NULL && journal_is_whole(controller);
    return status;
}

enum covey_status views_by_key(struct controller *controller, const char *tenant, const char *key,
                               flare_message **flare, struct covey_error *error)
{
    struct lookup lookup = {.controller = controller, .error = error};
    enum covey_status status =
        store_flare_by_key(controller->store, tenant, key, take_row, &lookup, error);
    *flare = lookup.view;
    return status ? status : lookup.status;
}

/* ---- lists ---- */

struct listing {
    struct controller *controller;
    const Covey__V1__ListFlaresRequest *request;
    Covey__V1__ListFlaresResponse *response;
    size_t page_size;
    bool more;
    enum covey_status status;
    struct covey_error *error;
};

static bool has_state(const Covey__V1__ListFlaresRequest *request, uint32_t state)
{
    for (size_t i = 0; i < request->n_states; i++)
        if (request->states[i] == (Covey__V1__FlareState)state)
            return true;
    return request->n_states == 0;
}

static bool has_labels(const Covey__V1__ListFlaresRequest *request, const flare_message *view)
{
    for (size_t i = 0; i < request->n_labels; i++) {
        bool found = false;
        for (size_t j = 0; view->options && j < view->options->n_labels && !found; j++)
            found = strcmp(view->options->labels[j]->key, request->labels[i]->key) == 0 &&
                    strcmp(view->options->labels[j]->value, request->labels[i]->value) == 0;
        if (!found)
            return false;
    }
    return true;
}

static bool add_row(const struct store_flare *row, void *data)
{
    struct listing *listing = data;
    /* Ids are in order: behind the first that begins otherwise, all do. */
    if (strncmp(row->id, listing->request->id_prefix, strlen(listing->request->id_prefix)) != 0)
        return false;
    const struct flare *live = flare_find(listing->controller, row->id);
    if (!has_state(listing->request, live ? live->state : row->state))
        return true;
    struct lookup lookup = {.controller = listing->controller, .error = listing->error};
    (void)take_row(row, &lookup);
    listing->status = lookup.status;
    if (lookup.status || !lookup.view)
        return false;
    if (!has_labels(listing->request, lookup.view)) {
        message_free(lookup.view);
        return true;
    }
    if (listing->response->n_flares == listing->page_size) {
        listing->more = true;
        message_free(lookup.view);
        return false;
    }
    listing->response->flares[listing->response->n_flares++] = lookup.view;
    return true;
}

enum covey_status controller_list(struct controller *controller,
                                  const struct controller_identity *caller,
                                  const Covey__V1__ListFlaresRequest *request,
                                  Covey__V1__ListFlaresResponse *response,
                                  struct covey_error *error)
{
    *response = (Covey__V1__ListFlaresResponse)COVEY__V1__LIST_FLARES_RESPONSE__INIT;
    if (request->page_size > PAGE_MAX)
        return covey_error_set(error, COVEY_EINVAL, "page_size is %u, and at most %d",
                               request->page_size, PAGE_MAX);
    if (*request->page_token && !ulid_is_valid(request->page_token))
        return covey_error_set(error, COVEY_EINVAL, "page_token is not from an earlier answer");
    struct listing listing = {.controller = controller,
                              .request = request,
                              .response = response,
                              .page_size = request->page_size ? request->page_size : PAGE_DEFAULT,
                              .error = error};
    if (strlen(request->id_prefix) >= ULID_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "id_prefix is longer than an id");
    char before[ULID_BYTES + 1] = ""; /* '~' sorts after all that an id has */
    if (*request->page_token)
        (void)snprintf(before, sizeof before, "%s", request->page_token);
    else if (*request->id_prefix)
        (void)snprintf(before, sizeof before, "%s~", request->id_prefix);
    response->flares = covey_calloc(listing.page_size, sizeof(flare_message *));
    if (!response->flares)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a list");
    enum covey_status status =
        store_flares_before(controller->store, caller->is_operator ? NULL : caller->tenant, before,
                            add_row, &listing, error);
    if (!status)
        status = listing.status;
    if (!status && listing.more &&
        !message_set_string(&response->next_page_token,
                            response->flares[response->n_flares - 1]->id))
        status = COVEY_ENOMEM;
    if (status)
        controller_list_clear(response);
    return status;
}

void controller_list_clear(Covey__V1__ListFlaresResponse *response)
{
    for (size_t i = 0; i < response->n_flares; i++)
        message_free(response->flares[i]);
    free(response->flares);
    if (response->next_page_token != protobuf_c_empty_string)
        free(response->next_page_token);
    *response = (Covey__V1__ListFlaresResponse)COVEY__V1__LIST_FLARES_RESPONSE__INIT;
}
