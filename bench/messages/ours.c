#include "bench/messages/ours.h"

#include "bench/user.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char definition[] = "covey-bench-messages";
static const int64_t longest_ns = 600 * COVEY_NS_PER_S;
enum { most_result_bytes = 16 << 20 };

int ours_open(struct ours *ours, const struct settings *settings)
{
    *ours = (struct ours){0};
    if (bench_cluster_open(&ours->cluster, settings->nodes, settings->workers / settings->nodes,
                           false))
        return -1;
    ours->client = bench_connect(ours->cluster.server);
    if (!ours->client)
        return -1;
    return bench_deploy_as(ours->client, definition, "lib:messages.so",
                           settings->threads ? COVEY_WORKER_THREAD : COVEY_WORKER_PROCESS);
}

void ours_close(struct ours *ours)
{
    covey_client_destroy(ours->client);
    bench_cluster_close(&ours->cluster);
}

static void on_log(void *data, const struct covey_log_line *line)
{
    (void)data;
    fprintf(stderr, "covey-bench: worker %u: %.*s\n", line->rank, (int)line->text.length_bytes,
            (const char *)line->text.data);
}

/* Why a flare has not succeeded, and what its workers have said of it. */
static void tell_failure(struct ours *ours, const struct covey_flare *flare)
{
    const struct covey_callbacks callbacks = {.on_log = on_log};
    fprintf(stderr, "covey-bench: the flare ended %s: %s\n", covey_flare_state_name(flare->state),
            flare->error ? flare->error->message : "");
    struct covey_error error = {0};
    if (covey_client_logs(ours->client, flare->id, (struct covey_ranks){0}, false, 0, &callbacks,
                          &error))
        bench_said("logs", &error);
}

static int read_result(struct ours *ours, const char *id, struct outcome *outcome)
{
    static const uint32_t root = 0;
    struct covey_error error = {0};
    struct covey_result_list *results = NULL;
    if (covey_client_results(ours->client, id, (struct covey_ranks){&root, 1}, most_result_bytes, 0,
                             &results, &error))
        return bench_said("results", &error);
    const struct covey_bytes *data = results->count ? &results->results[0].data : NULL;
    char *text = data ? strndup(data->data, data->length_bytes) : strdup("");
    covey_result_list_free(results);
    int failed = text ? outcome_read(outcome, text, "covey") : -1;
    free(text);
    return failed;
}

int ours_run(struct ours *ours, const struct settings *settings, const struct order *order,
             struct outcome *outcome)
{
    char text[order_text_bytes];
    order_write(order, text);
    struct covey_flare_request request = {
        .definition = definition,
        .workers = (uint32_t)settings->workers,
        .parameter = {text, strlen(text)},
    };
    request.options.placement =
        settings->nodes > 1 ? COVEY_PLACEMENT_SPREAD : COVEY_PLACEMENT_STRICT_PACK;
    if (settings_bound(settings))
        request.options.milli_cpus = 1000;
    struct covey_error error = {0};
    struct covey_flare *accepted = NULL, *ended = NULL;
    if (covey_client_flare(ours->client, &request, 0, &accepted, &error))
        return bench_said("flare", &error);
    int failed = -1;
    if (covey_client_wait(ours->client, accepted->id, longest_ns, &ended, &error))
        bench_said("wait", &error);
    else if (ended->state != COVEY_FLARE_SUCCEEDED)
        tell_failure(ours, ended);
    else
        failed = read_result(ours, accepted->id, outcome);
    covey_flare_free(ended);
    covey_flare_free(accepted);
    return failed;
}
