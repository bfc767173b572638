#include "tests/harness/harness.h"
#include "transport/net/mac.h"

#include <stdio.h>
#include <string.h>

static void to_hex(const uint8_t *digest, char text[2 * NET_DIGEST_BYTES + 1])
{
    for (size_t i = 0; i < NET_DIGEST_BYTES; i++)
        sprintf(text + 2 * i, "%02x", digest[i]);
}

static void check_hash(const char *message, size_t repeat, const char *expected)
{
    struct net_sha256 hash;
    uint8_t digest[NET_DIGEST_BYTES];
    char text[2 * NET_DIGEST_BYTES + 1];
    net_sha256_begin(&hash);
    for (size_t i = 0; i < repeat; i++)
        net_sha256_add(&hash, message, strlen(message));
    net_sha256_end(&hash, digest);
    to_hex(digest, text);
    TEST_EQUAL_STRING(text, expected);
}

static void sha256__published_vectors__digests_agree(void)
{
    check_hash("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hash("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_hash("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void sha256__lengths_around_the_padding__each_digest_differs(void)
{
    uint8_t digests[130][NET_DIGEST_BYTES];
    for (size_t length = 0; length < 130; length++) {
        struct net_sha256 hash;
        net_sha256_begin(&hash);
        for (size_t i = 0; i < length; i++)
            net_sha256_add(&hash, "x", 1);
        net_sha256_end(&hash, digests[length]);
        for (size_t other = 0; other < length; other++)
            TEST_TRUE(memcmp(digests[other], digests[length], NET_DIGEST_BYTES) != 0);
    }
}

/* RFC 4231, case 1 with its 20-byte key, which HMAC pads with zeros as we do. */
static void mac__rfc_4231_case_1__agrees_whatever_the_split(void)
{
    uint8_t key[NET_SECRET_BYTES] = {0};
    uint8_t digest[NET_DIGEST_BYTES];
    char text[2 * NET_DIGEST_BYTES + 1];
    memset(key, 0x0b, 20);
    const struct net_span whole = {"Hi There", 8};
    const struct net_span parts[] = {{"Hi", 2}, {"", 0}, {" There", 6}};
    net_mac(key, &whole, 1, digest);
    to_hex(digest, text);
    TEST_EQUAL_STRING(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    net_mac(key, parts, 3, digest);
    to_hex(digest, text);
    TEST_EQUAL_STRING(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

static void equal_constant_time__one_bit_anywhere__differs(void)
{
    uint8_t one[32] = {0}, other[32] = {0};
    TEST_TRUE(net_equal_constant_time(one, other, sizeof one));
    for (size_t bit = 0; bit < 8 * sizeof one; bit++) {
        other[bit / 8] = (uint8_t)(1u << bit % 8);
        TEST_TRUE(!net_equal_constant_time(one, other, sizeof one));
        other[bit / 8] = 0;
    }
}

static const struct test_case cases[] = {
    TEST_CASE(sha256__published_vectors__digests_agree),
    TEST_CASE(sha256__lengths_around_the_padding__each_digest_differs),
    TEST_CASE(mac__rfc_4231_case_1__agrees_whatever_the_split),
    TEST_CASE(equal_constant_time__one_bit_anywhere__differs),
    {0},
};

const struct test_suite test_suites[] = {{"mac", cases, NULL, NULL}, {0}};
