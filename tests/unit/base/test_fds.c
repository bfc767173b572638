/* Descriptors handed over unix sockets: covey_send_fds and covey_receive_fds. */
#include "base/io.h"
#include "tests/harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int ends[2];
static int received[COVEY_IO_MAX_FDS];
static size_t received_count;
static size_t length_bytes;
static char bytes[64];

static int open_sockets(void)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}

static int close_sockets(void)
{
    covey_close(&ends[0]);
    covey_close(&ends[1]);
    return 0;
}

static enum covey_status receive(size_t size_bytes)
{
    return covey_receive_fds(ends[1], bytes, size_bytes, &length_bytes, received, &received_count);
}

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    TEST_REQUIRE(folder != NULL);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* A record with descriptors sent past the checks of covey_send_fds. */
static void send_raw(const char *text, size_t length, int fd_count)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * 100)];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof(control));
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};
    size_t fds_bytes = sizeof(int) * (size_t)fd_count;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = CMSG_SPACE(fds_bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds_bytes);
    for (int i = 0; i < fd_count; i++)
        memcpy(CMSG_DATA(header) + sizeof(int) * (size_t)i, &(int){STDIN_FILENO}, sizeof(int));
    TEST_REQUIRE(sendmsg(ends[0], &message, 0) == (ssize_t)length);
}

static void transfer__two_descriptors__arrive_as_the_same_files(void)
{
    int sent[2];
    TEST_REQUIRE(pipe2(sent, O_CLOEXEC) == 0);
    TEST_REQUIRE(covey_send_fds(ends[0], "hello", 5, sent, 2) == COVEY_OK);
    TEST_REQUIRE(receive(sizeof(bytes)) == COVEY_OK);
    TEST_EQUAL(length_bytes, 5);
    TEST_EQUAL(memcmp(bytes, "hello", 5), 0);
    TEST_REQUIRE(received_count == 2);
    struct stat there, here;
    for (int i = 0; i < 2; i++) {
        TEST_TRUE(received[i] != sent[i]);
        TEST_EQUAL(fcntl(received[i], F_GETFD), FD_CLOEXEC);
        TEST_REQUIRE(fstat(sent[i], &there) == 0 && fstat(received[i], &here) == 0);
        TEST_EQUAL(there.st_ino, here.st_ino);
        close(received[i]);
        close(sent[i]);
    }
}

