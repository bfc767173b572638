/* Which ports are taken, and when; whose they are afterwards. */
#include "tests/component/net/nodes.h"
#include "tests/harness/harness.h"
#include "transport/net/device.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool one_came(struct node *node)
{
    return node->received >= 1;
}

static bool is_connected(struct node *node)
{
    return node->connected > 0;
}

static bool second_is_down(struct node *node)
{
    return node->down_count[1] > 0;
}

static uint16_t port_of(const char *address)
{
    return (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static bool names_range(const char *text, uint16_t first, uint16_t last)
{
    char ports[2][8];
    (void)snprintf(ports[0], sizeof ports[0], "%u", first);
    (void)snprintf(ports[1], sizeof ports[1], "%u", last);
    return strstr(text, ports[0]) && strstr(text, ports[1]);
}

static void take_ports(struct node *node)
{
    struct net_options options;
    struct covey_error error = {0};
    int taken[6];
    node_options(node, &options);
    options.node_count = 1;
    const uint16_t first = test_ports();
    options.port_first = first;
    options.port_last = (uint16_t)(first + 5);
    for (uint16_t i = 0; i < 6; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)(first + i)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        taken[i] = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(bind(taken[i], (struct sockaddr *)&address, sizeof address) == 0);
        EXPECT(listen(taken[i], 1) == 0);
    }
    EXPECT(net_create(&options, &node->net, &error) == COVEY_EUNAVAILABLE);
    EXPECT(names_range(error.message, options.port_first, options.port_last));
    close(taken[4]);
    EXPECT(net_create(&options, &node->net, &error) == COVEY_OK);
    EXPECT(port_of(net_address(node->net)) == first + 4 &&
           net_port_listened((uint16_t)(first + 4)));
    EXPECT(net_wake(node->net, &error) == COVEY_EUNAVAILABLE);
    EXPECT(names_range(error.message, options.port_first, options.port_last));
    close(taken[1]);
    EXPECT(net_wake(node->net, &error) == COVEY_OK);
    EXPECT(net_port_listened((uint16_t)(first + 1)) && net_port_listened((uint16_t)(first + 4)));
    net_destroy(node->net);
    EXPECT(!net_port_listened((uint16_t)(first + 1)) && !net_port_listened((uint16_t)(first + 4)));
}

static void create__range_of_ports__used_in_turn_and_said_to_be_taken(void)
{
    TEST_TRUE(nodes_run(1, (const node_role[]){take_ports}, -1));
}

static unsigned count_listeners(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        int listening = 0;
        socklen_t length = sizeof listening;
        count += getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening;
    }
    return count;
}

/* Nobody has a second port who has met nobody; then both have. */
static void count_ports(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.data = node;
    EXPECT(net_create(&options, &node->net, NULL) == COVEY_OK);
    EXPECT(count_listeners() == 1);
    snprintf(node->shared->addresses[node->index], NET_ADDRESS_BYTES, "%s", net_address(node->net));
    node_barrier(node);
    EXPECT(count_listeners() == 1);
    EXPECT(net_set_address(node->net, 1 - node->index, node->shared->addresses[1 - node->index]) ==
           COVEY_OK);
    if (node->index == 0)
        node_send(node, 1, 0, 0, 0);
    EXPECT(node_until(node, is_connected, NODE_LONG_NS));
    EXPECT(count_listeners() == 2);
    /* A word each way: UCX aborts when a peer goes in the middle of its wire-up. */
    if (node->index == 1)
        node_send(node, 0, 0, 0, 0);
    EXPECT(node_until(node, one_came, NODE_LONG_NS));
    node_barrier(node);
    net_destroy(node->net);
}

static void create__no_peer_yet__listens_on_one_port(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){count_ports, count_ports}, -1));
}

