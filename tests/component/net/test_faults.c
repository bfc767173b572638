/* What must not hurt: strangers, liars, the dead. */
#include "tests/component/net/nodes.h"
#include "tests/harness/harness.h"
#include "transport/net/backend.h"
#include "transport/net/device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECONDS(n) ((n)*COVEY_NS_PER_S)
#define MS(n)      ((n)*COVEY_NS_PER_MS)

static bool all_sent(struct node *node)
{
    return node->sent_done >= atomic_load(&node->shared->marks[node->index]);
}

static bool one_came(struct node *node)
{
    return node->received >= 1;
}

static bool first_is_down(struct node *node)
{
    return node->down_count[0] > 0;
}

static bool second_is_down(struct node *node)
{
    return node->down_count[1] > 0;
}

/* Node 0 reaches the good node 2, whatever becomes of node 1. */
static void send_to_liar_and_friend(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node_send(node, 1, 1, 0, 64);
    node_send(node, 2, 2, 1000, 100000);
    atomic_store(&node->shared->marks[0], 2);
    EXPECT(node_until(node, all_sent, NODE_LONG_NS));
    EXPECT(node_until(node, second_is_down, NODE_LONG_NS));
    EXPECT(node->down_count[1] == 1 && node->down_status[1] == COVEY_EUNAUTHENTICATED);
    EXPECT(node->sent_failed == 1 && node->down_count[2] == 0);
    node_barrier(node);
    node_close(node);
}

static void lie_with_wrong_secret(struct node *node)
{
    static const uint8_t other[NET_SECRET_BYTES] = "thirty-two bytes that are wrong.";
    struct net_options options;
    node_options(node, &options);
    options.secret = other;
    node_open(node, &options);
    node_barrier(node);
    EXPECT(node->connected == 0 && net_counters(node->net).strangers_refused == 1);
    EXPECT(node->down_count[0] == 0 && node->down_count[2] == 0);
    node_close(node);
}

static void lie_with_wrong_flare(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.flare_id = "another-flare";
    node_open(node, &options);
    node_barrier(node);
    EXPECT(node->connected == 0 && net_counters(node->net).strangers_refused == 1);
    node_close(node);
}

/* Answers at node 1's address as if it were node 2. */
static void lie_with_wrong_node(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.node = 2;
    node->index = 1;
    struct net_options own = options;
    own.data = node;
    EXPECT(net_create(&own, &node->net, NULL) == COVEY_OK);
    snprintf(node->shared->addresses[1], NET_ADDRESS_BYTES, "%s", net_address(node->net));
    node_barrier(node);
    node_barrier(node);
    EXPECT(node->connected == 0 && net_counters(node->net).strangers_refused == 1);
    net_destroy(node->net);
}

static void be_a_friend(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    EXPECT(node_until(node, one_came, NODE_LONG_NS));
    node_barrier(node);
    EXPECT(node->wrong == 0 && node->received_from[0] == 1);
    node_close(node);
}

static void hello__wrong_secret__refused_and_others_undisturbed(void)
{
    TEST_TRUE(nodes_run(
        3, (const node_role[]){send_to_liar_and_friend, lie_with_wrong_secret, be_a_friend}, -1));
}

static void hello__wrong_flare__refused_and_others_undisturbed(void)
{
    TEST_TRUE(nodes_run(
        3, (const node_role[]){send_to_liar_and_friend, lie_with_wrong_flare, be_a_friend}, -1));
}

static void hello__wrong_node__refused_and_others_undisturbed(void)
{
    TEST_TRUE(nodes_run(
        3, (const node_role[]){send_to_liar_and_friend, lie_with_wrong_node, be_a_friend}, -1));
}

