/* covey nodes, blobs, version. */
#include "client/cli/nodes.h"

#include "base/error.h"
#include "client/cli/cli.h"
#include "client/cli/simple.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_pairs(const char *what, const struct covey_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%s%s=%s", i ? "," : what, pairs[i].key, pairs[i].value);
}

/* What only some nodes have. */
static void print_rest(const struct covey_node *node)
{
    char until[CLI_TEXT_BYTES];
    print_pairs("  labels: ", node->labels, node->label_count);
    print_pairs("  taints: ", node->taints, node->taint_count);
    if (node->gpus)
        printf("  gpus: %" PRIu32 "/%" PRIu32, node->gpus_used, node->gpus);
    for (size_t i = 0; i < node->resource_count; i++)
        printf("  %s: %" PRIu64 "/%" PRIu64, node->resources[i].name,
               node->resources_used[i].amount, node->resources[i].amount);
    if (*node->less)
        printf("  only %s", node->less);
    if (*node->drain_reason)
        printf("  drained: %s", node->drain_reason);
    if (node->drain_until_ns)
        printf(", until %s", cli_time_text(until, node->drain_until_ns));
}

static bool is_of_machine(const struct covey_node *node, const char *machine)
{
    return *machine && strcmp(node->machine, machine) == 0;
}

/* What several nodes share is there once. */
static void print_machines(const struct covey_node_list *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const struct covey_node *node = &nodes->nodes[i];
        char used[CLI_TEXT_BYTES], memory[CLI_TEXT_BYTES];
        bool told = node->machine_nodes < 2;
        for (size_t k = 0; k < i && !told; k++)
            told = is_of_machine(&nodes->nodes[k], node->machine);
        if (told)
            continue;
        printf("%s and %" PRIu32 " more node%s on one machine: together they have %s of memory (%s "
               "used) and %g cpu%s (%g used)\n",
               node->name, node->machine_nodes - 1, node->machine_nodes == 2 ? " are" : "s are",
               cli_size_text(memory, node->machine_memory_bytes),
               cli_size_text(used, node->machine_memory_used_bytes),
               node->machine_milli_cpus / 1000.0, node->machine_milli_cpus == 1000 ? "" : "s",
               node->machine_milli_cpus_used / 1000.0);
    }
}

void cli_print_nodes(const struct covey_node_list *nodes)
{
    printf("%-24s %-9s %11s %21s  %-20s %s\n", "NODE", "STATE", "SLOTS", "MEMORY", "ADDRESS",
           "VERSION");
    for (size_t i = 0; i < nodes->count; i++) {
        const struct covey_node *node = &nodes->nodes[i];
        char used[CLI_TEXT_BYTES], memory[CLI_TEXT_BYTES];
        printf("%-24s %-9s %5" PRIu32 "/%-5" PRIu32 " %10s/%-10s  %-20s %s", node->name,
               cli_lowercase(covey_node_state_name(node->state)), node->slots_used, node->slots,
               cli_size_text(used, node->memory_used_bytes),
               cli_size_text(memory, node->memory_bytes), node->data_address, node->version);
        print_rest(node);
        printf("\n");
    }
    print_machines(nodes);
}

int cli_nodes(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_node_list *nodes;
    cli_parse_words(argc, argv, "", "Lists the nodes, and what is used of them.", 0, 0, &words);
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    enum covey_status status = covey_client_list_nodes(client, 0, &nodes, &error);
    for (size_t i = 0; !status && words.common.json && i < nodes->count; i++)
        printf("%s\n", nodes->nodes[i].json);
    if (!status && !words.common.json)
        cli_print_nodes(nodes);
    covey_node_list_free(nodes);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}

