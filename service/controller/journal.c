/*
 * What happens to flares waits here, in order, until it is written: all of it in one go, so that a
 * page of the journal is written once for many events. Whoever acts on an event in a way that could
 * not be taken back (answers a call, sends PREPARE, START or Stop, acknowledges a report) waits
 * until journal_is_written. For records that somebody waits for that is the end of the turn; only
 * where many come it is the end of a window. The others wait a little longer.
 *
 * A disk that is full changes the way to one thing: what leads towards an end goes on to wait here,
 * in order, and is tried again every second; nothing new is accepted or started meanwhile, and
 * flares whose acceptance could not be written are refused.
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
/* What nobody waits for is written with the next that somebody does, or after this. */
#define LAZY_NS (50 * COVEY_NS_PER_MS)
/* Where this many records that somebody waits for came in a window, the next window is one write:
 * from 500 flares a second on. */
#define WINDOW_NS      (10 * COVEY_NS_PER_MS)
#define WINDOW_RECORDS 20
/* The store's log begins again in about one sync of the disk; longer nobody waits for it. */
#define MOVING_NS   (100 * COVEY_NS_PER_MS)
#define LARGE_BYTES (1 << 20) /* are written at once */

struct journal_record {
    struct journal_record *next;
    char id[ULID_BYTES];
    bool accept;
    struct store_flare flare; /* of an acceptance */
    struct store_event event;
    struct covey_error error; /* of one that is refused */
    /* What these point to follows. */
};

/* ---- records ---- */

static struct store_bytes put_bytes(char **end, struct store_bytes from)
{
    struct store_bytes to = {*end, from.length_bytes};
    if (from.length_bytes)
        memcpy(*end, from.data, from.length_bytes);
    *end += from.length_bytes;
    return to;
}

static const char *put_text(char **end, const char *text)
{
    return put_bytes(end, (struct store_bytes){text, strlen(text) + 1}).data;
}

static size_t length_of(const struct store_flare *flare)
{
    return strlen(flare->tenant) + strlen(flare->idempotency_key) + strlen(flare->code_sha256) +
           strlen(flare->stdin_sha256) + 4 + flare->request.length_bytes +
           flare->definition.length_bytes + flare->parameters.length_bytes;
}

/* A copy of both; flare is NULL for all but acceptances. */
static struct journal_record *record_create(const char *id, const struct store_flare *flare,
                                            const struct store_event *event, size_t *length_bytes)
{
    *length_bytes = sizeof(struct journal_record) + event->body.length_bytes +
                    event->delta.length_bytes + (flare ? length_of(flare) : 0);
    struct journal_record *record = covey_malloc(*length_bytes);
    if (!record)
        return NULL;
    *record = (struct journal_record){.accept = flare != NULL, .event = *event};
    char *end = (char *)(record + 1);
    (void)snprintf(record->id, sizeof record->id, "%s", id);
    record->event.body = put_bytes(&end, event->body);
    record->event.delta = put_bytes(&end, event->delta);
    if (!flare)
        return record;
    record->flare = *flare;
    record->flare.id = record->id;
    record->flare.request = put_bytes(&end, flare->request);
    record->flare.definition = put_bytes(&end, flare->definition);
    record->flare.parameters = put_bytes(&end, flare->parameters);
    record->flare.tenant = put_text(&end, flare->tenant);
    record->flare.idempotency_key = put_text(&end, flare->idempotency_key);
    record->flare.code_sha256 = put_text(&end, flare->code_sha256);
    record->flare.stdin_sha256 = put_text(&end, flare->stdin_sha256);
    return record;
}

static void push(struct journal_list *list, struct journal_record *record)
{
    record->next = NULL;
    if (list->first)
        list->last->next = record;
    else
        list->first = record;
    list->last = record;
}

static struct journal_record *pop(struct journal_list *list)
{
    struct journal_record *record = list->first;
    if (record)
        list->first = record->next;
    return record;
}

