#include "base/io.h"
#include "service/common/link.h"
#include "service/common/local.h"
#include "service/common/memfd.h"
#include "service/common/peer.h"
#include "service/common/stamp.h"
#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static local_message stop_message(Covey__V1__PackStop *stop, const char *reason)
{
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    covey__v1__pack_stop__init(stop);
    stop->reason = (char *)(uintptr_t)reason;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_STOP;
    message.pack_stop = stop;
    return message;
}

static void local_receive__sent_with_descriptors__same_message(void)
{
    int ends[2];
    int pipes[2];
    char byte = 0;
    Covey__V1__PackStop stop;
    local_message message = stop_message(&stop, "enough");
    struct local_record record;
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
    TEST_REQUIRE(pipe(pipes) == 0);
    TEST_EQUAL(local_receive(ends[1], &record), COVEY_EAGAIN);
    TEST_EQUAL(local_send(ends[0], &message, &pipes[1], 1), COVEY_OK);
    TEST_REQUIRE(local_receive(ends[1], &record) == COVEY_OK);
    TEST_EQUAL_STRING(record.message->pack_stop->reason, "enough");
    TEST_EQUAL(local_take_fd(&record, 1), -1);
    int fd = local_take_fd(&record, 0);
    TEST_TRUE(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    TEST_EQUAL(write(fd, "x", 1), 1);
    TEST_EQUAL(read(pipes[0], &byte, 1), 1);
    close(fd);
    local_record_free(&record);
    close(ends[0]);
    TEST_EQUAL(local_receive(ends[1], &record), COVEY_EUNAVAILABLE);
    close(ends[1]);
    close(pipes[0]);
    close(pipes[1]);
}

static void local_decode__malformed__refused(void)
{
    static const struct {
        const char *bytes;
        size_t length_bytes;
    } rows[] = {
        {"", 0},                 /* no body */
        {"\xff\xff\xff", 3},     /* no message */
        {"\x72\x05\x12\x0a", 4}, /* a length beyond the end */
    };
    local_message *message;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char bytes[8];
        memcpy(bytes, rows[i].bytes, rows[i].length_bytes);
        TEST_EQUAL(local_decode(bytes, rows[i].length_bytes, &message), COVEY_EPROTO);
    }
    char *big = calloc(1, LOCAL_RECORD_BYTES + 1);
    TEST_EQUAL(local_decode(big, LOCAL_RECORD_BYTES + 1, &message), COVEY_ELIMIT);
    free(big);
}

