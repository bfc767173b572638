#include "transport/net/ucx.h"

#include "base/error.h"
#include "base/log.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucs/debug/debug.h>
#include <ucs/debug/log_def.h>
#include <unistd.h>

/* What UCX says goes to our log; by default it would go to standard output, which is not ours. */
static ucs_log_func_rc_t forward_log(const char *file, unsigned line, const char *function,
                                     ucs_log_level_t level,
                                     const ucs_log_component_config_t *component,
                                     const char *format, va_list arguments)
{
    (void)file, (void)line, (void)function, (void)component;
    /* An error inside UCX need not be one of ours: that is for whoever made the call to say. */
    enum covey_log_level ours = level <= UCS_LOG_LEVEL_WARN ? COVEY_LOG_WARN : COVEY_LOG_DEBUG;
    if (level > UCS_LOG_LEVEL_INFO || !covey_log_enabled(ours))
        return UCS_LOG_FUNC_RC_STOP;
    char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(text, sizeof text, format, arguments);
#pragma GCC diagnostic pop
    covey_log(ours, "ucx says: %s", text);
    return UCS_LOG_FUNC_RC_STOP;
}

/*
 * UCX installs handlers for crash signals when it is loaded, unless UCX_ERROR_SIGNALS is empty;
 * they would hide a crash from whoever reaps us. Those that are still UCX's are taken out.
 */
static void restore_signals(void)
{
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action;
        Dl_info from;
        if (sigaction(signals[i], NULL, &action) == 0 && action.sa_flags & SA_SIGINFO &&
            dladdr((void *)action.sa_sigaction, &from) && strstr(from.dli_fname, "libucs"))
            ucs_debug_disable_signal(signals[i]);
    }
}

static void prepare_process(void)
{
    static bool prepared;
    if (prepared)
        return;
    prepared = true;
    ucs_log_push_handler(forward_log);
    restore_signals();
}

struct setting {
    const char *name;
    const char *value;
};

static void warn_unhonoured(const char *name, const char *value)
{
    char variable[64];
    snprintf(variable, sizeof variable, "UCX_%s", name);
    const char *asked = getenv(variable);
    if (asked && strcmp(asked, value) != 0)
        log_warn("%s=%s is not honoured, covey sets it value=%s", variable, asked, value);
}

static enum covey_status configure(struct net_backend *ucx, ucp_config_t *config,
                                   struct covey_error *error)
{
    const char *chosen = getenv("COVEY_UCX_TLS");
    const bool has_rdma = *ucx->device.rdma != '\0';
    const char *transports = chosen && *chosen ? chosen : has_rdma ? "rc_verbs,rc_mlx5" : "tcp";
    ucx->has_tcp = strstr(transports, "tcp") || strstr(transports, "all");
    char devices[128], port[16];
    snprintf(devices, sizeof devices, "%s%s%s", ucx->device.interface, has_rdma ? "," : "",
             ucx->device.rdma);
    snprintf(port, sizeof port, "%u", ucx->data_port);
    const struct setting settings[] = {
        {"TLS", transports},
        {"SOCKADDR_TLS_PRIORITY", ucx->has_tcp ? "tcp" : "rdmacm"},
        {"NET_DEVICES", devices},
        {"PORT_RANGE", port},    /* UCX_TCP_PORT_RANGE: the prefix is left out here */
        {"MAX_RNDV_RAILS", "1"}, /* a second lane over TCP beside RDMA only slows it down */
        {"PROTO_ENABLE", "n"},   /* with it, 1.13 ignores memory handles */
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        warn_unhonoured(settings[i].name, settings[i].value);
        ucs_status_t status = ucp_config_modify(config, settings[i].name, settings[i].value);
        if (status != UCS_OK)
            return covey_error_set(error, COVEY_EINVAL, "UCX refuses %s=%s: %s", settings[i].name,
                                   settings[i].value, ucs_status_string(status));
    }
    return COVEY_OK;
}

