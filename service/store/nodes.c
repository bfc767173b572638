/* Rows of nodes and their log. */
#include "service/store/internal.h"

enum covey_status store_node_set(struct store *store, const struct store_node *node,
                                 const char *event, int64_t at_ns, struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    sqlite3_stmt *set = store_statement(store, STORE_NODE_SET);
    store_bind_text(set, 1, node->name);
    store_bind_text(set, 2, node->identity);
    store_bind_u64(set, 3, node->epoch);
    store_bind_text(set, 4, node->drain_reason);
    store_bind_bytes(set, 5, node->capacity);
    store_bind_text(set, 6, node->data_address);
    store_bind_text(set, 7, node->version);
    store_bind_u64(set, 8, (uint64_t)node->seen_ns);
    store_bind_u64(set, 9, (uint64_t)node->drain_until_ns);
    status = store_run(store, set, "write a node", error);
    if (!status) {
        sqlite3_stmt *append = store_statement(store, STORE_NODE_EVENT);
        store_bind_text(append, 1, node->name);
        store_bind_u64(append, 2, node->epoch);
        store_bind_u64(append, 3, (uint64_t)at_ns);
        store_bind_text(append, 4, event);
        status = store_run(store, append, "write a node", error);
    }
    return store_end(store, status, error);
}

enum covey_status store_nodes(struct store *store, store_node_fn each, void *data,
                              struct covey_error *error)
{
    sqlite3_stmt *select = store_statement(store, STORE_NODES);
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        struct store_node node = {
            .name = store_column_text(select, 0),
            .identity = store_column_text(select, 1),
            .epoch = store_column_u64(select, 2),
            .drain_reason = store_column_text(select, 3),
            .capacity = store_column_bytes(select, 4),
            .data_address = store_column_text(select, 5),
            .version = store_column_text(select, 6),
            .seen_ns = (int64_t)store_column_u64(select, 7),
            .drain_until_ns = (int64_t)store_column_u64(select, 8),
        };
        if (!each(&node, data)) {
            result = SQLITE_DONE;
            break;
        }
    }
    enum covey_status status =
        result == SQLITE_DONE ? COVEY_OK : store_fail(store, result, "read nodes", error);
    (void)sqlite3_reset(select);
    return status;
}

enum covey_status store_node_remove(struct store *store, const char *name,
                                    struct covey_error *error)
{
    enum covey_status status = store_begin(store, error);
    if (status)
        return status;
    static const enum store_statement removals[] = {STORE_NODE_REMOVE, STORE_NODE_EVENTS_REMOVE};
    for (size_t i = 0; !status && i < 2; i++) {
        sqlite3_stmt *statement = store_statement(store, removals[i]);
        store_bind_text(statement, 1, name);
        status = store_run(store, statement, "forget a node", error);
    }
    return store_end(store, status, error);
}
