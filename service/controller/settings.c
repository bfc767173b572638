#include "service/controller/settings.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <unistd.h>

#define MS  COVEY_NS_PER_MS
#define S   COVEY_NS_PER_S
#define DAY (24LL * 3600 * S)

#define TEXT(name, field, value, help)                                                             \
    {                                                                                              \
        name, CONFIG_STRING, offsetof(struct settings, field), 0, 0, value, help                   \
    }
#define NUMBER(name, field, min, max, help)                                                        \
    {                                                                                              \
        name, CONFIG_NUMBER, offsetof(struct settings, field), min, max, "NUMBER", help            \
    }
#define BYTES(name, field, min, max, help)                                                         \
    {                                                                                              \
        name, CONFIG_BYTES, offsetof(struct settings, limits.field), min, max, "SIZE", help        \
    }
#define DURATION(name, field, min, max, help)                                                      \
    {                                                                                              \
        name, CONFIG_DURATION, offsetof(struct settings, limits.field), min, max, "TIME", help     \
    }

static const struct config_option options[] = {
    {"listen", CONFIG_STRINGS, offsetof(struct settings, listen), 0, 0, "ADDRESS",
     "Listen here: unix:/path or host:port (port 0: any); repeatable"},
    {"topology", CONFIG_STRINGS, offsetof(struct settings, topology), 0, 0, "LABEL",
     "A level of the topology, from the top: zone, rack; repeatable"},
    TEXT("state-dir", state_dir, "FOLDER", "Keep the journal, blobs, results and logs here"),
    TEXT("socket-mode", socket_mode, "MODE", "Of unix sockets: 0600, 0660 or 0666"),
    TEXT("socket-group", socket_group, "GROUP", "Of unix sockets, with socket-mode 0660"),
    TEXT("tls-cert", tls_cert, "FILE", "Serve TLS on TCP with this certificate chain (PEM)"),
    TEXT("tls-key", tls_key, "FILE", "The certificate's key (PEM)"),
    TEXT("tls-ca", tls_ca, "FILE", "Ask clients for certificates of these authorities (PEM)"),
    TEXT("join-token-file", join_token_file, "FILE", "Agents join with the token in this file"),
    TEXT("tokens-file", tokens_file, "FILE", "Users' tokens: TOKEN TENANT user|operator a line"),
    TEXT("tenants-file", tenants_file, "FILE",
         "Tenants' quotas and weights: TENANT weight=N slots=N ... a line"),
    TEXT("log-level", log_level, "LEVEL", "error, warn, info or debug"),
    NUMBER("insecure", insecure, 0, 1, "1: plaintext also beyond loopback and unix sockets"),
    NUMBER("ready-fd", ready_fd, 3, 1 << 20, "Write READY and the addresses to this descriptor"),
    NUMBER("lifeline-fd", lifeline_fd, 3, 1 << 20, "Stop when this descriptor is closed"),
    NUMBER("max-workers", limits.max_workers, 1, 1 << 20, "Workers of one flare"),
    NUMBER("max-queued", limits.max_queued, 1, 10000000,
           "Flares that wait or run; a tenant may have as many as are left"),
    BYTES("max-queued-bytes", max_queued_bytes, 1 << 20, 1ULL << 50,
          "Their requests and parameters, likewise"),
    BYTES("max-parameter-bytes", max_parameter_bytes, 0, 1ULL << 30, "Parameter of one worker"),
    BYTES("max-result-bytes", max_result_bytes, 0, 1ULL << 40, "Result of one worker"),
    BYTES("max-log-bytes", max_log_bytes, 0, 1ULL << 40, "Log of one flare; the oldest is kept"),
    BYTES("max-blob-bytes", max_blob_bytes, 1, 1ULL << 40, "One blob"),
    BYTES("max-message-bytes", max_message_bytes, 64 << 10, 1 << 30, "One gRPC message"),
    DURATION("max-time-limit", max_time_limit_ns, 1 * MS, 365 * DAY, "Time limit of one flare"),
    DURATION("heartbeat", heartbeat_ns, 10 * MS, 60 * S, "Time between heartbeats of an agent"),
    NUMBER("heartbeats-missed", limits.heartbeats_missed, 2, 1000, "Then a node is lost"),
    DURATION("node-grace", node_grace_ns, 0, 1 * DAY, "A lost node has this long to come back"),
    DURATION("prepare-timeout", prepare_timeout_ns, 10 * MS, 3600 * S,
             "A node has this long to make a flare ready"),
    NUMBER("prepare-attempts", limits.prepare_attempts, 1, 1000,
           "Times a flare is prepared before it fails"),
    DURATION("stop-grace", stop_grace_ns, 0, 3600 * S, "Time between SIGTERM and SIGKILL"),
    DURATION("failure-grace", failure_grace_ns, 0, 3600 * S,
             "Time between a worker's failure and the end of the others"),
    DURATION("age-limit", age_limit_ns, 0, 365 * DAY,
             "A flare that waited this long goes first; 0: never"),
    NUMBER("preemption", limits.preemption, 0, 1,
           "1: stop preemptible flares for those of higher priority"),
    DURATION("preempt-grace", preempt_grace_ns, 0, 3600 * S,
             "Between SIGTERM and SIGKILL of a flare that is preempted"),
    DURATION("keep-flares", keep_flares_ns, 0, 3650 * DAY, "Ended flares are kept this long"),
    NUMBER("keep-count", limits.keep_count, 0, 1LL << 40, "Ended flares are at most this many"),
    BYTES("keep-bytes", keep_bytes, 0, 1ULL << 50,
          "Ended flares with their events, results and logs, in all"),
    DURATION("keep-blobs", keep_blobs_ns, 0, 3650 * DAY, "Blobs that no definition names"),
    DURATION("keep-nodes", keep_nodes_ns, 0, 3650 * DAY, "Nodes that are down"),
};

