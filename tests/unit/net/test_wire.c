#include "tests/harness/harness.h"
#include "transport/net/wire.h"

#include <string.h>

static uint8_t bytes[NET_WIRE_HEAD_BYTES + NET_HEADER_BYTES_MAX + 1];

static size_t make(uint8_t kind, size_t header_bytes, uint64_t payload_bytes)
{
    const struct net_frame frame = {.kind = kind,
                                    .session = 0x1122334455667788,
                                    .header_bytes = header_bytes,
                                    .payload_bytes = payload_bytes};
    memset(bytes, 0xa5, sizeof bytes);
    net_frame_encode(&frame, bytes);
    return NET_WIRE_HEAD_BYTES + header_bytes;
}

static enum covey_status decode(size_t length_bytes, uint64_t payload_bytes)
{
    struct net_frame frame;
    return net_frame_decode(bytes, length_bytes, payload_bytes, &frame);
}

static void decode__what_encode_wrote__comes_back(void)
{
    struct net_frame frame;
    size_t length = make(NET_FRAME_MESSAGE, 100, 1ull << 40);
    TEST_EQUAL(net_frame_decode(bytes, length, 1ull << 40, &frame), COVEY_OK);
    TEST_EQUAL(frame.kind, NET_FRAME_MESSAGE);
    TEST_EQUAL(frame.session, 0x1122334455667788);
    TEST_EQUAL(frame.header_bytes, 100);
    TEST_EQUAL(frame.payload_bytes, 1ull << 40);
    TEST_TRUE(frame.header == bytes + NET_WIRE_HEAD_BYTES);
    TEST_EQUAL(net_frame_session(bytes, length), 0x1122334455667788);
}

static void encode__a_frame__has_the_documented_bytes(void)
{
    static const uint8_t expected[NET_WIRE_HEAD_BYTES] = {
        'C',  'O',  'V',  'Y',  1,    5,    3,    0,    0x00, 0x02, 0, 0, 0, 0, 0, 0,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0,    0,    0, 0, 0, 0, 0, 0};
    make(NET_FRAME_MESSAGE, 3, 512);
    TEST_EQUAL(memcmp(bytes, expected, sizeof expected), 0);
}

static void decode__every_truncation__is_refused(void)
{
    size_t length = make(NET_FRAME_MESSAGE, 64, 10);
    for (size_t cut = 0; cut < length; cut++)
        TEST_EQUAL(decode(cut, 10), COVEY_EPROTO);
    TEST_EQUAL(decode(length + 1, 10), COVEY_EPROTO);
    TEST_EQUAL(decode(length, 10), COVEY_OK);
    TEST_EQUAL(net_frame_session(bytes, NET_WIRE_HEAD_BYTES - 1), 0);
}

static void decode__a_payload_of_another_length__is_refused(void)
{
    size_t length = make(NET_FRAME_MESSAGE, 0, 10);
    TEST_EQUAL(decode(length, 9), COVEY_EPROTO);
    TEST_EQUAL(decode(length, 0), COVEY_EPROTO);
    length = make(NET_FRAME_GOODBYE, 0, 10);
    TEST_EQUAL(decode(length, 10), COVEY_EPROTO);
}

static void decode__a_header_over_the_limit__is_refused(void)
{
    size_t length = make(NET_FRAME_MESSAGE, NET_HEADER_BYTES_MAX, 0);
    TEST_EQUAL(decode(length, 0), COVEY_OK);
    length = make(NET_FRAME_MESSAGE, NET_HEADER_BYTES_MAX + 1, 0);
    TEST_EQUAL(decode(length, 0), COVEY_EPROTO);
}

static void decode__kinds_of_fixed_length__take_no_other(void)
{
    static const struct {
        uint8_t kind;
        size_t header_bytes;
    } rows[] = {{NET_FRAME_HELLO, NET_HELLO_BYTES},
                {NET_FRAME_HELLO_ACK, NET_HELLO_ACK_BYTES},
                {NET_FRAME_CONFIRM, NET_CONFIRM_BYTES},
                {NET_FRAME_REJECT, NET_REJECT_BYTES},
                {NET_FRAME_GOODBYE, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        TEST_EQUAL(decode(make(rows[i].kind, rows[i].header_bytes, 0), 0), COVEY_OK);
        TEST_EQUAL(decode(make(rows[i].kind, rows[i].header_bytes + 1, 0), 0), COVEY_EPROTO);
        if (rows[i].header_bytes > 0)
            TEST_EQUAL(decode(make(rows[i].kind, rows[i].header_bytes - 1, 0), 0), COVEY_EPROTO);
    }
    TEST_EQUAL(decode(make(0, 0, 0), 0), COVEY_EPROTO);
    TEST_EQUAL(decode(make(NET_FRAME_GOODBYE + 1, 0, 0), 0), COVEY_EPROTO);
}

static void decode__magic_version_and_zero__are_checked(void)
{
    size_t length = make(NET_FRAME_MESSAGE, 0, 0);
    for (size_t i = 0; i < 4; i++) {
        bytes[i] ^= 1;
        TEST_EQUAL(decode(length, 0), COVEY_EPROTO);
        bytes[i] ^= 1;
    }
    bytes[4] ^= 3;
    TEST_EQUAL(decode(length, 0), COVEY_EVERSION);
    bytes[4] ^= 3;
    bytes[31] = 1;
    TEST_EQUAL(decode(length, 0), COVEY_EPROTO);
}

static void greeting__encoded_and_decoded__comes_back(void)
{
    struct net_greeting greeting = {.from = 7, .to = 0x01020304}, back;
    uint8_t hello[NET_HELLO_BYTES], ack[NET_HELLO_ACK_BYTES];
    memset(greeting.flare, 1, sizeof greeting.flare);
    memset(greeting.nonce, 2, sizeof greeting.nonce);
    memset(greeting.proof, 3, sizeof greeting.proof);
    net_hello_encode(&greeting, hello);
    net_hello_decode(hello, &back);
    TEST_EQUAL(memcmp(&greeting, &back, sizeof back), 0);
    net_hello_ack_encode(&greeting, ack);
    net_hello_ack_decode(ack, &back);
    memset(greeting.flare, 0, sizeof greeting.flare);
    TEST_EQUAL(memcmp(&greeting, &back, sizeof back), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(decode__what_encode_wrote__comes_back),
    TEST_CASE(encode__a_frame__has_the_documented_bytes),
    TEST_CASE(decode__every_truncation__is_refused),
    TEST_CASE(decode__a_payload_of_another_length__is_refused),
    TEST_CASE(decode__a_header_over_the_limit__is_refused),
    TEST_CASE(decode__kinds_of_fixed_length__take_no_other),
    TEST_CASE(decode__magic_version_and_zero__are_checked),
    TEST_CASE(greeting__encoded_and_decoded__comes_back),
    {0},
};

const struct test_suite test_suites[] = {{"wire", cases, NULL, NULL}, {0}};
