#include "client/cli/cli.h"

#include "base/error.h"
#include "base/text.h"
#include "client/cli/config.h"
#include "client/cli/output.h"
#include "client/cli/paths.h"
#include "client/cli/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { KEY_TOKEN = 0x100, KEY_TLS, KEY_CA, KEY_CERT, KEY_KEY, KEY_JSON };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Connection and output:", 10},
    {"server", 's', "ADDRESS", 0, "the controller: host:port or unix:/path", 0},
    {"token", KEY_TOKEN, "TOKEN", 0, "who you are, beyond a unix socket (default: COVEY_TOKEN)", 0},
    {"tls", KEY_TLS, NULL, 0, "encrypt the connection", 0},
    {"ca", KEY_CA, "FILE", 0, "whom to trust, in PEM; means --tls", 0},
    {"cert", KEY_CERT, "FILE", 0, "this client's certificate, in PEM; means --tls", 0},
    {"key", KEY_KEY, "FILE", 0, "the certificate's key, which nobody else may read", 0},
    {"json", KEY_JSON, NULL, 0, "JSON on standard output, one object a line", 0},
    {NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0}, /* as most people expect */
    {0},
};

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is argp's */
static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct cli_common *common = state->input;
    switch (key) {
    case 's':
        common->server = argument;
        return 0;
    case KEY_TOKEN:
        common->token = argument;
        return 0;
    case KEY_TLS:
        common->tls = true;
        return 0;
    case KEY_CA:
        common->ca_file = argument;
        common->tls = true;
        return 0;
    case KEY_CERT:
        common->certificate_file = argument;
        common->tls = true;
        return 0;
    case KEY_KEY:
        common->key_file = argument;
        common->tls = true;
        return 0;
    case KEY_JSON:
        common->json = true;
        return 0;
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_common_argp = {.options = options, .parser = parse_option};

int cli_fail(const struct covey_error *error)
{
    if (!cli_output_pipe_is_broken())
        cli_complain("%s", error->message);
    return cli_exit_of(error->status);
}

/* ENOTFOUND: nobody listens. A socket that a killed controller has left behind refuses. */
static enum covey_status find_default(const char *path, struct covey_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (access(path, F_OK) < 0)
        return COVEY_ENOTFOUND;
    enum covey_status status = cli_trust_folder(cli_path_runtime(), error);
    if (status)
        return status;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return covey_error_set_errno(error, errno, "cannot make a socket");
    status = connect(fd, (struct sockaddr *)&address, sizeof address) < 0
                 ? COVEY_ENOTFOUND
                 : cli_trust_peer(fd, path, error);
    close(fd);
    return status;
}

enum covey_status cli_find_server(struct cli_common *common, struct covey_error *error)
{
    const struct cli_config *config;
    enum covey_status status = cli_config_read(&config, error);
    if (status)
        return status;
    const char *token = getenv("COVEY_TOKEN");
    if (!common->token && token && *token)
        common->token = token;
    if (!common->token)
        common->token = config->token;
    if (!common->ca_file && config->ca_file) {
        common->ca_file = config->ca_file;
        common->tls = true;
    }
    /* A certificate and its key are from one place. */
    if (!common->certificate_file && !common->key_file) {
        common->certificate_file = config->certificate_file;
        common->key_file = config->key_file;
    }
    common->tls = common->tls || config->tls || common->certificate_file || common->key_file;
    const char *variable = getenv("COVEY_SERVER");
    if (!common->server && variable && *variable) {
        common->server = variable;
        common->server_source = "COVEY_SERVER";
    }
    if (!common->server && config->server) {
        common->server = config->server;
        common->server_source = cli_path_config();
    }
    if (common->server)
        return COVEY_OK;
    /* Who has no folder has no socket in it. */
    const char *address = cli_path_default_server();
    if (!address && cli_path_runtime())
        return covey_error_set(error, COVEY_EINVAL,
                               "the path of the default socket is too long: set XDG_RUNTIME_DIR or "
                               "--server");
    status = address ? find_default(address + strlen("unix:"), error) : COVEY_ENOTFOUND;
    if (status == COVEY_ENOTFOUND)
        return covey_error_set(error, COVEY_ENOTFOUND,
                               "no controller is running here and none is configured: start one "
                               "with covey up, or name one with --server");
    if (status)
        return status;
    common->server = address;
    common->is_default_socket = true;
    return COVEY_OK;
}

/* Versions fit together where they are alike up to the last number. */
static bool is_compatible(const char *server_version)
{
    const char *own = covey_client_version();
    const char *last_dot = strrchr(own, '.');
    if (!last_dot)
        return strcmp(own, server_version) == 0;
    return strncmp(own, server_version, (size_t)(last_dot - own) + 1) == 0;
}

static enum covey_status check_server(struct covey_client *client, const char *server,
                                      struct covey_server_info **info, struct covey_error *error)
{
    struct covey_server_info *found;
    enum covey_status status = covey_client_server_info(client, 0, &found, error);
    if (status == COVEY_EUNAVAILABLE) {
        char reason[COVEY_ERROR_MESSAGE_BYTES];
        snprintf(reason, sizeof reason, "%s", error->message);
        return covey_error_set(error, status,
                               "no controller answers at %s: %.*s; start one with covey up, or "
                               "name one with --server",
                               server, covey_text_fit(reason, 300), reason);
    }
    if (status == COVEY_EUNIMPLEMENTED)
        return covey_error_set(error, COVEY_EVERSION,
                               "what answers at %s is no controller of version %s", server,
                               covey_client_version());
    if (status)
        return status;
    if (!is_compatible(found->version)) {
        covey_error_set(error, COVEY_EVERSION,
                        "the controller at %s has version %s, this is covey %s: use the same",
                        server, found->version, covey_client_version());
        covey_server_info_free(found);
        return COVEY_EVERSION;
    }
    if (info)
        *info = found;
    else
        covey_server_info_free(found);
    return COVEY_OK;
}

enum covey_status cli_connect(struct cli_common *common, struct covey_client **client,
                              struct covey_server_info **info, struct covey_error *error)
{
    struct covey_client_options connection;
    *client = NULL;
    enum covey_status status = cli_find_server(common, error);
    if (status)
        return status == COVEY_ENOTFOUND ? error->status = COVEY_EUNAVAILABLE : status;
    covey_client_options_init(&connection);
    connection.server = common->server;
    connection.token = common->token;
    /* Between two processes of a machine there is nothing to encrypt, whatever else is configured.
     */
    connection.tls = common->tls && strncmp(common->server, "unix:", 5) != 0;
    connection.ca_file = common->ca_file;
    connection.certificate_file = common->certificate_file;
    connection.key_file = common->key_file;
    connection.json = common->json;
    status = covey_client_create(&connection, client, error);
    if (status && common->server_source)
        (void)covey_error_set(error, status, "%s: %s", common->server_source, error->message);
    if (!status)
        status = check_server(*client, common->server, info, error);
    if (status) {
        covey_client_destroy(*client);
        *client = NULL;
    }
    return status;
}

int cli_connect_or_fail(struct cli_common *common, struct covey_client **client)
{
    struct covey_error error = {0};
    return cli_connect(common, client, NULL, &error) ? cli_fail(&error) : CLI_OK;
}
