/* The controller's gRPC services on a loop: calls in, streams out. */
#ifndef SERVICE_CONTROLLER_API_H
#define SERVICE_CONTROLLER_API_H

#include "service/controller/controller.h"
#include "service/controller/identity.h"

struct api;

struct api_options {
    struct controller_limits limits;
    char *const *topology; /* as controller_options */
    size_t topology_count;
    const char *state_dir;
    const char *join_token;   /* NULL: none */
    const char *tokens_file;  /* NULL: none */
    const char *tenants_file; /* NULL: none */
    bool allow_plaintext;
};

/*
 * Opens the store, replays it and makes a server without listeners. The loop's thread owns all of
 * it.
 */
enum covey_status api_create(uv_loop_t *loop, const struct api_options *options, struct api **api,
                             struct covey_error *error) COVEY_MUST_USE;

/*
 * Reads the files of tokens and of tenants again. Calls that are open go on as whoever began them.
 * After a failure all is as it was.
 */
enum covey_status api_reload(struct api *api, const struct api_options *options,
                             struct covey_error *error) COVEY_MUST_USE;

/* As rpc_server_listen. */
enum covey_status api_listen(struct api *api, const char *address, const struct rpc_tls *tls,
                             char *bound, size_t bound_bytes,
                             struct covey_error *error) COVEY_MUST_USE;

/*
 * Ends: nothing new is accepted, open calls have the grace to end, the journal is synced and
 * closed. Flares go on on their nodes. done is called last, and api is freed then. Called again, it
 * only shortens the grace.
 */
void api_stop(struct api *api, int64_t grace_ns, void (*done)(void *data), void *data);

#endif