static int dial(const char *address)
{
    struct sockaddr_storage to;
    unsigned to_bytes;
    if (net_address_parse(address, &to, &to_bytes) != COVEY_OK)
        return -1;
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, (socklen_t)to_bytes) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void throw_garbage(struct node *node, const char *address, unsigned round)
{
    uint8_t bytes[4096];
    unsigned seed = round;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(round % 4 == 0 ? 0 : round % 4 == 1 ? 0xff : rand_r(&seed));
    int fd = dial(address);
    EXPECT(fd >= 0);
    size_t length = round % 3 == 0 ? 1 + round % 64 : sizeof bytes;
    /* It may be closed by the other side meanwhile. */
    (void)!send(fd, bytes, length, MSG_NOSIGNAL);
    if (round % 2 == 0)
        close(fd); /* the odd ones stay until the process ends */
}

/* Its own listener and UCX's get garbage while node 0 sends to it. */
static void endure_garbage(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.port_first = test_ports();
    options.port_last = (uint16_t)(options.port_first + 39);
    node_open(node, &options);
    EXPECT(node_until(node, one_came, NODE_LONG_NS));
    node_barrier(node);
    for (uint16_t port = options.port_first; port <= options.port_last; port++) {
        char address[NET_ADDRESS_BYTES];
        if (!net_port_listened(port))
            continue;
        snprintf(address, sizeof address, "127.0.0.1:%u", port);
        atomic_fetch_add(&node->shared->marks[8], 1);
        for (unsigned round = 0; round < 24; round++) {
            throw_garbage(node, address, round);
            net_progress(node->net, covey_now_ns());
        }
    }
    /* UCX has a listener of its own. */
    EXPECT(atomic_load(&node->shared->marks[8]) == (strcmp(node_network(), "ucx") == 0 ? 2 : 1));
    atomic_store(&node->shared->marks[9], 1);
    node->received = 0;
    EXPECT(node_until(node, one_came, NODE_LONG_NS));
    EXPECT(node->wrong == 0 && node->connected == 1 && node->down_count[0] == 0);
    node_barrier(node);
    node_close(node);
}

static bool garbage_is_thrown(struct node *node)
{
    return atomic_load(&node->shared->marks[9]) != 0;
}

static void send_around_garbage(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node_send(node, 1, 1, 0, 64);
    node_barrier(node);
    while (!garbage_is_thrown(node))
        net_progress(node->net, covey_now_ns());
    node_send(node, 1, 2, 0, 2 << 20);
    atomic_store(&node->shared->marks[0], 2);
    EXPECT(node_until(node, all_sent, NODE_LONG_NS));
    EXPECT(node->sent_failed == 0);
    node_barrier(node);
    node_close(node);
}

static void listener__garbage_from_raw_sockets__others_undisturbed(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){send_around_garbage, endure_garbage}, -1));
}

/* ---- a stranger that speaks our transport, but proves nothing ---- */

/* Says one record, and waits until it is cut off. Returns how many bytes came back. */
static size_t stranger_say(struct node *node, uint8_t type, const uint8_t *bytes,
                           size_t length_bytes)
{
    uint8_t record[5 + NET_WIRE_HEAD_BYTES + NET_HEADER_BYTES_MAX];
    const struct timeval patience = {.tv_sec = 5};
    size_t answered = 0;
    ssize_t got;
    int fd = dial(node->shared->addresses[0]);
    EXPECT(fd >= 0);
    net_put_u32(record, (uint32_t)length_bytes);
    record[4] = type;
    memcpy(record + 5, bytes, length_bytes);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    EXPECT(send(fd, record, 5 + length_bytes, MSG_NOSIGNAL) == (ssize_t)(5 + length_bytes));
    while ((got = recv(fd, record, sizeof record, 0)) > 0)
        answered += (size_t)got;
    EXPECT(got == 0 || errno == ECONNRESET);
    close(fd);
    return answered;
}

