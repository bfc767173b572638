#include "service/controller/identity.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1 << 20)
#define CERTIFICATE    "cert:"

/* Digests, so that a comparison takes the same time whatever was sent. */
struct token {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *certificate; /* not a secret but the name of a certificate; NULL: a secret */
    struct identity identity;
};

struct tokens {
    struct token *rows;
    size_t count;
};

static bool names_certificate(const char *token)
{
    return strncmp(token, CERTIFICATE, strlen(CERTIFICATE)) == 0;
}

static enum covey_status add(struct tokens *tokens, const char *token,
                             const struct identity *identity)
{
    struct token *rows = covey_reallocarray(tokens->rows, tokens->count + 1, sizeof *rows);
    if (!rows)
        return COVEY_ENOMEM;
    tokens->rows = rows;
    struct token *row = &rows[tokens->count];
    *row = (struct token){.identity = *identity};
    if (names_certificate(token)) {
        row->certificate = covey_strdup(token + strlen(CERTIFICATE));
        if (!row->certificate)
            return COVEY_ENOMEM;
    } else {
        (void)SHA256((const unsigned char *)token, strlen(token), row->digest);
    }
    tokens->count++;
    return COVEY_OK;
}

static enum covey_status read_secret_file(const char *path, struct covey_buffer *contents,
                                          struct covey_error *error)
{
    enum covey_status status = covey_check_secret_file(path, error);
    if (!status)
        status = covey_text_file_read(path, FILE_MAX_BYTES, contents, error);
    return status;
}

static void free_secret(struct covey_buffer *contents)
{
    if (contents->data)
        explicit_bzero(contents->data, contents->length_bytes);
    covey_buffer_free(contents);
}

enum covey_status token_file_read(const char *path, char **token, struct covey_error *error)
{
    struct covey_buffer contents = {0};
    *token = NULL;
    enum covey_status status = read_secret_file(path, &contents, error);
    if (!status) {
        char *text = (char *)contents.data;
        text[strcspn(text, "\r\n")] = '\0';
        if (!*text)
            status = covey_error_set(error, COVEY_EINVAL, "%s: its first line, the token, is empty",
                                     path);
        else if (!(*token = covey_strdup(text)))
            status = covey_error_set(error, COVEY_ENOMEM, "no memory for a token");
    }
    free_secret(&contents);
    return status;
}

/* The row of the certificate of that name, or NULL. */
static const struct token *find_certificate(const struct tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->rows[i].certificate && strcmp(tokens->rows[i].certificate, name) == 0)
            return &tokens->rows[i];
    return NULL;
}

static enum covey_status take_line(struct tokens *tokens, const char *path, unsigned number,
                                   char *line, struct covey_error *error)
{
    char *save = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *token = strtok_r(line, " \t\r", &save);
    if (!token)
        return COVEY_OK;
    const char *tenant = strtok_r(NULL, " \t\r", &save);
    const char *role = strtok_r(NULL, " \t\r", &save);
    struct identity identity = {0};
    if (!tenant || !role || strtok_r(NULL, " \t\r", &save))
        return covey_error_set(error, COVEY_EINVAL,
                               "%s:%u: a line is TOKEN TENANT and user or operator", path, number);
    if (strlen(tenant) >= sizeof identity.caller.tenant || strncmp(tenant, "uid:", 4) == 0)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s:%u: a tenant has at most %zu bytes and does not start with uid:",
                               path, number, sizeof identity.caller.tenant - 1);
    if (strcmp(role, "user") != 0 && strcmp(role, "operator") != 0)
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: '%.*s' is neither user nor operator",
                               path, number, covey_text_fit(role, 32), role);
    (void)snprintf(identity.caller.tenant, sizeof identity.caller.tenant, "%s", tenant);
    identity.caller.is_operator = strcmp(role, "operator") == 0;
    if (names_certificate(token) && find_certificate(tokens, token + strlen(CERTIFICATE)))
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: this certificate has a line already",
                               path, number);
    return add(tokens, token, &identity) == COVEY_OK
               ? COVEY_OK
               : covey_error_set(error, COVEY_ENOMEM, "no memory for tokens");
}

static enum covey_status take_file(struct tokens *tokens, const char *path,
                                   struct covey_error *error)
{
    struct covey_buffer contents = {0};
    enum covey_status status = read_secret_file(path, &contents, error);
    char *rest = (char *)contents.data;
    for (unsigned number = 1; !status && rest; number++) {
        char *line = rest;
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        status = take_line(tokens, path, number, line, error);
    }
    free_secret(&contents);
    return status;
}

