#include "transport/net/ucx.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Comes from UCX in the middle of its work: only noted, and acted on in ucx_links_progress. */
static void note_error(void *argument, ucp_ep_h endpoint, ucs_status_t status)
{
    (void)endpoint;
    struct ucx_link *link = argument;
    if (!link->broken)
        link->why = status;
    link->broken = true;
}

static enum covey_status make_link(struct net_backend *ucx, ucp_ep_params_t *params,
                                   struct ucx_link **made)
{
    struct ucx_link *link = covey_calloc(1, sizeof *link);
    if (!link)
        return COVEY_ENOMEM;
    params->field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
    params->err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params->err_handler.cb = note_error;
    params->err_handler.arg = link;
    ucs_status_t foreign = ucp_ep_create(ucx->worker, params, &link->endpoint);
    if (foreign != UCS_OK) {
        free(link);
        return ucx_status(foreign);
    }
    covey_list_push_back(&ucx->links, &link->node);
    enum covey_status status =
        covey_map_set_u64(&ucx->by_endpoint, (uint64_t)(uintptr_t)link->endpoint, link);
    if (status != COVEY_OK) {
        ucx_close(ucx, &link->link);
        return status;
    }
    *made = link;
    return COVEY_OK;
}

void ucx_accept(ucp_conn_request_h request, void *argument)
{
    struct net_backend *ucx = argument;
    struct ucx_link *link;
    if (!ucx->accepting) {
        ucp_listener_reject(ucx->listener, request);
        return;
    }
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
                              .conn_request = request};
    enum covey_status status = make_link(ucx, &params, &link);
    if (status != COVEY_OK) {
        log_warn("connection not accepted reason=%s", covey_status_name(status));
        return;
    }
    ucx->options.events->on_accept(ucx->options.owner, &link->link);
}

enum covey_status ucx_connect(struct net_backend *ucx, const char *address, struct net_link **link)
{
    struct sockaddr_storage to;
    unsigned to_bytes;
    struct ucx_link *made;
    enum covey_status status = net_address_parse(address, &to, &to_bytes);
    if (status != COVEY_OK)
        return status;
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
        .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
        .sockaddr = {.addr = (struct sockaddr *)&to, .addrlen = (socklen_t)to_bytes}};
    status = make_link(ucx, &params, &made);
    if (status == COVEY_OK)
        *link = &made->link;
    return status;
}

/* May be called from inside UCX, so the endpoint itself goes in ucx_links_progress. */
void ucx_close(struct net_backend *ucx, struct net_link *closed)
{
    struct ucx_link *link = ucx_link_of(closed);
    covey_map_remove_u64(&ucx->by_endpoint, (uint64_t)(uintptr_t)link->endpoint);
    covey_list_remove(&link->node);
    covey_list_push_back(&ucx->doomed, &link->node);
}

static void closed(void *request, ucs_status_t status, void *data)
{
    (void)status;
    ucp_request_free(request);
    ucx_operation_end(data, COVEY_OK);
}

static void give_back(struct net_backend *ucx, struct ucx_link *link)
{
    struct ucx_operation *operation = ucx_operation_take(ucx, NULL, NULL);
    ucp_request_param_t params = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                  .flags = UCP_EP_CLOSE_FLAG_FORCE};
    if (operation) {
        params.op_attr_mask |= UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
        params.cb.send = closed;
        params.user_data = operation;
    }
    ucs_status_ptr_t request = ucp_ep_close_nbx(link->endpoint, &params);
    if (UCS_PTR_IS_ERR(request))
        log_error("cannot close an endpoint reason=%s", ucs_status_string(UCS_PTR_STATUS(request)));
    if (operation && !UCS_PTR_IS_PTR(request))
        ucx_operation_end(operation, COVEY_OK);
    free(link);
}

static void report(struct net_backend *ucx, struct ucx_link *link)
{
    enum covey_status status = link->why == UCS_ERR_TIMED_OUT ? COVEY_ETIMEOUT
                               : link->why == UCS_ERR_UNREACHABLE || link->why == UCS_ERR_REJECTED
                                   ? COVEY_EUNAVAILABLE
                                   : COVEY_EPEER;
    link->reported = true;
    ucx->options.events->on_broken(ucx->options.owner, &link->link, status,
                                   ucs_status_string(link->why));
}

bool ucx_links_progress(struct net_backend *ucx)
{
    bool did = false;
    covey_list_for_each_safe (node, after, &ucx->links) {
        struct ucx_link *link = covey_container_of(node, struct ucx_link, node);
        if (!link->broken || link->reported)
            continue;
        did = true;
        report(ucx, link);
        break; /* the owner may have closed any other: the rest comes with the next call */
    }
    for (struct covey_list *node; (node = covey_list_pop_front(&ucx->doomed));) {
        did = true;
        give_back(ucx, covey_container_of(node, struct ucx_link, node));
    }
    return did;
}

/* UCX tells what it chose only as text, "... lane[0]:  2:tcp/lo.0 md[0] -> ... am am_bw#0 ...". */
static bool parse_lane(const char *line, char *text, size_t text_bytes)
{
    const char *lane = strstr(line, "lane[");
    const char *name = lane ? strchr(lane, ' ') : NULL;
    if (!name || !(strstr(name, " am ") || strstr(name, " am\n")))
        return false;
    name += strspn(name, " ");
    name += strspn(name, "0123456789");
    if (*name++ != ':')
        return false;
    int length = (int)strcspn(name, " \n");
    /* ".0" at the end is a path's number, of no use to a reader. */
    if (length > 2 && name[length - 2] == '.')
        length -= 2;
    snprintf(text, text_bytes, "%.*s", length, name);
    return length > 0;
}

void ucx_settle(struct net_backend *ucx, struct net_link *link, char *text, size_t text_bytes)
{
    net_port_no_lingering(ucx->port, ucx->data_port);
    char *description = NULL;
    size_t size;
    snprintf(text, text_bytes, "unknown");
    FILE *stream = open_memstream(&description, &size);
    if (!stream)
        return;
    ucp_ep_print_info(ucx_link_of(link)->endpoint, stream);
    fclose(stream);
    char *rest = description;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (parse_lane(line, text, text_bytes))
            break;
    free(description);
}