static void local_decode__bad_text__costs_only_itself(void)
{
    static const struct {
        const char *bytes; /* PackStop with a reason */
        size_t length_bytes;
        const char *reason;
    } rows[] = {
        {"\x72\x05\x12\x03\xe2\x82\xac", 7, "\xe2\x82\xac"},
        {"\x72\x03\x12\x01\xff", 5, "?"},
        {"\x72\x04\x12\x02\xe2\x82", 6, "\?\?"},
        {"\x72\x05\x12\x03"
         "a\0b",
         7, "a?b"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char bytes[8];
        local_message *message;
        memcpy(bytes, rows[i].bytes, rows[i].length_bytes);
        TEST_REQUIRE(local_decode(bytes, rows[i].length_bytes, &message) == COVEY_OK);
        TEST_EQUAL_STRING(message->pack_stop->reason, rows[i].reason);
        covey__v1__local_message__free_unpacked(message, NULL);
    }
}

static void local_send__over_the_bound__elimit(void)
{
    int ends[2];
    char *reason = calloc(1, LOCAL_RECORD_BYTES + 1);
    Covey__V1__PackStop stop;
    local_message message = stop_message(&stop, reason);
    memset(reason, 'x', LOCAL_RECORD_BYTES);
    reason[LOCAL_RECORD_BYTES] = '\0';
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    TEST_EQUAL(local_send(ends[0], &message, NULL, 0), COVEY_ELIMIT);
    close(ends[0]);
    close(ends[1]);
    free(reason);
}

static void link_send__peer_does_not_read__queued_in_order_up_to_the_bound(void)
{
    int ends[2];
    struct local_link link;
    struct local_record record;
    char *reason = calloc(1, 50001);
    Covey__V1__PackStop stop;
    local_message message = stop_message(&stop, reason);
    enum covey_status status = COVEY_OK;
    int64_t sent = 0;
    memset(reason, 'x', 50000);
    reason[50000] = '\0';
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
    link_init(&link);
    TEST_EQUAL(link_send(&link, &message, NULL, 0), COVEY_EUNAVAILABLE);
    TEST_REQUIRE(link_open(&link, ends[0]) == COVEY_OK);
    while (!status && sent < 1000) {
        stop.grace_ns = sent;
        status = link_send(&link, &message, NULL, 0);
        sent += status ? 0 : 1;
    }
    TEST_EQUAL(status, COVEY_ELIMIT);
    TEST_TRUE(sent > 100 && sent < 1000);
    for (int64_t i = 0; i < sent; i++) {
        status = local_receive(ends[1], &record);
        if (status == COVEY_EAGAIN) {
            TEST_EQUAL(link_flush(&link), COVEY_OK);
            status = local_receive(ends[1], &record);
        }
        TEST_REQUIRE(status == COVEY_OK);
        TEST_EQUAL(record.message->pack_stop->grace_ns, i);
        local_record_free(&record);
    }
    TEST_TRUE(!link_wants_write(&link));
    link_close(&link);
    close(ends[1]);
    free(reason);
}

/* What was said by a peer that is gone. */
struct listener {
    struct local_peer peer;
    int64_t next; /* the grace_ns of the record that is to come */
    bool lost;
};

static void on_record(struct local_peer *peer, struct local_record *record, void *data)
{
    struct listener *listener = data;
    (void)peer;
    TEST_TRUE(!listener->lost);
    TEST_EQUAL(record->message->pack_stop->grace_ns, listener->next);
    listener->next++;
}

static void on_lost(struct local_peer *peer, enum covey_status status, void *data)
{
    (void)peer;
    TEST_TRUE(status != COVEY_OK);
    ((struct listener *)data)->lost = true;
}

/* A peer says something and ends, with something that it did not read, or
 * could not be given; all is heard before its end. */
static void check_last_words(bool blocked)
{
    enum { WORDS = 5 };
    static const struct local_peer_events events = {on_record, on_lost, NULL};
    struct listener listener = {0};
    uv_loop_t loop;
    int ends[2];
    char *reason = calloc(1, 50001);
    Covey__V1__PackStop stop;
    local_message message = stop_message(&stop, "enough");
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    TEST_REQUIRE(uv_loop_init(&loop) == 0);
    TEST_REQUIRE(peer_open(&listener.peer, &loop, ends[1], &events, &listener) == COVEY_OK);
    for (stop.grace_ns = 0; stop.grace_ns < WORDS; stop.grace_ns++)
        TEST_REQUIRE(local_send(ends[0], &message, NULL, 0) == COVEY_OK);
    memset(reason, 'x', 50000);
    stop.reason = reason;
    do
        TEST_REQUIRE(peer_send(&listener.peer, &message, NULL, 0) == COVEY_OK);
    while (blocked && !listener.peer.writing);
    while (blocked && recv(ends[0], reason, 50000, MSG_DONTWAIT) > 0)
        ; /* what follows waits to be written still */
    close(ends[0]);
    uv_run(&loop, UV_RUN_DEFAULT);
    TEST_EQUAL(listener.next, WORDS);
    TEST_TRUE(listener.lost);
    TEST_EQUAL(uv_loop_close(&loop), 0);
    free(reason);
}

static void peer__that_ends_with_something_unread__is_heard_out(void)
{
    check_last_words(false);
}

static void peer__that_ends_while_more_is_to_be_written__is_heard_out(void)
{
    check_last_words(true);
}

static void memfd_map__what_could_change__refused(void)
{
    void *bytes;
    size_t length_bytes;
    struct iovec parts[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "cde", 3}};
    int fd;
    TEST_REQUIRE(memfd_create_sealed("test", parts, 2, &fd) == COVEY_OK);
    TEST_TRUE(pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 1) < 0);
    TEST_EQUAL(memfd_map(fd, 4, &bytes, &length_bytes), COVEY_ELIMIT);
    TEST_REQUIRE(memfd_map(fd, 5, &bytes, &length_bytes) == COVEY_OK);
    TEST_TRUE(length_bytes == 5 && memcmp(bytes, "abcde", 5) == 0);
    memfd_unmap(bytes, length_bytes);
    close(fd);
    fd = memfd_create("open", MFD_ALLOW_SEALING);
    TEST_EQUAL(memfd_map(fd, 5, &bytes, &length_bytes), COVEY_EPROTO);
    close(fd);
    fd = open("/dev/null", O_RDONLY);
    TEST_EQUAL(memfd_map(fd, 5, &bytes, &length_bytes), COVEY_EPROTO);
    close(fd);
    TEST_REQUIRE(memfd_create_sealed("empty", NULL, 0, &fd) == COVEY_OK);
    TEST_EQUAL(memfd_map(fd, 5, &bytes, &length_bytes), COVEY_OK);
    TEST_TRUE(length_bytes == 0 && bytes != NULL);
    close(fd);
}

