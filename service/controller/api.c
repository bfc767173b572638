/* The services on a loop: who may call, when the controller has its turn, when the journal is
 * synced. */
#include "service/controller/api_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "proto/descriptors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* What is older than this survives the loss of power. */
#define GROUP_COMMIT_MS 50

/* Descriptors that are not for connections. */
#define FILES_KEPT ((rlim_t)512)

/* ---- who calls ---- */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whoever is at the other end of a unix socket and could do anything here anyhow. */
static bool is_trusted(const struct rpc_peer *peer, void *data)
{
    (void)data;
    return identity_is_trusted(peer);
}

/* Users share what their tenant may hold; operators and agents have accounts that no user's calls
 * are on, each agent its own. */
static void account_for(const struct identity *identity, bool is_agent,
                        struct rpc_identity *account)
{
    account->is_alone = is_agent || identity->is_node;
    account->is_urgent = is_agent;
    const char *kind = is_agent || identity->is_node  ? "node"
                       : identity->caller.is_operator ? "operator"
                                                      : "tenant";
    (void)snprintf(account->name, sizeof account->name, "%s %s", kind, identity->caller.tenant);
}

/* A health check says nothing about anybody. */
static bool authorize(struct rpc_call *call, const struct rpc_peer *peer, const char *full_method,
                      struct rpc_identity *account, void *data)
{
    const struct api *api = data;
    struct identity identity;
    struct covey_error error = {0};
    account->is_stranger = has_prefix(full_method, "/grpc.health.v1.Health/");
    if (account->is_stranger)
        return true;
    bool is_agent = has_prefix(full_method, "/covey.v1.Node/");
    const char *authorization = rpc_call_metadata(call, "authorization");
    enum covey_status status =
        is_agent ? identity_find_agent(api->tokens, peer, authorization, &identity, &error)
                 : identity_find(api->tokens, peer, authorization, &identity, &error);
    if (status)
        rpc_call_fail(call, status, &error);
    else
        account_for(&identity, is_agent, account);
    return status == COVEY_OK;
}

bool api_identity(struct api *api, struct rpc_call *call, struct identity *identity)
{
    struct covey_error error = {0};
    enum covey_status status =
        identity_find(api->tokens, rpc_call_peer(call), rpc_call_metadata(call, "authorization"),
                      identity, &error);
    if (status)
        rpc_call_fail(call, status, &error);
    return status == COVEY_OK;
}

bool api_caller(struct api *api, struct rpc_call *call, struct controller_identity *caller)
{
    struct identity identity;
    if (!api_identity(api, call, &identity))
        return false;
    if (identity.is_node) {
        rpc_call_finish(call, RPC_PERMISSION_DENIED, "the join token is for agents, not for users");
        return false;
    }
    *caller = identity.caller;
    return true;
}

void api_ignore_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    (void)data;
}

/* ---- time ---- */

static int64_t clock_now(void *data)
{
    (void)data;
    return covey_now_ns();
}

static int64_t clock_wall(void *data)
{
    (void)data;
    return covey_wall_ns();
}

static void on_timer(uv_timer_t *timer)
{
    api_touch(timer->data);
}

