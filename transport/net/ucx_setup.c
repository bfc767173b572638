#include "transport/net/ucx.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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
    const char *transports = chosen && *chosen ? chosen : has_rdma ? "rc_verbs,tcp" : "tcp";
    char devices[128], port[16];
    snprintf(devices, sizeof devices, "%s%s%s", ucx->device.interface, has_rdma ? "," : "",
             ucx->device.rdma);
    snprintf(port, sizeof port, "%u", ucx->data_port);
    const struct setting settings[] = {
        {"TLS", transports},     {"NET_DEVICES", devices},
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
            status = covey_error_set(error, ucx_status(foreign), "cannot start UCX on %s: %s%s",
                                     ucx->device.interface, ucs_status_string(foreign),
                                     access("/sys/class/net", F_OK) == 0
                                         ? ""
                                         : ": /sys is not mounted here, where UCX finds devices");
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
    if (foreign != UCS_OK)
        return covey_error_set(error, ucx_status(foreign), "cannot set up a UCX worker: %s",
                               ucs_status_string(foreign));
    return COVEY_OK;
}

static unsigned range_ports(const struct net_backend *ucx)
{
    return (unsigned)ucx->options.port_last - ucx->options.port_first + 1u;
}

unsigned ucx_port_count(const struct net_backend *ucx, enum ucx_port_use use)
{
    unsigned doors = range_ports(ucx) > 1 ? range_ports(ucx) / 2 : 1;
    return use == UCX_PORT_DOOR || range_ports(ucx) == 1 ? doors : range_ports(ucx) - doors;
}

/* Hosts that start together begin at different places. */
uint16_t ucx_port(const struct net_backend *ucx, enum ucx_port_use use, unsigned i)
{
    unsigned count = ucx_port_count(ucx, use);
    if (ucx->options.port_first == 0)
        return 0;
    unsigned start = use == UCX_PORT_DOOR ? range_ports(ucx) - count : 0;
    return (uint16_t)(ucx->options.port_first + start + ((unsigned)getpid() + i) % count);
}

enum covey_status ucx_no_port(const struct net_backend *ucx, struct covey_error *error)
{
    return covey_error_set(error, COVEY_EUNAVAILABLE,
                           "no port is free on %s from %u to %u: raise the node's range, or "
                           "end what uses it",
                           ucx->ip, ucx->options.port_first, ucx->options.port_last);
}

static void close_worker(struct net_backend *ucx)
{
    if (ucx->worker_address)
        ucp_worker_release_address(ucx->worker, ucx->worker_address);
    ucx->worker_address = NULL;
    if (ucx->worker)
        ucp_worker_destroy(ucx->worker);
    ucx->worker = NULL;
    while (!covey_list_empty(&ucx->regions))
        ucx_region_remove(ucx, covey_container_of(ucx->regions.next, struct net_region, node));
    if (ucx->context)
        ucp_cleanup(ucx->context);
    ucx->context = NULL;
}

/*
 * UCX's TCP transport opens a listener of its own, on a port that it draws at random from a range
 * until one is free, for ever where none is. So it is given one port that was free just now, and
 * another where someone was quicker.
 */
static enum covey_status open_on_data_port(struct net_backend *ucx, struct covey_error *error)
{
    prepare_process();
    for (unsigned i = 0; i < ucx_port_count(ucx, UCX_PORT_DATA); i++) {
        ucx->data_port = ucx_port(ucx, UCX_PORT_DATA, i);
        if (ucx->data_port && !net_port_free(ucx->ip, ucx->data_port))
            continue;
        enum covey_status status = open_context(ucx, error);
        if (status == COVEY_OK)
            status = open_worker(ucx, error);
        if (status == COVEY_OK && (!ucx->data_port || net_port_listened(ucx->data_port))) {
            net_port_no_lingering(ucx->data_port);
            return COVEY_OK;
        }
        bool no_tcp = status == COVEY_OK && net_port_free(ucx->ip, ucx->data_port);
        if (no_tcp) /* the operator chose transports without TCP, which want no port */
            return COVEY_OK;
        close_worker(ucx);
        if (status != COVEY_OK && (!ucx->data_port || net_port_free(ucx->ip, ucx->data_port)))
            return status; /* not the port's fault */
    }
    return ucx_no_port(ucx, error);
}

/* UCX's events, and the address that peers are told. */
static enum covey_status watch_worker(struct net_backend *ucx, struct covey_error *error)
{
    int fd;
    struct epoll_event event = {.events = EPOLLIN};
    ucs_status_t foreign = ucp_worker_get_efd(ucx->worker, &fd);
    if (foreign != UCS_OK)
        return covey_error_set(error, ucx_status(foreign), "UCX on %s has no events: %s",
                               ucx->device.interface, ucs_status_string(foreign));
    if (epoll_ctl(ucx->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return covey_error_set_errno(error, errno, "cannot wait for the network");
    foreign = ucp_worker_get_address(ucx->worker, &ucx->worker_address, &ucx->worker_address_bytes);
    if (foreign != UCS_OK)
        return covey_error_set(error, ucx_status(foreign), "a UCX worker has no address: %s",
                               ucs_status_string(foreign));
    if (ucx->worker_address_bytes > UCX_RECORD_BYTES)
        return covey_error_set(error, COVEY_ELIMIT, "the address of a UCX worker has %zu bytes",
                               ucx->worker_address_bytes);
    return COVEY_OK;
}

enum covey_status ucx_wake(struct net_backend *ucx, struct covey_error *error)
{
    if (ucx->worker)
        return COVEY_OK;
    enum covey_status status = open_on_data_port(ucx, error);
    if (status == COVEY_OK)
        status = watch_worker(ucx, error);
    if (status != COVEY_OK) {
        close_worker(ucx);
        return status;
    }
    log_debug("network awake backend=ucx address=%s data_port=%u interface=%s rdma=%s",
              ucx->address, ucx->data_port, ucx->device.interface,
              *ucx->device.rdma ? ucx->device.rdma : "none");
    return COVEY_OK;
}

enum covey_status ucx_open(struct net_backend *ucx, struct covey_error *error)
{
    enum covey_status status = net_device_find(ucx->ip, &ucx->device);
    if (status != COVEY_OK)
        return covey_error_set(error, status,
                               status == COVEY_EINVAL ? "%s is not an address to listen on"
                                                      : "no interface of this machine has %s",
                               ucx->ip);
    ucx->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (ucx->epoll < 0)
        return covey_error_set_errno(error, errno, "cannot wait for the network");
    return ucx_door_open(ucx, error);
}

void ucx_shut(struct net_backend *ucx)
{
    covey_close(&ucx->listener);
    close_worker(ucx);
    covey_close(&ucx->epoll);
}
