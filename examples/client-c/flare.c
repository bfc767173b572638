/*
 * A flare from C: deploys a file, starts four workers of it, prints what they write, then their
 * results. docs/client-library.md explains it.
 *
 *     flare ADDRESS FILE
 */
#include <covey/client.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>

static int fail(const struct covey_error *error)
{
    fprintf(stderr, "flare: %s\n", error->message);
    return 1;
}

/* [deploy] */
static enum covey_status deploy(struct covey_client *client, const char *file,
                                struct covey_error *error)
{
    struct covey_deployment deployment = {.name = "example", .file = file};
    struct covey_definition *definition;
    enum covey_status status = covey_client_deploy(client, &deployment, 0, &definition, error);
    if (!status)
        printf("deployed %s version %u\n", definition->name, definition->version);
    covey_definition_free(definition);
    return status;
}
/* [deploy] */

/* [follow] */
struct progress {
    bool watched;
    bool logged;
    enum covey_flare_state state;
};

static void on_event(void *data, const struct covey_event *event, const struct covey_flare *flare)
{
    (void)data;
    (void)flare;
    if (event)
        printf("%s: %s\n", event->type, covey_flare_state_name(event->state));
}

static void on_watched(void *data, const struct covey_reply *reply)
{
    struct progress *progress = data;
    progress->watched = true;
    if (reply->flare)
        progress->state = reply->flare->state;
    else
        fprintf(stderr, "flare: %s\n", reply->error->message);
}

static void on_line(void *data, const struct covey_log_line *line)
{
    (void)data;
    printf("%u: %.*s\n", line->rank, (int)line->text.length_bytes, (const char *)line->text.data);
}

static void on_logged(void *data, const struct covey_reply *reply)
{
    struct progress *progress = data;
    (void)reply;
    progress->logged = true;
}

static enum covey_status follow(struct covey_client *client, const char *id,
                                struct progress *progress, struct covey_error *error)
{
    const struct covey_start watch = {
        .callbacks = {.on_event = on_event, .on_done = on_watched, .data = progress}};
    const struct covey_start logs = {
        .callbacks = {.on_log = on_line, .on_done = on_logged, .data = progress}};
    const struct covey_ranks all = {0};
    enum covey_status status = covey_client_watch_start(client, id, 0, &watch, error);
    if (!status)
        status = covey_client_logs_start(client, id, all, true, &logs, error);
    while (!status && !(progress->watched && progress->logged)) {
        struct pollfd fd = {.fd = covey_client_fd(client), .events = POLLIN};
        poll(&fd, 1, -1);
        status = covey_client_process(client);
    }
    return status;
}
/* [follow] */

/* [results] */
static enum covey_status print_results(struct covey_client *client, const char *id,
                                       struct covey_error *error)
{
    const struct covey_ranks all = {0};
    struct covey_result_list *results;
    enum covey_status status = covey_client_results(client, id, all, 1 << 20, 0, &results, error);
    if (status)
        return status;
    for (size_t i = 0; i < results->count; i++)
        printf("result %u: %zu bytes\n", results->results[i].rank,
               results->results[i].data.length_bytes);
    covey_result_list_free(results);
    return COVEY_OK;
}
/* [results] */

static enum covey_status run(struct covey_client *client, const char *file, bool *succeeded,
                             struct covey_error *error)
{
    enum covey_status status = deploy(client, file, error);
    if (status)
        return status;
    /* [submit] */
    struct covey_flare_request request = {
        .definition = "example",
        .workers = 4,
        .parameter = {"hello", 5},
        .options = {.time_limit_ns = 60 * 1000000000LL},
    };
    struct covey_flare *flare;
    status = covey_client_flare(client, &request, 0, &flare, error);
    if (status)
        return status;
    /* [submit] */
    struct progress progress = {0};
    status = follow(client, flare->id, &progress, error);
    *succeeded = progress.state == COVEY_FLARE_SUCCEEDED;
    if (!status && *succeeded)
        status = print_results(client, flare->id, error);
    covey_flare_free(flare);
    return status;
}

int main(int argc, char **argv)
{
    struct covey_error error = {0};
    bool succeeded = false;
    if (argc != 3) {
        fprintf(stderr, "usage: flare ADDRESS FILE\n");
        return 2;
    }
    /* [connect] */
    struct covey_client_options options;
    struct covey_client *client;
    covey_client_options_init(&options);
    options.server = argv[1];
    if (covey_client_create(&options, &client, &error))
        return fail(&error);
    /* [connect] */
    enum covey_status status = run(client, argv[2], &succeeded, &error);
    covey_client_destroy(client);
    if (status)
        return fail(&error);
    return succeeded ? 0 : 1;
}
