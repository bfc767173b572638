/* covey explain. */
#include "client/cli/cli.h"
#include "client/cli/cost.h"
#include "client/cli/simple.h"

#include <inttypes.h>
#include <stdio.h>

static void print_reason(const struct covey_reason *reason, bool first)
{
    printf("%s%s: %s", first ? "" : "  also ", cli_lowercase(covey_reason_kind_name(reason->kind)),
           reason->message);
    if (*reason->dimension)
        printf(" (%s: %" PRIu64 " asked for, %" PRIu64 " %s)", reason->dimension, reason->asked,
               reason->available, reason->never ? "in all" : "free");
    if (*reason->flare_id)
        printf(" [%s]", reason->flare_id);
    printf("\n");
}

static void print_waiting(const struct covey_explanation *why)
{
    char time[CLI_TEXT_BYTES];
    printf("nodes: %" PRIu32 " up (%" PRIu32 " too full, %" PRIu32 " not matching), %" PRIu32
           " draining, %" PRIu32 " down; %" PRIu32 " of %" PRIu32 " workers would fit now\n",
           why->nodes_up, why->nodes_too_small, why->nodes_unmatched, why->nodes_draining,
           why->nodes_down, why->fitting, why->flare.workers_total);
    if (why->estimated_at_ns)
        printf("starts about %s if nothing else comes\n",
               cli_time_text(time, why->estimated_at_ns));
    if (why->promised_at_ns)
        printf("starts by %s if what runs ends by its time limits\n",
               cli_time_text(time, why->promised_at_ns));
}

int cli_explain(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_explanation *why;
    cli_parse_words(argc, argv, "FLARE",
                    "Says why a flare is where it is: what it waits for, the reason that decides "
                    "first, or where it runs and what that costs.",
                    1, 1, &words);
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    enum covey_status status = covey_client_explain_flare(client, words.words[0], 0, &why, &error);
    if (!status && words.common.json) {
        printf("%s\n", why->json);
    } else if (!status) {
        for (size_t i = 0; i < why->reason_count; i++)
            print_reason(&why->reasons[i], i == 0);
        if (why->flare.state == COVEY_FLARE_QUEUED)
            print_waiting(why);
        cli_print_cost(&why->flare.cost);
    }
    covey_explanation_free(why);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}