/* The only data port is taken when the first peer comes: the reason reaches who sends. */
static void take_data_port(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.data = node;
    options.port_first = (uint16_t)(test_ports() + 24 + 2 * node->index);
    options.port_last = (uint16_t)(options.port_first + 1);
    EXPECT(net_create(&options, &node->net, NULL) == COVEY_OK);
    int taken = -1;
    if (node->index == 0) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(options.port_first),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        taken = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(bind(taken, (struct sockaddr *)&address, sizeof address) == 0);
        EXPECT(listen(taken, 1) == 0);
    }
    snprintf(node->shared->addresses[node->index], NET_ADDRESS_BYTES, "%s", net_address(node->net));
    node_barrier(node);
    EXPECT(net_set_address(node->net, 1 - node->index, node->shared->addresses[1 - node->index]) ==
           COVEY_OK);
    if (node->index == 0) {
        char port[8];
        (void)snprintf(port, sizeof port, "%u", options.port_first);
        EXPECT(net_send(node->net, 1, "hello", 5, NULL, NULL, NULL) == COVEY_OK);
        EXPECT(node_until(node, second_is_down, NODE_LONG_NS));
        EXPECT(node->down_status[1] == COVEY_EPEER);
        EXPECT(strstr(node->down_reason[1], "no port is free") &&
               strstr(node->down_reason[1], port));
        close(taken);
    }
    node_barrier(node);
    net_destroy(node->net);
}

static void send__no_port_is_left_for_messages__peer_is_down_with_the_reason(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){take_data_port, take_data_port}, -1));
}

/* The same two ports, flare after flare, though the last flare's connections have just ended. */
static void reuse_ports(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.port_first = (uint16_t)(test_ports() + 8 + 2 * node->index);
    options.port_last = (uint16_t)(options.port_first + 1);
    for (uint32_t round = 1; round <= 6; round++) {
        node_open(node, &options);
        node->received = 0;
        if (node->index == round % 2)
            node_send(node, 1 - node->index, round, 0, 100000);
        else
            EXPECT(node_until(node, one_came, NODE_LONG_NS));
        node_barrier(node);
        /* Each of the two is the first to close now and then. */
        if (node->index == round / 2 % 2)
            node_close(node);
        node_barrier(node);
        if (node->net)
            node_close(node);
    }
}

static void create__the_ports_of_the_last_flare__are_free_again_at_once(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){reuse_ports, reuse_ports}, -1));
}

/* Both ends hold connections that the other opened; then one of them is killed. */
static void exchange_on_ports(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.port_first = (uint16_t)(test_ports() + 16 + 2 * node->index);
    options.port_last = (uint16_t)(options.port_first + 1);
    node_open(node, &options);
    node_send(node, 1 - node->index, 1, 0, 100000);
    EXPECT(node_until(node, one_came, NODE_LONG_NS));
    node_barrier(node);
}

static void die_on_ports(struct node *node)
{
    exchange_on_ports(node);
    (void)kill(getpid(), SIGKILL);
    pause();
}

static bool other_is_down(struct node *node)
{
    return node->down_count[1 - node->index] > 0;
}

static void outlive_on_ports(struct node *node)
{
    exchange_on_ports(node);
    EXPECT(node_until(node, other_is_down, NODE_LONG_NS));
    node_close(node);
}

static void take_again(struct node *node)
{
    exchange_on_ports(node);
    node_close(node);
}

static void create__the_ports_of_a_killed_host__are_free_again_at_once(void)
{
    for (int round = 0; round < 4; round++) {
        int killed = round % 2;
        node_role roles[] = {outlive_on_ports, outlive_on_ports};
        roles[killed] = die_on_ports;
        TEST_TRUE(nodes_run(2, roles, killed));
        TEST_TRUE(nodes_run(2, (const node_role[]){take_again, take_again}, -1));
    }
}

static const struct test_case cases[] = {
    TEST_CASE(create__range_of_ports__used_in_turn_and_said_to_be_taken),
    TEST_CASE(create__no_peer_yet__listens_on_one_port),
    TEST_CASE(send__no_port_is_left_for_messages__peer_is_down_with_the_reason),
    TEST_CASE(create__the_ports_of_the_last_flare__are_free_again_at_once),
    TEST_CASE(create__the_ports_of_a_killed_host__are_free_again_at_once),
    {0},
};

const struct test_suite test_suites[] = {{"ports", cases, NULL, NULL}, {0}};