static size_t make_frame(uint8_t *bytes, uint8_t kind, size_t header_bytes, uint64_t payload_bytes)
{
    const struct net_frame frame = {
        .kind = kind, .header_bytes = header_bytes, .payload_bytes = payload_bytes};
    memset(bytes, 0x5a, NET_WIRE_HEAD_BYTES + header_bytes);
    net_frame_encode(&frame, bytes);
    return NET_WIRE_HEAD_BYTES + header_bytes;
}

#define REFUSAL_BYTES (5 + NET_WIRE_HEAD_BYTES + NET_REJECT_BYTES)

static void be_strange(struct node *node)
{
    static const struct {
        uint8_t kind;
        size_t header_bytes;
    } frames[] = {{NET_FRAME_MESSAGE, 24},
                  {NET_FRAME_GOODBYE, 0},
                  {NET_FRAME_HELLO_ACK, NET_HELLO_ACK_BYTES},
                  {NET_FRAME_CONFIRM, NET_CONFIRM_BYTES},
                  {NET_FRAME_REJECT, NET_REJECT_BYTES},
                  {NET_FRAME_HELLO, NET_HELLO_BYTES - 1}};
    uint8_t bytes[NET_WIRE_HEAD_BYTES + NET_HEADER_BYTES_MAX];
    node_barrier(node);
    node_barrier(node);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        size_t length = make_frame(bytes, frames[i].kind, frames[i].header_bytes, 0);
        EXPECT(stranger_say(node, 1, bytes, length) == 0);
    }
    /* cut, wrong magic, a record that is none, an address of a worker that nobody asked for */
    size_t length = make_frame(bytes, NET_FRAME_HELLO, NET_HELLO_BYTES, 0);
    EXPECT(stranger_say(node, 1, bytes, 5) == 0);
    EXPECT(stranger_say(node, 1, bytes, 0) == 0);
    EXPECT(stranger_say(node, 0, bytes, length) == 0);
    EXPECT(stranger_say(node, 2, bytes, length) == 0);
    /* without the secret: told so, then cut off when it does not leave */
    EXPECT(stranger_say(node, 1, bytes, length) == REFUSAL_BYTES);
    bytes[4]++;
    EXPECT(stranger_say(node, 1, bytes, length) == REFUSAL_BYTES);
    bytes[0] ^= 1;
    EXPECT(stranger_say(node, 1, bytes, length) == 0);
    atomic_store(&node->shared->marks[9], 1);
    node_barrier(node);
}

static void endure_stranger(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node->count = 2;
    struct net_options own = options;
    own.node_count = 2;
    own.data = node;
    EXPECT(net_create(&own, &node->net, NULL) == COVEY_OK);
    EXPECT(net_region_add(node->net, node->memory, NODE_SEND_BYTES + NODE_RECEIVE_BYTES,
                          &node->region) == COVEY_OK);
    node->count = 3;
    snprintf(node->shared->addresses[0], NET_ADDRESS_BYTES, "%s", net_address(node->net));
    node_barrier(node);
    EXPECT(net_set_address(node->net, 1, node->shared->addresses[1]) == COVEY_OK);
    node_send(node, 1, 1, 0, 64);
    atomic_store(&node->shared->marks[0], 1);
    EXPECT(node_until(node, all_sent, NODE_LONG_NS));
    node_barrier(node);
    while (!garbage_is_thrown(node))
        node_until(node, garbage_is_thrown, MS(5));
    node_send(node, 1, 2, 0, 1 << 20);
    atomic_store(&node->shared->marks[0], 2);
    EXPECT(node_until(node, all_sent, NODE_LONG_NS));
    EXPECT(node->sent_failed == 0 && node->received == 0 && node->down_count[1] == 0);
    EXPECT(net_counters(node->net).strangers_refused == 13);
    node_barrier(node);
    node_close(node);
}

static bool two_came(struct node *node)
{
    return node->received >= 2;
}