static enum covey_status open_context(struct net_backend *ucx, struct covey_error *error)
{
    ucp_config_t *config;
    ucs_status_t foreign = ucp_config_read(NULL, NULL, &config);
    if (foreign != UCS_OK)
        return covey_error_set(error, ucx_status(foreign), "cannot read UCX's configuration: %s",
                               ucs_status_string(foreign));
    enum covey_status status = configure(ucx, config, error);
    if (status == COVEY_OK) {
        const ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME,
                                     .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP,
                                     .name = "covey"};
        foreign = ucp_init(&params, config, &ucx->context);
        if (foreign != UCS_OK)
            status = covey_error_set(error, ucx_status(foreign), "cannot start UCX on %s: %s",
                                     ucx->device.interface, ucs_status_string(foreign));
    }
    ucp_config_release(config);
    return status;
}

static enum covey_status open_worker(struct net_backend *ucx, struct covey_error *error)
{
    const ucp_worker_params_t params = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE |
                                                      UCP_WORKER_PARAM_FIELD_FLAGS,
                                        .thread_mode = UCS_THREAD_MODE_SINGLE,
                                        .flags = UCP_WORKER_FLAG_IGNORE_REQUEST_LEAK};
    /* Connections of the last host that linger must not keep its port from this one. This is read
     * from the environment when the worker is made, and cannot be set otherwise. */
    if (setenv(ucx->has_tcp ? "UCX_TCP_CM_REUSEADDR" : "UCX_RDMA_CM_REUSEADDR", "y", 0) < 0)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the environment");
    ucs_status_t foreign = ucp_worker_create(ucx->context, &params, &ucx->worker);
    if (foreign != UCS_OK)
        return covey_error_set(error, ucx_status(foreign), "cannot create a UCX worker: %s",
                               ucs_status_string(foreign));
    ucp_worker_attr_t attributes = {.field_mask = UCP_WORKER_ATTR_FIELD_MAX_AM_HEADER};
    foreign = ucp_worker_query(ucx->worker, &attributes);
    if (foreign == UCS_OK && attributes.max_am_header < ucx->options.header_bytes_max)
        return covey_error_set(error, COVEY_EUNAVAILABLE,
                               "UCX on %s carries headers of %zu bytes only", ucx->device.interface,
                               attributes.max_am_header);
    const ucp_am_handler_param_t handler = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = UCX_FRAME_ID,
        .flags = UCP_AM_FLAG_WHOLE_MSG,
        .cb = ucx_frame,
        .arg = ucx};
    if (foreign == UCS_OK)
        foreign = ucp_worker_set_am_recv_handler(ucx->worker, &handler);
    if (foreign == UCS_OK)
        foreign = ucp_worker_get_efd(ucx->worker, &ucx->fd);
    if (foreign != UCS_OK)
        return covey_error_set(error, ucx_status(foreign), "cannot set up a UCX worker: %s",
                               ucs_status_string(foreign));
    return COVEY_OK;
}

/* EAGAIN: the port is taken. */
static enum covey_status listen_on(struct net_backend *ucx, const char *ip, uint16_t port)
{
    struct sockaddr_storage address;
    unsigned address_bytes;
    enum covey_status status = net_address_make(ip, port, &address, &address_bytes);
    if (status != COVEY_OK)
        return status;
    const ucp_listener_params_t params = {
        .field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
        .sockaddr = {.addr = (struct sockaddr *)&address, .addrlen = (socklen_t)address_bytes},
        .conn_handler = {.cb = ucx_accept, .arg = ucx}};
    ucs_status_t foreign = ucp_listener_create(ucx->worker, &params, &ucx->listener);
    if (foreign == UCS_ERR_BUSY)
        return COVEY_EAGAIN;
    if (foreign != UCS_OK)
        return ucx_status(foreign);
    ucp_listener_attr_t attributes = {.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR};
    foreign = ucp_listener_query(ucx->listener, &attributes);
    if (foreign != UCS_OK)
        return ucx_status(foreign);
    const struct sockaddr_storage *bound = &attributes.sockaddr;
    ucx->port = ntohs(bound->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)bound)->sin6_port
                                                   : ((const struct sockaddr_in *)bound)->sin_port);
    net_address_format(bound, ucx->address, sizeof ucx->address);
    return COVEY_OK;
}

