/* Messages between two and three processes, over each backend. */
#include "tests/component/net/nodes.h"
#include "tests/harness/harness.h"
#include "transport/net/device.h"

#include <string.h>
#include <unistd.h>

static bool all_sent(struct node *node)
{
    return node->sent_done >= atomic_load(&node->shared->marks[node->index]);
}

static bool all_received(struct node *node)
{
    node_release_held(node);
    return node->received >= atomic_load(&node->shared->marks[4 + node->index]);
}

static void exchange(struct node *node, uint32_t sends, uint32_t receives)
{
    atomic_store(&node->shared->marks[node->index], sends);
    atomic_store(&node->shared->marks[4 + node->index], receives);
    EXPECT(node_until(node, all_received, NODE_LONG_NS));
    EXPECT(node_until(node, all_sent, NODE_LONG_NS));
    EXPECT(node->wrong == 0 && node->sent_failed == 0 && node->landed_failed == 0);
}

static const size_t sizes[] = {0,    1,     8,     64,       8191,    8192,     8193,
                               4096, 65536, 65537, 1u << 20, 5000001, 64u << 20};
#define SIZES (sizeof sizes / sizeof *sizes)

static void send_sizes(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    for (size_t i = 0; i < SIZES; i++) {
        node_send(node, 1, i, 0, sizes[i]);
        exchange(node, (uint32_t)i + 1, (uint32_t)i + 1);
    }
    EXPECT(strncmp(node->carrier, node_network(), 3) == 0);
    EXPECT(node->connected == 1);
    node_barrier(node);
    node_close(node);
}

static void answer_sizes(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    for (size_t i = 0; i < SIZES; i++) {
        exchange(node, (uint32_t)i, (uint32_t)i + 1);
        node_send(node, 0, 100 + i, 0, sizes[i]);
    }
    exchange(node, SIZES, SIZES);
    /* Where there is an RDMA device, UCX must use it. */
    struct net_device device;
    EXPECT(net_device_find(node_address(), &device) == COVEY_OK);
    const bool ucx = strcmp(node_network(), "ucx") == 0;
    const bool rdma = ucx && *device.rdma;
    const char *wanted = rdma ? "ucx:rc_" : ucx ? "ucx:tcp/" : "tcp:";
    EXPECT(strncmp(node->carrier, wanted, strlen(wanted)) == 0);
    EXPECT(strstr(node->carrier, rdma ? device.rdma : device.interface));
    node_barrier(node);
    node_close(node);
}

static void send__sizes_from_nothing_to_64_mib__arrive_as_they_were(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){send_sizes, answer_sizes}, -1));
}

#define MANY 1500

static void flood(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    unsigned seed = node->index + 1;
    for (uint32_t i = 0; i < MANY; i++) {
        for (unsigned to = 0; to < node->count; to++) {
            if (to == node->index)
                continue;
            size_t length = (size_t)rand_r(&seed) % (i % 16 == 0 ? 200000 : 10000);
            size_t slot = (size_t)(i % 128) * 2 + (to > node->index ? 1 : 0);
            node_send(node, to, i * 4u + node->index, slot * 200000, length);
        }
        /* A slot is written again only when the sends of 128 rounds ago are over. */
        if (i % 128 == 127)
            exchange(node, (i + 1) * (node->count - 1), 0);
    }
    exchange(node, MANY * (node->count - 1), MANY * (node->count - 1));
    for (unsigned from = 0; from < node->count; from++) {
        struct net_traffic traffic = net_traffic(node->net, from);
        uint64_t expected = from == node->index ? 0 : MANY;
        EXPECT(node->received_from[from] == expected);
        EXPECT(traffic.sent_messages == expected && traffic.received_messages == expected);
    }
    EXPECT(net_counters(node->net).registrations == 1);
    EXPECT(node->connected == node->count - 1);
    node_barrier(node);
    node_close(node);
}

static void send__many_flows_of_three_nodes__all_arrive_and_nothing_is_registered_again(void)
{
    TEST_TRUE(nodes_run(3, (const node_role[]){flood, flood, flood}, -1));
}

#define ROUNDS 50

static void collide(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        node_open(node, &options);
        node->down_count[1 - node->index] = 0; /* the last round's end may have been seen */
        node_barrier(node);
        for (uint32_t i = 0; i < 4; i++)
            node_send(node, 1 - node->index, round + i, (size_t)i * 100000, i == 3 ? 100000 : 64);
        exchange(node, round * 4, round * 4);
        EXPECT(node->connected == round && node->down_count[1 - node->index] == 0);
        node_barrier(node);
        node_close(node);
    }
}

