/* Who calls, and ids of flares. */
#include "base/clock.h"
#include "base/io.h"
#include "service/controller/identity.h"
#include "service/controller/ulid.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct covey_error error;

static const char *write_tokens(const char *text, mode_t mode)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/tokens", test_folder());
    (void)unlink(path);
    TEST_REQUIRE(covey_file_write(path, text, strlen(text), mode, NULL) == COVEY_OK);
    return path;
}

static void identity__unix_socket__tenant_is_the_uid(void)
{
    struct tokens *tokens;
    struct identity identity;
    struct rpc_peer peer = {.is_unix = true, .uid = 12345};
    TEST_REQUIRE(tokens_load(NULL, NULL, &tokens, &error) == COVEY_OK);
    TEST_EQUAL(identity_find(tokens, &peer, NULL, &identity, &error), COVEY_OK);
    TEST_EQUAL_STRING(identity.caller.tenant, "uid:12345");
    TEST_EQUAL(identity.caller.is_operator, geteuid() == 12345);
    peer.uid = 0;
    TEST_EQUAL(identity_find(tokens, &peer, NULL, &identity, &error), COVEY_OK);
    TEST_TRUE(identity.caller.is_operator && !identity.is_node);
    /* A wrong token is refused, not ignored. */
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer x", &identity, &error), COVEY_EUNAUTHENTICATED);
    tokens_free(tokens);
}

static void identity__certificate__is_whose_line_names_it(void)
{
    struct tokens *tokens;
    struct identity identity;
    struct rpc_peer peer = {.is_tls = true, .certificate_name = "alice.example"};
    const char *path =
        write_tokens("cert:alice.example alice user\ncert:root.example ops operator\n"
                     "secret bob user\n",
                     0600);
    TEST_REQUIRE(tokens_load(path, "join", &tokens, &error) == COVEY_OK);
    TEST_EQUAL(identity_find(tokens, &peer, NULL, &identity, &error), COVEY_OK);
    TEST_EQUAL_STRING(identity.caller.tenant, "alice");
    TEST_TRUE(!identity.caller.is_operator && !identity.is_node);
    peer.certificate_name = "root.example";
    TEST_EQUAL(identity_find(tokens, &peer, NULL, &identity, &error), COVEY_OK);
    TEST_TRUE(identity.caller.is_operator);
    /* Who shows a token as well is whose that is, and a wrong one is refused. */
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer secret", &identity, &error), COVEY_OK);
    TEST_EQUAL_STRING(identity.caller.tenant, "bob");
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer no", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    peer.certificate_name = "mallory.example";
    TEST_EQUAL(identity_find(tokens, &peer, NULL, &identity, &error), COVEY_EUNAUTHENTICATED);
    TEST_TRUE(strstr(error.message, "'mallory.example'") != NULL);
    /* The name of a certificate is no secret: it is no token either. */
    peer.certificate_name = NULL;
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer cert:alice.example", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer alice.example", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    tokens_free(tokens);
    TEST_EQUAL(
        tokens_load(write_tokens("cert:a x user\ncert:a y user\n", 0600), NULL, &tokens, &error),
        COVEY_EINVAL);
    TEST_TRUE(strstr(error.message, "tokens:2:") != NULL);
    TEST_EQUAL(tokens_load(NULL, "cert:a", &tokens, &error), COVEY_EINVAL);
}

static void identity__tcp__only_with_a_token(void)
{
    struct tokens *tokens;
    struct identity identity;
    struct rpc_peer peer = {.is_loopback = true};
    const char *path =
        write_tokens("# users\n\nsecret alice user\nother  bob\toperator # chief\n", 0600);
    TEST_REQUIRE(tokens_load(path, "join", &tokens, &error) == COVEY_OK);
    TEST_EQUAL(identity_find(tokens, &peer, NULL, &identity, &error), COVEY_EUNAUTHENTICATED);
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer secret", &identity, &error), COVEY_OK);
    TEST_EQUAL_STRING(identity.caller.tenant, "alice");
    TEST_TRUE(!identity.caller.is_operator && !identity.is_node);
    TEST_EQUAL(identity_find(tokens, &peer, "bearer other", &identity, &error), COVEY_OK);
    TEST_TRUE(identity.caller.is_operator);
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer join", &identity, &error), COVEY_OK);
    TEST_TRUE(identity.is_node && !identity.caller.is_operator);
    TEST_EQUAL(identity_find(tokens, &peer, "secret", &identity, &error), COVEY_EUNAUTHENTICATED);
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer secre", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    TEST_EQUAL(identity_find(tokens, &peer, "Bearer ", &identity, &error), COVEY_EUNAUTHENTICATED);
    tokens_free(tokens);
}

