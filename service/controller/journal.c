/*
 * What the journal has no room for waits here in order, so that flares which run can end while the
 * disk is full; nothing new is accepted or started meanwhile.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS COVEY_NS_PER_S

struct pending_event {
    struct pending_event *next;
    char flare[ULID_BYTES];
    struct store_event event; /* its bytes follow the struct */
};

bool journal_is_whole(const struct controller *controller)
{
    return controller->pending == NULL;
}

static enum covey_status keep(struct controller *controller, const char *flare,
                              const struct store_event *event)
{
    size_t length_bytes = event->body.length_bytes + event->delta.length_bytes;
    struct pending_event *pending = covey_malloc(sizeof *pending + length_bytes);
    if (!pending)
        return COVEY_ENOMEM;
    char *bytes = (char *)(pending + 1);
    memcpy(bytes, event->body.data, event->body.length_bytes);
    memcpy(bytes + event->body.length_bytes, event->delta.data, event->delta.length_bytes);
    pending->event = *event;
    pending->event.body.data = bytes;
    pending->event.delta.data = bytes + event->body.length_bytes;
    (void)snprintf(pending->flare, sizeof pending->flare, "%s", flare);
    if (journal_is_whole(controller))
        controller->retry_journal_ns = now_of(controller) + RETRY_NS;
    pending->next = NULL;
    if (controller->pending)
        controller->last_pending->next = pending;
    else
        controller->pending = pending;
    controller->last_pending = pending;
    return COVEY_OK;
}

enum covey_status journal_append(struct controller *controller, const char *flare,
                                 const struct store_event *event, bool must,
                                 struct covey_error *error)
{
    struct covey_error why = {0};
    enum covey_status status = COVEY_EUNAVAILABLE;
    if (controller->refuse_append) {
        controller->refuse_append = false;
        status = covey_error_set(&why, COVEY_ENOSPACE, "cannot append an event: a fault point");
    } else if (journal_is_whole(controller)) {
        status = store_event_append(controller->store, flare, event, &why);
        if (status)
            log_error("%s flare=%s", why.message, flare);
    } else {
        (void)covey_error_set(&why, status,
                              "the journal has no room: nothing new is started "
                              "until there is some");
    }
    if (status && must)
        status = keep(controller, flare, event);
    if (status && error)
        *error = why;
    return status;
}

static void drop_first(struct controller *controller)
{
    struct pending_event *first = controller->pending;
    controller->pending = first->next;
    free(first);
}

void journal_retry(struct controller *controller)
{
    size_t written = 0;
    for (; controller->pending; written++) {
        const struct pending_event *first = controller->pending;
        if (store_event_append(controller->store, first->flare, &first->event, NULL) != COVEY_OK) {
            controller->retry_journal_ns = now_of(controller) + RETRY_NS;
            return;
        }
        if (controller->on_news)
            controller->on_news(first->flare, CONTROLLER_NEWS_EVENT, controller->data);
        drop_first(controller);
    }
    controller->retry_journal_ns = COVEY_NEVER_NS;
    controller->place = true;
    if (written)
        log_info("the journal has room again events=%zu", written);
    size_t cursor = 0;
    void *node;
    while (covey_map_next(&controller->nodes, &cursor, NULL, &node))
        node_acknowledge(controller, node);
}

void journal_clear(struct controller *controller)
{
    while (controller->pending)
        drop_first(controller);
}
