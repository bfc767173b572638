/* TLS: who is trusted, and what is refused. */
#include "rpc/tls.h"
#include "tests/component/rpc/fixture.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char certificate[128];
static char key[128];
static char other_certificate[128];
static char other_key[128];

/* Makes a self-signed certificate for localhost. */
static void make(char *certificate_file, char *key_file, const char *name)
{
    char command[1024];
    snprintf(certificate_file, 128, "%s/%s.pem", test_folder(), name);
    snprintf(key_file, 128, "%s/%s.key", test_folder(), name);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
             "-keyout %s -out %s -days 2 -subj /CN=%s "
             "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null",
             key_file, certificate_file, name);
    TEST_REQUIRE(system(command) == 0);
}

static int setup(void)
{
    make(certificate, key, "one");
    make(other_certificate, other_key, "other");
    return 0;
}

static void call_over(const struct rpc_tls *server_tls, const struct rpc_tls *client_tls,
                      struct client *client)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture, "127.0.0.1:0", server_tls, client_tls);
    client_call(&fixture, client, "Unary", "hello", 0, 100000);
    if (client->code == RPC_OK)
        TEST_EQUAL(fixture.echo.peer.is_tls, client_tls != NULL);
    fixture_stop(&fixture);
}

static void call__to_a_trusted_server__works_in_every_kind(void)
{
    struct rpc_tls server = {.certificate_file = certificate, .key_file = key};
    struct rpc_tls trust = {.ca_file = certificate};
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture_start(&fixture, "127.0.0.1:0", &server, &trust);
    client_call(&fixture, &client, "Unary", "hello", 0, 3000000);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.payload_bytes, 3000000);
    client_call(&fixture, &client, "Split", "", 1000, 20000);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL(client.payload_bytes, 20000000);
    struct client joining = {.to_send = 1000, .note_bytes = 20000};
    TEST_EQUAL(client_start(&fixture, &joining, "Join", NULL), COVEY_OK);
    client_stream(&joining);
    TEST_TRUE(fixture_run(&fixture, client_ended, &joining));
    TEST_EQUAL(joining.code, RPC_OK);
    TEST_EQUAL_STRING(joining.last_text, "20000000");
    fixture_stop(&fixture);
}

static void call__to_an_unknown_server__is_unavailable(void)
{
    struct rpc_tls server = {.certificate_file = certificate, .key_file = key};
    struct rpc_tls trust = {.ca_file = other_certificate};
    struct client client;
    call_over(&server, &trust, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "self-signed") != NULL);
    struct rpc_tls system_trust = {0};
    call_over(&server, &system_trust, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
}

static void call__where_one_side_speaks_tls__names_the_matter(void)
{
    struct rpc_tls server = {.certificate_file = certificate, .key_file = key};
    struct rpc_tls trust = {.ca_file = certificate};
    struct client client;
    call_over(&server, NULL, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "it speaks TLS: connect with it") != NULL);
    call_over(NULL, &trust, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "it does not speak TLS: connect without it") != NULL);
}