static void find_agent__not_trusted__needs_the_join_token(void)
{
    struct tokens *tokens;
    struct identity identity;
    struct rpc_peer peer = {.uid = (uid_t)-1, .is_loopback = true};
    const char *path = write_tokens("of-alice alice user\n", 0600);
    TEST_REQUIRE(tokens_load(path, NULL, &tokens, &error) == COVEY_OK);
    TEST_EQUAL(identity_find_agent(tokens, &peer, "Bearer join", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    TEST_TRUE(strstr(error.message, "--join-token-file") != NULL);
    tokens_free(tokens);
    TEST_REQUIRE(tokens_load(path, "join", &tokens, &error) == COVEY_OK);
    TEST_EQUAL(identity_find_agent(tokens, &peer, NULL, &identity, &error), COVEY_EUNAUTHENTICATED);
    TEST_EQUAL(identity_find_agent(tokens, &peer, "Bearer joinx", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    TEST_EQUAL(identity_find_agent(tokens, &peer, "Bearer of-alice", &identity, &error),
               COVEY_EUNAUTHENTICATED);
    TEST_TRUE(strstr(error.message, "join token is wrong") != NULL);
    TEST_EQUAL(identity_find_agent(tokens, &peer, "Bearer join", &identity, &error), COVEY_OK);
    TEST_TRUE(identity.is_node);
    peer.is_unix = true;
    peer.uid = geteuid();
    TEST_EQUAL(identity_find_agent(tokens, &peer, NULL, &identity, &error), COVEY_OK);
    peer.uid = geteuid() + 1;
    TEST_EQUAL(identity_find_agent(tokens, &peer, NULL, &identity, &error), COVEY_EUNAUTHENTICATED);
    tokens_free(tokens);
}

static void refuse(const char *text, mode_t mode, enum covey_status status, const char *part)
{
    struct tokens *tokens;
    TEST_EQUAL(tokens_load(write_tokens(text, mode), NULL, &tokens, &error), status);
    TEST_TRUE(strstr(error.message, part) != NULL);
}

static void tokens_load__wrong_file__names_the_line(void)
{
    refuse("a b user\nc d\n", 0600, COVEY_EINVAL, "tokens:2:");
    refuse("a b emperor\n", 0600, COVEY_EINVAL, "tokens:1: 'emperor'");
    refuse("a b user more\n", 0600, COVEY_EINVAL, "tokens:1:");
    /* Nobody may take a local user's place. */
    refuse("a uid:0 operator\n", 0600, COVEY_EINVAL, "uid:");
    refuse("a b user\n", 0644, COVEY_EACCES, "chmod 600");
}

static void token_file_read__first_line__without_its_end(void)
{
    char *token;
    TEST_EQUAL(token_file_read(write_tokens("join-me\nrest\n", 0600), &token, &error), COVEY_OK);
    TEST_EQUAL_STRING(token, "join-me");
    free(token);
    TEST_EQUAL(token_file_read(write_tokens("\n", 0600), &token, &error), COVEY_EINVAL);
    TEST_EQUAL(token_file_read(write_tokens("x\n", 0604), &token, &error), COVEY_EACCES);
}

static void ulid_make__many_of_a_millisecond__sort_as_made(void)
{
    struct ulid_source source = {0};
    char last[ULID_BYTES] = "";
    char id[ULID_BYTES];
    for (int i = 0; i < 10000; i++) {
        TEST_REQUIRE(ulid_make(&source, 1700000000000 * COVEY_NS_PER_MS, id));
        TEST_TRUE(ulid_is_valid(id));
        TEST_TRUE(strcmp(last, id) < 0);
        memcpy(last, id, sizeof id);
    }
    /* A clock that was set back does not make an older one. */
    TEST_REQUIRE(ulid_make(&source, 1600000000000 * COVEY_NS_PER_MS, id));
    TEST_TRUE(strcmp(last, id) < 0);
    memcpy(last, id, sizeof id);
    TEST_REQUIRE(ulid_make(&source, 1700000000001 * COVEY_NS_PER_MS, id));
    TEST_TRUE(strcmp(last, id) < 0);
    TEST_EQUAL(strncmp(id, "01HF7YAT", 8),
               0); /* 1700000000001 ms, as the ULID specification says */
}

static void ulid_is_valid__others__not(void)
{
    TEST_TRUE(!ulid_is_valid(""));
    TEST_TRUE(!ulid_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FA"));
    TEST_TRUE(!ulid_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FAVX"));
    TEST_TRUE(!ulid_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FAI"));
    TEST_TRUE(!ulid_is_valid("../ARZ3NDEKTSV4RRFFQ69G5FA"));
}

static const struct test_case identities[] = {
    TEST_CASE(identity__unix_socket__tenant_is_the_uid),
    TEST_CASE(identity__certificate__is_whose_line_names_it),
    TEST_CASE(identity__tcp__only_with_a_token),
    TEST_CASE(find_agent__not_trusted__needs_the_join_token),
    TEST_CASE(tokens_load__wrong_file__names_the_line),
    TEST_CASE(token_file_read__first_line__without_its_end),
    TEST_CASE(ulid_make__many_of_a_millisecond__sort_as_made),
    TEST_CASE(ulid_is_valid__others__not),
    {0}};

const struct test_suite test_suites[] = {{"identities", identities, NULL, NULL}, {0}};