/* Two packs of 2 and 3 workers on nodes a and b; the caller spoils it. */
static Covey__V1__LocalPack packs[2];
static Covey__V1__LocalPack *pack_pointers[2] = {&packs[0], &packs[1]};

static Covey__V1__LocalFlare sound_flare(void)
{
    static char a[] = "a";
    static char b[] = "b";
    static char id[] = "01HX";
    static char *nodes[] = {a, b};
    Covey__V1__LocalFlare flare = COVEY__V1__LOCAL_FLARE__INIT;
    for (int i = 0; i < 2; i++)
        covey__v1__local_pack__init(&packs[i]);
    packs[0].workers = 2;
    packs[1].id = packs[1].node_index = 1;
    packs[1].first_rank = 2;
    packs[1].workers = 3;
    flare.flare_id = id;
    flare.nodes = nodes;
    flare.n_nodes = 2;
    flare.packs = pack_pointers;
    flare.n_packs = 2;
    flare.workers_total = 5;
    flare.code_kind = flare.worker_kind = 1;
    return flare;
}

static void local_flare_check__table(void)
{
    struct covey_error error;
    Covey__V1__LocalFlare flare = sound_flare();
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_OK);
    TEST_TRUE(local_flare_pack(&flare, 1) == &packs[1] && !local_flare_pack(&flare, 2));
    packs[1].first_rank = 3;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    packs[1].workers = 0;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    packs[0].node_index = 2;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    flare.node_index = 7;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    flare.workers_total = 6;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    flare.workers_total = 0;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_ELIMIT);
    flare = sound_flare();
    packs[1].workers = UINT32_MAX;
    flare.workers_total = 1;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    packs[1].workers = LOCAL_PACK_WORKERS;
    flare.workers_total = packs[0].workers + LOCAL_PACK_WORKERS;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_OK);
    packs[1].workers++;
    flare.workers_total++;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_ELIMIT);
    TEST_TRUE(strstr(error.message, "at most 6144") != NULL);
    uint32_t cpus[] = {0, 1, 2, CPU_SETSIZE};
    flare = sound_flare();
    packs[0].cpus = cpus;
    packs[0].n_cpus = 2;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_OK);
    packs[0].n_cpus = 3;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    packs[0].n_cpus = 4;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
    flare = sound_flare();
    flare.worker_kind = 2;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_OK);
    flare.code_kind = 2;
    TEST_EQUAL(local_flare_check(&flare, &error), COVEY_EINVAL);
}

static void local_flare_id_valid__table(void)
{
    TEST_TRUE(local_flare_id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    TEST_TRUE(!local_flare_id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAV0"));
    TEST_TRUE(!local_flare_id_valid(""));
    TEST_TRUE(!local_flare_id_valid("a/b") && !local_flare_id_valid(".."));
}

static void stamp_flare__room_is_there__written_in_place(void)
{
    char room[] = STAMP_ROOM;
    TEST_EQUAL(unsetenv("COVEY_FLARE_ID"), 0);
    TEST_EQUAL(stamp_flare("SHORT"), COVEY_EPRECONDITION);
    TEST_EQUAL(putenv(room), 0);
    TEST_EQUAL(stamp_flare("123456789012345678901234567"), COVEY_EINVAL);
    TEST_EQUAL(stamp_flare("SHORT"), COVEY_OK);
    TEST_EQUAL_STRING(getenv("COVEY_FLARE_ID"), "SHORT");
    TEST_EQUAL_STRING(room, "COVEY_FLARE_ID=SHORT");
    /* Once only: the room is gone. */
    TEST_EQUAL(stamp_flare("OTHER"), COVEY_EPRECONDITION);
    TEST_EQUAL(unsetenv("COVEY_FLARE_ID"), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(local_receive__sent_with_descriptors__same_message),
    TEST_CASE(local_decode__malformed__refused),
    TEST_CASE(local_decode__bad_text__costs_only_itself),
    TEST_CASE(local_send__over_the_bound__elimit),
    TEST_CASE(link_send__peer_does_not_read__queued_in_order_up_to_the_bound),
    TEST_CASE(peer__that_ends_with_something_unread__is_heard_out),
    TEST_CASE(peer__that_ends_while_more_is_to_be_written__is_heard_out),
    TEST_CASE(memfd_map__what_could_change__refused),
    TEST_CASE(local_flare_check__table),
    TEST_CASE(local_flare_id_valid__table),
    TEST_CASE(stamp_flare__room_is_there__written_in_place),
    {0},
};

const struct test_suite test_suites[] = {{"local", cases, NULL, NULL}, {0}};
