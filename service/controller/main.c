/* coveyd: the controller as a program. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/start.h"
#include "base/surroundings.h"
#include "service/controller/api.h"
#include "service/controller/settings.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_GRACE_NS (2 * COVEY_NS_PER_S)
#define EXIT_BAD      2
#define SIGNALS       3
#define THREADS       4 /* of libuv's pool, which aborts where it cannot start them */

struct daemon {
    uv_loop_t loop;
    struct settings settings;
    struct api *api;
    uv_signal_t signals[SIGNALS];
    uv_pipe_t lifeline;
    bool has_lifeline;
    bool stopping;
    bool failed;
};

static void close_handles(void *data)
{
    struct daemon *daemon = data;
    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    if (daemon->has_lifeline)
        uv_close((uv_handle_t *)&daemon->lifeline, NULL);
}

/* The second time nobody is waited for. */
static void stop(struct daemon *daemon, const char *why)
{
    log_info("coveyd stops: %s", why);
    api_stop(daemon->api, daemon->stopping ? 0 : STOP_GRACE_NS, close_handles, daemon);
    daemon->stopping = true;
}

static void free_token(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

/* A file that is wrong changes nothing: who works goes on working. */
static void reload(struct daemon *daemon)
{
    const struct settings *settings = &daemon->settings;
    struct covey_error error = {0};
    char *join_token = NULL;
    enum covey_status status = COVEY_OK;
    if (settings->join_token_file)
        status = token_file_read(settings->join_token_file, &join_token, &error);
    const struct api_options options = {.join_token = join_token,
                                        .tokens_file = settings->tokens_file,
                                        .tenants_file = settings->tenants_file};
    if (!status)
        status = api_reload(daemon->api, &options, &error);
    free_token(join_token);
    if (status)
        log_error("tokens and tenants stay as they were: %s", error.message);
    else
        log_info("tokens and tenants were read again");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    if (number != SIGHUP)
        stop(daemon, strsignal(number));
    else if (daemon->api && !daemon->stopping)
        reload(daemon);
}

static void on_allocate(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *buffer)
{
    static char nothing[64];
    (void)handle;
    (void)suggested_bytes;
    *buffer = uv_buf_init(nothing, sizeof nothing);
}

static void on_lifeline(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    (void)buffer;
    if (count >= 0)
        return;
    (void)uv_read_stop(stream);
    stop(stream->data, "its lifeline was closed");
}

static enum covey_status open_lifeline(struct daemon *daemon, struct covey_error *error)
{
    if (!daemon->settings.lifeline_fd)
        return COVEY_OK;
    (void)uv_pipe_init(&daemon->loop, &daemon->lifeline, 0);
    daemon->has_lifeline = true;
    daemon->lifeline.data = daemon;
    int result = uv_pipe_open(&daemon->lifeline, (int)daemon->settings.lifeline_fd);
    if (result == 0)
        result = uv_read_start((uv_stream_t *)&daemon->lifeline, on_allocate, on_lifeline);
    if (result == 0)
        return COVEY_OK;
    return covey_error_set(error, COVEY_EINVAL, "--lifeline-fd %llu: %s",
                           (unsigned long long)daemon->settings.lifeline_fd, uv_strerror(result));
}

static void start_signals(struct daemon *daemon)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        (void)uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&daemon->signals[i]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

static enum covey_status listen_everywhere(struct daemon *daemon, struct covey_buffer *addresses,
                                           struct covey_error *error)
{
    const struct settings *settings = &daemon->settings;
    const struct rpc_tls tls = {.certificate_file = settings->tls_cert,
                                .key_file = settings->tls_key,
                                .ca_file = settings->tls_ca};
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < settings->listen.count; i++) {
        const char *address = settings->listen.rows[i];
        bool is_unix = strncmp(address, "unix:", 5) == 0;
        char bound[256];
        const char *path = address + strlen("unix:");
        if (is_unix)
            status = socket_folder_make(path, &settings->socket_access, error);
        if (!status)
            status = api_listen(daemon->api, address, settings->tls_cert && !is_unix ? &tls : NULL,
                                bound, sizeof bound, error);
        if (!status && is_unix)
            status = socket_admit(path, &settings->socket_access, error);
        if (status)
            break;
        log_info("listening address=%s", bound);
        status = covey_buffer_printf(addresses, " %s", bound);
    }
    return status;
}