static void be_known(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.node_count = 2;
    options.data = node;
    EXPECT(net_create(&options, &node->net, NULL) == COVEY_OK);
    EXPECT(net_region_add(node->net, node->memory, NODE_SEND_BYTES + NODE_RECEIVE_BYTES,
                          &node->region) == COVEY_OK);
    snprintf(node->shared->addresses[1], NET_ADDRESS_BYTES, "%s", net_address(node->net));
    node_barrier(node);
    node_barrier(node);
    EXPECT(node_until(node, two_came, NODE_LONG_NS));
    EXPECT(node->wrong == 0);
    node_barrier(node);
    node_close(node);
}

static void frames__from_one_who_proves_nothing__closed_and_others_undisturbed(void)
{
    TEST_TRUE(nodes_run(3, (const node_role[]){endure_stranger, be_known, be_strange}, -1));
}

/* ---- death ---- */

static bool a_dozen_held(struct node *node)
{
    return node->held_count >= 12;
}

/* Is killed with a dozen payloads on their way, some of them being fetched. */
static void be_killed(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    for (uint32_t i = 0; i < 12; i++)
        node_send(node, 1, i, (size_t)i * (6 << 20), 6 << 20);
    node_until(node, first_is_down, NODE_LONG_NS);
}

static void survive(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node->hold_large = true;
    EXPECT(node_until(node, a_dozen_held, NODE_LONG_NS));
    node->hold_large = false;
    struct net_message *kept = node->held[--node->held_count];
    node_release_held(node);
    net_progress(node->net, covey_now_ns());
    int64_t killed_ns = test_rested_ns();
    EXPECT(kill(node->shared->pids[0], SIGKILL) == 0);
    EXPECT(node_until(node, first_is_down, NODE_LONG_NS));
    EXPECT(node->down_ns[0] - killed_ns < SECONDS(2));
    EXPECT(node->down_status[0] == COVEY_EPEER && node->down_count[0] == 1);
    net_drop(node->net, kept);
    EXPECT(node_try_send(node, 0, 1, 0, 8) == COVEY_EPEER);
    node_close(node);
    EXPECT(node->receive_busy == 0);
    EXPECT(node->received + node->landed_failed == 11);
    EXPECT(node->wrong == 0 && node->down_count[0] == 1);
}

static void peer__killed_in_the_middle__known_within_2_s_and_every_landing_ends(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){be_killed, survive}, 0));
}

/* The sender's side of the same: its sends end. */
static void be_killed_receiving(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node->hold_large = true;
    node_until(node, first_is_down, NODE_LONG_NS);
}

static bool message_is_held_there(struct node *node)
{
    return node->connected == 1 && node->sent_done >= 1;
}

static void survive_sending(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    node_open(node, &options);
    node_send(node, 0, 1, 0, 64);
    EXPECT(node_until(node, message_is_held_there, NODE_LONG_NS));
    for (uint32_t i = 0; i < 12; i++)
        node_send(node, 0, i, (size_t)i * (6 << 20), 6 << 20);
    net_progress(node->net, covey_now_ns());
    EXPECT(kill(node->shared->pids[0], SIGKILL) == 0);
    EXPECT(node_until(node, first_is_down, NODE_LONG_NS));
    atomic_store(&node->shared->marks[1], 13);
    EXPECT(node_until(node, all_sent, NODE_LONG_NS));
    EXPECT(node->sent_failed == 12);
    node_close(node);
    EXPECT(node->sent_done == 13);
}

static void peer__killed_while_it_holds_messages__every_send_ends(void)
{
    TEST_TRUE(nodes_run(2, (const node_role[]){be_killed_receiving, survive_sending}, 0));
}

/* ---- connections that never come up ---- */

