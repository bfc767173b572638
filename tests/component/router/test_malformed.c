/* A peer that knows the secret and says things that make no sense: it is given up, and no more. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "transport/core/flow.h"
#include "transport/core/layout.h"
#include "transport/net/router_internal.h"

#include <stdio.h>
#include <string.h>

static const uint8_t secret[NET_SECRET_BYTES] = "thirty-two bytes that are secret";

/* A router on node 0, with ranks 0 and 2, and a bare net that speaks for node 1, with ranks 1, 3.
 */
struct pair {
    struct arena *arena;
    struct host_port *port;
    struct router *router;
    struct net *peer;
    unsigned lost;
    enum covey_status why;
    char reason[128];
    uint32_t taken; /* the last rank that the router has said it has all of; or NOBODY */
    unsigned taken_count;
    unsigned end_records;
    unsigned ends;
};

#define NOBODY UINT32_MAX

static void on_transport(void *data, const char *carrier)
{
    (void)data, (void)carrier;
}

static void on_node_lost(void *data, unsigned node, enum covey_status status, const char *reason)
{
    struct pair *pair = data;
    TEST_EQUAL(node, 1);
    TEST_TRUE(*reason != '\0');
    pair->lost++;
    pair->why = status;
    snprintf(pair->reason, sizeof pair->reason, "%s", reason);
}

static const struct router_events router_events = {on_transport, on_node_lost};

static enum net_verdict on_message(void *data, struct net_message *message,
                                   struct net_landing *landing)
{
    struct pair *pair = data;
    (void)landing;
    const uint8_t *bytes = message->header;
    if (bytes[0] == ROUTER_TAKEN) {
        pair->taken = net_get_u32(bytes + message->header_bytes - 4);
        pair->taken_count += (unsigned)(message->header_bytes - ROUTER_TAKEN_BYTES) / 4;
    }
    if (bytes[0] != ROUTER_ENDED)
        return NET_DROP;
    pair->end_records++;
    for (size_t at = 0; at < message->header_bytes;
         at += ROUTER_ENDED_BYTES + net_get_u16(bytes + at + 2)) {
        TEST_EQUAL(bytes[at], ROUTER_ENDED);
        pair->ends++;
    }
    return NET_DROP;
}

static void on_landed(void *data, unsigned node, void *context, enum covey_status status)
{
    (void)data, (void)node, (void)context, (void)status;
}

static void on_peer_down(void *data, unsigned node, enum covey_status status, const char *reason)
{
    (void)data, (void)node, (void)status, (void)reason;
}

static void on_connected(void *data, unsigned node, const char *carrier)
{
    (void)data, (void)node, (void)carrier;
}

static const struct net_events net_events = {on_message, on_landed, on_peer_down, on_connected};

static void open_pair(struct pair *pair)
{
    static const struct arena_pack packs[] = {{0, 1, 0}, {1, 1, 1}, {2, 1, 0}, {3, 1, 1}};
    const struct arena_config config = {.flare_id = "a-test-flare",
                                        .worker_count = 4,
                                        .node_count = 2,
                                        .pack_count = 4,
                                        .packs = packs};
    struct router_options options;
    *pair = (struct pair){.taken = NOBODY};
    TEST_REQUIRE(arena_create(&config, &pair->arena, NULL) == COVEY_OK);
    TEST_REQUIRE(host_port_create(pair->arena, &pair->port, NULL) == COVEY_OK);
    router_options_init(&options);
    options.arena = pair->arena;
    options.port = pair->port;
    options.backend = "ucx";
    options.secret = secret;
    options.bind_address = "127.0.0.1";
    options.events = &router_events;
    options.data = pair;
    TEST_REQUIRE(router_create(&options, &pair->router, NULL) == COVEY_OK);
    struct net_options net = {.backend = "ucx",
                              .node = 1,
                              .node_count = 2,
                              .flare_id = "a-test-flare",
                              .secret = secret,
                              .bind_address = "127.0.0.1",
                              .events = &net_events,
                              .data = pair};
    net_limits_init(&net.limits);
    TEST_REQUIRE(net_create(&net, &pair->peer, NULL) == COVEY_OK);
    TEST_REQUIRE(net_set_address(pair->peer, 0, router_address(pair->router)) == COVEY_OK);
    TEST_REQUIRE(router_set_address(pair->router, 1, net_address(pair->peer)) == COVEY_OK);
}

