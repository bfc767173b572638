/*
 * One flare, or a page of them, shown bit by bit: what has ended is made anew from its events, of
 * which a flare of many workers has many.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

/* Of a step: events applied, or rows looked at, or flares shown that live. */
#define STEP_EVENTS 256
#define STEP_ROWS   256
#define STEP_LIVE   8

/* A message is not only its flares. */
#define SLACK_BYTES 65536

/* ---- one flare ---- */

struct controller_viewing {
    struct controller *controller;
    const struct controller_identity *caller; /* during controller_view */
    bool found;
    bool is_live;
    flare_message shown; /* of one that lives: borrowed from it but for the reason */
    struct view_making making;
    flare_message *view; /* of one that has ended */
    enum covey_status status;
    struct covey_error *error; /* during a call */
};

static bool take_row(const struct store_flare *row, void *data)
{
    struct controller_viewing *viewing = data;
    if (!views_may_see(viewing->caller, row->tenant))
        return false;
    viewing->found = true;
    viewing->status = replay_begin(viewing->controller, row, &viewing->making, viewing->error);
    return false;
}

enum covey_status controller_view(struct controller *controller,
                                  const struct controller_identity *caller, const char *id,
                                  struct controller_viewing **viewing, struct covey_error *error)
{
    struct controller_viewing *made = covey_calloc(1, sizeof *made);
    *viewing = NULL;
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a flare");
    made->controller = controller;
    made->caller = caller;
    made->error = error;
    const struct flare *live = flare_find(controller, id);
    if (!live) {
        journal_settle(controller);
        made->status = store_flare_get(controller->store, id, take_row, made, error);
    } else if (views_may_see(caller, live->tenant)) {
        made->found = made->is_live = true;
        made->status = views_show_live(controller, live, &made->shown);
    }
    enum covey_status status = made->status;
    if (!status && !made->found)
        status = views_not_found(id, error);
    if (status)
        controller_viewing_end(made);
    else
        *viewing = made;
    return status;
}

enum covey_status controller_viewing_step(struct controller_viewing *viewing, bool *done,
                                          struct covey_error *error)
{
    *done = viewing->is_live;
    if (viewing->is_live)
        return COVEY_OK;
    enum covey_status status =
        replay_some(viewing->controller, &viewing->making, STEP_EVENTS, done, error);
    if (!status && *done)
        viewing->view = replay_take(&viewing->making);
    return status;
}

flare_message *controller_viewing_answer(struct controller_viewing *viewing)
{
    return viewing->is_live ? &viewing->shown : viewing->view;
}

void controller_viewing_end(struct controller_viewing *viewing)
{
    if (!viewing)
        return;
    if (viewing->is_live)
        views_shown_clear(&viewing->shown);
    replay_abandon(&viewing->making);
    message_free(viewing->view);
    free(viewing);
}

/* ---- a page ---- */

