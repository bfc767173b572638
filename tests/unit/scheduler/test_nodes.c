/* Nodes and the claims on them: facts, epochs, loss, restoration. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <string.h>

static struct sched_node_info info_of(const struct sched *sched, uint32_t node)
{
    struct sched_node_info info = {0};
    TEST_REQUIRE(sched_node_get(sched, node, &info) == COVEY_OK);
    return info;
}

static uint64_t slots_claimed(const struct sched *sched, uint32_t node)
{
    return info_of(sched, node).claimed.amount[SCHED_SLOTS];
}

static void node_set__bad_name__refused(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    char name[SCHED_NAME_BYTES + 1];
    memset(name, 'n', sizeof(name));
    name[SCHED_NAME_BYTES] = 0;
    uint32_t node = 77;
    struct covey_error error;
    const struct sched_vector capacity = {{1, 1}};
    TEST_EQUAL(cluster_set(sched, "", 1, &capacity, &node, &error), COVEY_EINVAL);
    TEST_EQUAL(cluster_set(sched, name, 1, &capacity, &node, &error), COVEY_EINVAL);
    TEST_EQUAL_STRING(error.message, "a node's name has 1 to 255 bytes");
    TEST_EQUAL(node, 77);
    TEST_EQUAL(cluster_set(sched, name + 1, 1, &capacity, &node, &error), COVEY_OK);
    TEST_EQUAL_STRING(info_of(sched, node).name, name + 1);
    sched_destroy(sched);
}

static void node_set__known_node__facts_replaced(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("a", 6);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:6");
    TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_DRAINING), COVEY_OK);
    uint32_t node = 77;
    const struct sched_vector capacity = {{4, GIB}};
    TEST_EQUAL(cluster_set(sched, "n0", 5, &capacity, &node, NULL), COVEY_OK);
    TEST_EQUAL(node, 0);
    struct sched_node_info info = info_of(sched, 0);
    TEST_EQUAL(info.epoch, 5);
    TEST_EQUAL(info.state, SCHED_NODE_DRAINING);
    TEST_EQUAL(info.capacity.amount[SCHED_SLOTS], 4);
    TEST_EQUAL(info.claimed.amount[SCHED_SLOTS], 6);
    TEST_EQUAL(info.claims, 1);
    struct covey_error error;
    TEST_EQUAL(cluster_set(sched, "n0", 4, &capacity, &node, &error), COVEY_EPRECONDITION);
    TEST_EQUAL_STRING(error.message, "node n0 is at epoch 5 already, this is its epoch 4");
    TEST_EQUAL(info_of(sched, 0).epoch, 5);
    TEST_EQUAL(sched_node_find(sched, "n1", &node), COVEY_OK);
    TEST_EQUAL(node, 1);
    TEST_EQUAL(sched_node_find(sched, "n2", &node), COVEY_ENOTFOUND);
    sched_destroy(sched);
}

static void node_set__capacity_below_the_claims__takes_nothing_new(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_request request = cluster_request("a", 6);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:6");
    (void)cluster_node(sched, "n0", 4, GIB);
    request = cluster_request("b", 1);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "-");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:1");
    sched_destroy(sched);
}

static void set_state__draining_or_down__no_new_gang(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("a", 4);
    TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_DRAINING), COVEY_OK);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "1:4");
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DOWN), COVEY_OK);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "-");
    TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_UP), COVEY_OK);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4");
    TEST_EQUAL(sched_node_set_state(sched, 2, SCHED_NODE_UP), COVEY_ENOTFOUND);
    sched_destroy(sched);
}

static void remove__free_node__id_given_again(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 8, 0});
    struct sched_request request = cluster_request("a", 8);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8");
    TEST_EQUAL(sched_node_remove(sched, 0), COVEY_EPRECONDITION);
    TEST_EQUAL(sched_node_remove(sched, 3), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_node_remove(sched, 2), COVEY_OK);
    TEST_EQUAL(sched_node_remove(sched, 1), COVEY_OK);
    TEST_EQUAL(sched_node_remove(sched, 1), COVEY_ENOTFOUND);
    struct sched_node_info info;
    TEST_EQUAL(sched_node_get(sched, 1, &info), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_node_limit(sched), 3);
    request = cluster_request("b", 9);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    TEST_EQUAL(cluster_node(sched, "new", 2, GIB), 1);
    TEST_EQUAL(cluster_node(sched, "newer", 2, GIB), 2);
    TEST_EQUAL(cluster_node(sched, "newest", 2, GIB), 3);
    TEST_EQUAL(sched_node_limit(sched), 4);
    sched_destroy(sched);
}

static void lose__node_with_claims__each_flare_named_once(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request a = cluster_request("a", 12);
    struct sched_request b = cluster_request("b", 4);
    TEST_EQUAL_STRING(cluster_start(sched, &a), "0:8 1:4");
    TEST_EQUAL_STRING(cluster_start(sched, &b), "1:4");
    char flare[SCHED_ID_BYTES];
    TEST_TRUE(sched_node_lose(sched, 1, flare));
    TEST_EQUAL_STRING(flare, "a");
    TEST_EQUAL(info_of(sched, 1).state, SCHED_NODE_DOWN);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK); /* in the middle of it */
    TEST_TRUE(sched_node_lose(sched, 1, flare));
    TEST_EQUAL_STRING(flare, "b");
    TEST_TRUE(!sched_node_lose(sched, 1, flare));
    TEST_TRUE(!sched_node_lose(sched, 9, flare));
    TEST_EQUAL(slots_claimed(sched, 0), 0);
    TEST_EQUAL(slots_claimed(sched, 1), 0);
    TEST_EQUAL(sched_release_node(sched, "b", 1), COVEY_ENOTFOUND);
    TEST_TRUE(sched_placement_of(sched, "b") != NULL);
    TEST_EQUAL(sched_release(sched, "b"), COVEY_OK);
    TEST_EQUAL(sched_release(sched, "b"), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_node_remove(sched, 1), COVEY_OK);
    sched_destroy(sched);
}