static void close_pair(struct pair *pair)
{
    router_destroy(pair->router);
    net_destroy(pair->peer);
    host_port_destroy(pair->port);
    arena_destroy(pair->arena);
}

static bool turn_until_lost(void *data)
{
    struct pair *pair = data;
    while (router_progress(pair->router, covey_now_ns()) |
           net_progress(pair->peer, covey_now_ns())) {
    }
    return pair->lost > 0;
}

static bool turn_until_received(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return router_traffic(pair->router, 1).received_messages > 0;
}

static void check_given_up(const uint8_t *header, size_t header_bytes, size_t payload_bytes)
{
    static const uint8_t bytes[4096];
    struct pair pair;
    open_pair(&pair);
    const struct net_payload payload = {.address = bytes, .length_bytes = payload_bytes};
    TEST_EQUAL(net_send(pair.peer, 0, header, header_bytes, &payload, NULL, NULL), COVEY_OK);
    TEST_TRUE(test_wait(turn_until_lost, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.lost, 1);
    TEST_EQUAL(arena_rank_state(pair.arena, 1), ARENA_DIED);
    TEST_EQUAL(arena_rank_state(pair.arena, 3), ARENA_DIED);
    TEST_EQUAL(arena_rank_state(pair.arena, 0), ARENA_STARTING);
    TEST_EQUAL(router_traffic(pair.router, 1).received_messages, 0);
    close_pair(&pair);
}

static const struct descriptor_header sound = {
    .kind = DESCRIPTOR_MESSAGE, .source = 1, .destination = 2, .tag = -7, .length = 20};

static void check_header(struct descriptor_header header, size_t inline_bytes, size_t payload_bytes)
{
    uint8_t bytes[ROUTER_MESSAGE_BYTES + 100] = {0};
    router_message_encode(&header, bytes);
    check_given_up(bytes, ROUTER_MESSAGE_BYTES + inline_bytes, payload_bytes);
}

static void message__that_makes_no_sense__ends_the_peer(void)
{
    struct descriptor_header header = sound;
    uint8_t bytes[ROUTER_MESSAGE_BYTES] = {9};
    check_given_up(bytes, 0, 0);
    check_given_up(bytes, sizeof bytes, 0);
    bytes[0] = ROUTER_MESSAGE;
    check_given_up(bytes, sizeof bytes - 1, 0);
    check_header(sound, 19, 0);  /* another length than it says */
    check_header(sound, 0, 20);  /* short, and not inline */
    check_header(sound, 20, 20); /* both */
    header.length = 80;
    check_header(header, 80, 0); /* long, and inline */
    header = sound;
    header.source = 2; /* a rank that is not the sender's */
    check_header(header, 20, 0);
    header.source = 4;
    check_header(header, 20, 0);
    header = sound;
    header.destination = 3; /* a rank that is not here */
    check_header(header, 20, 0);
    header.destination = UINT32_MAX;
    check_header(header, 20, 0);
    header = sound;
    header.kind = DESCRIPTOR_KINDS;
    check_header(header, 20, 0);
}

static void check_ended(uint32_t rank, uint32_t state, size_t bytes_sent, size_t payload_bytes)
{
    uint8_t bytes[ROUTER_ENDED_BYTES] = {ROUTER_ENDED};
    net_put_u32(bytes + 4, rank);
    net_put_u32(bytes + 8, state);
    check_given_up(bytes, bytes_sent, payload_bytes);
}

static void end__that_makes_no_sense__ends_the_peer(void)
{
    check_ended(0, ARENA_DIED, ROUTER_ENDED_BYTES, 0); /* not one of its ranks */
    check_ended(4, ARENA_DIED, ROUTER_ENDED_BYTES, 0);
    check_ended(1, ARENA_RUNNING, ROUTER_ENDED_BYTES, 0);
    check_ended(1, 77, ROUTER_ENDED_BYTES, 0);
    check_ended(1, ARENA_DIED, ROUTER_ENDED_BYTES - 1, 0);
    check_ended(1, ARENA_DIED, ROUTER_ENDED_BYTES, 1);
    uint8_t taken[ROUTER_TAKEN_BYTES + 8] = {ROUTER_TAKEN};
    check_given_up(taken, ROUTER_TAKEN_BYTES, 0); /* of nobody */
    check_given_up(taken, ROUTER_TAKEN_BYTES + 5, 0);
    net_put_u32(taken + 4, 1); /* no rank of this node */
    check_given_up(taken, ROUTER_TAKEN_BYTES + 4, 0);
    net_put_u32(taken + 4, 4);
    check_given_up(taken, ROUTER_TAKEN_BYTES + 4, 0);
    net_put_u32(taken + 4, 0);
    net_put_u32(taken + 8, 3);
    check_given_up(taken, ROUTER_TAKEN_BYTES + 8, 0);
}

static void put_end(uint8_t *bytes, uint32_t rank, enum arena_rank_state state, uint64_t sent)
{
    memset(bytes, 0, ROUTER_ENDED_BYTES);
    bytes[0] = ROUTER_ENDED;
    net_put_u32(bytes + 4, rank);
    net_put_u32(bytes + 8, state);
    net_put_u64(bytes + 16, sent);
}

static void ends__of_which_one_makes_no_sense__end_the_peer(void)
{
    uint8_t bytes[2 * ROUTER_ENDED_BYTES + 4] = {0};
    put_end(bytes, 1, ARENA_DONE, 0);
    put_end(bytes + ROUTER_ENDED_BYTES, 2, ARENA_DONE, 0); /* not of its ranks */
    check_given_up(bytes, 2 * (size_t)ROUTER_ENDED_BYTES, 0);
    put_end(bytes + ROUTER_ENDED_BYTES, 3, ARENA_DONE, 0);
    check_given_up(bytes, sizeof bytes, 0); /* and something more */
    bytes[ROUTER_ENDED_BYTES] = ROUTER_TAKEN;
    check_given_up(bytes, 2 * (size_t)ROUTER_ENDED_BYTES, 0);
    put_end(bytes + ROUTER_ENDED_BYTES, 3, ARENA_DONE, 0);
    net_put_u16(bytes + ROUTER_ENDED_BYTES + 2, 5); /* a reason longer than the record */
    check_given_up(bytes, sizeof bytes, 0);
}

static void message__that_is_sound__is_delivered(void)
{
    uint8_t bytes[ROUTER_MESSAGE_BYTES + 20] = {0};
    struct pair pair;
    open_pair(&pair);
    router_message_encode(&sound, bytes);
    TEST_EQUAL(net_send(pair.peer, 0, bytes, sizeof bytes, NULL, NULL, NULL), COVEY_OK);
    TEST_TRUE(test_wait(turn_until_received, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.lost, 0);
    TEST_EQUAL(router_traffic(pair.router, 1).received_bytes, 20);
    TEST_EQUAL(router_counters(pair.router).dropped, 0);
    close_pair(&pair);
}

static void send_sound(struct pair *pair, uint32_t destination, unsigned count)
{
    uint8_t bytes[ROUTER_MESSAGE_BYTES + 20] = {0};
    struct descriptor_header header = sound;
    header.destination = destination;
    router_message_encode(&header, bytes);
    for (unsigned i = 0; i < count; i++) {
        enum covey_status status;
        while ((status = net_send(pair->peer, 0, bytes, sizeof bytes, NULL, NULL, NULL)) ==
               COVEY_EAGAIN)
            (void)turn_until_lost(pair);
        TEST_REQUIRE(status == COVEY_OK || (status == COVEY_EPEER && pair->lost));
    }
}

struct expected {
    struct pair *pair;
    uint64_t messages;
};

static bool turn_until_so_many(void *data)
{
    const struct expected *expected = data;
    (void)turn_until_lost(expected->pair);
    return router_traffic(expected->pair->router, 1).received_messages == expected->messages;
}

/* An inbox that nobody empties, and behind it as much as a sender may have under way. */
#define INBOX 256u

static void messages__more_than_there_is_leave_for__end_the_peer(void)
{
    struct pair pair;
    open_pair(&pair);
    const unsigned most = INBOX + flow_pair_most(4);
    send_sound(&pair, 2, most);
    struct expected expected = {&pair, most};
    TEST_TRUE(test_wait(turn_until_so_many, &expected, 30 * COVEY_NS_PER_S));
    /* One that is full is in nobody else's way. */
    send_sound(&pair, 0, 10);
    expected.messages += 10;
    TEST_TRUE(test_wait(turn_until_so_many, &expected, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.lost, 0);
    send_sound(&pair, 2, 1);
    TEST_TRUE(test_wait(turn_until_lost, &pair, 30 * COVEY_NS_PER_S));
    TEST_TRUE(strstr(pair.reason, "more than it has leave for, from rank 1 to 2") != NULL);
    TEST_EQUAL(router_traffic(pair.router, 1).received_messages, expected.messages);
    close_pair(&pair);
}

static void send_end(struct pair *pair, uint32_t rank, enum arena_rank_state state, uint64_t sent)
{
    uint8_t bytes[ROUTER_ENDED_BYTES];
    put_end(bytes, rank, state, sent);
    TEST_EQUAL(net_send(pair->peer, 0, bytes, sizeof bytes, NULL, NULL, NULL), COVEY_OK);
}

static bool turn_until_1_ended(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return arena_rank_state(pair->arena, 1) >= ARENA_DONE;
}

static void end__all_of_it_waits_here__is_told_at_once(void)
{
    struct pair pair;
    open_pair(&pair);
    send_sound(&pair, 2, INBOX + 10);
    send_end(&pair, 1, ARENA_DONE, INBOX + 10);
    TEST_TRUE(test_wait(turn_until_1_ended, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(arena_rank_state(pair.arena, 1), ARENA_DONE);
    /* And its receiver can see that ten are still to come. */
    struct layout_endpoint *receiver = layout_endpoint(pair.arena, 1);
    TEST_EQUAL(atomic_load(&receiver->line_end) - atomic_load(&receiver->line_start), 10);
    close_pair(&pair);
}

static bool turn_until_taken(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return pair->taken != NOBODY;
}

static void end__all_of_it_has_come__its_host_is_told(void)
{
    struct pair pair;
    open_pair(&pair);
    send_sound(&pair, 2, 2);
    send_end(&pair, 1, ARENA_DONE, 3);
    TEST_TRUE(test_wait(turn_until_received, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.taken, NOBODY);
    send_sound(&pair, 2, 1);
    TEST_TRUE(test_wait(turn_until_taken, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.taken, 1);
    /* And again where it asks again, or where the control plane was quicker. */
    pair.taken = NOBODY;
    send_end(&pair, 1, ARENA_DONE, 3);
    TEST_TRUE(test_wait(turn_until_taken, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.lost, 0);
    close_pair(&pair);
}

static bool turn_until_both_taken(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return pair->taken_count == 2;
}

static void ends__of_many_in_one_record__are_all_heard(void)
{
    uint8_t bytes[2 * ROUTER_ENDED_BYTES + 6];
    struct pair pair;
    open_pair(&pair);
    put_end(bytes, 1, ARENA_DIED, 0);
    net_put_u16(bytes + 2, 6);
    memcpy(bytes + ROUTER_ENDED_BYTES, (const uint8_t[]){'k', 'i', 'l', 'l', 'e', 'd'}, 6);
    put_end(bytes + ROUTER_ENDED_BYTES + 6, 3, ARENA_DONE, 0);
    TEST_EQUAL(net_send(pair.peer, 0, bytes, sizeof bytes, NULL, NULL, NULL), COVEY_OK);
    TEST_TRUE(test_wait(turn_until_both_taken, &pair, 30 * COVEY_NS_PER_S));
    char reason[ARENA_REASON_BYTES];
    arena_rank_reason(pair.arena, 1, reason);
    TEST_EQUAL_STRING(reason, "killed");
    TEST_EQUAL(arena_rank_state(pair.arena, 1), ARENA_DIED);
    TEST_EQUAL(arena_rank_state(pair.arena, 3), ARENA_DONE);
    close_pair(&pair);
}

static bool turn_until_both_ends(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return pair->ends >= 2;
}

static void ends__of_many_at_once__are_told_in_one_record(void)
{
    struct pair pair;
    open_pair(&pair);
    send_sound(&pair, 2, 1);
    TEST_TRUE(test_wait(turn_until_received, &pair, 30 * COVEY_NS_PER_S));
    arena_mark_ended(pair.arena, 0, ARENA_DONE, "");
    arena_mark_ended(pair.arena, 2, ARENA_DIED, "killed by signal 9");
    TEST_TRUE(test_wait(turn_until_both_ends, &pair, 30 * COVEY_NS_PER_S));
    TEST_EQUAL(pair.ends, 2);
    TEST_EQUAL(pair.end_records, 1);
    TEST_EQUAL(pair.lost, 0);
    close_pair(&pair);
}

static void send_taken(struct pair *pair, uint32_t rank)
{
    uint8_t bytes[ROUTER_TAKEN_BYTES + 4] = {ROUTER_TAKEN};
    net_put_u32(bytes + 4, rank);
    TEST_EQUAL(net_send(pair->peer, 0, bytes, sizeof bytes, NULL, NULL, NULL), COVEY_OK);
}

static bool turn_until_done(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return router_is_done(pair->router);
}

static void host__its_workers_have_ended__is_done_when_all_they_sent_is_taken(void)
{
    struct pair pair;
    open_pair(&pair);
    send_sound(&pair, 2, 1);
    TEST_TRUE(test_wait(turn_until_received, &pair, 30 * COVEY_NS_PER_S));
    arena_mark_ended(pair.arena, 0, ARENA_DONE, "");
    send_taken(&pair, 0);
    TEST_TRUE(!test_wait(turn_until_done, &pair, 50 * COVEY_NS_PER_MS));
    arena_mark_ended(pair.arena, 2, ARENA_DIED, "killed");
    TEST_TRUE(!test_wait(turn_until_done, &pair, 50 * COVEY_NS_PER_MS));
    send_taken(&pair, 2);
    TEST_TRUE(test_wait(turn_until_done, &pair, 30 * COVEY_NS_PER_S));
    close_pair(&pair);
    /* A node that is lost takes nothing any more. */
    open_pair(&pair);
    send_sound(&pair, 2, 1);
    TEST_TRUE(test_wait(turn_until_received, &pair, 30 * COVEY_NS_PER_S));
    arena_mark_ended(pair.arena, 0, ARENA_DONE, "");
    arena_mark_ended(pair.arena, 2, ARENA_DONE, "");
    TEST_TRUE(!test_wait(turn_until_done, &pair, 50 * COVEY_NS_PER_MS));
    router_mark_node_lost(pair.router, 1, "a test");
    TEST_TRUE(test_wait(turn_until_done, &pair, 30 * COVEY_NS_PER_S));
    close_pair(&pair);
}

/* Its time is made up. */
static void pass(struct pair *pair, int64_t *now_ns, int64_t duration_ns, int64_t step_ns)
{
    for (int64_t until_ns = *now_ns + duration_ns; *now_ns < until_ns; *now_ns += step_ns)
        (void)router_progress(pair->router, *now_ns);
}

static bool turn_until_news(void *data)
{
    struct pair *pair = data;
    (void)turn_until_lost(pair);
    return !covey_list_empty(&pair->router->endings);
}

static void end__something_is_missing__is_told_as_death_after_silence(void)
{
    struct pair pair;
    char reason[ARENA_REASON_BYTES];
    open_pair(&pair);
    send_sound(&pair, 2, 3);
    send_end(&pair, 1, ARENA_DONE, 4);
    send_end(&pair, 3, ARENA_DIED, 1);
    TEST_TRUE(test_wait(turn_until_news, &pair, 30 * COVEY_NS_PER_S));
    int64_t now_ns = covey_now_ns();
    pass(&pair, &now_ns, 500 * COVEY_NS_PER_MS, 50 * COVEY_NS_PER_MS);
    /* A machine that slept, or a process that was stopped, has heard nobody: that is no silence. */
    pass(&pair, &now_ns, 3600 * COVEY_NS_PER_S, 3600 * COVEY_NS_PER_S);
    TEST_EQUAL(arena_rank_state(pair.arena, 3), ARENA_STARTING);
    pass(&pair, &now_ns, COVEY_NS_PER_S, 50 * COVEY_NS_PER_MS);
    TEST_EQUAL(arena_rank_state(pair.arena, 3), ARENA_DIED);
    TEST_EQUAL(arena_rank_state(pair.arena, 1), ARENA_STARTING);
    pass(&pair, &now_ns, 5 * COVEY_NS_PER_S, 50 * COVEY_NS_PER_MS);
    TEST_EQUAL(arena_rank_state(pair.arena, 1), ARENA_DIED);
    arena_rank_reason(pair.arena, 1, reason);
    TEST_TRUE(strstr(reason, "the last that it sent is lost") != NULL);
    TEST_EQUAL(pair.lost, 0);
    close_pair(&pair);
}

static void message__encoded_and_decoded__comes_back(void)
{
    struct descriptor_header back, all = {.kind = 0x0102,
                                          .source = 0x03040506,
                                          .destination = 0x0708090a,
                                          .tag = -2,
                                          .communicator = 0x0b0c0d0e0f101112,
                                          .sequence = 0x131415161718191a,
                                          .length = 0x1b1c1d1e1f202122,
                                          .cookie = 0x232425262728292a,
                                          .argument = 0x2b2c2d2e2f303132};
    uint8_t bytes[ROUTER_MESSAGE_BYTES];
    router_message_encode(&all, bytes);
    TEST_EQUAL(bytes[0], ROUTER_MESSAGE);
    router_message_decode(bytes, &back);
    TEST_EQUAL(memcmp(&all, &back, sizeof back), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(message__that_makes_no_sense__ends_the_peer),
    TEST_CASE(end__that_makes_no_sense__ends_the_peer),
    TEST_CASE(ends__of_which_one_makes_no_sense__end_the_peer),
    TEST_CASE(ends__of_many_in_one_record__are_all_heard),
    TEST_CASE(ends__of_many_at_once__are_told_in_one_record),
    TEST_CASE(message__that_is_sound__is_delivered),
    TEST_CASE(messages__more_than_there_is_leave_for__end_the_peer),
    TEST_CASE(end__all_of_it_waits_here__is_told_at_once),
    TEST_CASE(end__all_of_it_has_come__its_host_is_told),
    TEST_CASE(host__its_workers_have_ended__is_done_when_all_they_sent_is_taken),
    TEST_CASE(end__something_is_missing__is_told_as_death_after_silence),
    TEST_CASE(message__encoded_and_decoded__comes_back),
    {0},
};

const struct test_suite test_suites[] = {{"malformed", cases, NULL, NULL}, {0}};