static void transfer__records__keep_their_bounds(void)
{
    TEST_REQUIRE(covey_send_fds(ends[0], "one", 3, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(covey_send_fds(ends[0], "four", 4, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(receive(sizeof(bytes)) == COVEY_OK);
    TEST_EQUAL(length_bytes, 3);
    TEST_EQUAL(received_count, 0);
    TEST_REQUIRE(receive(4) == COVEY_OK);
    TEST_EQUAL(length_bytes, 4);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_EAGAIN);
}

static void transfer__most_descriptors__all_arrive(void)
{
    int sent[COVEY_IO_MAX_FDS + 1];
    for (int i = 0; i <= COVEY_IO_MAX_FDS; i++)
        sent[i] = STDIN_FILENO;
    int before = open_descriptors();
    TEST_EQUAL(covey_send_fds(ends[0], "x", 1, sent, COVEY_IO_MAX_FDS + 1), COVEY_EINVAL);
    TEST_REQUIRE(covey_send_fds(ends[0], "x", 1, sent, COVEY_IO_MAX_FDS) == COVEY_OK);
    TEST_REQUIRE(receive(sizeof(bytes)) == COVEY_OK);
    TEST_EQUAL(received_count, COVEY_IO_MAX_FDS);
    for (size_t i = 0; i < received_count; i++)
        covey_close(&received[i]);
    TEST_EQUAL(open_descriptors(), before);
}

static void receive__more_descriptors_than_allowed__closes_them_all(void)
{
    int before = open_descriptors();
    send_raw("x", 1, COVEY_IO_MAX_FDS + 1);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_EPROTO);
    TEST_EQUAL(received_count, 0);
    TEST_EQUAL(open_descriptors(), before);
}

static void receive__record_longer_than_the_space__closes_its_descriptors(void)
{
    int before = open_descriptors();
    int sent[3] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
    TEST_REQUIRE(covey_send_fds(ends[0], "longer", 6, sent, 3) == COVEY_OK);
    TEST_EQUAL(receive(5), COVEY_EPROTO);
    TEST_EQUAL(length_bytes, 0);
    TEST_EQUAL(received_count, 0);
    TEST_EQUAL(open_descriptors(), before);
}

static void receive__no_descriptor_is_free__fails_and_leaks_none(void)
{
    int sent[3] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
    int before = open_descriptors();
    TEST_REQUIRE(covey_send_fds(ends[0], "x", 1, sent, 3) == COVEY_OK);
    int lowest_free = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    close(lowest_free);
    struct rlimit limit;
    TEST_REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct rlimit small = {.rlim_cur = (rlim_t)lowest_free + 1, .rlim_max = limit.rlim_max};
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    enum covey_status status = receive(sizeof(bytes));
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    TEST_EQUAL(status, COVEY_EPROTO);
    TEST_EQUAL(open_descriptors(), before);
}

static void receive__empty_record_with_descriptors__is_no_end_of_connection(void)
{
    int before = open_descriptors();
    TEST_EQUAL(covey_send_fds(ends[0], "", 0, NULL, 0), COVEY_EINVAL);
    send_raw("", 0, 2);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_EPROTO);
    TEST_EQUAL(open_descriptors(), before);
}

static void receive__peer_closed__is_length_zero(void)
{
    covey_close(&ends[0]);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_OK);
    TEST_EQUAL(length_bytes, 0);
    TEST_EQUAL(received_count, 0);
    TEST_EQUAL(covey_send_fds(ends[1], "x", 1, NULL, 0), COVEY_EUNAVAILABLE);
    close_sockets();
    TEST_REQUIRE(open_sockets() == 0);
}

static void receive__peer_closed_with_something_unread__what_it_said_comes_first(void)
{
    TEST_REQUIRE(covey_send_fds(ends[0], "last", 4, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(covey_send_fds(ends[0], "words", 5, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(covey_send_fds(ends[1], "unread", 6, NULL, 0) == COVEY_OK);
    covey_close(&ends[0]);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_OK);
    TEST_EQUAL(length_bytes, 4);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_OK);
    TEST_EQUAL(length_bytes, 5);
    TEST_EQUAL(receive(sizeof(bytes)), COVEY_OK);
    TEST_EQUAL(length_bytes, 0);
    close_sockets();
    TEST_REQUIRE(open_sockets() == 0);
}

static void send__socket_is_full_or_record_too_large__says_so(void)
{
    static char large[1 << 20];
    TEST_EQUAL(covey_send_fds(ends[0], large, sizeof(large), NULL, 0), COVEY_ELIMIT);
    enum covey_status status;
    int sent = 0;
    do
        status = covey_send_fds(ends[0], large, 1024, NULL, 0);
    while (status == COVEY_OK && ++sent < 100000);
    TEST_EQUAL(status, COVEY_EAGAIN);
    TEST_TRUE(sent > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(transfer__two_descriptors__arrive_as_the_same_files),
    TEST_CASE(transfer__records__keep_their_bounds),
    TEST_CASE(transfer__most_descriptors__all_arrive),
    TEST_CASE(receive__more_descriptors_than_allowed__closes_them_all),
    TEST_CASE(receive__record_longer_than_the_space__closes_its_descriptors),
    TEST_CASE(receive__no_descriptor_is_free__fails_and_leaks_none),
    TEST_CASE(receive__empty_record_with_descriptors__is_no_end_of_connection),
    TEST_CASE(receive__peer_closed__is_length_zero),
    TEST_CASE(receive__peer_closed_with_something_unread__what_it_said_comes_first),
    TEST_CASE(send__socket_is_full_or_record_too_large__says_so),
    {0},
};

const struct test_suite test_suites[] = {{"fds", cases, open_sockets, close_sockets}, {0}};
