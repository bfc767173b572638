/*
 * libcovey when memory ends: the n-th allocation fails and all after it, for n from 0 until a whole
 * flow succeeds. Every step must fail with a status, and nothing may leak (the asan preset sees
 * that).
 */
#include "base/memory.h"
#include "covey/client.h"
#include "tests/component/client/fake.h"
#include "tests/harness/harness.h"

#include <stdio.h>

static int setup(void)
{
    return fake_start() ? 0 : 1;
}

static int teardown(void)
{
    return fake_stop() ? 0 : 1;
}

static enum covey_status follow_flare(struct covey_client *client)
{
    struct covey_flare_request request = {
        .definition = "sweep", .workers = 2, .parameter = {"abc", 3}, .idempotency_key = "one"};
    struct covey_flare *flare;
    struct covey_flare *ended;
    struct covey_result_list *results;
    const struct covey_callbacks none = {0};
    const struct covey_ranks all = {0};
    enum covey_status status = covey_client_flare(client, &request, 0, &flare, NULL);
    if (status)
        return status;
    status = covey_client_wait(client, flare->id, 0, &ended, NULL);
    if (!status)
        covey_flare_free(ended);
    if (!status)
        status = covey_client_logs(client, flare->id, all, true, 0, &none, NULL);
    if (!status)
        status = covey_client_results(client, flare->id, all, 1000, 0, &results, NULL);
    if (!status)
        covey_result_list_free(results);
    covey_flare_free(flare);
    return status;
}

static enum covey_status flow(struct covey_error *error)
{
    struct covey_client_options options;
    struct covey_client *client;
    struct covey_deployment deployment = {.name = "sweep", .file = fake_code()};
    struct covey_definition *definition;
    covey_client_options_init(&options);
    options.server = fake_address();
    options.json = true;
    options.timeout_ns = 20 * 1000000000LL;
    enum covey_status status = covey_client_create(&options, &client, error);
    if (status)
        return status;
    status = covey_client_deploy(client, &deployment, 0, &definition, error);
    if (!status)
        covey_definition_free(definition);
    if (!status)
        status = follow_flare(client);
    covey_client_destroy(client);
    return status;
}

static void every_call__memory_ends__fails_cleanly(void)
{
    enum covey_status status = COVEY_ENOMEM;
    int64_t successes = 0;
    struct covey_error error = {0};
    TEST_REQUIRE(fake_code() != NULL);
    for (; status && successes < 5000; successes++) {
        covey_memory_fail_after(successes);
        status = flow(&error);
        covey_memory_fail_after(-1);
        /* Out of time would mean that an operation hung. */
        TEST_TRUE(status != COVEY_ETIMEOUT);
    }
    if (status)
        fprintf(stderr, "%s: %s\n", covey_status_name(status), error.message);
    TEST_EQUAL(status, COVEY_OK);
    TEST_TRUE(successes > 50);
}

static const struct test_case cases[] = {TEST_CASE(every_call__memory_ends__fails_cleanly), {0}};

const struct test_suite test_suites[] = {{"memory", cases, setup, teardown}, {0}};
