#include "service/node/options.h"

#include "base/buffer.h"
#include "base/io.h"
#include "base/quantity.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum key {
    KEY_NAME = 'n',
    KEY_CONTROLLER = 'c',
    KEY_SLOTS = 's',
    KEY_MEMORY = 'm',
    KEY_STATE_DIR = 256,
    KEY_RUNTIME_DIR,
    KEY_DATA_ADDRESS,
    KEY_DATA_PORTS,
    KEY_NETWORK,
    KEY_JOIN_TOKEN_FILE,
    KEY_WARM_HOSTS,
    KEY_WARM_PACKS,
    KEY_CACHE_BYTES,
    KEY_LIFELINE_FD,
    KEY_ISOLATION,
    KEY_CA_FILE,
    KEY_CERT,
    KEY_KEY,
    KEY_LABEL,
    KEY_TAINT,
    KEY_GPUS,
    KEY_RESOURCE,
};

static const struct argp_option rows[] = {
    {"name", KEY_NAME, "NAME", 0, "Name of this node (default: the host's)", 0},
    {"controller", KEY_CONTROLLER, "ADDRESS", 0, "HOST:PORT or unix:PATH of the controller", 0},
    {"slots", KEY_SLOTS, "N", 0, "Workers it takes (default: the cores)", 0},
    {"memory", KEY_MEMORY, "BYTES", 0, "Memory for workers, with K, M, G or T (default: all)", 0},
    {"label", KEY_LABEL, "KEY=VALUE", 0, "A label, for selectors and the topology; repeatable", 0},
    {"taint", KEY_TAINT, "KEY=VALUE", 0, "Keep flares away that do not tolerate it; repeatable", 0},
    {"gpus", KEY_GPUS, "N", 0, "Gpus it has (default: none)", 0},
    {"resource", KEY_RESOURCE, "NAME=N", 0, "So much of another resource; repeatable", 0},
    {"state-dir", KEY_STATE_DIR, "DIR", 0, "Code cache and identity", 0},
    {"runtime-dir", KEY_RUNTIME_DIR, "DIR", 0, "Sockets of hosts and packs", 0},
    {"data-address", KEY_DATA_ADDRESS, "IP", 0, "Where hosts listen (default: 127.0.0.1)", 0},
    {"data-ports", KEY_DATA_PORTS, "FIRST-LAST", 0, "Ports of hosts (default: any that are free)",
     0},
    {"network", KEY_NETWORK, "KIND", 0,
     "What carries messages between nodes: auto, ucx or tcp; the same on all (default: auto)", 0},
    {"join-token-file", KEY_JOIN_TOKEN_FILE, "FILE", 0, "The cluster's join token", 0},
    {"ca-file", KEY_CA_FILE, "FILE", 0, "Certificates to trust: TLS to the controller", 0},
    {"cert", KEY_CERT, "FILE", 0, "This node's certificate, for a controller that asks for one", 0},
    {"key", KEY_KEY, "FILE", 0, "The certificate's key, which nobody else may read", 0},
    {"warm-hosts", KEY_WARM_HOSTS, "N", 0, "Hosts kept ready (default: 1)", 0},
    {"warm-packs", KEY_WARM_PACKS, "N", 0, "Packs kept ready (default: 2)", 0},
    {"cache-bytes", KEY_CACHE_BYTES, "SIZE", 0, "Bound of the code cache (default: 4G)", 0},
    {"lifeline-fd", KEY_LIFELINE_FD, "N", 0,
     "End, with everything, when the other end of this descriptor closes", 0},
    {"isolation", KEY_ISOLATION, "KIND", 0,
     "How processes are held together: auto, pid-namespace, cgroup or environment", 0},
    {0},
};

static bool parse_count(const char *text, uint32_t least, uint32_t most, uint32_t *number)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < least || value > most)
        return false;
    *number = (uint32_t)value;
    return true;
}

