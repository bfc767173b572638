/* The small texts of the protocol: timeouts, percent-encoding, codes, addresses. */
#include "base/clock.h"
#include "base/memory.h"
#include "rpc/address.h"
#include "rpc/code.h"
#include "rpc/percent.h"
#include "rpc/timeout.h"
#include "tests/harness/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

static void rpc_timeout_format__any_duration__has_at_most_eight_digits(void)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "0n"},
        {-5, "0n"},
        {1, "1n"},
        {99999999, "99999999n"},
        {100000000, "100000u"},
        {100000001, "100001u"}, /* rounded up: never shorter than asked */
        {COVEY_NS_PER_S * 60, "60000000u"},
        {COVEY_NS_PER_S * 100, "100000m"},
        {INT64_MAX - 1, "2562048H"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[RPC_TIMEOUT_BYTES];
        rpc_timeout_format(rows[i].ns, text);
        TEST_EQUAL_STRING(text, rows[i].text);
    }
}

static void rpc_timeout_parse__table__gives_the_value_or_refuses(void)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } rows[] = {
        {"1n", 1},
        {"5u", 5000},
        {"10m", 10000000},
        {"2S", 2 * COVEY_NS_PER_S},
        {"3M", 180 * COVEY_NS_PER_S},
        {"1H", 3600 * COVEY_NS_PER_S},
        {"99999999H", INT64_MAX},
        {"99999999n", 99999999},
        {"100000000n", -1},
        {"", -1},
        {"5", -1},
        {"m", -1},
        {"-5m", -1},
        {"+5m", -1},
        {"5x", -1},
        {"5mm", -1},
        {"5 m", -1},
        {"1.5S", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t ns = 0;
        bool parsed = rpc_timeout_parse(rows[i].text, &ns);
        TEST_EQUAL(parsed, rows[i].ns >= 0);
        if (parsed)
            TEST_EQUAL(ns, rows[i].ns);
    }
}

