/* Endpoints, and the end of links. */
#include "transport/net/ucx.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The owner is to be told, once, by ucx_links_progress. */
static void make_news(struct ucx_link *link)
{
    if (link->closed || link->reported)
        return;
    covey_list_remove(&link->node);
    covey_list_push_back(&link->ucx->news, &link->node);
}

void ucx_link_break(struct ucx_link *link, enum covey_status why, const char *reason)
{
    if (link->broken)
        return;
    make_news(link);
    link->broken = true;
    link->why = why;
    (void)covey_text_print(link->reason, sizeof link->reason, "%s", reason);
}

/* Comes from UCX in the middle of its work: only noted, and acted on in ucx_links_progress. */
static void note_error(void *argument, ucp_ep_h endpoint, ucs_status_t status)
{
    struct ucx_link *link = argument;
    (void)endpoint;
    if (link->failure != UCS_OK)
        return;
    link->failure = status;
    make_news(link);
}

enum covey_status ucx_settle(struct net_backend *ucx, struct net_link *settled)
{
    struct ucx_link *link = ucx_link_of(settled);
    struct covey_error error = {0};
    enum covey_status status = ucx_wake(ucx, &error);
    if (status != COVEY_OK) {
        log_error("%s", error.message);
        ucx_link_break(link, status, error.message);
        return COVEY_OK; /* the owner hears of it with the reason */
    }
    link->settled = true;
    return ucx_record_send(link, UCX_RECORD_ADDRESS, ucx->worker_address, ucx->worker_address_bytes,
                           NULL, 0);
}

/* UCX tells what it chose only as text, "... lane[0]:  2:tcp/lo.0 md[0] -> ... am am_bw#0 ...". */
static bool parse_lane(const char *line, char *text, size_t text_bytes)
{
    const char *lane = strstr(line, "lane[");
    const char *name = lane ? strchr(lane, ' ') : NULL;
    const char *am = name ? strstr(name, " am") : NULL;
    if (!am || (am[3] != ' ' && am[3] != '\0'))
        return false;
    name += strspn(name, " ");
    name += strspn(name, "0123456789");
    if (*name++ != ':')
        return false;
    int length = (int)strcspn(name, " ");
    /* ".0" at the end is a path's number, of no use to a reader. */
    if (length > 2 && name[length - 2] == '.')
        length -= 2;
    snprintf(text, text_bytes, "%.*s", length, name);
    return length > 0;
}

static void name_carrier(const struct ucx_link *link, char *text, size_t text_bytes)
{
    char *description = NULL;
    size_t size;
    snprintf(text, text_bytes, "unknown");
    FILE *stream = open_memstream(&description, &size);
    if (!stream)
        return;
    ucp_ep_print_info(link->endpoint, stream);
    fclose(stream);
    char *rest = description;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (parse_lane(line, text, text_bytes))
            break;
    free(description);
}

void ucx_link_address(struct ucx_link *link, const uint8_t *address, size_t length_bytes)
{
    struct net_backend *ucx = link->ucx;
    char carrier[48];
    (void)
        length_bytes; /* it comes from a peer that has proved itself, and UCX asks for no length */
    const ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
                                                  UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                                  UCP_EP_PARAM_FIELD_ERR_HANDLER,
                                    .address = (const ucp_address_t *)address,
                                    .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                                    .err_handler = {.cb = note_error, .arg = link}};
    ucs_status_t foreign = ucp_ep_create(ucx->worker, &params, &link->endpoint);
    if (foreign != UCS_OK) {
        link->endpoint = NULL;
        ucx_link_break(link, ucx_status(foreign), ucs_status_string(foreign));
        return;
    }
    name_carrier(link, carrier, sizeof carrier);
    if (*ucx->device.rdma && strncmp(carrier, "tcp", 3) == 0)
        log_warn("messages go over TCP though there is an RDMA device device=%s carrier=%s",
                 ucx->device.rdma, carrier);
    ucx->options.events->on_settled(ucx->options.owner, &link->link, carrier);
}

/* May be called from inside UCX, so the endpoint itself goes in ucx_links_progress. */
void ucx_close(struct net_backend *ucx, struct net_link *closed)
{
    struct ucx_link *link = ucx_link_of(closed);
    link->closed = true;
    covey_list_remove(&link->node);
    covey_list_push_back(&ucx->doomed, &link->node);
}

static void endpoint_closed(void *request, ucs_status_t status, void *data)
{
    (void)status;
    ucp_request_free(request);
    ucx_operation_end(data, COVEY_OK);
}

static void close_endpoint(struct net_backend *ucx, ucp_ep_h endpoint)
{
    struct ucx_operation *operation = ucx_operation_take(ucx, NULL, NULL);
    ucp_request_param_t params = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                  .flags = UCP_EP_CLOSE_FLAG_FORCE};
    if (operation) {
        params.op_attr_mask |= UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
        params.cb.send = endpoint_closed;
        params.user_data = operation;
    }
    ucs_status_ptr_t request = ucp_ep_close_nbx(endpoint, &params);
    if (UCS_PTR_IS_ERR(request))
        log_error("cannot close an endpoint reason=%s", ucs_status_string(UCS_PTR_STATUS(request)));
    if (operation && !UCS_PTR_IS_PTR(request))
        ucx_operation_end(operation, COVEY_OK);
}

static void give_back(struct net_backend *ucx, struct ucx_link *link)
{
    if (link->endpoint)
        close_endpoint(ucx, link->endpoint);
    covey_close(&link->socket);
    covey_buffer_free(&link->in);
    covey_buffer_free(&link->out);
    free(link);
}

/* One link at a time: the owner may close any other when it is told. */
static void tell_owner(struct net_backend *ucx)
{
    struct ucx_link *link = covey_container_of(ucx->news.next, struct ucx_link, node);
    /* A goodbye, or how it ended, is better news than an endpoint's error. */
    if (!link->broken)
        ucx_door_hear_out(link);
    if (link->closed)
        return;
    ucx_link_break(link, COVEY_EPEER, ucs_status_string(link->failure));
    link->reported = true;
    covey_list_remove(&link->node);
    covey_list_push_back(&ucx->links, &link->node);
    ucx->options.events->on_broken(ucx->options.owner, &link->link, link->why, link->reason);
}

bool ucx_links_progress(struct net_backend *ucx)
{
    bool did = !covey_list_empty(&ucx->news);
    if (did)
        tell_owner(ucx);
    for (struct covey_list *node; (node = covey_list_pop_front(&ucx->doomed));) {
        did = true;
        give_back(ucx, covey_container_of(node, struct ucx_link, node));
    }
    return did;
}

bool ucx_links_idle(const struct net_backend *ucx)
{
    return covey_list_empty(&ucx->news) && covey_list_empty(&ucx->doomed);
}
