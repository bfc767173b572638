/* What much of one kind does to a controller: it holds little of it, and goes on for others. */
#include "base/clock.h"
#include "service/controller/messages.h"
#include "tests/component/controller/cluster.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cluster cluster;
static struct answer answer;
static struct agent *node;

static size_t resident_bytes(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/statm", cluster.pid);
    char text[128] = "";
    FILE *file = fopen(path, "r");
    TEST_REQUIRE(file != NULL && fgets(text, sizeof text, file) != NULL);
    (void)fclose(file);
    const char *resident = strchr(text, ' ');
    TEST_REQUIRE(resident != NULL);
    return strtoul(resident, NULL, 10) * 4096;
}

static void start(void)
{
    cluster_start(&cluster, NULL, "--node-grace", "30s", NULL);
    cluster_deploy(&cluster);
    node = cluster_agent(&cluster, "a", 3);
    TEST_REQUIRE(agent_attach(node));
}

#define PARAMETERS      3
#define PARAMETER_BYTES ((size_t)1 << 20)

/* Three workers, whose parameters are of a number. */
static void submit(uint8_t number, char id[32])
{
    static uint8_t bytes[PARAMETER_BYTES];
    ProtobufCBinaryData parameters[PARAMETERS];
    Covey__V1__FlareRequest request = COVEY__V1__FLARE_REQUEST__INIT;
    memset(bytes, number, sizeof bytes);
    for (size_t i = 0; i < PARAMETERS; i++)
        parameters[i] = (ProtobufCBinaryData){sizeof bytes - i, bytes};
    request.definition = (char *)(uintptr_t) "hello";
    request.n_parameters = PARAMETERS;
    request.parameters = parameters;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/Flare", &request.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    (void)snprintf(id, 32, "%s", ((Covey__V1__FlareResponse *)answer.messages[0])->flare->id);
    answer_clear(&answer);
}

static void expect_parameters(const char *id, uint8_t number)
{
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    const struct agent_flare *flare = agent_flare(node, id);
    TEST_REQUIRE(flare != NULL && flare->prepare->n_parameters == PARAMETERS);
    for (size_t i = 0; i < PARAMETERS; i++) {
        const ProtobufCBinaryData *parameter = &flare->prepare->parameters[i];
        TEST_EQUAL(parameter->len, PARAMETER_BYTES - i);
        TEST_TRUE(parameter->data[0] == number && parameter->data[parameter->len - 1] == number);
    }
}

static void end(const char *id)
{
    Covey__V1__CancelFlareRequest request = COVEY__V1__CANCEL_FLARE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/CancelFlare", &request.base);
    TEST_EQUAL(answer.code, RPC_OK);
    answer_clear(&answer);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_CANCELLED));
}

static void parameters__of_what_waits__are_in_the_journal_alone(void)
{
    enum { FLARES = 40 };
    char ids[FLARES][32];
    start();
    submit(0, ids[0]); /* runs, and fills the node */
    expect_parameters(ids[0], 0);
    size_t before = resident_bytes();
    for (unsigned i = 1; i < FLARES; i++)
        submit((uint8_t)i, ids[i]);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed for a while */
    TEST_TRUE(resident_bytes() < before + ((size_t)48 << 20)); /* of 117 MiB */
#else
    (void)before;
#endif
    for (unsigned i = FLARES - 1; i > 1; i--)
        end(ids[i]);
    end(ids[0]);
    expect_parameters(ids[1], 1);
    cluster_stop(&cluster);
}

static void parameters__of_what_waits__survive_a_restart(void)
{
    char first[32];
    char second[32];
    start();
    submit(7, first);
    expect_parameters(first, 7);
    submit(8, second);
    cluster_kill(&cluster);
    cluster_restart(&cluster);
    TEST_REQUIRE(agent_attach(node));
    end(first);
    expect_parameters(second, 8);
    cluster_stop(&cluster);
}

static const struct test_case cases[] = {
    TEST_CASE(parameters__of_what_waits__are_in_the_journal_alone),
    TEST_CASE(parameters__of_what_waits__survive_a_restart),
    {0}};

const struct test_suite test_suites[] = {{"load", cases, NULL, NULL}, {0}};
