#include "transport/net/ucx.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum covey_status ucx_status(ucs_status_t status)
{
    switch (status) {
    case UCS_OK:
        return COVEY_OK;
    case UCS_ERR_NO_MEMORY:
        return COVEY_ENOMEM;
    case UCS_ERR_CANCELED:
        return COVEY_ECANCELLED;
    case UCS_ERR_INVALID_PARAM:
    case UCS_ERR_INVALID_ADDR:
        return COVEY_EINVAL;
    case UCS_ERR_NO_DEVICE:
    case UCS_ERR_UNREACHABLE:
    case UCS_ERR_NO_RESOURCE:
        return COVEY_EUNAVAILABLE;
    case UCS_ERR_TIMED_OUT:
        return COVEY_ETIMEOUT;
    case UCS_ERR_CONNECTION_RESET:
    case UCS_ERR_NOT_CONNECTED:
    case UCS_ERR_ENDPOINT_TIMEOUT:
    case UCS_ERR_REJECTED:
        return COVEY_EPEER;
    default:
        return COVEY_EIO;
    }
}

struct ucx_operation *ucx_operation_take(struct net_backend *ucx, net_done done, void *done_data)
{
    struct covey_list *node = covey_list_pop_front(&ucx->spare);
    struct ucx_operation *operation;
    if (node)
        operation = covey_container_of(node, struct ucx_operation, node);
    else
        operation = covey_malloc(sizeof *operation + ucx->options.header_bytes_max);
    if (!operation)
        return NULL;
    operation->ucx = ucx;
    operation->done = done;
    operation->done_data = done_data;
    covey_list_push_back(&ucx->pending, &operation->node);
    return operation;
}

void ucx_operation_end(struct ucx_operation *operation, enum covey_status status)
{
    net_done done = operation->done;
    void *done_data = operation->done_data;
    covey_list_remove(&operation->node);
    covey_list_push_front(&operation->ucx->spare, &operation->node);
    if (done)
        done(done_data, status);
}

/* Whatever kept an operation of a link from its end, the peer is what is lost. */
static enum covey_status outcome(ucs_status_t status)
{
    return status == UCS_OK ? COVEY_OK : COVEY_EPEER;
}

static void sent(void *request, ucs_status_t status, void *data)
{
    ucp_request_free(request);
    ucx_operation_end(data, outcome(status));
}

static void fetched(void *request, ucs_status_t status, size_t length, void *data)
{
    (void)length;
    ucp_request_free(request);
    ucx_operation_end(data, outcome(status));
}

ucs_status_t ucx_frame(void *argument, const void *header, size_t header_length, void *data,
                       size_t length, const ucp_am_recv_param_t *param)
{
    struct net_backend *ucx = argument;
    const struct net_backend_events *events = ucx->options.events;
    const bool here = !(param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV);
    const struct net_body body = {
        .bytes = here ? data : NULL, .length_bytes = length, .handle = here ? NULL : data};
    bool kept = events->on_frame(ucx->options.owner, NULL, header, header_length, &body);
    return kept && !here ? UCS_INPROGRESS : UCS_OK;
}

enum covey_status ucx_send(struct net_backend *ucx, struct net_link *to,
                           const struct net_send_request *request)
{
    struct ucx_link *link = ucx_link_of(to);
    if (link->broken || link->failure != UCS_OK)
        return COVEY_EPEER;
    if (request->control)
        return ucx_record_send(link, UCX_RECORD_FRAME, request->head, request->head_bytes,
                               request->header, request->header_bytes);
    struct ucx_operation *operation = ucx_operation_take(ucx, request->done, request->done_data);
    if (!operation)
        return COVEY_ENOMEM;
    memcpy(operation->head, request->head, request->head_bytes);
    if (request->header_bytes > 0)
        memcpy(operation->head + request->head_bytes, request->header, request->header_bytes);
    ucp_request_param_t params = {
        .op_attr_mask =
            UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA,
        .flags = request->fetched ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER,
        .cb.send = sent,
        .user_data = operation};
    if (request->region) {
        params.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
        params.memh = request->region->handle;
    }
    ucs_status_ptr_t sending = ucp_am_send_nbx(link->endpoint, UCX_FRAME_ID, operation->head,
                                               request->head_bytes + request->header_bytes,
                                               request->payload, request->payload_bytes, &params);
    if (UCS_PTR_IS_ERR(sending)) {
        operation->done = NULL;
        ucx_operation_end(operation, COVEY_EPEER);
        log_debug("cannot send reason=%s", ucs_status_string(UCS_PTR_STATUS(sending)));
        return UCS_PTR_STATUS(sending) == UCS_ERR_NO_MEMORY ? COVEY_ENOMEM : COVEY_EPEER;
    }
    if (!sending)
        ucx_operation_end(operation, COVEY_OK);
    return COVEY_OK;
}