static bool is_digest(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Without digests: those of the definitions. */
static enum covey_status stat_definitions(struct covey_client *client,
                                          struct covey_blob_list **blobs, struct covey_error *error)
{
    struct covey_definition_list *definitions;
    const char *digests[1000];
    size_t count = 0;
    enum covey_status status = covey_client_list_definitions(client, 0, &definitions, error);
    if (status)
        return status;
    for (size_t i = 0; i < definitions->count && count < sizeof digests / sizeof *digests; i++) {
        size_t seen = 0;
        while (seen < count && strcmp(digests[seen], definitions->definitions[i].code_sha256) != 0)
            seen++;
        if (seen == count)
            digests[count++] = definitions->definitions[i].code_sha256;
    }
    status = covey_client_stat_blobs(client, digests, count, 0, blobs, error);
    covey_definition_list_free(definitions);
    return status;
}

int cli_blobs(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_blob_list *blobs = NULL;
    cli_parse_words(argc, argv, "[SHA256...]",
                    "Shows which of these blobs the controller has, and their sizes. Without an "
                    "argument: those of the definitions (the first thousand).",
                    0, CLI_MAX_WORDS, &words);
    for (size_t i = 0; i < words.count; i++)
        if (!is_digest(words.words[i])) {
            cli_complain("a blob is named by 64 lowercase hexadecimal digits, as sha256sum prints "
                         "them, not \"%s\"",
                         words.words[i]);
            return CLI_BAD_INPUT;
        }
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    enum covey_status status =
        words.count ? covey_client_stat_blobs(client, (const char *const *)words.words, words.count,
                                              0, &blobs, &error)
                    : stat_definitions(client, &blobs, &error);
    for (size_t i = 0; !status && i < blobs->count; i++) {
        char size[CLI_TEXT_BYTES];
        if (words.common.json)
            printf("%s\n", blobs->blobs[i].json);
        else
            printf("%s %10s\n", blobs->blobs[i].sha256,
                   cli_size_text(size, blobs->blobs[i].size_bytes));
    }
    size_t found = status ? 0 : blobs->count;
    covey_blob_list_free(blobs);
    covey_client_destroy(client);
    int unwritten = cli_finish_output();
    if (status)
        return cli_fail(&error);
    if (found < words.count) {
        cli_complain("the controller has %zu of these %zu blobs", found, words.count);
        return CLI_BAD_INPUT;
    }
    return unwritten;
}

/* A controller of another version is no error here: it is what is asked for. */
static enum covey_status ask_version(struct cli_common *common, struct covey_server_info **info,
                                     struct covey_error *error)
{
    struct covey_client_options options;
    struct covey_client *client;
    covey_client_options_init(&options);
    options.server = common->server;
    options.token = common->token;
    options.tls = common->tls;
    options.ca_file = common->ca_file;
    options.certificate_file = common->certificate_file;
    options.key_file = common->key_file;
    options.json = common->json;
    enum covey_status status = covey_client_create(&options, &client, error);
    if (!status)
        status = covey_client_server_info(client, 0, info, error);
    covey_client_destroy(client);
    return status;
}

int cli_version(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_server_info *info = NULL;
    cli_parse_words(argc, argv, "",
                    "Prints the version of covey and, where there is a controller, its version "
                    "and limits.",
                    0, 0, &words);
    enum covey_status status = cli_find_server(&words.common, &error);
    if (status == COVEY_ENOTFOUND) {
        printf(words.common.json ? "{\"client_version\":\"%s\"}\n" : "covey %s\n",
               covey_client_version());
        return cli_finish_output();
    }
    if (!status)
        status = ask_version(&words.common, &info, &error);
    if (words.common.json && !status)
        printf("{\"client_version\":\"%s\",\"server\":%s}\n", covey_client_version(), info->json);
    else if (!words.common.json)
        printf("covey %s\n", covey_client_version());
    if (!status && !words.common.json) {
        char parameter[CLI_TEXT_BYTES], result[CLI_TEXT_BYTES];
        printf("coveyd %s at %s: at most %" PRIu32 " workers in a flare, parameters of %s, results "
               "of %s\n",
               info->version, words.common.server, info->max_workers,
               cli_size_text(parameter, info->max_parameter_bytes),
               cli_size_text(result, info->max_result_bytes));
    }
    covey_server_info_free(info);
    int unwritten = cli_finish_output();
    return status ? cli_fail(&error) : unwritten;
}
