/* covey up, down, status. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "client/cli/cli.h"
#include "client/cli/cluster.h"
#include "client/cli/nodes.h"
#include "client/cli/paths.h"
#include "client/cli/progress.h"
#include "client/cli/quote.h"
#include "client/cli/runfile.h"
#include "client/cli/simple.h"
#include "client/cli/trust.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_NODES = 0x800, KEY_SLOTS, KEY_LISTEN, KEY_COLD, KEY_LABEL, KEY_RACKS };

struct up {
    struct cli_cluster cluster;
    bool quiet;
};

static const struct argp_option up_options[] = {
    {"nodes", KEY_NODES, "K", 0, "how many nodes (default 2)", 0},
    {"slots", KEY_SLOTS, "S", 0, "workers that each node takes (default: its cores)", 0},
    {"cold", KEY_COLD, NULL, 0, "nodes keep no processes warm: less memory, slower starts", 0},
    {"label", KEY_LABEL, "KEY=VALUE", 0, "a label of every node; repeatable", 0},
    {"racks", KEY_RACKS, "R", 0,
     "label the nodes rack=r0, rack=r1 ... in turn, and make racks a level of the topology", 0},
    {"listen", KEY_LISTEN, "ADDRESS", 0, "listen on this host:port, too", 0},
    {"quiet", 'q', NULL, 0, "print nothing but errors", 0},
    {NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0},
    {0},
};

static error_t parse_up(int key, char *argument, struct argp_state *state)
{
    struct up *up = state->input;
    switch (key) {
    case KEY_NODES:
        up->cluster.nodes = cli_parse_count(state, "--nodes", argument, 1, CLI_MAX_NODES);
        return 0;
    case KEY_SLOTS:
        up->cluster.slots = cli_parse_count(state, "--slots", argument, 1, 1023);
        return 0;
    case KEY_LISTEN:
        if (strlen(argument) >= sizeof up->cluster.listen)
            argp_error(state, "--listen is too long");
        memcpy(up->cluster.listen, argument, strlen(argument) + 1);
        return 0;
    case KEY_LABEL:
        if (up->cluster.label_count == CLI_MAX_NODE_LABELS)
            argp_error(state, "--label can be given %d times at most", CLI_MAX_NODE_LABELS);
        up->cluster.labels[up->cluster.label_count++] = argument;
        return 0;
    case KEY_RACKS:
        up->cluster.racks = cli_parse_count(state, "--racks", argument, 1, CLI_MAX_NODES);
        return 0;
    case KEY_COLD:
        up->cluster.cold = true;
        return 0;
    case 'q':
        up->quiet = true;
        return 0;
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is one argument too many", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum covey_status fill_paths(struct cli_cluster *cluster, struct covey_error *error)
{
    const char *runtime = cli_path_runtime();
    const char *state = cli_path_state();
    const char *server = cli_path_default_server();
    if (!runtime || !state || !server)
        return covey_error_set(error, COVEY_EINVAL,
                               "no folder for state or sockets, or its path is too long: set "
                               "COVEY_STATE_DIR and COVEY_RUNTIME_DIR");
    if (!covey_text_valid(runtime, strlen(runtime)) || !covey_text_valid(state, strlen(state)))
        return covey_error_set(error, COVEY_EINVAL,
                               "the name of the folder '%s' or '%s' is no UTF-8: set "
                               "COVEY_STATE_DIR and COVEY_RUNTIME_DIR to others",
                               state, runtime);
    snprintf(cluster->runtime, sizeof cluster->runtime, "%s", runtime);
    snprintf(cluster->state, sizeof cluster->state, "%s", state);
    snprintf(cluster->server, sizeof cluster->server, "%s", server);
    enum covey_status status = covey_make_dirs(runtime, 0700, error);
    return status ? status : covey_make_dirs(state, 0700, error);
}

static size_t count_alive(const struct cli_cluster *cluster)
{
    size_t alive = 0;
    for (size_t i = 0; i < cluster->process_count; i++) {
        int fd = cli_process_open(&cluster->processes[i]);
        alive += fd >= 0;
        covey_close(&fd);
    }
    return alive;
}

/* What an earlier up has left: nothing is, or none of it runs any more. */
static enum covey_status check_earlier(const char *runtime, struct covey_error *error)
{
    static struct cli_cluster earlier;
    enum covey_status status = cli_runfile_read(runtime, &earlier, error);
    if (status == COVEY_ENOTFOUND)
        return COVEY_OK;
    if (status)
        return status;
    size_t alive = count_alive(&earlier);
    if (alive == earlier.process_count)
        return covey_error_set(error, COVEY_EEXISTS,
                               "a controller with %" PRIu32 " node%s is running already at %s: use "
                               "it, or stop it first with covey down",
                               earlier.nodes, earlier.nodes == 1 ? "" : "s", earlier.server);
    if (alive)
        return covey_error_set(error, COVEY_EEXISTS,
                               "%zu of the %zu processes of an earlier covey up still run: stop "
                               "them with covey down",
                               alive, earlier.process_count);
    cli_runfile_remove(runtime);
    return COVEY_OK;
}