static void clear(struct journal_list *list)
{
    for (struct journal_record *record; (record = pop(list)) != NULL;)
        free(record);
}

void journal_init(struct controller *controller)
{
    controller->journal = (struct journal){.retry_ns = COVEY_NEVER_NS};
}

void journal_clear(struct controller *controller)
{
    clear(&controller->journal.records);
    clear(&controller->journal.refused);
}

/* ---- adding ---- */

bool journal_is_written(const struct controller *controller)
{
    return controller->journal.records.first == NULL;
}

bool journal_is_full(const struct controller *controller)
{
    return controller->journal.retry_ns != COVEY_NEVER_NS;
}

static void set_full(struct controller *controller)
{
    controller->journal.retry_ns = now_of(controller) + RETRY_NS;
}

/* Somebody waits for a record: the window that it falls into may become one write. */
static void count_urgent(struct journal *journal, int64_t now_ns)
{
    journal->urgent = true;
    if (now_ns - journal->window_ns >= WINDOW_NS) {
        journal->window_ns = now_ns;
        journal->window_records = 0;
    }
    if (++journal->window_records >= WINDOW_RECORDS)
        journal->busy_until_ns = journal->window_ns + 2 * WINDOW_NS;
}

static enum covey_status add(struct controller *controller, const char *id,
                             const struct store_flare *flare, const struct store_event *event,
                             bool urgent)
{
    struct journal *journal = &controller->journal;
    size_t length_bytes;
    struct journal_record *record = record_create(id, flare, event, &length_bytes);
    if (!record)
        return COVEY_ENOMEM;
    if (journal_is_written(controller))
        journal->oldest_ns = now_of(controller);
    push(&journal->records, record);
    journal->length_bytes += length_bytes;
    if (urgent)
        count_urgent(journal, now_of(controller));
    return COVEY_OK;
}

void journal_hurry(struct controller *controller)
{
    count_urgent(&controller->journal, now_of(controller));
}

enum covey_status journal_append(struct controller *controller, const char *flare,
                                 const struct store_event *event, enum journal_need need,
                                 struct covey_error *error)
{
    if (controller->refuse_append) {
        controller->refuse_append = false;
        log_error("cannot append an event: a fault point flare=%s", flare);
        set_full(controller);
    }
    if (need == JOURNAL_BEFORE && journal_is_full(controller))
        return covey_error_set(error, COVEY_EUNAVAILABLE,
                               "the journal has no room: nothing new is started until there is "
                               "some");
    enum covey_status status = add(controller, flare, NULL, event, need != JOURNAL_SOME_TIME);
    return status ? covey_error_set(error, status, "no memory for an event") : COVEY_OK;
}

enum covey_status journal_accept(struct controller *controller, const struct store_flare *flare,
                                 const struct store_event *event, struct covey_error *error)
{
    if (journal_is_full(controller))
        return covey_error_set(error, COVEY_ENOSPACE,
                               "the journal has no room for a flare: free some space and try "
                               "again");
    enum covey_status status = add(controller, flare->id, flare, event, true);
    return status ? covey_error_set(error, status, "no memory for a flare") : COVEY_OK;
}

/* ---- writing ---- */

int64_t journal_deadline_ns(const struct controller *controller)
{
    const struct journal *journal = &controller->journal;
    if (journal_is_written(controller) || journal_is_full(controller))
        return journal->retry_ns;
    int64_t due_ns = journal->oldest_ns + LAZY_NS;
    if (journal->length_bytes >= LARGE_BYTES)
        due_ns = journal->oldest_ns;
    else if (journal->urgent)
        due_ns = journal->busy_until_ns > journal->oldest_ns ? journal->written_ns + WINDOW_NS
                                                             : journal->oldest_ns;
    int64_t moved_ns = journal->oldest_ns + MOVING_NS;
    return store_is_moving(controller->store) && moved_ns > due_ns ? moved_ns : due_ns;
}