static void send__both_connect_at_once_50_times__one_connection_and_nothing_lost(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){collide, collide}, -1));
}

static bool small_ones_came(struct node *node)
{
    return node->received >= 300;
}

static bool large_ones_came(struct node *node)
{
    return node->received >= 310;
}

static bool all_is_held(struct node *node)
{
    return atomic_load(&node->shared->marks[9]) > 0;
}

static bool sender_has_looked(struct node *node)
{
    return atomic_load(&node->shared->marks[10]) > 0;
}

static void stall(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node->hold_large = true;
    EXPECT(node_until(node, small_ones_came, NODE_LONG_NS));
    EXPECT(node->received == 300 && node->held_count == 10);
    atomic_store(&node->shared->marks[9], 1);
    /* Marks wake nobody. */
    while (!sender_has_looked(node))
        node_until(node, sender_has_looked, 5 * COVEY_NS_PER_MS);
    node->hold_large = false;
    node_release_held(node);
    EXPECT(node_until(node, large_ones_came, NODE_LONG_NS));
    EXPECT(node->wrong == 0 && node->landed_failed == 0);
    node_barrier(node);
    node_close(node);
}

static void send_past_stalled(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    for (uint32_t i = 0; i < 10; i++)
        node_send(node, 0, i, i << 20, i % 2 == 0 ? 1 << 20 : 5000);
    for (uint32_t i = 0; i < 300; i++)
        node_send(node, 0, 1000 + i, (11 << 20) + i * 4096, i % 4096);
    /* What is large stays the sender's while the receiver has no room for it. */
    while (!all_is_held(node))
        node_until(node, all_is_held, 5 * COVEY_NS_PER_MS);
    EXPECT(node->sent_done <= 305);
    atomic_store(&node->shared->marks[10], 1);
    exchange(node, 310, 0);
    node_barrier(node);
    node_close(node);
}

static void hold__ten_large_messages__small_ones_pass_and_large_ones_come_later(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){stall, send_past_stalled}, -1));
}

static void leave(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node_send(node, 1, 1, 0, 100);
    exchange(node, 1, 0);
    node_barrier(node);
    node_close(node);
}

static bool peer_is_down(struct node *node)
{
    return node->down_count[0] > 0;
}

static void see_off(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    exchange(node, 0, 1);
    node_barrier(node);
    EXPECT(node_until(node, peer_is_down, NODE_LONG_NS));
    EXPECT(node->down_status[0] == COVEY_OK);
    EXPECT(node_try_send(node, 0, 1, 0, 1) == COVEY_EPEER);
    node_close(node);
}

static void destroy__a_peer_is_up__it_hears_a_goodbye(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){leave, see_off}, -1));
}

static void destroy_in_flight(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node_send(node, 1, 1, 0, 8);
    exchange(node, 1, 0);
    for (uint32_t i = 0; i < 16; i++)
        node_send(node, 1, i, (size_t)i << 22, 4 << 20);
    node_barrier(node);
    node_close(node);
    EXPECT(node->sent_done == 17);
    EXPECT(node->sent_failed > 0);
    memset(node->memory, 0xff, NODE_SEND_BYTES);
}

static void lose_landings(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node->hold_large = true;
    exchange(node, 0, 1);
    node_barrier(node);
    EXPECT(node_until(node, peer_is_down, NODE_LONG_NS));
    unsigned held = node->held_count;
    node_release_held(node);
    EXPECT(node->landed_failed == held && node->held_count == 0);
    node_close(node);
    EXPECT(node->receive_busy == 0);
}

static void destroy__sends_in_flight__every_callback_came_before_it_returned(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){destroy_in_flight, lose_landings}, -1));
}

static const struct test_case cases[] = {
    TEST_CASE(send__sizes_from_nothing_to_64_mib__arrive_as_they_were),
    TEST_CASE(send__many_flows_of_three_nodes__all_arrive_and_nothing_is_registered_again),
    TEST_CASE(send__both_connect_at_once_50_times__one_connection_and_nothing_lost),
    TEST_CASE(hold__ten_large_messages__small_ones_pass_and_large_ones_come_later),
    TEST_CASE(destroy__a_peer_is_up__it_hears_a_goodbye),
    TEST_CASE(destroy__sends_in_flight__every_callback_came_before_it_returned),
    {0},
};

const struct test_suite test_suites[] = {{"ucx", cases, NULL, NULL}, {0}};