static enum covey_status start_all(struct cli_cluster *cluster, struct covey_error *error)
{
    struct cli_common common = {.server = cluster->server};
    struct covey_client *client = NULL;
    sigset_t signals, old;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    /* Who is interrupted while they get ready has told down what to stop. */
    sigprocmask(SIG_BLOCK, &signals, &old);
    enum covey_status status = cli_cluster_start(cluster, error);
    if (!status)
        status = cli_runfile_write(cluster, error);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (!status)
        status = cli_connect(&common, &client, NULL, error);
    if (!status)
        status = cli_cluster_wait(cluster, client, error);
    covey_client_destroy(client);
    if (status) {
        cli_cluster_stop(cluster);
        cli_runfile_remove(cluster->runtime);
    }
    return status;
}

int cli_up(int argc, char **argv)
{
    static const struct argp argp = {
        .options = up_options,
        .parser = parse_up,
        .doc = "Starts a controller and nodes on this machine, and returns when all are ready. "
               "They stay until covey down. What was started is in run.json in the runtime folder.",
    };
    static struct up up = {.cluster = {.nodes = 2, .lifeline_fd = -1, .detached = true}};
    struct covey_error error = {0};
    int lock_fd = -1;
    argp_parse(&argp, argc, argv, 0, NULL, &up);
    cli_progress_begin(up.quiet);
    enum covey_status status = cli_cluster_check(&error);
    if (!status)
        status = fill_paths(&up.cluster, &error);
    if (!status)
        status = cli_trust_folder(up.cluster.runtime, &error);
    if (!status)
        status = cli_runfile_lock(up.cluster.runtime, &lock_fd, &error);
    if (!status)
        status = check_earlier(up.cluster.runtime, &error);
    if (!status) {
        cli_progress_step("starting the controller and its nodes");
        status = start_all(&up.cluster, &error);
        cli_progress_hide();
    }
    cli_runfile_unlock(&lock_fd);
    if (status == COVEY_EUNAVAILABLE || status == COVEY_ETIMEOUT) {
        cli_complain("%s", error.message);
        return CLI_FAILED;
    }
    if (status)
        return cli_fail(&error);
    if (!up.quiet)
        printf("%" PRIu32 " node%s ready at %s\n", up.cluster.nodes,
               up.cluster.nodes == 1 ? " is" : "s are", up.cluster.server);
    return cli_finish_output();
}

/* Flares end before their nodes do, or the nodes' successors would find them. */
static void cancel_all(const char *server)
{
    static const enum covey_flare_state active[] = {COVEY_FLARE_QUEUED, COVEY_FLARE_PREPARING,
                                                    COVEY_FLARE_RUNNING};
    const struct covey_flare_filter filter = {
        .states = active, .state_count = 3, .page_size = 1000};
    struct covey_client_options options;
    struct covey_client *client;
    struct covey_flare_list *flares;
    covey_client_options_init(&options);
    options.server = server;
    options.timeout_ns = 5 * COVEY_NS_PER_S;
    /* A controller that is gone already has nothing to cancel. */
    if (covey_client_create(&options, &client, NULL))
        return;
    if (!covey_client_list_flares(client, &filter, 0, &flares, NULL)) {
        for (size_t i = 0; i < flares->count; i++) {
            struct covey_flare *flare;
            if (!covey_client_cancel_flare(client, flares->flares[i].id, "covey down", 0, &flare,
                                           NULL)) {
                covey_flare_free(flare);
                if (!covey_client_wait(client, flares->flares[i].id, 5 * COVEY_NS_PER_S, &flare,
                                       NULL))
                    covey_flare_free(flare);
            }
        }
        covey_flare_list_free(flares);
    }
    covey_client_destroy(client);
}

