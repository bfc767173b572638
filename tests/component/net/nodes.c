#include "tests/component/net/nodes.h"

#include "base/log.h"
#include "tests/harness/harness.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t secret[NET_SECRET_BYTES] = "thirty-two bytes that are secret";

struct test_header {
    uint64_t seed;
    uint64_t length_bytes;
    uint64_t from;
};

struct landing {
    struct node *node;
    struct test_header header;
    uint8_t *address;
};

static uint64_t next_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill(uint8_t *bytes, size_t length_bytes, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < length_bytes; i += 8) {
        uint64_t word = next_word(&state);
        memcpy(bytes + i, &word, length_bytes - i < 8 ? length_bytes - i : 8);
    }
}

static bool matches(const uint8_t *bytes, size_t length_bytes, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < length_bytes; i += 8) {
        uint64_t word = next_word(&state);
        if (memcmp(bytes + i, &word, length_bytes - i < 8 ? length_bytes - i : 8) != 0)
            return false;
    }
    return true;
}

/* Memory is given out in a row, and all of it is free again when nothing of it is in use. */
static bool find_room(struct node *node, size_t length_bytes, uint8_t **address)
{
    size_t rounded = (length_bytes + 63) & ~(size_t)63;
    if (node->receive_busy == 0)
        node->receive_used = 0;
    if (rounded > NODE_RECEIVE_BYTES - node->receive_used)
        return false;
    *address = node->memory + NODE_SEND_BYTES + node->receive_used;
    node->receive_used += rounded;
    node->receive_busy++;
    return true;
}

static bool make_landing(struct node *node, const struct net_message *message,
                         struct net_landing *landing)
{
    uint8_t *address;
    if (!find_room(node, message->payload_bytes, &address))
        return false;
    struct landing *made = malloc(sizeof *made);
    EXPECT(made);
    made->node = node;
    made->address = address;
    memcpy(&made->header, message->header, sizeof made->header);
    *landing = (struct net_landing){.address = address, .region = node->region, .context = made};
    return true;
}

static enum net_verdict on_message(void *data, struct net_message *message,
                                   struct net_landing *landing)
{
    struct node *node = data;
    struct test_header header;
    EXPECT(message->header_bytes == sizeof header);
    memcpy(&header, message->header, sizeof header);
    EXPECT(header.length_bytes == message->payload_bytes);
    EXPECT(header.from == message->node);
    if (header.length_bytes == 0) {
        node->received++;
        node->received_from[message->node]++;
        return NET_DROP;
    }
    bool wait = node->hold_large && message->payload_bytes > 4096;
    if (!wait && make_landing(node, message, landing))
        return NET_LAND;
    EXPECT(node->held_count < sizeof node->held / sizeof node->held[0]);
    node->held[node->held_count++] = message;
    return NET_HOLD;
}

static void on_landed(void *data, unsigned from, void *context, enum covey_status status)
{
    struct node *node = data;
    struct landing *landing = context;
    node->receive_busy--;
    if (status != COVEY_OK) {
        node->landed_failed++;
    } else {
        node->received++;
        node->received_from[from]++;
        node->received_bytes += landing->header.length_bytes;
        if (!matches(landing->address, landing->header.length_bytes, landing->header.seed))
            node->wrong++;
    }
    free(landing);
}

static void on_peer_down(void *data, unsigned peer, enum covey_status status, const char *reason)
{
    struct node *node = data;
    node->down_count[peer]++;
    node->down_status[peer] = status;
    node->down_ns[peer] = test_rested_ns();
    snprintf(node->down_reason[peer], sizeof node->down_reason[peer], "%s", reason);
}

static void on_connected(void *data, unsigned peer, const char *carrier)
{
    (void)peer;
    struct node *node = data;
    node->connected++;
    snprintf(node->carrier, sizeof node->carrier, "%s", carrier);
}

static const struct net_events events = {.on_message = on_message,
                                         .on_landed = on_landed,
                                         .on_peer_down = on_peer_down,
                                         .on_connected = on_connected};

const char *node_address(void)
{
    const char *address = getenv("COVEY_TEST_ADDRESS");
    return address ? address : "127.0.0.1";
}

const char *node_network(void)
{
    const char *network = getenv("COVEY_TEST_NETWORK");
    return network ? network : "ucx";
}

void node_options(const struct node *node, struct net_options *options)
{
    *options = (struct net_options){.backend = node_network(),
                                    .node = node->index,
                                    .node_count = node->count,
                                    .flare_id = "a-test-flare",
                                    .secret = secret,
                                    .bind_address = node_address(),
                                    .events = &events};
    net_limits_init(&options->limits);
}