static bool is_well(struct net_link *link)
{
    return link && !ucx_link_of(link)->broken && ucx_link_of(link)->failure == UCS_OK;
}

void ucx_fetch(struct net_backend *ucx, struct net_link *from, void *handle, void *address,
               size_t length_bytes, struct net_region *region, net_done done, void *done_data)
{
    struct ucx_operation *operation =
        is_well(from) ? ucx_operation_take(ucx, done, done_data) : NULL;
    if (!operation) {
        ucp_am_data_release(ucx->worker, handle);
        done(done_data, is_well(from) ? COVEY_ENOMEM : COVEY_EPEER);
        return;
    }
    const ucp_request_param_t params = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                        UCP_OP_ATTR_FIELD_USER_DATA |
                                                        UCP_OP_ATTR_FIELD_MEMH,
                                        .cb.recv_am = fetched,
                                        .user_data = operation,
                                        .memh = region->handle};
    ucs_status_ptr_t fetching =
        ucp_am_recv_data_nbx(ucx->worker, handle, address, length_bytes, &params);
    if (UCS_PTR_IS_ERR(fetching))
        ucx_operation_end(operation, outcome(UCS_PTR_STATUS(fetching)));
    else if (!fetching)
        ucx_operation_end(operation, COVEY_OK);
}

void ucx_release(struct net_backend *ucx, void *handle)
{
    ucp_am_data_release(ucx->worker, handle);
}

enum covey_status ucx_region_add(struct net_backend *ucx, void *address, size_t length_bytes,
                                 struct net_region **region)
{
    struct covey_error error = {0};
    enum covey_status awake = ucx_wake(ucx, &error);
    if (awake != COVEY_OK) {
        log_error("%s", error.message);
        return awake;
    }
    struct net_region *added = covey_calloc(1, sizeof *added);
    if (!added)
        return COVEY_ENOMEM;
    const ucp_mem_map_params_t params = {.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
                                                       UCP_MEM_MAP_PARAM_FIELD_LENGTH |
                                                       UCP_MEM_MAP_PARAM_FIELD_MEMORY_TYPE,
                                         .address = address,
                                         .length = length_bytes,
                                         .memory_type = UCS_MEMORY_TYPE_HOST};
    ucs_status_t status = ucp_mem_map(ucx->context, &params, &added->handle);
    if (status != UCS_OK) {
        log_error("cannot register memory bytes=%zu reason=%s remedy=\"raise the memlock limit\"",
                  length_bytes, ucs_status_string(status));
        free(added);
        return status == UCS_ERR_NO_MEMORY ? COVEY_ENOMEM : COVEY_EIO;
    }
    added->start = (uintptr_t)address;
    added->length_bytes = length_bytes;
    covey_list_push_back(&ucx->regions, &added->node);
    *region = added;
    return COVEY_OK;
}

void ucx_region_remove(struct net_backend *ucx, struct net_region *region)
{
    ucs_status_t status = ucp_mem_unmap(ucx->context, region->handle);
    if (status != UCS_OK)
        log_error("cannot unregister memory reason=%s", ucs_status_string(status));
    covey_list_remove(&region->node);
    free(region);
}

bool ucx_region_covers(const struct net_region *region, const void *address, size_t length_bytes)
{
    uintptr_t start = (uintptr_t)address;
    return start >= region->start && start - region->start <= region->length_bytes &&
           length_bytes <= region->length_bytes - (start - region->start);
}
