/*
 * From the public structs to the wire's messages. Everything made is in the arena or borrowed from
 * what was given; a failed allocation shows in the arena's flag.
 */
#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

#include "client/arena.h"
#include "covey/client.h"
#include "covey/v1/covey.pb-c.h"

/* NULL for 0. */
Google__Protobuf__Duration *client_request_duration(struct client_arena *arena,
                                                    int64_t duration_ns);
Covey__V1__FlareRequest *client_request_flare(struct client_arena *arena,
                                              const struct covey_flare_request *request);
/* EINVAL where a request contradicts itself. */
enum covey_status client_request_check(const struct covey_flare_request *request,
                                       struct covey_error *error);
Covey__V1__ListFlaresRequest *client_request_list(struct client_arena *arena,
                                                  const struct covey_flare_filter *filter);
Covey__V1__Definition *client_request_definition(struct client_arena *arena,
                                                 const struct covey_deployment *deployment,
                                                 enum covey_code_kind kind, const char *sha256);

#endif