int cli_down(int argc, char **argv)
{
    static const struct argp argp = {
        .doc = "Cancels the flares of the controller that covey up has started, and stops it and "
               "its nodes; returns when all have ended."};
    static struct cli_cluster cluster;
    struct covey_error error = {0};
    const char *runtime = cli_path_runtime();
    int lock_fd = -1;
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    enum covey_status status =
        runtime ? COVEY_OK
                : covey_error_set(&error, COVEY_EINVAL, "the runtime folder's path is too long");
    if (!status)
        status = cli_runfile_read(runtime, &cluster, &error);
    if (!status)
        status = cli_runfile_lock(runtime, &lock_fd, &error);
    if (status)
        return cli_fail(&error);
    size_t alive = count_alive(&cluster);
    if (alive)
        cancel_all(cluster.server);
    cli_cluster_stop(&cluster);
    cli_runfile_remove(runtime);
    cli_runfile_unlock(&lock_fd);
    if (!alive)
        printf("nothing ran any more; what an earlier covey up had noted is removed\n");
    return cli_finish_output();
}

static void print_status_json(const struct covey_server_info *info,
                              const struct covey_node_list *nodes,
                              const struct covey_flare_list *flares, const char *server)
{
    struct covey_buffer endpoint = {0};
    if (cli_quote(&endpoint, server) || covey_buffer_append(&endpoint, "", 1))
        covey_buffer_free(&endpoint);
    printf("{\"endpoint\":%s,\"server\":%s,\"nodes\":[",
           endpoint.data ? (const char *)endpoint.data : "null", info->json);
    for (size_t i = 0; i < nodes->count; i++)
        printf("%s%s", i ? "," : "", nodes->nodes[i].json);
    printf("],\"flares\":[");
    for (size_t i = 0; i < flares->count; i++)
        printf("%s%s", i ? "," : "", flares->flares[i].json);
    printf("]}\n");
    covey_buffer_free(&endpoint);
}

static void print_status(const struct covey_server_info *info, const struct covey_node_list *nodes,
                         const struct covey_flare_list *flares, const char *server)
{
    size_t queued = 0;
    for (size_t i = 0; i < flares->count; i++)
        queued += flares->flares[i].state == COVEY_FLARE_QUEUED;
    printf("coveyd %s at %s: %zu flare%s running, %zu queued\n", info->version, server,
           flares->count - queued, flares->count - queued == 1 ? "" : "s", queued);
    cli_print_nodes(nodes);
}

int cli_status(int argc, char **argv)
{
    static const enum covey_flare_state active[] = {COVEY_FLARE_QUEUED, COVEY_FLARE_PREPARING,
                                                    COVEY_FLARE_RUNNING, COVEY_FLARE_ENDING};
    const struct covey_flare_filter filter = {
        .states = active, .state_count = 4, .page_size = 1000};
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client = NULL;
    struct covey_server_info *info = NULL;
    struct covey_node_list *nodes = NULL;
    struct covey_flare_list *flares = NULL;
    cli_parse_words(argc, argv, "", "Shows the controller, its nodes and how many flares run.", 0,
                    0, &words);
    enum covey_status status = cli_connect(&words.common, &client, &info, &error);
    if (!status)
        status = covey_client_list_nodes(client, 0, &nodes, &error);
    if (!status)
        status = covey_client_list_flares(client, &filter, 0, &flares, &error);
    if (!status && words.common.json)
        print_status_json(info, nodes, flares, words.common.server);
    else if (!status)
        print_status(info, nodes, flares, words.common.server);
    covey_flare_list_free(flares);
    covey_node_list_free(nodes);
    covey_server_info_free(info);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}