static void lose__node_then_removed__its_successor_owes_nothing(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("a", 16);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8 1:8");
    char flare[SCHED_ID_BYTES];
    while (sched_node_lose(sched, 1, flare))
        TEST_EQUAL_STRING(flare, "a");
    TEST_EQUAL(sched_node_remove(sched, 1), COVEY_OK);
    TEST_EQUAL(sched_release_node(sched, "a", 1), COVEY_ENOTFOUND);
    TEST_EQUAL(cluster_node(sched, "successor", 8, GIB), 1);
    TEST_EQUAL(sched_release_node(sched, "a", 1), COVEY_ENOTFOUND);
    TEST_EQUAL(slots_claimed(sched, 1), 0);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL(slots_claimed(sched, 1), 0);
    sched_destroy(sched);
}

static void lose__reserved_gang__rolls_back_whole(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 8, 0});
    struct sched_request request = cluster_request("a", 16);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8 1:8");
    char flare[SCHED_ID_BYTES];
    TEST_TRUE(sched_node_lose(sched, 1, flare));
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_OK);
    TEST_EQUAL(slots_claimed(sched, 0), 0);
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(sched, 0, &placement), COVEY_OK);
    TEST_EQUAL_STRING(cluster_text(placement), "0:8 2:8");
    sched_destroy(sched);
}

static void release_node__each_share__exactly_once(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("a", 12);
    request.worker.amount[SCHED_MEMORY_BYTES] = GIB;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8 1:4");
    TEST_EQUAL(sched_commit(sched, "a"), COVEY_OK);
    TEST_EQUAL(sched_commit(sched, "a"), COVEY_EPRECONDITION);
    TEST_EQUAL(sched_commit(sched, "b"), COVEY_ENOTFOUND);
    TEST_EQUAL(info_of(sched, 0).claimed.amount[SCHED_MEMORY_BYTES], 8 * GIB);
    TEST_EQUAL(sched_release_node(sched, "a", 0), COVEY_OK);
    TEST_EQUAL(sched_release_node(sched, "a", 0), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_release_node(sched, "a", 2), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_release_node(sched, "b", 0), COVEY_ENOTFOUND);
    TEST_EQUAL(info_of(sched, 0).claimed.amount[SCHED_MEMORY_BYTES], 0);
    TEST_EQUAL(slots_claimed(sched, 0), 0);
    TEST_EQUAL(slots_claimed(sched, 1), 4);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL(slots_claimed(sched, 1), 0);
    sched_destroy(sched);
}

/* ---- restoration ---- */

