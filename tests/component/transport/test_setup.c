/* How workers are made, and what they tell: the setup record, attach, STARTED and RESULT. */
#include "worker/setup.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/memory.h"
#include "tests/harness/harness.h"
#include "transport/core/host_port.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena *arena;
static struct host_port *port;
static int sockets[2];
static int params;

static void open_all(void)
{
    struct arena_pack pack = {.worker_count = 2};
    struct arena_config config = {
        .flare_id = "setup", .worker_count = 2, .node_count = 1, .pack_count = 1, .packs = &pack};
    struct covey_error error;
    TEST_REQUIRE(arena_create(&config, &arena, &error) == COVEY_OK);
    TEST_REQUIRE(host_port_create(arena, &port, &error) == COVEY_OK);
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
    params = memfd_create("params", MFD_CLOEXEC);
    TEST_REQUIRE(covey_write_full(params, "first,second", 12) == COVEY_OK);
}

static void close_all(void)
{
    host_port_destroy(port);
    arena_destroy(arena);
    close(sockets[0]);
    close(sockets[1]);
    close(params);
}

static struct worker_setup sound(void)
{
    return (struct worker_setup){.magic = WORKER_SETUP_MAGIC,
                                 .version = WORKER_SETUP_VERSION,
                                 .rank = 1,
                                 .timeout_ns = 60 * COVEY_NS_PER_S,
                                 .result_limit_bytes = 100,
                                 .param_offset = 6,
                                 .param_length = 6,
                                 .arena_fd = arena_fd(arena),
                                 .host_event_fd = host_port_event_fd(port),
                                 .lifeline_fd = -1,
                                 .params_fd = params,
                                 .control_fd = sockets[1]};
}

static int be_worker(void)
{
    struct covey_ctx *ctx = NULL;
    if (covey_attach(&ctx))
        return 10;
    size_t length;
    const void *param = covey_param(ctx, &length);
    if (covey_rank(ctx) != 1 || length != 6 || memcmp(param, "second", 6) != 0)
        return 11;
    if (covey_set_result(ctx, "wrong", 5) || covey_set_result(ctx, "result", 6))
        return 12;
    covey_detach(ctx);
    return 0;
}

static struct worker_record next_record(int *fd)
{
    struct worker_record record = {0};
    int fds[COVEY_IO_MAX_FDS];
    size_t fd_count = 0;
    size_t length = 0;
    TEST_REQUIRE(covey_receive_fds(sockets[0], &record, sizeof(record), &length, fds, &fd_count) ==
                 COVEY_OK);
    TEST_EQUAL(length, sizeof(record));
    TEST_EQUAL(record.rank, 1);
    TEST_TRUE(record.wall_ns > 0);
    *fd = fd_count == 1 ? fds[0] : -1;
    return record;
}

static void attach__setup_on_the_socket__becomes_the_worker(void)
{
    open_all();
    struct worker_setup setup = sound();
    TEST_EQUAL(worker_setup_send(sockets[0], &setup), COVEY_OK);
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        char number[16];
        snprintf(number, sizeof(number), "%d", sockets[1]);
        setenv(WORKER_FD_VARIABLE, number, 1);
        setenv(WORKER_RANK_VARIABLE, "1", 1);
        close(sockets[0]);
        test_child_exit(be_worker());
    }
    arena_open_gate(arena);
    int fd;
    TEST_EQUAL(next_record(&fd).kind, WORKER_RECORD_STARTED);
    TEST_EQUAL(fd, -1);
    TEST_EQUAL(arena_rank_state(arena, 1), ARENA_RUNNING);
    TEST_EQUAL(next_record(&fd).kind, WORKER_RECORD_RESULT);
    close(fd);
    struct worker_record record = next_record(&fd);
    char bytes[8] = {0};
    TEST_EQUAL(record.kind, WORKER_RECORD_RESULT);
    TEST_EQUAL(record.length, 6);
    TEST_EQUAL(pread(fd, bytes, sizeof(bytes), 0), 6);
    TEST_EQUAL_STRING(bytes, "result");
    TEST_TRUE(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE);
    close(fd);
    int status;
    TEST_EQUAL(waitpid(pid, &status, 0), pid);
    TEST_EQUAL(status, 0);
    close_all();
}

static void attach__not_started_by_covey__says_so(void)
{
    struct covey_ctx *ctx = NULL;
    unsetenv(WORKER_FD_VARIABLE);
    TEST_EQUAL(covey_attach(&ctx), COVEY_EPRECONDITION);
    setenv(WORKER_FD_VARIABLE, "seven", 1);
    setenv(WORKER_RANK_VARIABLE, "1", 1);
    TEST_EQUAL(covey_attach(&ctx), COVEY_EPRECONDITION);
    setenv(WORKER_FD_VARIABLE, "999", 1);
    TEST_TRUE(covey_attach(&ctx) != COVEY_OK);
    covey_detach(NULL);
}

static enum covey_status create(const struct worker_setup *setup)
{
    struct covey_ctx *ctx = NULL;
    struct covey_error error = {0};
    enum covey_status status = covey_worker_create(setup, &ctx, &error);
    TEST_TRUE(status == COVEY_OK || error.message[0]);
    covey_worker_leave(ctx);
    return status;
}

