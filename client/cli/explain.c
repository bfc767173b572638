/* covey explain. */
#include "client/cli/advice.h"
#include "client/cli/cli.h"
#include "client/cli/cost.h"
#include "client/cli/ids.h"
#include "client/cli/simple.h"

#include <inttypes.h>
#include <stdio.h>

/* What keeps it from starting; the first decides. */
static void print_reasons(const struct covey_explanation *why)
{
    for (size_t i = 0; i < why->reason_count; i++) {
        const struct covey_reason *reason = &why->reasons[i];
        bool waits = why->flare.state == COVEY_FLARE_QUEUED;
        printf("%s%s\n", !waits ? "" : i == 0 ? "waits: " : "also: ", reason->message);
        if (*reason->flare_id)
            printf("in its way: flare %s\n", reason->flare_id);
    }
}

static void print_nodes(const struct covey_explanation *why)
{
    const struct {
        uint32_t count;
        const char *what;
    } parts[] = {{why->nodes_too_small, "too full or too small"},
                 {why->nodes_unmatched, "not matching"},
                 {why->nodes_draining, "draining"},
                 {why->nodes_down, "lost or down"}};
    printf("nodes: %" PRIu32 " up", why->nodes_up);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].count)
            printf(", %" PRIu32 " %s", parts[i].count, parts[i].what);
    if (why->fitting < why->flare.workers_total)
        printf("; %" PRIu32 " of %" PRIu32 " workers would fit now", why->fitting,
               why->flare.workers_total);
    printf("\n");
}

static void print_start(const struct covey_explanation *why)
{
    char time[CLI_TEXT_BYTES];
    if (why->estimated_wait_ns >= 0)
        printf("starts in about %s, if nothing else comes\n",
               cli_rough_text(time, why->estimated_wait_ns));
    else if (*why->no_estimate)
        printf("no estimate of its start: %s\n", why->no_estimate);
    if (why->promised_wait_ns >= 0)
        printf("starts in %s at the latest, by the time limits of what is before it\n",
               cli_rough_text(time, why->promised_wait_ns));
}

int cli_explain(int argc, char **argv)
{
    struct cli_words words;
    struct covey_error error = {0};
    struct covey_client *client;
    struct covey_explanation *why = NULL;
    cli_parse_words(argc, argv, "FLARE",
                    "Says why a flare is where it is: what it waits for, the reason that decides "
                    "first, or where it runs and what that costs; of one that "
                    "failed, what can be done next.",
                    1, 1, &words);
    int failed = cli_connect_or_fail(&words.common, &client);
    if (failed)
        return failed;
    char id[CLI_ID_BYTES];
    enum covey_status status = cli_id_find(client, words.words[0], id, &error);
    if (!status)
        status = covey_client_explain_flare(client, id, 0, &why, &error);
    if (!status && words.common.json) {
        printf("%s\n", why->json);
    } else if (!status) {
        print_reasons(why);
        if (why->flare.state == COVEY_FLARE_QUEUED) {
            print_nodes(why);
            print_start(why);
        }
        cli_print_advice(&why->flare);
        cli_print_cost(&why->flare.cost, why->flare.workers_total);
    }
    covey_explanation_free(why);
    covey_client_destroy(client);
    return status ? cli_fail(&error) : cli_finish_output();
}