static void reach_nobody(struct node *node)
{
    struct net_options options;
    node_options(node, &options);
    options.node_count = 2;
    options.limits.connect_timeout_ns = MS(300);
    options.data = node;
    EXPECT(net_create(&options, &node->net, NULL) == COVEY_OK);
    EXPECT(net_region_add(node->net, node->memory, NODE_SEND_BYTES, &node->region) == COVEY_OK);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    bool mute = atomic_load(&node->shared->marks[10]) != 0;
    if (mute)
        EXPECT(listen(fd, 8) == 0);
    char text[NET_ADDRESS_BYTES];
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));
    EXPECT(node_try_send(node, 1, 1, 0, 8) == COVEY_EINVAL);
    EXPECT(net_set_address(node->net, 1, text) == COVEY_OK);
    node_send(node, 1, 1, 0, 8);
    int64_t start_ns = covey_now_ns();
    int64_t rested_start_ns = test_rested_ns();
    EXPECT(node_until(node, second_is_down, NODE_LONG_NS));
    int64_t took_ns = covey_now_ns() - start_ns;
    int64_t rested_ns = test_rested_ns() - rested_start_ns;
    EXPECT(node->down_count[1] == 1 && node->sent_done == 1 && node->sent_failed == 1);
    EXPECT(node->down_status[1] == (mute ? COVEY_ETIMEOUT : COVEY_EUNAVAILABLE));
    EXPECT(mute ? took_ns >= MS(300) && rested_ns < SECONDS(2) : rested_ns < MS(300));
    node_close(node);
    close(fd);
}

static void reach_mute(struct node *node)
{
    atomic_store(&node->shared->marks[10], 1);
    reach_nobody(node);
}

static void connect__nobody_listens__down_at_once(void)
{
    TEST_TRUE(nodes_run(1, (const node_role[]){reach_nobody}, -1));
}

static void connect__it_never_answers__down_at_the_deadline(void)
{
    TEST_TRUE(nodes_run(1, (const node_role[]){reach_mute}, -1));
}

static void refuse_options(struct node *node)
{
    struct net_options good, options;
    node_options(node, &good);
    good.node_count = 1;
#define EXPECT_REFUSED(field, value, status)                                                       \
    options = good;                                                                                \
    options.field = value;                                                                         \
    EXPECT(net_create(&options, &node->net, NULL) == (status))
    EXPECT_REFUSED(backend, "pigeon", COVEY_EINVAL);
    EXPECT_REFUSED(node, 1, COVEY_EINVAL);
    EXPECT_REFUSED(node_count, 0, COVEY_EINVAL);
    EXPECT_REFUSED(bind_address, "0.0.0.0", COVEY_EINVAL);
    EXPECT_REFUSED(bind_address, "nowhere", COVEY_EINVAL);
    EXPECT_REFUSED(bind_address, "192.0.2.1", COVEY_EUNAVAILABLE);
    EXPECT_REFUSED(port_first, 1, COVEY_EINVAL);
    EXPECT_REFUSED(port_last, 1, COVEY_EINVAL);
    net_destroy(NULL);
}

static void create__options_that_are_wrong__each_is_refused(void)
{
    TEST_TRUE(nodes_run(1, (const node_role[]){refuse_options}, -1));
}

static const struct test_case cases[] = {
    TEST_CASE(hello__wrong_secret__refused_and_others_undisturbed),
    TEST_CASE(hello__wrong_flare__refused_and_others_undisturbed),
    TEST_CASE(hello__wrong_node__refused_and_others_undisturbed),
    TEST_CASE(listener__garbage_from_raw_sockets__others_undisturbed),
    TEST_CASE(frames__from_one_who_proves_nothing__closed_and_others_undisturbed),
    TEST_CASE(peer__killed_in_the_middle__known_within_2_s_and_every_landing_ends),
    TEST_CASE(peer__killed_while_it_holds_messages__every_send_ends),
    TEST_CASE(connect__nobody_listens__down_at_once),
    TEST_CASE(connect__it_never_answers__down_at_the_deadline),
    TEST_CASE(create__options_that_are_wrong__each_is_refused),
    {0},
};

const struct test_suite test_suites[] = {{"faults", cases, NULL, NULL}, {0}};
