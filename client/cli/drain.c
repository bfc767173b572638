/* covey drain, undrain. */
#include "base/clock.h"
#include "client/cli/cli.h"
#include "client/cli/simple.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS 200

enum { KEY_DEADLINE = 0x900, KEY_REASON, KEY_WAIT };

struct drain {
    struct cli_common common;
    struct covey_drain how;
    const char *node;
    bool wait;
};

static const struct argp_option drain_options[] = {
    {"deadline", KEY_DEADLINE, "TIME", 0,
     "what runs there may go on so long: 30s, 5m, 1h (default: until it ends)", 0},
    {"reason", KEY_REASON, "TEXT", 0, "why, for everyone who looks at the node", 0},
    {"wait", KEY_WAIT, NULL, 0, "return when nothing runs there any more", 0},
    {0},
};

static error_t parse_drain(int key, char *argument, struct argp_state *state)
{
    struct drain *drain = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &drain->common;
        return 0;
    case KEY_DEADLINE:
        drain->how.deadline_ns = cli_parse_duration(state, "--deadline", argument);
        return 0;
    case KEY_REASON:
        if (!*argument)
            argp_error(state, "--reason must not be empty");
        drain->how.reason = argument;
        return 0;
    case KEY_WAIT:
        drain->wait = true;
        return 0;
    case ARGP_KEY_ARG:
        if (drain->node)
            argp_error(state, "\"%s\" is one argument too many", argument);
        drain->node = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say which NODE; covey nodes lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_drained(const struct covey_node *node, bool json)
{
    char until[CLI_TEXT_BYTES];
    if (json) {
        printf("%s\n", node->json);
        return;
    }
    printf("%s %s", node->name, cli_lowercase(covey_node_state_name(node->state)));
    if (*node->drain_reason)
        printf(": %s", node->drain_reason);
    if (*node->drain_reason || node->flare_count)
        printf("; %zu flare%s left", node->flare_count, node->flare_count == 1 ? "" : "s");
    if (node->drain_until_ns)
        printf(", until %s", cli_time_text(until, node->drain_until_ns));
    printf("\n");
}

/* The node in a list; NULL where it was forgotten. */
static const struct covey_node *find(const struct covey_node_list *nodes, const char *name)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (strcmp(nodes->nodes[i].name, name) == 0)
            return &nodes->nodes[i];
    return NULL;
}

/* Shows it once nothing is left there. */
static enum covey_status wait_empty(struct covey_client *client, const struct drain *drain,
                                    struct covey_error *error)
{
    for (;;) {
        struct covey_node_list *nodes;
        enum covey_status status = covey_client_list_nodes(client, 0, &nodes, error);
        if (status)
            return status;
        const struct covey_node *node = find(nodes, drain->node);
        bool empty = !node || node->flare_count == 0;
        if (node && empty)
            print_drained(node, drain->common.json);
        covey_node_list_free(nodes);
        if (empty)
            return COVEY_OK;
        (void)poll(NULL, 0, POLL_MS);
    }
}

int cli_drain(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = drain_options,
        .parser = parse_drain,
        .args_doc = "NODE",
        .doc = "Takes a node out of placement: what runs there goes on, until the deadline where "
               "there is one. Then it is started again elsewhere, where it has restarts left "
               "(--max-restarts), and cancelled otherwise. Only for operators.",
        .children = children,
    };
    struct drain drain = {.how = {.reason = "drained with covey drain"}};
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_node *node;
    argp_parse(&argp, argc, argv, 0, NULL, &drain);
    int failed = cli_connect_or_fail(&drain.common, &client);
    if (failed)
        return failed;
    enum covey_status status =
        covey_client_drain_node(client, drain.node, &drain.how, 0, &node, &error);
    bool waits = !status && drain.wait && node->flare_count > 0;
    if (!status && !waits)
        print_drained(node, drain.common.json);
    covey_node_free(node);
    if (waits)
        status = wait_empty(client, &drain, &error);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}

int cli_undrain(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_node *node;
    cli_parse_words(argc, argv, "NODE", "Puts a drained node back. Only for operators.", 1, 1,
                    &words);
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    enum covey_status status =
        covey_client_drain_node(client, words.words[0], NULL, 0, &node, &error);
    if (!status)
        print_drained(node, words.common.json);
    covey_node_free(node);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}
