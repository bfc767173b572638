#include "bench/user.h"

#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bench_said(const char *what, const struct covey_error *error)
{
    fprintf(stderr, "covey-bench: %s: %s\n", what, error->message);
    return -1;
}

int bench_whole_number(const char *text, int least, int most, struct argp_state *state)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < least || number > most)
        argp_error(state, "\"%s\" is no whole number from %d to %d", text, least, most);
    return (int)number;
}

const char *bench_peer(const char *text, struct argp_state *state)
{
    if (strcmp(text, "openmpi") != 0)
        argp_error(state, "no peer is called \"%s\"; there is: openmpi", text);
    return text;
}

struct covey_client *bench_connect(const char *server)
{
    struct covey_client_options options;
    struct covey_client *client = NULL;
    struct covey_error error = {0};
    covey_client_options_init(&options);
    options.server = server;
    if (covey_client_create(&options, &client, &error))
        (void)bench_said("client", &error);
    return client;
}

int bench_deploy(struct covey_client *client, const char *definition, const char *file)
{
    return bench_deploy_as(client, definition, file, COVEY_WORKER_PROCESS);
}

int bench_deploy_as(struct covey_client *client, const char *definition, const char *file,
                    enum covey_worker_kind kind)
{
    struct covey_error error = {0};
    struct covey_definition *deployed = NULL;
    const struct covey_deployment deployment = {
        .name = definition, .file = bench_file(file), .worker_kind = kind};
    if (!deployment.file)
        return -1;
    if (covey_client_deploy(client, &deployment, 0, &deployed, &error))
        return bench_said("deploy", &error);
    covey_definition_free(deployed);
    return 0;
}