bool node_parse_ports(const char *text, uint32_t *first, uint32_t *last)
{
    char copy[32];
    uint32_t low;
    uint32_t high;
    if (strlen(text) >= sizeof(copy))
        return false;
    (void)snprintf(copy, sizeof(copy), "%s", text);
    char *dash = strchr(copy, '-');
    if (dash)
        *dash = '\0';
    if (!parse_count(copy, 1, 65535, &low) ||
        !parse_count(dash ? dash + 1 : copy, low, 65535, &high))
        return false;
    *first = low;
    *last = high;
    return true;
}

bool node_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= 63 &&
           strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-") ==
               length;
}

static bool is_word(const char *text, size_t length, size_t least)
{
    static const char allowed[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._/-";
    return length >= least && length <= 63 && strspn(text, allowed) >= length;
}

bool node_parse_pair(char *text, struct node_pair *pair)
{
    char *equals = strchr(text, '=');
    if (!equals || !is_word(text, (size_t)(equals - text), 1) ||
        !is_word(equals + 1, strlen(equals + 1), 0))
        return false;
    *equals = '\0';
    *pair = (struct node_pair){text, equals + 1};
    return true;
}

static void add_pair(struct argp_state *state, const char *option, char *text,
                     struct node_pair *pairs, size_t *count)
{
    struct node_pair pair = {0};
    if (*count == NODE_PAIRS_MAX)
        argp_error(state, "%s can be given %d times at most", option, NODE_PAIRS_MAX);
    if (!node_parse_pair(text, &pair)) {
        argp_error(state,
                   "%s takes KEY=VALUE, each of at most 63 letters, digits, '.', '_', '/' and '-', "
                   "not '%s'",
                   option, text);
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if (strcmp(pairs[i].key, pair.key) == 0)
            argp_error(state, "%s gives %s twice", option, pair.key);
    pairs[(*count)++] = pair;
}

static void add_resource(struct argp_state *state, struct node_options *options, char *text)
{
    struct node_pair pair = {0};
    struct node_amount *resource = &options->resources[options->resource_count];
    if (options->resource_count == NODE_PAIRS_MAX)
        argp_error(state, "--resource can be given %d times at most", NODE_PAIRS_MAX);
    if (!node_parse_pair(text, &pair) || covey_parse_size(pair.value, &resource->amount)) {
        argp_error(state,
                   "--resource takes NAME=N, N a number or " COVEY_SIZE_EXAMPLES ", not '%s%s%s'",
                   text, pair.key ? "=" : "", pair.key ? pair.value : "");
        return;
    }
    for (size_t i = 0; i < options->resource_count; i++)
        if (strcmp(options->resources[i].name, pair.key) == 0)
            argp_error(state, "--resource gives %s twice", pair.key);
    resource->name = pair.key;
    options->resource_count++;
}

static void copy_text(struct argp_state *state, char *to, size_t size_bytes, const char *from)
{
    if (strlen(from) >= size_bytes || !*from)
        argp_error(state, "'%s' is empty or too long", from);
    (void)snprintf(to, size_bytes, "%s", from);
}

static void read_token(struct argp_state *state, struct node_options *options, const char *path)
{
    struct covey_buffer contents = {0};
    struct covey_error error = {0};
    if (covey_text_file_read(path, sizeof(options->join_token) - 1, &contents, &error))
        argp_failure(state, 2, 0, "%s", error.message);
    (void)snprintf(options->join_token, sizeof(options->join_token), "%.*s",
                   (int)contents.length_bytes, contents.data ? (char *)contents.data : "");
    options->join_token[strcspn(options->join_token, "\r\n")] = '\0';
    if (!*options->join_token)
        argp_failure(state, 2, 0, "%s: its first line, the token, is empty", path);
    covey_buffer_free(&contents);
}

static enum tree_kind parse_tree(struct argp_state *state, const char *text)
{
    static const char *const names[] = {"auto", "pid-namespace", "cgroup", "environment"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(names[i], text) == 0)
            return (enum tree_kind)i;
    }
    argp_error(state, "--isolation is auto, pid-namespace, cgroup or environment, not '%s'", text);
    return TREE_AUTO;
}

static void parse_lifeline(struct argp_state *state, struct node_options *options, const char *text)
{
    uint32_t fd = 0;
    if (!parse_count(text, 0, INT_MAX, &fd))
        argp_error(state, "--lifeline-fd takes the number of an open descriptor, not '%s'", text);
    options->lifeline_fd = (int)fd;
}

static error_t parse_count_option(struct argp_state *state, const char *what, const char *text,
                                  uint32_t least, uint32_t most, uint32_t *number)
{
    if (!parse_count(text, least, most, number))
        argp_error(state, "%s takes a number from %u to %u, not '%s'", what, least, most, text);
    return 0;
}

static error_t parse_resource(int key, char *text, struct argp_state *state)
{
    struct node_options *options = state->input;
    switch (key) {
    case KEY_SLOTS:
        return parse_count_option(state, "--slots", text, 1, 65536, &options->slots);
    case KEY_MEMORY:
        if (covey_parse_size(text, &options->memory_bytes) || options->memory_bytes == 0)
            argp_error(state, "--memory must be " COVEY_SIZE_EXAMPLES ", not '%s'", text);
        return 0;
    case KEY_LABEL:
        add_pair(state, "--label", text, options->labels, &options->label_count);
        return 0;
    case KEY_TAINT:
        add_pair(state, "--taint", text, options->taints, &options->taint_count);
        return 0;
    case KEY_RESOURCE:
        add_resource(state, options, text);
        return 0;
    case KEY_GPUS:
        return parse_count_option(state, "--gpus", text, 0, 65536, &options->gpus);
    case KEY_CACHE_BYTES:
        if (covey_parse_size(text, &options->cache_bytes))
            argp_error(state, "--cache-bytes must be " COVEY_SIZE_EXAMPLES ", not '%s'", text);
        return 0;
    case KEY_WARM_HOSTS:
        return parse_count_option(state, "--warm-hosts", text, 0, 64, &options->warm_hosts);
    case KEY_WARM_PACKS:
        return parse_count_option(state, "--warm-packs", text, 0, 1024, &options->warm_packs);
    case KEY_DATA_PORTS:
        if (!node_parse_ports(text, &options->port_first, &options->port_last))
            argp_error(state, "--data-ports takes FIRST-LAST within 1-65535, not '%s'", text);
        return 0;
    case KEY_NETWORK:
        if (strcmp(text, "auto") != 0 && strcmp(text, "ucx") != 0 && strcmp(text, "tcp") != 0)
            argp_error(state, "--network is auto, ucx or tcp, not '%s'", text);
        copy_text(state, options->network, sizeof(options->network), text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct node_options *options = state->input;
    switch (key) {
    case KEY_NAME:
        if (!node_name_valid(text))
            argp_error(state, "a node's name is 1 to 63 of letters, digits, '.', '_' and '-'");
        copy_text(state, options->name, sizeof(options->name), text);
        return 0;
    case KEY_CONTROLLER:
        copy_text(state, options->controller, sizeof(options->controller), text);
        return 0;
    case KEY_STATE_DIR:
        copy_text(state, options->state_dir, sizeof(options->state_dir), text);
        return 0;
    case KEY_RUNTIME_DIR:
        copy_text(state, options->runtime_dir, sizeof(options->runtime_dir), text);
        return 0;
    case KEY_DATA_ADDRESS:
        copy_text(state, options->data_address, sizeof(options->data_address), text);
        return 0;
    case KEY_CA_FILE:
        copy_text(state, options->ca_file, sizeof(options->ca_file), text);
        return 0;
    case KEY_CERT:
        copy_text(state, options->certificate_file, sizeof(options->certificate_file), text);
        return 0;
    case KEY_KEY:
        copy_text(state, options->key_file, sizeof(options->key_file), text);
        return 0;
    case KEY_JOIN_TOKEN_FILE:
        read_token(state, options, text);
        return 0;
    case KEY_LIFELINE_FD:
        parse_lifeline(state, options, text);
        return 0;
    case KEY_ISOLATION:
        options->tree = parse_tree(state, text);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "there is no argument '%s'", text);
        return 0;
    case ARGP_KEY_END:
        if (!*options->controller)
            argp_error(state, "--controller is needed");
        if (!*options->certificate_file != !*options->key_file)
            argp_error(state, "--cert and --key go together");
        if (*options->certificate_file && !*options->ca_file)
            argp_error(state, "--cert needs --ca-file, the authorities of the controller's own");
        return 0;
    default:
        return parse_resource(key, text, state);
    }
}

static void set_folders(struct node_options *options)
{
    bool root = geteuid() == 0;
    const char *state = getenv("XDG_STATE_HOME");
    const char *covey = getenv("COVEY_STATE_DIR");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *home = getenv("HOME");
    int length = 0;
    if (!*options->state_dir) {
        if (covey)
            length = snprintf(options->state_dir, sizeof(options->state_dir), "%s/nodes/%s", covey,
                              options->name);
        else if (root)
            length = snprintf(options->state_dir, sizeof(options->state_dir),
                              "/var/lib/covey/nodes/%s", options->name);
        else if (state)
            length = snprintf(options->state_dir, sizeof(options->state_dir), "%s/covey/nodes/%s",
                              state, options->name);
        else
            length = snprintf(options->state_dir, sizeof(options->state_dir),
                              "%s/.local/state/covey/nodes/%s", home ? home : "", options->name);
    }
    if (length >= (int)sizeof(options->state_dir))
        options->state_dir[0] = '\0';
    length = 0;
    if (!*options->runtime_dir && (root || !runtime))
        length = snprintf(options->runtime_dir, sizeof(options->runtime_dir), "%s/node-%s",
                          root ? "/run/covey" : options->state_dir, options->name);
    else if (!*options->runtime_dir)
        length = snprintf(options->runtime_dir, sizeof(options->runtime_dir), "%s/covey/node-%s",
                          runtime, options->name);
    if (length >= (int)sizeof(options->runtime_dir))
        options->runtime_dir[0] = '\0';
}

static void set_defaults(struct node_options *options)
{
    *options = (struct node_options){
        .warm_hosts = 1, .warm_packs = 2, .cache_bytes = 4ULL << 30, .lifeline_fd = -1};
    (void)snprintf(options->data_address, sizeof(options->data_address), "127.0.0.1");
    (void)snprintf(options->network, sizeof(options->network), "auto");
    if (gethostname(options->name, sizeof(options->name) - 1) < 0 ||
        !node_name_valid(options->name))
        (void)snprintf(options->name, sizeof(options->name), "node");
    ssize_t length =
        readlink("/proc/self/exe", options->program_folder, sizeof(options->program_folder) - 1);
    options->program_folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(options->program_folder, '/');
    if (slash)
        *slash = '\0';
}

void node_options_parse(struct node_options *options, int argc, char **argv)
{
    static const struct argp parser = {
        rows, parse_option,
        NULL, "Offers this machine's slots to a Covey controller, and runs flares' workers on it.",
        NULL, NULL,
        NULL};
    argp_program_version = "covey-node " COVEY_VERSION;
    argp_err_exit_status = 2;
    set_defaults(options);
    (void)argp_parse(&parser, argc, argv, 0, NULL, options);
    set_folders(options);
    if (!*options->state_dir || !*options->runtime_dir) {
        (void)fprintf(stderr, "covey-node: the state or runtime folder's path is too long\n");
        exit(2);
    }
}