void node_barrier(struct node *node)
{
    _Atomic uint32_t *arrived = &node->shared->arrived[node->barriers++ % 64];
    int64_t deadline_ns = covey_now_ns() + NODE_LONG_NS;
    /* Each slot is used again only 64 barriers later: it counts on. */
    uint32_t target = (node->barriers + 63) / 64 * node->count;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < target) {
        if (node->net)
            net_progress(node->net, covey_now_ns());
        EXPECT(covey_now_ns() < deadline_ns);
        usleep(100);
    }
}

void node_open(struct node *node, const struct net_options *options)
{
    struct net_options own = *options;
    struct covey_error error = {0};
    own.data = node;
    enum covey_status status = net_create(&own, &node->net, &error);
    if (status != COVEY_OK)
        fprintf(stderr, "node %u: %s\n", node->index, error.message);
    EXPECT(status == COVEY_OK);
    EXPECT(net_region_add(node->net, node->memory, NODE_SEND_BYTES + NODE_RECEIVE_BYTES,
                          &node->region) == COVEY_OK);
    snprintf(node->shared->addresses[node->index], NET_ADDRESS_BYTES, "%s", net_address(node->net));
    node_barrier(node);
    for (unsigned i = 0; i < node->count; i++)
        if (i != node->index)
            EXPECT(net_set_address(node->net, i, node->shared->addresses[i]) == COVEY_OK);
}

void node_close(struct node *node)
{
    net_destroy(node->net);
    node->net = NULL;
}

bool node_until(struct node *node, bool (*condition)(struct node *node), int64_t timeout_ns)
{
    int64_t deadline_ns = covey_now_ns() + timeout_ns;
    for (;;) {
        if (condition(node))
            return true;
        int64_t now_ns = covey_now_ns();
        if (net_progress(node->net, now_ns))
            continue;
        if (now_ns >= deadline_ns)
            return false;
        if (!net_arm(node->net))
            continue;
        int64_t next_ns = net_next_timeout_ns(node->net);
        int64_t wait_ns = (next_ns < deadline_ns ? next_ns : deadline_ns) - now_ns;
        struct pollfd waited = {.fd = net_fd(node->net), .events = POLLIN};
        if (wait_ns > 0)
            poll(&waited, 1, (int)(wait_ns / COVEY_NS_PER_MS) + 1);
    }
}

static void on_sent(void *data, enum covey_status status)
{
    struct node *node = data;
    node->sent_done++;
    node->sent_failed += status != COVEY_OK;
}

enum covey_status node_try_send(struct node *node, unsigned to, uint64_t seed, size_t offset,
                                size_t length_bytes)
{
    const struct test_header header = {
        .seed = seed, .length_bytes = length_bytes, .from = node->index};
    const struct net_payload payload = {
        .address = node->memory + offset, .length_bytes = length_bytes, .region = node->region};
    fill(node->memory + offset, length_bytes, seed);
    return net_send(node->net, to, &header, sizeof header, &payload, on_sent, node);
}

void node_send(struct node *node, unsigned to, uint64_t seed, size_t offset, size_t length_bytes)
{
    EXPECT(node_try_send(node, to, seed, offset, length_bytes) == COVEY_OK);
}

void node_release_held(struct node *node)
{
    unsigned count = node->held_count;
    node->held_count = 0;
    for (unsigned i = 0; i < count; i++) {
        struct net_landing landing;
        if (make_landing(node, node->held[i], &landing))
            net_land(node->net, node->held[i], &landing);
        else
            node->held[node->held_count++] = node->held[i];
    }
}

static void run_role(struct shared *shared, unsigned index, unsigned count, node_role role)
{
    struct node *node = calloc(1, sizeof *node);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    covey_log_init("node");
    alarm(300);
    if (!node)
        exit(1);
    node->shared = shared;
    node->index = index;
    node->count = count;
    node->memory = mmap(NULL, NODE_SEND_BYTES + NODE_RECEIVE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT(node->memory != MAP_FAILED);
    role(node);
    munmap(node->memory, NODE_SEND_BYTES + NODE_RECEIVE_BYTES);
    free(node);
    exit(0);
}

bool nodes_run(unsigned count, const node_role *roles, int killed)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool good = shared != MAP_FAILED;
    if (!good)
        return false;
    fflush(stdout);
    (void)test_ports(); /* the nodes', too */
    for (unsigned i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            run_role(shared, i, count, roles[i]);
        shared->pids[i] = pid;
        good = good && pid > 0;
    }
    for (unsigned i = 0; i < count; i++) {
        int status = 0;
        if (shared->pids[i] <= 0 || waitpid(shared->pids[i], &status, 0) < 0)
            continue;
        bool as_expected = (int)i == killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                            : WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!as_expected)
            fprintf(stderr, "node %u ended with wait status %#x\n", i, (unsigned)status);
        good = good && as_expected;
        /* The others wait for it in vain. */
        for (unsigned j = i + 1; !as_expected && j < count; j++)
            kill(shared->pids[j], SIGKILL);
    }
    munmap(shared, sizeof *shared);
    return good;
}