static void rpc_percent__any_text__survives_both_ways(void)
{
    static const struct {
        const char *text;
        const char *encoded;
    } rows[] = {
        {"", ""},
        {"plain text ~!", "plain text ~!"},
        {"100 %", "100 %25"},
        {"a\nb\x7f", "a%0Ab%7F"},
        {" ", "%20"},
        {" is no id", "%20is no id"},
        {"an id: ", "an id:%20"},
        {"  both  ", "%20 both %20"},
        {"\ttabs\t", "%09tabs%09"},
        {"\xc3\xbc", "%C3%BC"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct covey_buffer encoded = {0};
        TEST_EQUAL(rpc_percent_encode(rows[i].text, &encoded), COVEY_OK);
        TEST_EQUAL_STRING((char *)encoded.data, rows[i].encoded);
        TEST_EQUAL(encoded.length_bytes, strlen(rows[i].encoded));
        rpc_percent_decode((char *)encoded.data);
        TEST_EQUAL_STRING((char *)encoded.data, rows[i].text);
        covey_buffer_free(&encoded);
    }
}

static void rpc_percent_decode__broken_escapes__stay(void)
{
    static const char *const rows[][2] = {
        {"%", "%"},     {"%4", "%4"},           {"%zz", "%zz"}, {"%4z", "%4z"},
        {"%00", "%00"}, {"%c3%bc", "\xc3\xbc"}, {"%25%", "%%"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16];
        snprintf(text, sizeof text, "%s", rows[i][0]);
        rpc_percent_decode(text);
        TEST_EQUAL_STRING(text, rows[i][1]);
    }
}

static void rpc_percent_encode__out_of_memory__says_so(void)
{
    struct covey_buffer encoded = {0};
    covey_memory_fail_after(0);
    enum covey_status status = rpc_percent_encode("x", &encoded);
    enum covey_status empty = rpc_percent_encode("", &encoded);
    covey_memory_fail_after(-1);
    TEST_EQUAL(status, COVEY_ENOMEM);
    TEST_EQUAL(empty, COVEY_ENOMEM);
}

static void rpc_code__other_numberings__map_as_the_specification_says(void)
{
    TEST_EQUAL_STRING(rpc_code_name(RPC_OK), "OK");
    TEST_EQUAL_STRING(rpc_code_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    TEST_EQUAL_STRING(rpc_code_name((enum rpc_code)17), "UNKNOWN");
    TEST_EQUAL_STRING(rpc_code_name((enum rpc_code) - 1), "UNKNOWN");
    TEST_EQUAL(rpc_code_parse("0"), RPC_OK);
    TEST_EQUAL(rpc_code_parse("16"), RPC_UNAUTHENTICATED);
    TEST_EQUAL(rpc_code_parse("17"), RPC_UNKNOWN);
    TEST_EQUAL(rpc_code_parse("-1"), RPC_UNKNOWN);
    TEST_EQUAL(rpc_code_parse(""), RPC_UNKNOWN);
    TEST_EQUAL(rpc_code_parse("5x"), RPC_UNKNOWN);
    static const struct {
        int http;
        enum rpc_code code;
    } rows[] = {
        {400, RPC_INTERNAL},      {401, RPC_UNAUTHENTICATED}, {403, RPC_PERMISSION_DENIED},
        {404, RPC_UNIMPLEMENTED}, {429, RPC_UNAVAILABLE},     {502, RPC_UNAVAILABLE},
        {503, RPC_UNAVAILABLE},   {504, RPC_UNAVAILABLE},     {418, RPC_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        TEST_EQUAL(rpc_code_from_http(rows[i].http), rows[i].code);
    TEST_EQUAL(rpc_code_from_h2(NGHTTP2_REFUSED_STREAM), RPC_UNAVAILABLE);
    TEST_EQUAL(rpc_code_from_h2(NGHTTP2_CANCEL), RPC_CANCELLED);
    TEST_EQUAL(rpc_code_from_h2(NGHTTP2_ENHANCE_YOUR_CALM), RPC_RESOURCE_EXHAUSTED);
    TEST_EQUAL(rpc_code_from_h2(NGHTTP2_INADEQUATE_SECURITY), RPC_PERMISSION_DENIED);
    TEST_EQUAL(rpc_code_from_h2(NGHTTP2_PROTOCOL_ERROR), RPC_INTERNAL);
}

static void rpc_address_parse__table__takes_or_refuses(void)
{
    char long_path[200] = "unix:/";
    memset(long_path + 6, 'x', 150);
    struct {
        const char *text;
        const char *host; /* NULL: refused */
        const char *port;
    } rows[] = {
        {"localhost:80", "localhost", "80"},
        {"[::1]:8470", "::1", "8470"},
        {"127.0.0.1:0", "127.0.0.1", "0"},
        {"unix:/run/x.sock", "localhost", ""},
        {"", NULL, NULL},
        {"localhost", NULL, NULL},
        {":80", NULL, NULL},
        {"[]:80", NULL, NULL},
        {"::1:80", NULL, NULL},
        {"localhost:", NULL, NULL},
        {"localhost:http", NULL, NULL},
        {"localhost:65536", NULL, NULL},
        {"localhost:-1", NULL, NULL},
        {"localhost:999999", NULL, NULL},
        {"unix:", NULL, NULL},
        {long_path, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rpc_address address;
        struct covey_error error = {0};
        enum covey_status status = rpc_address_parse(rows[i].text, &address, &error);
        TEST_EQUAL(status, rows[i].host ? COVEY_OK : COVEY_EINVAL);
        if (rows[i].host) {
            TEST_EQUAL_STRING(address.host, rows[i].host);
            TEST_EQUAL_STRING(address.port, rows[i].port);
        } else {
            TEST_TRUE(*error.message != '\0');
        }
    }
}

static void rpc_address__of_a_socket__is_told(void)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(81)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    inet_pton(AF_INET, "127.1.2.3", &v4.sin_addr);
    TEST_TRUE(rpc_address_is_loopback((struct sockaddr *)&v4));
    char *text = rpc_address_format((struct sockaddr *)&v4);
    TEST_EQUAL_STRING(text, "127.1.2.3:80");
    free(text);
    inet_pton(AF_INET, "10.0.0.1", &v4.sin_addr);
    TEST_TRUE(!rpc_address_is_loopback((struct sockaddr *)&v4));
    inet_pton(AF_INET6, "::1", &v6.sin6_addr);
    TEST_TRUE(rpc_address_is_loopback((struct sockaddr *)&v6));
    text = rpc_address_format((struct sockaddr *)&v6);
    TEST_EQUAL_STRING(text, "[::1]:81");
    free(text);
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6.sin6_addr);
    TEST_TRUE(rpc_address_is_loopback((struct sockaddr *)&v6));
    inet_pton(AF_INET6, "::ffff:10.0.0.1", &v6.sin6_addr);
    TEST_TRUE(!rpc_address_is_loopback((struct sockaddr *)&v6));
    TEST_TRUE(rpc_address_is_loopback((struct sockaddr *)&local));
}

static const struct test_case cases[] = {
    TEST_CASE(rpc_timeout_format__any_duration__has_at_most_eight_digits),
    TEST_CASE(rpc_timeout_parse__table__gives_the_value_or_refuses),
    TEST_CASE(rpc_percent__any_text__survives_both_ways),
    TEST_CASE(rpc_percent_decode__broken_escapes__stay),
    TEST_CASE(rpc_percent_encode__out_of_memory__says_so),
    TEST_CASE(rpc_code__other_numberings__map_as_the_specification_says),
    TEST_CASE(rpc_address_parse__table__takes_or_refuses),
    TEST_CASE(rpc_address__of_a_socket__is_told),
    {0},
};

const struct test_suite test_suites[] = {{"rpc text", cases, NULL, NULL}, {0}};
