/* Results: as a stream of pieces, and put together. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "client/internal.h"
#include "covey/v1/covey.pb-c.h"

#include <stdlib.h>

/* The pieces of each rank come in order and together; ranks come in order. */
struct results {
    struct covey_operation base;
    bool begun;    /* a rank was seen */
    bool open;     /* its last piece was not */
    uint32_t rank; /* the one that was seen last */
    uint64_t next_offset;
};

static struct results *results_of(struct covey_operation *operation)
{
    return covey_container_of(operation, struct results, base);
}

static const struct operation_kind results_kind = {.size_bytes = sizeof(struct results)};

static bool in_order(const struct results *results, const Covey__V1__StreamResultsResponse *piece)
{
    if (results->open)
        return piece->rank == results->rank && piece->offset == results->next_offset;
    return piece->offset == 0 && (!results->begun || piece->rank > results->rank);
}

static void on_message(struct covey_operation *operation, const ProtobufCMessage *message)
{
    struct results *results = results_of(operation);
    const Covey__V1__StreamResultsResponse *piece =
        (const Covey__V1__StreamResultsResponse *)message;
    if (!in_order(results, piece)) {
        operation_break(operation, COVEY_EPROTO,
                        "the controller sent pieces of results out of order");
        return;
    }
    results->begun = true;
    results->rank = piece->rank;
    results->open = !piece->last;
    results->next_offset = piece->offset + piece->data.len;
    struct client_result *result =
        client_result_create(client_convert_result_piece, message, operation->client->json);
    if (!result)
        operation_break(operation, COVEY_ENOMEM, "out of memory");
    else if (operation->callbacks.on_result)
        operation->callbacks.on_result(operation->callbacks.data, &result->as.piece);
    client_result_free(result);
}

static void on_end(struct covey_operation *operation, const struct covey_error *error)
{
    struct covey_error early = {0};
    if (!error->status && results_of(operation)->open) {
        covey_error_set(&early, COVEY_EPROTO, "the controller sent only a part of a result");
        error = &early;
    }
    operation_finish(operation, error);
}

static const struct operation_stage results_stage = {
    .path = "/covey.v1.Covey/StreamResults",
    .response = &covey__v1__stream_results_response__descriptor,
    .on_message = on_message,
    .on_end = on_end,
};

enum covey_status covey_client_results_start(struct covey_client *client, const char *id,
                                             struct covey_ranks ranks,
                                             const struct covey_start *start,
                                             struct covey_error *error)
{
    struct covey_operation *operation;
    struct covey_start unlimited = *start;
    Covey__V1__StreamResultsRequest request = COVEY__V1__STREAM_RESULTS_REQUEST__INIT;
    if (!unlimited.timeout_ns)
        unlimited.timeout_ns = -1;
    enum covey_status status =
        operation_create(client, &results_kind, &unlimited, &operation, error);
    if (status)
        return status;
    request.id = (char *)id;
    request.ranks = (uint32_t *)ranks.ranks;
    request.n_ranks = ranks.count;
    status = operation_call(operation, &results_stage, &request.base, error);
    if (status)
        operation_discard(operation);
    return status;
}

struct whole {
    uint32_t rank;
    size_t end_bytes; /* where it ends in the buffer; the one before ends where it starts */
};

struct collection {
    struct covey_buffer bytes;
    struct whole *wholes;
    size_t count;
    size_t capacity;
    size_t limit_bytes;
    enum covey_status status;
    struct covey_operation *operation;
};

static enum covey_status collect(struct collection *all, const struct covey_result_piece *piece)
{
    if (piece->data.length_bytes > all->limit_bytes - all->bytes.length_bytes)
        return COVEY_ELIMIT;
    enum covey_status status =
        covey_buffer_append(&all->bytes, piece->data.data, piece->data.length_bytes);
    if (status || !piece->last)
        return status;
    if (all->count == all->capacity) {
        size_t capacity = all->capacity ? all->capacity * 2 : 64;
        struct whole *wholes = covey_reallocarray(all->wholes, capacity, sizeof *wholes);
        if (!wholes)
            return COVEY_ENOMEM;
        all->wholes = wholes;
        all->capacity = capacity;
    }
    all->wholes[all->count++] = (struct whole){piece->rank, all->bytes.length_bytes};
    return COVEY_OK;
}

static void on_piece(void *data, const struct covey_result_piece *piece)
{
    struct collection *all = data;
    if (!all->status)
        all->status = collect(all, piece);
    if (all->status)
        covey_operation_cancel(all->operation);
}

static struct client_result *make_list(const struct collection *all)
{
    struct client_result *result = covey_calloc(1, sizeof *result);
    if (!result)
        return NULL;
    struct client_arena *arena = &result->arena;
    const uint8_t *bytes = client_arena_bytes(arena, all->bytes.data, all->bytes.length_bytes);
    struct covey_result *list = client_arena_alloc(arena, all->count, sizeof *list);
    size_t start_bytes = 0;
    for (size_t i = 0; !arena->failed && i < all->count; i++) {
        size_t length_bytes = all->wholes[i].end_bytes - start_bytes;
        list[i].rank = all->wholes[i].rank;
        list[i].data =
            (struct covey_bytes){length_bytes ? bytes + start_bytes : NULL, length_bytes};
        start_bytes = all->wholes[i].end_bytes;
    }
    result->as.results = (struct covey_result_list){list, all->count};
    if (!arena->failed)
        return result;
    client_result_free(result);
    return NULL;
}

enum covey_status covey_client_results(struct covey_client *client, const char *id,
                                       struct covey_ranks ranks, size_t limit_bytes,
                                       int64_t timeout_ns, struct covey_result_list **results,
                                       struct covey_error *error)
{
    struct blocking blocking;
    struct collection all = {.limit_bytes = limit_bytes};
    *results = NULL;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (status)
        return status;
    blocking.start.callbacks = (struct covey_callbacks){.on_result = on_piece, .data = &all};
    status = covey_client_results_start(client, id, ranks, &blocking.start, error);
    if (!status) {
        all.operation = blocking.operation;
        status = blocking_wait(&blocking, NULL, error);
    }
    if (all.status == COVEY_ELIMIT)
        status = covey_error_set(error, all.status,
                                 "the results are longer than %zu bytes together", limit_bytes);
    else if (all.status)
        status = covey_error_set(error, all.status, "%s", covey_status_text(all.status));
    struct client_result *list = status ? NULL : make_list(&all);
    if (!status && !list)
        status = covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (list)
        *results = &list->as.results;
    covey_buffer_free(&all.bytes);
    free(all.wholes);
    return status;
}
