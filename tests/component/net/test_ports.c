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

#define SECONDS(n) ((n)*COVEY_NS_PER_S)

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

static void take_ports(struct node *node)
{
    struct net_options options;
    struct covey_error error = {0};
    int taken[6];
    node_options(node, &options);
    options.node_count = 1;
    options.port_first = 23200;
    options.port_last = 23205;
    for (uint16_t i = 0; i < 6; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)(23200 + i)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        taken[i] = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(bind(taken[i], (struct sockaddr *)&address, sizeof address) == 0);
        EXPECT(listen(taken[i], 1) == 0);
    }
    EXPECT(net_create(&options, &node->net, &error) == COVEY_EUNAVAILABLE);
    EXPECT(strstr(error.message, "23200") && strstr(error.message, "23205"));
    close(taken[4]);
    EXPECT(net_create(&options, &node->net, &error) == COVEY_OK);
    EXPECT(port_of(net_address(node->net)) == 23204 && net_port_listened(23204));
    EXPECT(net_wake(node->net, &error) == COVEY_EUNAVAILABLE);
    EXPECT(strstr(error.message, "23200") && strstr(error.message, "23205"));
    close(taken[1]);
    EXPECT(net_wake(node->net, &error) == COVEY_OK);
    EXPECT(net_port_listened(23201) && net_port_listened(23204));
    net_destroy(node->net);
    EXPECT(!net_port_listened(23201) && !net_port_listened(23204));
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
        EXPECT(net_send(node->net, 1, "hello", 5, NULL, NULL, NULL) == COVEY_OK);
    EXPECT(node_until(node, is_connected, SECONDS(30)));
    EXPECT(count_listeners() == 2);
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
    options.port_first = (uint16_t)(23500 + 2 * node->index);
    options.port_last = (uint16_t)(options.port_first + 1);
    EXPECT(net_create(&options, &node->net, NULL) == COVEY_OK);
    int taken = -1;
    if (node->index == 0) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(23500),
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
        EXPECT(net_send(node->net, 1, "hello", 5, NULL, NULL, NULL) == COVEY_OK);
        EXPECT(node_until(node, second_is_down, SECONDS(30)));
        EXPECT(node->down_status[1] == COVEY_EPEER);
        EXPECT(strstr(node->down_reason[1], "no port is free") &&
               strstr(node->down_reason[1], "23500"));
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
    options.port_first = (uint16_t)(23300 + 2 * node->index);
    options.port_last = (uint16_t)(options.port_first + 1);
    for (uint32_t round = 1; round <= 6; round++) {
        node_open(node, &options);
        node->received = 0;
        if (node->index == round % 2)
            node_send(node, 1 - node->index, round, 0, 100000);
        else
            EXPECT(node_until(node, one_came, SECONDS(10)));
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
    options.port_first = (uint16_t)(23400 + 2 * node->index);
    options.port_last = (uint16_t)(options.port_first + 1);
    node_open(node, &options);
    node_send(node, 1 - node->index, 1, 0, 100000);
    EXPECT(node_until(node, one_came, SECONDS(10)));
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
    EXPECT(node_until(node, other_is_down, SECONDS(10)));
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