struct controller_listing {
    struct controller *controller;
    const Covey__V1__ListFlaresRequest *request;
    char tenant[64]; /* "": of all */
    Covey__V1__ListFlaresResponse response;
    size_t page_size;
    size_t bytes;
    char after[ULID_BYTES + 1]; /* the last row that was looked at */
    struct view_making making;
    bool done;
    unsigned rows; /* of the step */
    unsigned live;
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

/* The page is full, and there is more. */
static enum covey_status finish_page(struct controller_listing *listing)
{
    Covey__V1__ListFlaresResponse *response = &listing->response;
    listing->done = true;
    return message_set_string(&response->next_page_token,
                              response->flares[response->n_flares - 1]->id)
               ? COVEY_OK
               : COVEY_ENOMEM;
}

/* Takes the view. */
static enum covey_status add_view(struct controller_listing *listing, flare_message *take_view)
{
    Covey__V1__ListFlaresResponse *response = &listing->response;
    views_clear_workers(take_view);
    if (!has_labels(listing->request, take_view)) {
        message_free(take_view);
        return COVEY_OK;
    }
    size_t bytes = covey__v1__flare__get_packed_size(take_view) + 8;
    uint64_t most_bytes = listing->controller->limits.max_message_bytes - SLACK_BYTES;
    if (response->n_flares == listing->page_size ||
        (response->n_flares && listing->bytes + bytes > most_bytes)) {
        message_free(take_view);
        return finish_page(listing);
    }
    listing->bytes += bytes;
    response->flares[response->n_flares++] = take_view;
    return COVEY_OK;
}

/* False where the step is to end. */
static bool look_at(const struct store_flare *row, void *data)
{
    struct controller_listing *listing = data;
    const char *prefix = listing->request->id_prefix;
    const struct flare *live = flare_find(listing->controller, row->id);
    /* Ids are in order: behind the first that begins otherwise, all do. */
    listing->done = strncmp(row->id, prefix, strlen(prefix)) != 0;
    if (listing->done)
        return false;
    if (listing->rows++ == STEP_ROWS || (live && listing->live == STEP_LIVE))
        return false;
    (void)snprintf(listing->after, sizeof listing->after, "%s", row->id);
    if (*listing->tenant && strcmp(row->tenant, listing->tenant) != 0)
        return true;
    if (!has_state(listing->request, live ? live->state : row->state))
        return true;
    if (!live) {
        struct covey_error error = {0};
        enum covey_status status = replay_begin(listing->controller, row, &listing->making, &error);
        if (status == COVEY_EIO)
            log_error("%s: it is left out of a list", error.message);
        else
            listing->status = status;
        return status == COVEY_EIO;
    }
    listing->live++;
    flare_message *view;
    listing->status = views_copy_live(listing->controller, live, false, &view);
    if (!listing->status)
        listing->status = add_view(listing, view);
    return !listing->status && !listing->done;
}

static enum covey_status look(struct controller_listing *listing)
{
    listing->rows = listing->live = 0;
    listing->status = COVEY_OK;
    journal_settle(listing->controller);
    enum covey_status status =
        store_flares_before(listing->controller->store, *listing->tenant ? listing->tenant : NULL,
                            listing->after, look_at, listing, listing->error);
    if (!status)
        status = listing->status;
    /* All rows were looked at. */
    if (!status && !listing->making.flare && listing->rows <= STEP_ROWS &&
        listing->live < STEP_LIVE)
        listing->done = true;
    return status;
}

/* Goes on with one that has ended. What is damaged is left out, not the list with it. */
static enum covey_status make(struct controller_listing *listing)
{
    struct covey_error error = {0};
    bool made;
    enum covey_status status =
        replay_some(listing->controller, &listing->making, STEP_EVENTS, &made, &error);
    if (status == COVEY_EIO) {
        log_error("%s: it is left out of a list", error.message);
        replay_abandon(&listing->making);
        return COVEY_OK;
    }
    if (status && listing->error)
        *listing->error = error;
    return status || !made ? status : add_view(listing, replay_take(&listing->making));
}

enum covey_status controller_list(struct controller *controller,
                                  const struct controller_identity *caller,
                                  const Covey__V1__ListFlaresRequest *request,
                                  struct controller_listing **listing, struct covey_error *error)
{
    *listing = NULL;
    if (request->page_size > PAGE_MAX)
        return covey_error_set(error, COVEY_EINVAL, "page_size is %u, and at most %d",
                               request->page_size, PAGE_MAX);
    if (*request->page_token && !ulid_is_valid(request->page_token))
        return covey_error_set(error, COVEY_EINVAL, "page_token is not from an earlier answer");
    if (strlen(request->id_prefix) >= ULID_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "id_prefix is longer than an id");
    struct controller_listing *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a list");
    made->controller = controller;
    made->request = request;
    made->page_size = request->page_size ? request->page_size : PAGE_DEFAULT;
    made->response = (Covey__V1__ListFlaresResponse)COVEY__V1__LIST_FLARES_RESPONSE__INIT;
    if (!caller->is_operator)
        (void)snprintf(made->tenant, sizeof made->tenant, "%s", caller->tenant);
    /* '~' sorts after all that an id has. */
    if (*request->page_token)
        (void)snprintf(made->after, sizeof made->after, "%s", request->page_token);
    else if (*request->id_prefix)
        (void)snprintf(made->after, sizeof made->after, "%s~", request->id_prefix);
    made->response.flares = covey_calloc(made->page_size, sizeof(flare_message *));
    if (!made->response.flares) {
        controller_listing_end(made);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a list");
    }
    *listing = made;
    return COVEY_OK;
}

enum covey_status controller_listing_step(struct controller_listing *listing, bool *done,
                                          struct covey_error *error)
{
    listing->error = error;
    enum covey_status status = COVEY_OK;
    if (!listing->done)
        status = listing->making.flare ? make(listing) : look(listing);
    listing->error = NULL;
    *done = listing->done;
    return status;
}

const Covey__V1__ListFlaresResponse *
controller_listing_answer(const struct controller_listing *listing)
{
    return &listing->response;
}

void controller_listing_end(struct controller_listing *listing)
{
    if (!listing)
        return;
    replay_abandon(&listing->making);
    for (size_t i = 0; i < listing->response.n_flares; i++)
        message_free(listing->response.flares[i]);
    free(listing->response.flares);
    if (listing->response.next_page_token != protobuf_c_empty_string)
        free(listing->response.next_page_token);
    free(listing);
}
