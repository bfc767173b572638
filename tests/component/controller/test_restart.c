/* The controller dies at each of its fault points, and starts again: nothing accepted is lost. */
#include "tests/component/controller/cluster.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static struct cluster cluster;
static struct answer answer;

static bool both_dropped(void *data)
{
    (void)data;
    return cluster.agents[0].ended && cluster.agents[1].ended;
}

/* Agents notice that the controller is gone, it starts again and they return. */
static void come_back(void)
{
    TEST_TRUE(cluster_run(&cluster, both_dropped, NULL));
    cluster_restart(&cluster);
    TEST_REQUIRE(agent_attach(&cluster.agents[0]));
    TEST_REQUIRE(agent_attach(&cluster.agents[1]));
}

static void check_events(const char *id)
{
    Covey__V1__WatchFlareRequest request = COVEY__V1__WATCH_FLARE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/WatchFlare", &request.base);
    TEST_EQUAL(answer.code, RPC_OK);
    size_t outcomes = 0;
    size_t ends = 0;
    for (size_t i = 0; i < answer.count; i++) {
        const Covey__V1__Event *event =
            ((Covey__V1__WatchFlareResponse *)answer.messages[i])->event;
        TEST_EQUAL(event->sequence, i + 1);
        outcomes += strcmp(event->type, "finishing") == 0;
        ends += strcmp(event->type, "ended") == 0;
    }
    TEST_EQUAL(outcomes, 1);
    TEST_EQUAL(ends, 1);
    answer_clear(&answer);
}

static void check_free(void)
{
    Covey__V1__ListNodesRequest request = COVEY__V1__LIST_NODES_REQUEST__INIT;
    cluster_call(&cluster, &answer, "/covey.v1.Covey/ListNodes", &request.base);
    TEST_REQUIRE(answer.code == RPC_OK);
    const Covey__V1__ListNodesResponse *nodes =
        (const Covey__V1__ListNodesResponse *)answer.messages[0];
    TEST_EQUAL(nodes->n_nodes, 2);
    for (size_t i = 0; i < nodes->n_nodes; i++)
        TEST_EQUAL(nodes->nodes[i]->slots_used, 0);
    answer_clear(&answer);
}

static void start(const char *fault)
{
    cluster_start(&cluster, fault, "--node-grace", "5s", NULL);
    cluster_deploy(&cluster);
    struct agent *a = cluster_agent(&cluster, "a", 4);
    struct agent *b = cluster_agent(&cluster, "b", 4);
    a->finish = b->finish = true;
    TEST_REQUIRE(agent_attach(a));
    TEST_REQUIRE(agent_attach(b));
}

/* A controller that dies at a fault point, after or before it has answered. */
static void sweep(const char *fault)
{
    char id[32];
    start(fault);
    cluster_flare(&cluster, &answer, 6, id);
    bool accepted = answer.code == RPC_OK;
    int status = cluster_wait(&cluster);
    TEST_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    come_back();
    if (!accepted) {
        /* Nothing half accepted. */
        Covey__V1__ListFlaresRequest list = COVEY__V1__LIST_FLARES_REQUEST__INIT;
        cluster_call(&cluster, &answer, "/covey.v1.Covey/ListFlares", &list.base);
        TEST_EQUAL(answer.code, RPC_OK);
        const Covey__V1__ListFlaresResponse *flares =
            (const Covey__V1__ListFlaresResponse *)answer.messages[0];
        TEST_TRUE(flares->n_flares <= 1);
        if (flares->n_flares)
            (void)snprintf(id, sizeof id, "%s", flares->flares[0]->id);
        answer_clear(&answer);
    }
    if (!*id)
        cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    check_events(id);
    check_free();
    cluster_stop(&cluster);
}

#define SWEEP(name, fault)                                                                         \
    static void name(void)                                                                         \
    {                                                                                              \
        sweep(fault);                                                                              \
    }

SWEEP(journal_append__killed_at_1__consistent, "journal_append:1:kill")
SWEEP(journal_append__killed_at_2__consistent, "journal_append:2:kill")
SWEEP(journal_append__killed_at_3__consistent, "journal_append:3:kill")
SWEEP(journal_append__killed_at_4__consistent, "journal_append:4:kill")
SWEEP(journal_append__killed_at_5__consistent, "journal_append:5:kill")
SWEEP(journal_append__killed_at_6__consistent, "journal_append:6:kill")
SWEEP(journal_append__killed_at_9__consistent, "journal_append:9:kill")
SWEEP(journal_append__killed_at_13__consistent, "journal_append:13:kill")
SWEEP(journal_append__killed_at_14__consistent, "journal_append:14:kill")
SWEEP(journal_append__killed_at_15__consistent, "journal_append:15:kill")
SWEEP(prepare__killed__consistent, "controller_prepare:1:kill")
SWEEP(start__killed__consistent, "controller_start:1:kill")
SWEEP(ending__killed__consistent, "controller_ending:1:kill")