static enum covey_status say_ready(const struct daemon *daemon,
                                   const struct covey_buffer *addresses, struct covey_error *error)
{
    if (!daemon->settings.ready_fd)
        return COVEY_OK;
    int fd = (int)daemon->settings.ready_fd;
    char *line = covey_asprintf("READY%s\n", addresses->data ? (char *)addresses->data : "");
    enum covey_status status = line ? covey_write_full(fd, line, strlen(line)) : COVEY_ENOMEM;
    free(line);
    covey_close(&fd);
    if (status)
        return covey_error_set(error, status, "--ready-fd %llu: %s",
                               (unsigned long long)daemon->settings.ready_fd,
                               covey_status_text(status));
    return COVEY_OK;
}

static enum covey_status start(struct daemon *daemon, struct covey_error *error)
{
    const struct settings *settings = &daemon->settings;
    char *join_token = NULL;
    char *state_dir = covey_asprintf("%s/controller", settings->state_dir);
    enum covey_status status = state_dir ? COVEY_OK : COVEY_ENOMEM;
    if (!status && settings->join_token_file)
        status = token_file_read(settings->join_token_file, &join_token, error);
    const struct api_options options = {.limits = settings->limits,
                                        .topology = settings->topology.rows,
                                        .topology_count = settings->topology.count,
                                        .state_dir = state_dir,
                                        .join_token = join_token,
                                        .tokens_file = settings->tokens_file,
                                        .tenants_file = settings->tenants_file,
                                        .allow_plaintext = settings->insecure != 0};
    if (!status)
        status = api_create(&daemon->loop, &options, &daemon->api, error);
    free_token(join_token);
    free(state_dir);
    struct covey_buffer addresses = {0};
    if (!status)
        status = open_lifeline(daemon, error);
    if (!status)
        status = listen_everywhere(daemon, &addresses, error);
    if (!status)
        status = say_ready(daemon, &addresses, error);
    covey_buffer_free(&addresses);
    return status;
}

static void set_log_level(const struct settings *settings)
{
    enum covey_log_level level;
    if (settings->log_level && covey_log_parse_level(settings->log_level, &level))
        covey_log_set_level(level);
    else if (settings->log_level)
        log_warn("--log-level: %s is none of error, warn, info, debug", settings->log_level);
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct covey_error error = {0};
    covey_start();
    covey_log_init("coveyd");
    covey_log_keep_below(8 << 20);
    if (settings_load(argc, argv, &daemon.settings, &error) != COVEY_OK ||
        covey_fault_init(&error) != COVEY_OK || covey_threads_check(THREADS, &error) != COVEY_OK) {
        log_error("%s", error.message);
        return EXIT_BAD;
    }
    set_log_level(&daemon.settings);
    covey_raise_fd_limit();
    if (uv_loop_init(&daemon.loop) != 0) {
        log_error("the event loop cannot be made");
        return EXIT_BAD;
    }
    start_signals(&daemon);
    if (start(&daemon, &error) != COVEY_OK) {
        log_error("%s", error.message);
        daemon.failed = true;
        if (daemon.api)
            api_stop(daemon.api, 0, close_handles, &daemon);
        else
            close_handles(&daemon);
    }
    (void)uv_run(&daemon.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&daemon.loop);
    settings_free(&daemon.settings);
    return daemon.failed ? EXIT_BAD : EXIT_SUCCESS;
}