static void arm(struct api *api)
{
    int64_t deadline_ns = controller_deadline_ns(api->controller);
    int64_t left_ns = deadline_ns - covey_now_ns();
    if (deadline_ns == COVEY_NEVER_NS) {
        (void)uv_timer_stop(&api->timer);
        return;
    }
    /* Rounded up: a timer that fires too early would only come back. */
    uint64_t left_ms =
        left_ns > 0 ? (uint64_t)((left_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS) : 0;
    uv_update_time(api->loop);
    (void)uv_timer_start(&api->timer, on_timer, left_ms, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct api *api = prepare->data;
    if (api->dirty) {
        api->dirty = false;
        controller_turn(api->controller);
        arm(api);
    }
}

/* ---- group commit ---- */

static void finish_stop(struct api *api);

static void sync_run(uv_work_t *work)
{
    struct api *api = work->data;
    api->sync_status = store_sync(api->store);
}

static void sync_after(uv_work_t *work, int status)
{
    (void)status;
    struct api *api = work->data;
    api->syncing = false;
    store_sync_done(api->store, api->sync_status);
    if (api->sync_status && !api->sync_failed)
        log_error("the journal could not be synced: until it can, what is accepted may not survive "
                  "a loss of power status=%s",
                  covey_status_name(api->sync_status));
    else if (!api->sync_status && api->sync_failed)
        log_info("the journal is synced again");
    api->sync_failed = api->sync_status != COVEY_OK;
    api_touch(api); /* what has waited for it is written now */
    finish_stop(api);
}

static void on_sync_timer(uv_timer_t *timer)
{
    struct api *api = timer->data;
    if (api->syncing || !store_dirty(api->store))
        return;
    store_sync_begin(api->store);
    api->syncing = uv_queue_work(api->loop, &api->sync_work, sync_run, sync_after) == 0;
    if (!api->syncing)
        store_sync_done(api->store, COVEY_EIO);
}

/* ---- life ---- */

static enum covey_status make_core(struct api *api, const struct api_options *options,
                                   struct covey_error *error)
{
    enum covey_status status =
        tokens_load(options->tokens_file, options->join_token, &api->tokens, error);
    if (!status)
        status = store_open(options->state_dir, &api->store, error);
    const struct controller_options core = {.limits = options->limits,
                                            .topology = options->topology,
                                            .topology_count = options->topology_count,
                                            .clock = {clock_now, clock_wall, NULL},
                                            .on_news = streams_on_news,
                                            .on_accepted = api_on_accepted,
                                            .data = api};
    if (!status)
        status = controller_create(api->store, &core, &api->controller, error);
    if (!status && options->tenants_file)
        status = controller_read_tenants(api->controller, options->tenants_file, error);
    return status;
}

/* Connections take two descriptors at most. Those that the journal, blobs and spools are read and
 * written by are not for them. */
static void fit_connections(struct rpc_limits *limits)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return;
    rlim_t most =
        files.rlim_cur > 2 * FILES_KEPT ? (files.rlim_cur - FILES_KEPT) / 2 : FILES_KEPT / 2;
    most = most > 2 * (rlim_t)limits->connections_reserved ? most - limits->connections_reserved
                                                           : most / 2;
    if (most >= limits->connections)
        return;
    log_warn("the limit of %llu open files allows no more than %llu connections",
             (unsigned long long)files.rlim_cur, (unsigned long long)most);
    limits->connections = (uint32_t)most;
}

static enum covey_status make_server(struct api *api, const struct api_options *options,
                                     struct covey_error *error)
{
    struct rpc_server_options server = {.allow_plaintext = options->allow_plaintext,
                                        .reflection = true,
                                        .descriptor_set = covey_descriptor_set,
                                        .descriptor_set_bytes = covey_descriptor_set_bytes,
                                        .authorize = authorize,
                                        .is_trusted = is_trusted,
                                        .data = api};
    rpc_limits_init(&server.limits);
    server.limits.message_bytes = options->limits.max_message_bytes;
    if (server.limits.held_bytes < 4 * server.limits.message_bytes)
        server.limits.held_bytes = 4 * server.limits.message_bytes;
    fit_connections(&server.limits);
    enum covey_status status = rpc_server_create(api->loop, &server, &api->server, error);
    static const struct rpc_service *const services[] = {&api_covey_service, &api_blobs_service,
                                                         &api_node_service};
    for (size_t i = 0; !status && i < sizeof services / sizeof services[0]; i++) {
        status = rpc_server_add(api->server, services[i], api);
        if (status)
            (void)covey_error_set(error, status, "cannot add the service %s", services[i]->name);
        else
            rpc_server_set_serving(api->server, services[i]->name, true);
    }
    return status;
}

static void free_core(struct api *api)
{
    controller_destroy(api->controller);
    store_close(api->store);
    tokens_free(api->tokens);
    covey_map_clear(&api->accepting);
    covey_map_clear(&api->followed);
    covey_map_clear(&api->lines);
    free(api);
}

static void start_handles(struct api *api)
{
    (void)uv_prepare_init(api->loop, &api->prepare);
    (void)uv_timer_init(api->loop, &api->timer);
    (void)uv_timer_init(api->loop, &api->sync_timer);
    api->open_handles = 3;
    api->prepare.data = api->timer.data = api->sync_timer.data = api->sync_work.data = api;
    (void)uv_prepare_start(&api->prepare, on_prepare);
    (void)uv_timer_start(&api->sync_timer, on_sync_timer, GROUP_COMMIT_MS, GROUP_COMMIT_MS);
    uv_unref((uv_handle_t *)&api->prepare);
    uv_unref((uv_handle_t *)&api->sync_timer);
    api_touch(api);
}

enum covey_status api_create(uv_loop_t *loop, const struct api_options *options, struct api **api,
                             struct covey_error *error)
{
    *api = NULL;
    struct api *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the controller");
    made->loop = loop;
    enum covey_status status = make_core(made, options, error);
    if (!status)
        status = make_server(made, options, error);
    if (status && made->server)
        rpc_server_stop(made->server, 0, NULL, NULL);
    if (status) {
        free_core(made);
        return status;
    }
    start_handles(made);
    *api = made;
    return COVEY_OK;
}

enum covey_status api_reload(struct api *api, const struct api_options *options,
                             struct covey_error *error)
{
    struct tokens *tokens;
    enum covey_status status =
        tokens_load(options->tokens_file, options->join_token, &tokens, error);
    if (status)
        return status;
    if (options->tenants_file)
        status = controller_read_tenants(api->controller, options->tenants_file, error);
    if (status) {
        tokens_free(tokens);
        return status;
    }
    tokens_free(api->tokens);
    api->tokens = tokens;
    api_touch(api);
    return COVEY_OK;
}

enum covey_status api_listen(struct api *api, const char *address, const struct rpc_tls *tls,
                             char *bound, size_t bound_bytes, struct covey_error *error)
{
    return rpc_server_listen(api->server, address, tls, bound, bound_bytes, error);
}

static void on_closed(uv_handle_t *handle)
{
    struct api *api = handle->data;
    if (--api->open_handles > 0)
        return;
    void (*done)(void *data) = api->done;
    void *data = api->done_data;
    free_core(api);
    if (done)
        done(data);
}

static void finish_stop(struct api *api)
{
    if (!api->stopping || !api->server_gone || api->syncing)
        return;
    api->server_gone = false; /* once */
    uv_close((uv_handle_t *)&api->prepare, on_closed);
    uv_close((uv_handle_t *)&api->timer, on_closed);
    uv_close((uv_handle_t *)&api->sync_timer, on_closed);
}

static void on_server_gone(void *data)
{
    struct api *api = data;
    api->server = NULL;
    api->server_gone = true;
    finish_stop(api);
}

void api_stop(struct api *api, int64_t grace_ns, void (*done)(void *data), void *data)
{
    if (api->stopping) {
        if (!api->server_gone && api->server)
            rpc_server_stop(api->server, grace_ns, on_server_gone, api);
        return;
    }
    api->stopping = true;
    api->done = done;
    api->done_data = data;
    controller_drain(api->controller);
    streams_stop(api);
    rpc_server_stop(api->server, grace_ns, on_server_gone, api);
}