/* The i-th port to try: hosts that start together begin at different places of the range. */
static uint16_t candidate(const struct net_backend *ucx, unsigned i)
{
    unsigned count = (unsigned)ucx->options.port_last - ucx->options.port_first + 1u;
    return (uint16_t)(ucx->options.port_first + ((unsigned)getpid() * 2u + i) % count);
}

static unsigned candidates(const struct net_backend *ucx)
{
    return ucx->options.port_first == 0
               ? 1
               : (unsigned)ucx->options.port_last - ucx->options.port_first + 1u;
}

static enum covey_status no_port(const struct net_backend *ucx, const char *ip,
                                 struct covey_error *error)
{
    return covey_error_set(error, COVEY_EUNAVAILABLE,
                           "no two ports are free on %s from %u to %u: raise the node's range, or "
                           "end what uses it",
                           ip, ucx->options.port_first, ucx->options.port_last);
}

static enum covey_status open_listener(struct net_backend *ucx, const char *ip,
                                       struct covey_error *error)
{
    enum covey_status status = COVEY_EAGAIN;
    for (unsigned i = 0; status == COVEY_EAGAIN && i < candidates(ucx); i++) {
        uint16_t port = ucx->options.port_first ? candidate(ucx, i) : 0;
        if (port == 0 || (port != ucx->data_port && net_port_free(ip, port, true)))
            status = listen_on(ucx, ip, port);
    }
    if (status == COVEY_EAGAIN)
        return no_port(ucx, ip, error);
    if (status != COVEY_OK)
        return covey_error_set(error, status, "cannot listen on %s", ip);
    return COVEY_OK;
}

/*
 * UCX's TCP transport opens a listener of its own, on a port that it draws at random from a range
 * until one is free, for ever where none is. So it is given one port that was free just now, and
 * another where someone was quicker.
 */
static enum covey_status open_on_data_port(struct net_backend *ucx, const char *ip,
                                           struct covey_error *error)
{
    for (unsigned i = 0; i < candidates(ucx); i++) {
        ucx->data_port = ucx->options.port_first ? candidate(ucx, i) : 0;
        if (ucx->data_port && !net_port_free(ip, ucx->data_port, false))
            continue;
        enum covey_status status = open_context(ucx, error);
        if (status != COVEY_OK)
            return status;
        status = open_worker(ucx, error);
        if (ucx->data_port == 0 || net_port_listened(ucx->data_port) || *ucx->device.rdma)
            return status;
        ucx_shut(ucx);
        if (net_port_free(ip, ucx->data_port, false))
            return status; /* not the port's fault */
    }
    return no_port(ucx, ip, error);
}

enum covey_status ucx_open(struct net_backend *ucx, const char *bind_address,
                           struct covey_error *error)
{
    prepare_process();
    enum covey_status status = net_device_find(bind_address, &ucx->device);
    if (status != COVEY_OK)
        return covey_error_set(error, status,
                               status == COVEY_EINVAL ? "%s is not an address to listen on"
                                                      : "no interface of this machine has %s",
                               bind_address);
    status = open_on_data_port(ucx, bind_address, error);
    if (status == COVEY_OK)
        status = open_listener(ucx, bind_address, error);
    if (status == COVEY_OK)
        log_debug("network open backend=ucx address=%s data_port=%u interface=%s rdma=%s",
                  ucx->address, ucx->data_port, ucx->device.interface,
                  *ucx->device.rdma ? ucx->device.rdma : "none");
    return status;
}

void ucx_shut(struct net_backend *ucx)
{
    if (ucx->listener)
        ucp_listener_destroy(ucx->listener);
    ucx->listener = NULL;
    if (ucx->worker)
        ucp_worker_destroy(ucx->worker);
    ucx->worker = NULL;
    if (ucx->context)
        ucp_cleanup(ucx->context);
    ucx->context = NULL;
}