static void running__killed__goes_on_with_the_same_workers(void)
{
    char id[32];
    start(NULL);
    struct agent *a = &cluster.agents[0];
    struct agent *b = &cluster.agents[1];
    a->finish = b->finish = false;
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    cluster_kill(&cluster);
    come_back();
    TEST_EQUAL(a->unknown + b->unknown, 0);
    TEST_EQUAL(a->prepares, 1);
    TEST_EQUAL(a->starts, 1);
    const Covey__V1__Flare *view = cluster_get(&cluster, &answer, id);
    TEST_REQUIRE(view != NULL);
    TEST_EQUAL(view->state, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING);
    TEST_EQUAL(view->workers[5]->pid, 1005);
    answer_clear(&answer);
    for (size_t i = 0; i < 2; i++) {
        struct agent *agent = &cluster.agents[i];
        struct agent_flare *flare = agent_flare(agent, id);
        while (flare->ended < flare->workers)
            agent_worker_ends(agent, flare, 0, 0);
    }
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    check_events(id);
    check_free();
    cluster_stop(&cluster);
}

static void queued__killed__still_queued(void)
{
    char first[32];
    char second[32];
    start(NULL);
    cluster.agents[0].finish = cluster.agents[1].finish = false;
    cluster_flare(&cluster, &answer, 8, first);
    TEST_TRUE(cluster_reaches(&cluster, first, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    cluster_flare(&cluster, &answer, 8, second);
    TEST_EQUAL(answer.code, RPC_OK);
    cluster_kill(&cluster);
    cluster.agents[0].finish = cluster.agents[1].finish = true;
    come_back();
    for (size_t i = 0; i < 2; i++) {
        struct agent *agent = &cluster.agents[i];
        struct agent_flare *flare = agent_flare(agent, first);
        while (flare->ended < flare->workers)
            agent_worker_ends(agent, flare, 0, 0);
    }
    TEST_TRUE(cluster_reaches(&cluster, first, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    TEST_TRUE(cluster_reaches(&cluster, second, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    check_free();
    cluster_stop(&cluster);
}

static void full_disk__at_acceptance__refused_and_nothing_kept(void)
{
    char id[32];
    start("journal_append:1:fail");
    cluster_flare(&cluster, &answer, 6, id);
    TEST_EQUAL(answer.code, RPC_RESOURCE_EXHAUSTED);
    TEST_TRUE(strstr(answer.message, "no space left") != NULL);
    check_free();
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    check_events(id);
    cluster_stop(&cluster);
}

/* The journal has no room for one event of a running flare: it ends, and the event comes later. */
static void full_disk__while_running__ends_and_is_journalled_later(void)
{
    char id[32];
    start("journal_append:7:fail,journal_append:8:fail");
    cluster_flare(&cluster, &answer, 6, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED));
    check_events(id);
    check_free();
    cluster_stop(&cluster);
}

/* An agent that still runs what the controller has forgotten must end it. */
static void agent__has_an_unknown_flare__is_told_to_end_it(void)
{
    char id[32];
    start(NULL);
    struct agent *a = &cluster.agents[0];
    a->finish = cluster.agents[1].finish = false;
    a->hold_stop = true;
    cluster_flare(&cluster, &answer, 2, id);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING));
    agent_drop(a);
    (void)snprintf(a->flares[0].id, sizeof a->flares[0].id, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    TEST_REQUIRE(agent_attach(a));
    TEST_EQUAL(a->unknown, 1);
    TEST_TRUE(cluster_reaches(&cluster, id, COVEY__V1__FLARE_STATE__FLARE_STATE_FAILED));
    check_free();
    cluster_stop(&cluster);
}

static const struct test_case restarts[] = {
    TEST_CASE(journal_append__killed_at_1__consistent),
    TEST_CASE(journal_append__killed_at_2__consistent),
    TEST_CASE(journal_append__killed_at_3__consistent),
    TEST_CASE(journal_append__killed_at_4__consistent),
    TEST_CASE(journal_append__killed_at_5__consistent),
    TEST_CASE(journal_append__killed_at_6__consistent),
    TEST_CASE(journal_append__killed_at_9__consistent),
    TEST_CASE(journal_append__killed_at_13__consistent),
    TEST_CASE(journal_append__killed_at_14__consistent),
    TEST_CASE(journal_append__killed_at_15__consistent),
    TEST_CASE(prepare__killed__consistent),
    TEST_CASE(start__killed__consistent),
    TEST_CASE(ending__killed__consistent),
    TEST_CASE(running__killed__goes_on_with_the_same_workers),
    TEST_CASE(queued__killed__still_queued),
    TEST_CASE(full_disk__at_acceptance__refused_and_nothing_kept),
    TEST_CASE(full_disk__while_running__ends_and_is_journalled_later),
    TEST_CASE(agent__has_an_unknown_flare__is_told_to_end_it),
    {0}};

const struct test_suite test_suites[] = {{"restarts", restarts, NULL, NULL}, {0}};