static enum covey_status write_record(struct controller *controller,
                                      const struct journal_record *record,
                                      struct covey_error *error)
{
    return record->accept
               ? store_flare_add(controller->store, &record->flare, &record->event, error)
               : store_event_append(controller->store, record->id, &record->event, error);
}

static enum covey_status write_all(struct controller *controller, struct covey_error *error)
{
    enum covey_status status = store_batch_begin(controller->store, error);
    if (status)
        return status;
    for (const struct journal_record *record = controller->journal.records.first; record && !status;
         record = record->next)
        status = write_record(controller, record, error);
    return store_batch_end(controller->store, status, error);
}

/* It is in the journal. */
static void written(struct controller *controller, struct journal_record *take_record)
{
    if (take_record->accept && controller->on_accepted)
        controller->on_accepted(take_record->id, NULL, controller->data);
    if (controller->on_news)
        controller->on_news(take_record->id, CONTROLLER_NEWS_EVENT, controller->data);
    free(take_record);
}

/* Whether a record could be written later as it is. */
static bool may_pass(enum covey_status status)
{
    return status == COVEY_ENOSPACE || status == COVEY_EIO || status == COVEY_ENOMEM ||
           status == COVEY_EPROTO;
}

/* One that can never be written must not stand in the way of all that follow it. */
static enum covey_status write_each(struct controller *controller, struct covey_error *error)
{
    struct journal_list *records = &controller->journal.records;
    while (records->first) {
        struct journal_record *record = records->first;
        enum covey_status status = write_record(controller, record, error);
        if (may_pass(status))
            return status;
        (void)pop(records);
        if (!status) {
            written(controller, record);
            continue;
        }
        log_error("an event is lost: %s flare=%s sequence=%llu", error->message, record->id,
                  (unsigned long long)record->event.sequence);
        record->error = *error;
        if (record->accept)
            push(&controller->journal.refused, record);
        else
            free(record);
    }
    return COVEY_OK;
}

/* A flare whose acceptance was not written is not accepted: nothing of it stays. */
static void refuse(struct controller *controller, const struct covey_error *error)
{
    struct journal *journal = &controller->journal;
    struct journal_list all = journal->records;
    struct journal_list left = {NULL, NULL};
    for (struct journal_record *record; (record = pop(&all)) != NULL;) {
        bool refused = record->accept;
        for (const struct journal_record *r = journal->refused.first; r && !refused; r = r->next)
            refused = strcmp(r->id, record->id) == 0;
        if (record->accept) {
            record->error = *error;
            push(&journal->refused, record);
        } else if (refused) {
            free(record);
        } else {
            push(&left, record);
        }
    }
    journal->records = left;
}

void journal_write(struct controller *controller)
{
    struct journal *journal = &controller->journal;
    struct covey_error error = {0};
    enum covey_status status =
        journal_is_written(controller) ? COVEY_OK : write_all(controller, &error);
    if (!status)
        for (struct journal_record *record; (record = pop(&journal->records)) != NULL;)
            written(controller, record);
    else if (!may_pass(status))
        status = write_each(controller, &error);
    journal->length_bytes = 0;
    journal->written_ns = now_of(controller);
    if (status) {
        if (!journal_is_full(controller))
            log_error("%s", error.message);
        refuse(controller, &error);
        if (!journal_is_written(controller)) {
            set_full(controller);
            return;
        }
    }
    journal->urgent = false;
    if (journal_is_full(controller)) {
        log_info("the journal has room again");
        controller->place = true;
    }
    journal->retry_ns = COVEY_NEVER_NS;
}

void journal_settle(struct controller *controller)
{
    if (!journal_is_written(controller) && !journal_is_full(controller))
        journal_write(controller);
}

bool journal_next_refused(struct controller *controller, char id[ULID_BYTES],
                          struct covey_error *error)
{
    struct journal_record *record = pop(&controller->journal.refused);
    if (!record)
        return false;
    memcpy(id, record->id, ULID_BYTES);
    *error = record->error;
    free(record);
    return true;
}