enum covey_status tokens_load(const char *path, const char *join_token, struct tokens **tokens,
                              struct covey_error *error)
{
    static const struct identity node = {{"node", false}, true};
    *tokens = covey_calloc(1, sizeof **tokens);
    if (!*tokens)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for tokens");
    enum covey_status status = path ? take_file(*tokens, path, error) : COVEY_OK;
    if (!status && join_token && names_certificate(join_token))
        status =
            covey_error_set(error, COVEY_EINVAL, "a join token does not begin with " CERTIFICATE);
    if (!status && join_token)
        status = add(*tokens, join_token, &node);
    if (status) {
        tokens_free(*tokens);
        *tokens = NULL;
    }
    return status;
}

void tokens_free(struct tokens *tokens)
{
    if (!tokens)
        return;
    for (size_t i = 0; i < tokens->count; i++)
        free(tokens->rows[i].certificate);
    free(tokens->rows);
    free(tokens);
}

bool identity_is_trusted(const struct rpc_peer *peer)
{
    return peer->is_unix && (peer->uid == 0 || peer->uid == geteuid());
}

/* Every row is looked at, so that time does not say which one it was. */
static const struct token *find_token(const struct tokens *tokens, const char *given)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const struct token *found = NULL;
    (void)SHA256((const unsigned char *)given, strlen(given), digest);
    for (size_t i = 0; i < tokens->count; i++)
        if (CRYPTO_memcmp(digest, tokens->rows[i].digest, sizeof digest) == 0 &&
            !tokens->rows[i].certificate)
            found = &tokens->rows[i];
    return found;
}

/* The identity of a bearer token, or NULL. */
static const struct identity *find_bearer(const struct tokens *tokens, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    const struct token *token = NULL;
    if (authorization && strncasecmp(authorization, scheme, sizeof scheme - 1) == 0)
        token = find_token(tokens, authorization + sizeof scheme - 1);
    return token ? &token->identity : NULL;
}

static enum covey_status find_certificate_owner(const struct tokens *tokens, const char *name,
                                                struct identity *identity,
                                                struct covey_error *error)
{
    const struct token *row = find_certificate(tokens, name);
    if (row) {
        *identity = row->identity;
        return COVEY_OK;
    }
    return covey_error_set(error, COVEY_EUNAUTHENTICATED,
                           "the certificate of '%s' is nobody's: give a token, or let the "
                           "controller's tokens file have a line cert:NAME for it",
                           name);
}

enum covey_status identity_find(const struct tokens *tokens, const struct rpc_peer *peer,
                                const char *authorization, struct identity *identity,
                                struct covey_error *error)
{
    *identity = (struct identity){0};
    if (authorization) {
        const struct identity *known = find_bearer(tokens, authorization);
        if (!known)
            return covey_error_set(error, COVEY_EUNAUTHENTICATED,
                                   "the token is not known to this controller");
        *identity = *known;
        return COVEY_OK;
    }
    if (peer->certificate_name)
        return find_certificate_owner(tokens, peer->certificate_name, identity, error);
    if (!peer->is_unix)
        return covey_error_set(error, COVEY_EUNAUTHENTICATED,
                               "a token is needed over TCP: give one that is in the controller's "
                               "tokens file");
    (void)snprintf(identity->caller.tenant, sizeof identity->caller.tenant, "uid:%u", peer->uid);
    identity->caller.is_operator = identity_is_trusted(peer);
    return COVEY_OK;
}

enum covey_status identity_find_agent(const struct tokens *tokens, const struct rpc_peer *peer,
                                      const char *authorization, struct identity *identity,
                                      struct covey_error *error)
{
    static const struct identity agent = {{"", false}, true};
    const struct identity *known = find_bearer(tokens, authorization);
    *identity = agent;
    if (identity_is_trusted(peer) || (known && known->is_node))
        return COVEY_OK;
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->rows[i].identity.is_node)
            return covey_error_set(error, COVEY_EUNAUTHENTICATED,
                                   "the join token is wrong: give the agent the controller's");
    return covey_error_set(error, COVEY_EUNAUTHENTICATED,
                           "this controller takes no nodes of other machines or users: start it "
                           "with --join-token-file");
}