const struct config_program settings_program = {
    .name = "coveyd",
    .summary = "The controller of Covey: takes flares, places them on nodes, keeps what became of "
               "them.",
    .default_file = "/etc/covey/coveyd.yaml",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

/* unix:/run/covey/covey.sock for root, in the user's runtime folder for others. */
static char *default_address(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0 || !runtime || !*runtime)
        return covey_strdup("unix:/run/covey/covey.sock");
    return covey_asprintf("unix:%s/covey/covey.sock", runtime);
}

static char *default_state_dir(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (geteuid() == 0)
        return covey_strdup("/var/lib/covey");
    if (state && *state)
        return covey_asprintf("%s/covey", state);
    return covey_asprintf("%s/.local/state/covey", home ? home : "");
}

static enum covey_status check(struct settings *settings, struct covey_error *error)
{
    enum covey_status status = socket_access_parse(settings->socket_mode, settings->socket_group,
                                                   &settings->socket_access, error);
    if (status)
        return status;
    if (!settings->tls_cert != !settings->tls_key)
        return covey_error_set(error, COVEY_EINVAL, "--tls-cert and --tls-key go together");
    if (settings->tls_ca && !settings->tls_cert)
        return covey_error_set(error, COVEY_EINVAL, "--tls-ca needs --tls-cert and --tls-key");
    return COVEY_OK;
}

enum covey_status settings_load(int argc, char **argv, struct settings *settings,
                                struct covey_error *error)
{
    *settings = (struct settings){0};
    controller_limits_init(&settings->limits);
    settings->state_dir = default_state_dir();
    settings->listen.rows = covey_calloc(1, sizeof *settings->listen.rows);
    char *address = default_address();
    if (!settings->state_dir || !settings->listen.rows || !address) {
        free(address);
        settings_free(settings);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the settings");
    }
    settings->listen.rows[settings->listen.count++] = address;
    enum covey_status status = config_load(&settings_program, argc, argv, settings, error);
    if (!status)
        status = check(settings, error);
    if (status)
        settings_free(settings);
    return status;
}

void settings_free(struct settings *settings)
{
    config_free(&settings_program, settings);
}
