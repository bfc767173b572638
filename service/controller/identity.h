/* Who is at the other end of a call: from the socket's credentials or a token, never from a field.
 */
#ifndef SERVICE_CONTROLLER_IDENTITY_H
#define SERVICE_CONTROLLER_IDENTITY_H

#include "rpc/rpc.h"
#include "service/controller/controller.h"

struct identity {
    struct controller_identity caller;
    bool is_node; /* an agent: may read code, and nothing of users */
};

struct tokens;

/*
 * Reads a file of tokens, "TOKEN TENANT user|operator" a line, '#' starting a comment; NULL: none.
 * "cert:NAME" in the place of a token: who shows a certificate of that common name.
 * It must not be readable by others (EACCES). EINVAL names the line.
 */
enum covey_status tokens_load(const char *path, const char *join_token, struct tokens **tokens,
                              struct covey_error *error) COVEY_MUST_USE;
void tokens_free(struct tokens *tokens);

/* The first line of a file without its newline, owned; it must not be readable by others. */
enum covey_status token_file_read(const char *path, char **token,
                                  struct covey_error *error) COVEY_MUST_USE;

/* Of root, or of the user that runs this process: nothing could be kept from them. */
bool identity_is_trusted(const struct rpc_peer *peer);

/* authorization: the value of that metadata key, or NULL: then the certificate counts, and then the
 * unix socket. EUNAUTHENTICATED. */
enum covey_status identity_find(const struct tokens *tokens, const struct rpc_peer *peer,
                                const char *authorization, struct identity *identity,
                                struct covey_error *error) COVEY_MUST_USE;

/* As identity_find for whoever wants to be an agent: the join token, or a trusted unix socket. */
enum covey_status identity_find_agent(const struct tokens *tokens, const struct rpc_peer *peer,
                                      const char *authorization, struct identity *identity,
                                      struct covey_error *error) COVEY_MUST_USE;

#endif
