#include "base/memory.h"
#include "rpc/framing.h"
#include "tests/harness/harness.h"
#include "tree.pb-c.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void rpc_frame_parse__every_kind_of_input__gives_the_status(void)
{
    static const uint8_t whole[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 'd'};
    struct rpc_frame frame;
    for (size_t i = 0; i < 8; i++)
        TEST_EQUAL(rpc_frame_parse(whole, i, 100, &frame), COVEY_EAGAIN);
    TEST_EQUAL(rpc_frame_parse(whole, 9, 100, &frame), COVEY_OK);
    TEST_EQUAL(frame.length_bytes, 3);
    TEST_TRUE(frame.bytes == whole + 5);
    TEST_TRUE(!frame.compressed);
    TEST_EQUAL(rpc_frame_parse(whole, 9, 3, &frame), COVEY_OK);
    TEST_EQUAL(rpc_frame_parse(whole, 5, 2, &frame), COVEY_ELIMIT);
    static const uint8_t flagged[] = {1, 0, 0, 0, 0};
    TEST_EQUAL(rpc_frame_parse(flagged, 5, 0, &frame), COVEY_OK);
    TEST_TRUE(frame.compressed);
    static const uint8_t huge[] = {0, 0xff, 0xff, 0xff, 0xff};
    TEST_EQUAL(rpc_frame_parse(huge, 5, 1 << 20, &frame), COVEY_ELIMIT);
    TEST_EQUAL(frame.length_bytes, UINT32_MAX);
    static const uint8_t html[] = "<html>";
    TEST_EQUAL(rpc_frame_parse(html, 6, 100, &frame), COVEY_EPROTO);
    TEST_EQUAL(rpc_frame_parse(html, 1, 100, &frame), COVEY_EPROTO);
}

static void rpc_frame_append__message__can_be_parsed(void)
{
    Covey__Test__Tree tree = COVEY__TEST__TREE__INIT;
    struct covey_buffer buffer = {0};
    struct rpc_frame frame;
    tree.name = (char[]){"oak"};
    TEST_EQUAL(rpc_frame_append(&buffer, &tree.base, 4), COVEY_ELIMIT);
    TEST_EQUAL(buffer.length_bytes, 0);
    TEST_EQUAL(rpc_frame_append(&buffer, &tree.base, 5), COVEY_OK);
    TEST_EQUAL(rpc_frame_append(&buffer, &tree.base, 5), COVEY_OK);
    TEST_EQUAL(buffer.length_bytes, 20);
    TEST_EQUAL(rpc_frame_parse(buffer.data + 10, 10, 5, &frame), COVEY_OK);
    TEST_EQUAL(memcmp(frame.bytes, "\x0a\x03oak", 5), 0);
    covey_buffer_free(&buffer);
    covey_memory_fail_after(0);
    enum covey_status status = rpc_frame_append(&buffer, &tree.base, 5);
    covey_memory_fail_after(-1);
    TEST_EQUAL(status, COVEY_ENOMEM);
}

static size_t gzip(const uint8_t *bytes, size_t length_bytes, uint8_t *zipped, size_t size_bytes)
{
    z_stream stream = {0};
    TEST_REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)length_bytes;
    stream.next_out = zipped;
    stream.avail_out = (uInt)size_bytes;
    TEST_REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    size_t made = size_bytes - stream.avail_out;
    deflateEnd(&stream);
    return made;
}

static uint8_t zeros[1 << 20];
static uint8_t zipped[1 << 16];

static void rpc_gunzip__bomb__stops_at_the_limit(void)
{
    size_t zipped_bytes = gzip(zeros, sizeof zeros, zipped, sizeof zipped);
    struct covey_buffer inflated = {0};
    TEST_EQUAL(rpc_gunzip(zipped, zipped_bytes, sizeof zeros, &inflated), COVEY_OK);
    TEST_EQUAL(inflated.length_bytes, sizeof zeros);
    covey_buffer_free(&inflated);
    TEST_EQUAL(rpc_gunzip(zipped, zipped_bytes, sizeof zeros - 1, &inflated), COVEY_ELIMIT);
    covey_buffer_free(&inflated);
    TEST_EQUAL(rpc_gunzip(zipped, zipped_bytes, 1000, &inflated), COVEY_ELIMIT);
    TEST_TRUE(inflated.capacity_bytes < 4096);
    covey_buffer_free(&inflated);
}

static void rpc_gunzip__not_gzip__is_malformed(void)
{
    size_t zipped_bytes = gzip(zeros, 1000, zipped, sizeof zipped);
    struct covey_buffer inflated = {0};
    for (size_t i = 0; i < zipped_bytes; i++)
        TEST_EQUAL(rpc_gunzip(zipped, i, 4096, &inflated), COVEY_EPROTO);
    zipped[zipped_bytes] = 'x';
    TEST_EQUAL(rpc_gunzip(zipped, zipped_bytes + 1, 4096, &inflated), COVEY_EPROTO);
    zipped[zipped_bytes - 5] ^= 1; /* the checksum */
    TEST_EQUAL(rpc_gunzip(zipped, zipped_bytes, 4096, &inflated), COVEY_EPROTO);
    TEST_EQUAL(rpc_gunzip((const uint8_t *)"plain", 5, 4096, &inflated), COVEY_EPROTO);
    covey_buffer_free(&inflated);
}

static void rpc_gunzip__out_of_memory__says_so(void)
{
    size_t zipped_bytes = gzip(zeros, 1000, zipped, sizeof zipped);
    enum covey_status status = COVEY_ENOMEM;
    for (int64_t successes = 0; status != COVEY_OK && successes < 100; successes++) {
        struct covey_buffer inflated = {0};
        covey_memory_fail_after(successes);
        status = rpc_gunzip(zipped, zipped_bytes, 4096, &inflated);
        covey_memory_fail_after(-1);
        TEST_TRUE(status == COVEY_OK || status == COVEY_ENOMEM);
        covey_buffer_free(&inflated);
    }
    TEST_EQUAL(status, COVEY_OK);
}

static const struct test_case cases[] = {
    TEST_CASE(rpc_frame_parse__every_kind_of_input__gives_the_status),
    TEST_CASE(rpc_frame_append__message__can_be_parsed),
    TEST_CASE(rpc_gunzip__bomb__stops_at_the_limit),
    TEST_CASE(rpc_gunzip__not_gzip__is_malformed),
    TEST_CASE(rpc_gunzip__out_of_memory__says_so),
    {0},
};

const struct test_suite test_suites[] = {{"rpc framing", cases, NULL, NULL}, {0}};