static void call__to_a_server_of_another_name__is_unavailable(void)
{
    struct rpc_tls server = {.certificate_file = certificate, .key_file = key};
    struct rpc_tls trust = {.ca_file = certificate, .server_name = "elsewhere.example"};
    struct client client;
    call_over(&server, &trust, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    TEST_TRUE(strstr(client.message, "mismatch") != NULL);
    trust.server_name = "localhost";
    call_over(&server, &trust, &client);
    TEST_EQUAL(client.code, RPC_OK);
}

static void call__to_a_server_that_asks_who__needs_a_certificate(void)
{
    struct rpc_tls server = {
        .certificate_file = certificate, .key_file = key, .ca_file = other_certificate};
    struct rpc_tls nobody = {.ca_file = certificate};
    struct rpc_tls known = {
        .ca_file = certificate, .certificate_file = other_certificate, .key_file = other_key};
    struct rpc_tls stranger = {
        .ca_file = certificate, .certificate_file = certificate, .key_file = key};
    struct client client;
    call_over(&server, &nobody, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    call_over(&server, &stranger, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    call_over(&server, &known, &client);
    TEST_EQUAL(client.code, RPC_OK);
}

/* Who the server takes a client for. */
static void expect_name(const struct rpc_tls *server, const struct rpc_tls *client_tls,
                        const char *name)
{
    struct fixture fixture;
    struct client client;
    fixture_init(&fixture);
    fixture_start(&fixture, "127.0.0.1:0", server, client_tls);
    client_call(&fixture, &client, "Unary", "hello", 0, 10);
    TEST_EQUAL(client.code, RPC_OK);
    TEST_EQUAL_STRING(fixture.echo.certificate_name, name);
    fixture_stop(&fixture);
}

static void call__with_a_certificate__server_knows_its_name(void)
{
    struct rpc_tls asking = {
        .certificate_file = certificate, .key_file = key, .ca_file = other_certificate};
    struct rpc_tls quiet = {.certificate_file = certificate, .key_file = key};
    struct rpc_tls known = {
        .ca_file = certificate, .certificate_file = other_certificate, .key_file = other_key};
    expect_name(&asking, &known, "other");
    /* What nobody has checked is not a name. */
    expect_name(&quiet, &known, "");
}

static void create__key_that_others_may_read__is_refused(void)
{
    struct covey_error error = {0};
    struct rpc_tls_context *context = NULL;
    struct rpc_tls tls = {.certificate_file = certificate, .key_file = key};
    TEST_REQUIRE(chmod(key, 0644) == 0);
    TEST_EQUAL(rpc_tls_context_create(&tls, true, &context, &error), COVEY_EACCES);
    TEST_TRUE(strstr(error.message, key) && strstr(error.message, "chmod 600"));
    TEST_EQUAL(rpc_tls_context_create(&tls, false, &context, &error), COVEY_EACCES);
    TEST_REQUIRE(chmod(key, 0640) == 0);
    TEST_EQUAL(rpc_tls_context_create(&tls, false, &context, &error), COVEY_OK);
    rpc_tls_context_destroy(context);
    TEST_REQUIRE(chmod(key, 0600) == 0);
    struct rpc_tls half = {.certificate_file = certificate};
    TEST_EQUAL(rpc_tls_context_create(&half, false, &context, &error), COVEY_EINVAL);
    half = (struct rpc_tls){.key_file = key};
    TEST_EQUAL(rpc_tls_context_create(&half, false, &context, &error), COVEY_EINVAL);
    TEST_TRUE(strstr(error.message, "go together") != NULL);
}

static void call__plain_to_tls_and_tls_to_plain__is_unavailable(void)
{
    struct rpc_tls server = {.certificate_file = certificate, .key_file = key};
    struct rpc_tls trust = {.ca_file = certificate};
    struct client client;
    call_over(&server, NULL, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
    call_over(NULL, &trust, &client);
    TEST_EQUAL(client.code, RPC_UNAVAILABLE);
}

static void listen__with_files_that_do_not_fit__is_refused(void)
{
    struct rpc_tls rows[] = {
        {0},
        {.certificate_file = certificate},
        {.certificate_file = certificate, .key_file = other_key},
        {.certificate_file = "/no/such/file", .key_file = key},
        {.certificate_file = key, .key_file = key},
        {.certificate_file = certificate, .key_file = certificate},
        {.certificate_file = certificate, .key_file = key, .ca_file = "/no/such/file"},
    };
    struct fixture fixture;
    TEST_REQUIRE(chmod(certificate, 0600) == 0); /* it stands for a key, too */
    fixture_init(&fixture);
    fixture_start_server(&fixture, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct covey_error error = {0};
        TEST_EQUAL(rpc_server_listen(fixture.server, "127.0.0.1:0", &rows[i], NULL, 0, &error),
                   COVEY_EINVAL);
        TEST_TRUE(*error.message != '\0');
    }
    fixture_stop(&fixture);
}

static const struct test_case cases[] = {
    TEST_CASE(call__to_a_trusted_server__works_in_every_kind),
    TEST_CASE(call__to_an_unknown_server__is_unavailable),
    TEST_CASE(call__where_one_side_speaks_tls__names_the_matter),
    TEST_CASE(call__to_a_server_of_another_name__is_unavailable),
    TEST_CASE(call__to_a_server_that_asks_who__needs_a_certificate),
    TEST_CASE(call__with_a_certificate__server_knows_its_name),
    TEST_CASE(create__key_that_others_may_read__is_refused),
    TEST_CASE(call__plain_to_tls_and_tls_to_plain__is_unavailable),
    TEST_CASE(listen__with_files_that_do_not_fit__is_refused),
    {0},
};

const struct test_suite test_suites[] = {{"rpc tls", cases, setup, NULL}, {0}};
