/*
 * Nodes for tests of the network: each is a process of its own with a net, some memory and a
 * receiver that checks what it gets. The parent only waits for them.
 */
#ifndef TESTS_COMPONENT_NET_NODES_H
#define TESTS_COMPONENT_NET_NODES_H

#include "base/clock.h"
#include "transport/net/net.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES_MAX 4
/* For what must come: no promise, only the end of a test that would not end. */
#define NODE_LONG_NS       (120 * COVEY_NS_PER_S)
#define NODE_SEND_BYTES    (80u << 20)
#define NODE_RECEIVE_BYTES (80u << 20)

/* Fails the process of a node, and with it the test. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "node %u: %s:%d: %s\n", node->index, __FILE__, __LINE__, #condition);  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* What the processes of one test share. */
struct shared {
    char addresses[NODES_MAX][NET_ADDRESS_BYTES];
    _Atomic uint32_t arrived[64]; /* barriers */
    _Atomic uint32_t marks[16];   /* as the test likes */
    _Atomic int64_t times_ns[4];
    pid_t pids[NODES_MAX];
};

struct held_message {
    struct net_message *message;
};

struct node {
    struct net *net;
    struct shared *shared;
    unsigned index, count;
    unsigned barriers;
    uint8_t *memory; /* what is sent, then what is received */
    struct net_region *region;
    size_t receive_used, receive_busy;
    struct net_message *held[512];
    unsigned held_count;
    bool hold_large; /* hold every message of more than a page until told otherwise */
    uint64_t sent_done, sent_failed;
    uint64_t received, received_bytes, wrong, landed_failed;
    uint64_t received_from[NODES_MAX];
    unsigned connected;
    unsigned down_count[NODES_MAX];
    enum covey_status down_status[NODES_MAX];
    char down_reason[NODES_MAX][256];
    int64_t down_ns[NODES_MAX];
    char carrier[NET_CARRIER_BYTES];
};

typedef void (*node_role)(struct node *node);

/* Runs the roles, one process each; true where every one exits with 0 (or is the one expected to be
 * killed, else -1). */
bool nodes_run(unsigned count, const node_role *roles, int killed);

/* Where the nodes are: COVEY_TEST_ADDRESS, an address of this machine that may have an RDMA device,
 * or the loopback. */
const char *node_address(void);
/* The backend under test: ucx, or what COVEY_TEST_NETWORK says. */
const char *node_network(void);

/* Defaults for a node: that address, its index, all ports. */
void node_options(const struct node *node, struct net_options *options);

/* Opens the net, tells the others its address, and waits until all have. */
void node_open(struct node *node, const struct net_options *options);
void node_close(struct node *node);

/* Waits for all nodes of the test. */
void node_barrier(struct node *node);

/* Drives the net, sleeping in poll, until the condition holds; false at the deadline. */
bool node_until(struct node *node, bool (*condition)(struct node *node), int64_t timeout_ns);

/* Sends length bytes of the pattern of a seed from an offset of its memory. The receiver checks it.
 * Fails the test where it is not accepted. */
void node_send(struct node *node, unsigned to, uint64_t seed, size_t offset, size_t length_bytes);

/* The same, and says what net_send said. */
enum covey_status node_try_send(struct node *node, unsigned to, uint64_t seed, size_t offset,
                                size_t length_bytes);

/* Lets go of what is held. */
void node_release_held(struct node *node);

#endif