static void create__unsound_setups__are_refused(void)
{
    open_all();
    struct worker_setup setup = sound();
    TEST_EQUAL(create(&setup), COVEY_OK);
    setup.magic++;
    TEST_EQUAL(create(&setup), COVEY_EPROTO);
    setup = sound();
    setup.version++;
    TEST_EQUAL(create(&setup), COVEY_EVERSION);
    setup = sound();
    setup.rank = 2;
    TEST_EQUAL(create(&setup), COVEY_EPROTO);
    setup = sound();
    setup.param_length = 7;
    TEST_EQUAL(create(&setup), COVEY_EPROTO);
    setup = sound();
    setup.param_offset = UINT64_MAX;
    TEST_EQUAL(create(&setup), COVEY_EPROTO);
    setup = sound();
    setup.arena_fd = params;
    TEST_EQUAL(create(&setup), COVEY_EPROTO);
    setup = sound();
    setup.control_fd = -1;
    TEST_TRUE(create(&setup) != COVEY_OK);
    setup = sound();
    setup.param_length = 0;
    setup.params_fd = -1;
    TEST_EQUAL(create(&setup), COVEY_OK);
    close_all();
}

static void enter__gate_is_shut__is_cancelled(void)
{
    open_all();
    struct worker_setup setup = sound();
    struct covey_ctx *ctx = NULL;
    struct covey_error error;
    TEST_REQUIRE(covey_worker_create(&setup, &ctx, &error) == COVEY_OK);
    TEST_EQUAL(covey_worker_enter(ctx, covey_now_ns()), COVEY_ETIMEOUT);
    arena_shut_gate(arena);
    TEST_EQUAL(covey_worker_enter(ctx, COVEY_NEVER_NS), COVEY_ECANCELLED);
    covey_worker_leave(ctx);
    close_all();
}

static void create__memory_runs_out_anywhere__fails_cleanly(void)
{
    open_all();
    struct worker_setup setup = sound();
    enum covey_status status = COVEY_ENOMEM;
    int64_t limit = 0;
    for (; status != COVEY_OK && limit < 1000; limit++) {
        struct covey_ctx *ctx = NULL;
        struct covey_error error = {0};
        covey_memory_fail_after(limit);
        status = covey_worker_create(&setup, &ctx, &error);
        covey_memory_fail_after(-1);
        TEST_TRUE(status == COVEY_OK || error.message[0]);
        covey_worker_leave(ctx);
    }
    TEST_EQUAL(status, COVEY_OK);
    TEST_TRUE(limit > 10);
    close_all();
}

static bool is_closed(int end)
{
    struct pollfd poll_fd = {.fd = end, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1;
}

/* The host takes the end of a pack's lifeline for the end of all its workers. */
static void create__pack_has_a_lifeline__is_held_while_the_arena_is_used(void)
{
    int lifeline[2];
    open_all();
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lifeline) == 0);
    struct worker_setup setup = sound();
    struct covey_ctx *ctx = NULL;
    struct covey_error error;
    setup.lifeline_fd = lifeline[1];
    TEST_REQUIRE(covey_worker_create(&setup, &ctx, &error) == COVEY_OK);
    close(lifeline[1]);
    TEST_TRUE(!is_closed(lifeline[0]));
    covey_worker_leave(ctx);
    TEST_TRUE(is_closed(lifeline[0]));
    close(lifeline[0]);
    close_all();
}

static void attach__worker_outlives_its_pack__holds_the_lifeline(void)
{
    int lifeline[2];
    int fd;
    open_all();
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lifeline) == 0);
    struct worker_setup setup = sound();
    setup.lifeline_fd = lifeline[1];
    TEST_EQUAL(worker_setup_send(sockets[0], &setup), COVEY_OK);
    close(lifeline[1]);
    /* It has not attached yet, and may. */
    TEST_TRUE(!is_closed(lifeline[0]));
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        struct covey_ctx *ctx = NULL;
        char number[16];
        snprintf(number, sizeof(number), "%d", sockets[1]);
        setenv(WORKER_FD_VARIABLE, number, 1);
        setenv(WORKER_RANK_VARIABLE, "1", 1);
        close(lifeline[0]);
        if (covey_attach(&ctx))
            test_child_exit(10);
        for (;;)
            pause();
    }
    arena_open_gate(arena);
    TEST_EQUAL(next_record(&fd).kind, WORKER_RECORD_STARTED);
    close(sockets[1]);
    TEST_TRUE(!is_closed(lifeline[0]));
    kill(pid, SIGKILL);
    TEST_EQUAL(waitpid(pid, NULL, 0), pid);
    TEST_TRUE(is_closed(lifeline[0]));
    close(lifeline[0]);
    sockets[1] = -1;
    close_all();
}

static const struct test_case cases[] = {
    TEST_CASE(create__pack_has_a_lifeline__is_held_while_the_arena_is_used),
    TEST_CASE(attach__worker_outlives_its_pack__holds_the_lifeline),
    TEST_CASE(create__memory_runs_out_anywhere__fails_cleanly),
    TEST_CASE(attach__setup_on_the_socket__becomes_the_worker),
    TEST_CASE(attach__not_started_by_covey__says_so),
    TEST_CASE(create__unsound_setups__are_refused),
    TEST_CASE(enter__gate_is_shut__is_cancelled),
    {0},
};

const struct test_suite test_suites[] = {{.name = "setup", .cases = cases}, {0}};
