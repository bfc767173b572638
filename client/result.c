#include "client/result.h"

#include "base/list.h"
#include "base/memory.h"

#include <stdlib.h>

struct client_result *client_result_create(client_converter *convert,
                                           const ProtobufCMessage *message, bool json)
{
    struct client_result *result = covey_calloc(1, sizeof *result);
    if (!result)
        return NULL;
    convert(result, message, json);
    if (result->arena.failed) {
        client_result_free(result);
        return NULL;
    }
    return result;
}

void client_result_free(struct client_result *result)
{
    if (!result || result->kept-- > 0)
        return;
    client_arena_free(&result->arena);
    free(result);
}

static void free_body(void *body)
{
    if (body)
        client_result_free(covey_container_of(body, struct client_result, as));
}

void covey_definition_free(struct covey_definition *definition)
{
    free_body(definition);
}

void covey_definition_list_free(struct covey_definition_list *definitions)
{
    free_body(definitions);
}

void covey_flare_free(struct covey_flare *flare)
{
    free_body(flare);
}

struct covey_flare *covey_flare_keep(const struct covey_flare *flare)
{
    struct client_result *result = covey_container_of((uintptr_t)flare, struct client_result, as);
    result->kept++;
    return &result->as.flare;
}

void covey_flare_list_free(struct covey_flare_list *flares)
{
    free_body(flares);
}

void covey_plan_free(struct covey_plan *plan)
{
    free_body(plan);
}

void covey_explanation_free(struct covey_explanation *explanation)
{
    free_body(explanation);
}

void covey_node_free(struct covey_node *node)
{
    free_body(node);
}

void covey_node_list_free(struct covey_node_list *nodes)
{
    free_body(nodes);
}

void covey_blob_list_free(struct covey_blob_list *blobs)
{
    free_body(blobs);
}

void covey_server_info_free(struct covey_server_info *info)
{
    free_body(info);
}

void covey_result_list_free(struct covey_result_list *results)
{
    free_body(results);
}