static enum covey_status restore(struct sched *sched, const struct sched_pack *packs,
                                 uint32_t count, struct covey_error *error)
{
    struct sched_request request = cluster_request("a", 12);
    request.packing = SCHED_PACKING_HOMOGENEOUS;
    request.granularity = 4;
    request.submit_ns = 3;
    return sched_restore(sched, &request, packs, count, NULL, 9, error);
}

static void restore__known_placement__claimed_on_nodes_of_any_state(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DOWN), COVEY_OK);
    const struct sched_pack packs[] = {{0, 1, 0, 4}, {0, 1, 4, 4}, {0, 0, 8, 4}};
    struct covey_error error;
    TEST_EQUAL(restore(sched, packs, 3, &error), COVEY_OK);
    TEST_EQUAL(slots_claimed(sched, 0), 4);
    TEST_EQUAL(slots_claimed(sched, 1), 8);
    const struct sched_placement *placement = sched_placement_of(sched, "a");
    TEST_REQUIRE(placement != NULL);
    TEST_EQUAL_STRING(cluster_text(placement), "1:4 1:4 0:4");
    TEST_EQUAL(placement->node_count, 2);
    TEST_EQUAL(placement->submit_ns, 3);
    TEST_EQUAL(placement->placed_ns, 9);
    TEST_EQUAL(restore(sched, packs, 3, &error), COVEY_EEXISTS);
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_EPRECONDITION);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL(slots_claimed(sched, 1), 0);
    sched_destroy(sched);
}

struct bad_restore {
    struct sched_pack packs[3];
    enum covey_status status;
    const char *message;
};

static void restore__wrong_packs__nothing_claimed(void)
{
    static const struct bad_restore rows[] = {
        {{{0, 0, 0, 4}, {1, 0, 5, 4}, {2, 1, 8, 4}},
         COVEY_EINVAL,
         "pack 1 does not continue the ranks at 4"},
        {{{0, 0, 0, 4}, {1, 0, 4, 0}, {2, 1, 4, 8}},
         COVEY_EINVAL,
         "pack 1 does not continue the ranks at 4"},
        {{{0, 0, 0, 4}, {1, 0, 4, 4}, {2, 1, 8, UINT32_MAX}},
         COVEY_EINVAL,
         "pack 2 does not continue the ranks at 8"},
        {{{0, 0, 0, 4}, {1, 0, 4, 4}, {2, 1, 8, 3}},
         COVEY_EINVAL,
         "the packs hold 11 workers, not 12"},
        {{{0, 0, 0, 4}, {1, 1, 4, 4}, {2, 0, 8, 4}},
         COVEY_EINVAL,
         "the packs on node n0 are not neighbours"},
        {{{0, 0, 0, 4}, {1, 0, 4, 4}, {2, 7, 8, 4}},
         COVEY_ENOTFOUND,
         "pack 2 is on an unknown node 7"},
        {{{0, 0, 0, 4}, {1, 0, 4, 4}, {2, 0, 8, 4}},
         COVEY_EPRECONDITION,
         "node n0 has room for 8 workers, not for 12"},
    };
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct covey_error error = {0};
        TEST_EQUAL(restore(sched, rows[i].packs, 3, &error), rows[i].status);
        TEST_EQUAL_STRING(error.message, rows[i].message);
        TEST_EQUAL(slots_claimed(sched, 0), 0);
        TEST_EQUAL(slots_claimed(sched, 1), 0);
        TEST_TRUE(sched_placement_of(sched, "a") == NULL);
    }
    TEST_EQUAL(restore(sched, NULL, 0, NULL), COVEY_EINVAL);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(node_set__bad_name__refused),
    TEST_CASE(node_set__known_node__facts_replaced),
    TEST_CASE(node_set__capacity_below_the_claims__takes_nothing_new),
    TEST_CASE(set_state__draining_or_down__no_new_gang),
    TEST_CASE(remove__free_node__id_given_again),
    TEST_CASE(lose__node_with_claims__each_flare_named_once),
    TEST_CASE(lose__node_then_removed__its_successor_owes_nothing),
    TEST_CASE(lose__reserved_gang__rolls_back_whole),
    TEST_CASE(release_node__each_share__exactly_once),
    TEST_CASE(restore__known_placement__claimed_on_nodes_of_any_state),
    TEST_CASE(restore__wrong_packs__nothing_claimed),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_nodes", cases, NULL, NULL}, {0}};
