/* The event log. */
#include "base/error.h"
#include "base/fault.h"
#include "service/store/internal.h"

enum covey_status store_event_insert(struct store *store, const char *flare,
                                     const struct store_event *event, struct covey_error *error)
{
    if (covey_fault(COVEY_FAULT_JOURNAL_APPEND))
        return covey_error_set(error, COVEY_ENOSPACE,
                               "cannot append an event: no space left for the journal %s: free "
                               "some and try again",
                               store->path);
    if (event->sequence > STORE_EVENTS_MAX)
        return covey_error_set(error, COVEY_ELIMIT, "flare %s has more than %d events", flare,
                               STORE_EVENTS_MAX);
    sqlite3_stmt *insert = store_statement(store, STORE_EVENT_ADD);
    store_bind_text(insert, 1, flare);
    store_bind_u64(insert, 2, event->sequence);
    store_bind_u64(insert, 3, (uint64_t)event->at_ns);
    store_bind_u64(insert, 4, event->state);
    store_bind_u64(insert, 5, event->terminal);
    store_bind_bytes(insert, 6, event->body);
    store_bind_bytes(insert, 7, event->delta);
    enum covey_status status = store_run(store, insert, "append an event", error);
    if (!status && sqlite3_changes(store->database) == 0)
        status = covey_error_set(error, COVEY_ENOTFOUND, "the journal has no flare %s", flare);
    return status;
}

/* A flare's last event: what it has left is counted. What it needs no more goes with the next write
 * to the same page, which is soon. */
static enum covey_status end_flare(struct store *store, const char *flare,
                                   const struct store_event *event, struct covey_error *error)
{
    sqlite3_stmt *end = store_statement(store, STORE_FLARE_END);
    store_bind_text(end, 1, flare);
    store_bind_u64(end, 2, event->state);
    store_bind_u64(end, 3, (uint64_t)event->at_ns);
    store_bind_u64(end, 4, store_spool_bytes(store, flare));
    enum covey_status counted = COVEY_OK;
    if (sqlite3_step(end) == SQLITE_ROW) {
        counted = store_kept_add(store, store_column_text(end, 2), store_column_u64(end, 0),
                                 event->at_ns);
        if (!counted)
            store->spent[store->spent_count++] = store_column_u64(end, 1);
    }
    enum covey_status status = store_run(store, end, "end a flare", error);
    if (!status && counted)
        status = covey_error_set(error, counted, "no memory to count what is kept");
    if (!status && store->spent_count == STORE_SPENT)
        status = store_inputs_clean(store, error);
    return status;
}

enum covey_status store_event_append(struct store *store, const char *flare,
                                     const struct store_event *event, struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    status = store_event_insert(store, flare, event, error);
    if (!status && event->terminal)
        status = end_flare(store, flare, event, error);
    return store_end(store, status, error);
}

enum covey_status store_events(struct store *store, const char *flare, uint64_t from_sequence,
                               store_event_fn each, void *data, struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_EVENTS);
    store_bind_text(select, 1, flare);
    store_bind_u64(select, 2, from_sequence);
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        struct store_event event = {
            .sequence = store_column_u64(select, 0),
            .at_ns = (int64_t)store_column_u64(select, 1),
            .state = (uint32_t)store_column_u64(select, 2),
            .terminal = store_column_u64(select, 3) != 0,
            .body = store_column_bytes(select, 4),
            .delta = store_column_bytes(select, 5),
        };
        if (!each(&event, data)) {
            result = SQLITE_DONE;
            break;
        }
    }
    enum covey_status status =
        result == SQLITE_DONE ? COVEY_OK : store_fail(store, result, "read events", error);
    (void)sqlite3_reset(select);
    return status;
}
