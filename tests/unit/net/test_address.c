#include "tests/harness/harness.h"
#include "transport/net/backend.h"
#include "transport/net/device.h"

#include <string.h>
#include <sys/socket.h>

static void parse__good_addresses__come_back_as_they_were(void)
{
    static const char *const good[] = {"127.0.0.1:1", "10.1.2.3:65535", "[::1]:8470",
                                       "[fe80::1:2]:80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sockaddr_storage address;
        unsigned length;
        char text[80];
        TEST_EQUAL(net_address_parse(good[i], &address, &length), COVEY_OK);
        net_address_format(&address, text, sizeof text);
        TEST_EQUAL_STRING(text, good[i]);
    }
}

static void parse__bad_addresses__are_refused(void)
{
    static const char *const bad[] = {"",
                                      ":",
                                      ":80",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:0",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:80x",
                                      "127.0.0.1:-1",
                                      "127.0.0.1: 80",
                                      "::1:80",
                                      "[::1:80",
                                      "[]:80",
                                      "[",
                                      "localhost:80",
                                      "0.0.0.0:80",
                                      "[::]:80",
                                      "1.2.3:80",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sockaddr_storage address;
        unsigned length;
        TEST_EQUAL(net_address_parse(bad[i], &address, &length), COVEY_EINVAL);
    }
}

static void device_find__loopback__is_lo_without_rdma(void)
{
    struct net_device device;
    TEST_EQUAL(net_device_find("127.0.0.1", &device), COVEY_OK);
    TEST_EQUAL_STRING(device.interface, "lo");
    TEST_EQUAL_STRING(device.rdma, "");
    TEST_EQUAL(net_device_find("127.7.7.7", &device), COVEY_OK);
    TEST_EQUAL_STRING(device.interface, "lo");
}

static void device_find__an_address_of_nobody_here__is_unavailable(void)
{
    struct net_device device;
    TEST_EQUAL(net_device_find("192.0.2.1", &device), COVEY_EUNAVAILABLE);
    TEST_EQUAL(net_device_find("2001:db8::1", &device), COVEY_EUNAVAILABLE);
    TEST_EQUAL(net_device_find("here", &device), COVEY_EINVAL);
}

static const struct test_case cases[] = {
    TEST_CASE(parse__good_addresses__come_back_as_they_were),
    TEST_CASE(parse__bad_addresses__are_refused),
    TEST_CASE(device_find__loopback__is_lo_without_rdma),
    TEST_CASE(device_find__an_address_of_nobody_here__is_unavailable),
    {0},
};

const struct test_suite test_suites[] = {{"address", cases, NULL, NULL}, {0}};
