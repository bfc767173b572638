/*
 * What a call brings: one of the public structs with the memory that it points to. The public free
 * functions find the result again from the struct in it.
 */
#ifndef CLIENT_RESULT_H
#define CLIENT_RESULT_H

#include "client/arena.h"
#include "covey/client.h"

#include <protobuf-c/protobuf-c.h>

struct client_result {
    struct client_arena arena;
    unsigned kept; /* by how many beside its first owner */
    union {
        struct covey_definition definition;
        struct covey_definition_list definitions;
        struct covey_flare flare;
        struct covey_flare_list flares;
        struct covey_plan plan;
        struct covey_explanation explanation;
        struct covey_node node;
        struct covey_node_list nodes;
        struct covey_blob_list blobs;
        struct covey_server_info server_info;
        struct covey_event event;
        struct covey_log_line line;
        struct covey_result_piece piece;
        struct covey_result_list results;
    } as;
};

/* Fills a result from a message of the type that it expects, with JSON or without. What has failed
 * is in the arena's flag. */
typedef void client_converter(struct client_result *result, const ProtobufCMessage *message,
                              bool json);

client_converter client_convert_definition;      /* Definition */
client_converter client_convert_deployed;        /* DeployResponse */
client_converter client_convert_definition_get;  /* GetDefinitionResponse */
client_converter client_convert_definition_list; /* ListDefinitionsResponse */
client_converter client_convert_flare;           /* Flare */
client_converter client_convert_flared;          /* FlareResponse */
client_converter client_convert_flare_get;       /* GetFlareResponse */
client_converter client_convert_cancelled;       /* CancelFlareResponse */
client_converter client_convert_flare_list;      /* ListFlaresResponse */
client_converter client_convert_explanation;     /* ExplainFlareResponse */
client_converter client_convert_plan;            /* PlanFlareResponse */
client_converter client_convert_drained;         /* DrainNodeResponse */
client_converter client_convert_node_list;       /* ListNodesResponse */
client_converter client_convert_blob_list;       /* StatResponse */
client_converter client_convert_server_info;     /* GetServerInfoResponse */
client_converter client_convert_event;           /* Event */
client_converter client_convert_log_line;        /* LogLine */
client_converter client_convert_result_piece;    /* StreamResultsResponse */

/* Makes a result; NULL when out of memory, or where the message does not convert. Freed by
 * client_result_free, by each that keeps it. */
struct client_result *client_result_create(client_converter *convert,
                                           const ProtobufCMessage *message, bool json);
void client_result_free(struct client_result *result);

#endif
