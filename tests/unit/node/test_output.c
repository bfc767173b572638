/* What a pack still reads when its workers are gone, beside an agent that acknowledges late. */
#include "base/clock.h"
#include "service/pack/pack.h"
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than two windows of whole lines, and no more than a pipe may hold. */
#define LINE_BYTES 8
#define LINES      75000
#define PIPE_BYTES (1 << 20)
#define WAIT_MS    60000

static struct pack pack;
static struct pack_worker worker;
static int agent; /* its end of the connection */

static void add_number(char *line, unsigned number)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%07u\n", number % 10000000);
    memcpy(line, text, LINE_BYTES);
}

/* The read end of a pipe that is full of numbered lines, and that nobody writes any more. */
static int full_pipe(void)
{
    static char text[LINES * LINE_BYTES];
    int ends[2];
    for (unsigned i = 0; i < LINES; i++)
        add_number(text + (size_t)i * LINE_BYTES, i);
    TEST_REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    TEST_REQUIRE(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= (int)sizeof text);
    TEST_REQUIRE(write(ends[1], text, sizeof text) == (ssize_t)sizeof text);
    (void)close(ends[1]);
    return ends[0];
}

static void open_output(struct pack_output *output, int take_fd)
{
    *output = (struct pack_output){
        .source = {.fd = -1, .ready = pack_output_ready}, .pack = &pack, .stream = 1};
    covey_list_init(&output->queued);
    if (take_fd >= 0)
        TEST_REQUIRE(pack_output_open(&pack, output, take_fd) == COVEY_OK);
}

/* A pack that is to stop, whose only worker has ended and left a full pipe. */
static void start(void)
{
    int ends[2];
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    agent = ends[1];
    worker = (struct pack_worker){.ended = true, .control.fd = -1, .result_fd = -1};
    pack = (struct pack){.epoll = epoll_create1(EPOLL_CLOEXEC),
                         .runtime_folder = "/nonexistent",
                         .listener.fd = -1,
                         .lifeline.fd = -1,
                         .signals.fd = -1,
                         .threads_done.fd = -1,
                         .agent_deadline_ns = COVEY_NEVER_NS,
                         .stop_deadline_ns = COVEY_NEVER_NS,
                         .drain_deadline_ns = COVEY_NEVER_NS,
                         .prepared = true,
                         .stopping = true,
                         .here.workers = 1,
                         .workers = &worker};
    link_init(&pack.link);
    TEST_REQUIRE(link_open(&pack.link, ends[0]) == COVEY_OK);
    pack.agent = (struct pack_source){.fd = ends[0], .ready = pack_agent_ready};
    TEST_REQUIRE(pack_watch(&pack, &pack.agent, EPOLLIN) == COVEY_OK);
    backlog_open(&pack.backlog);
    covey_list_init(&pack.outputs_waiting);
    for (int i = 0; i < 2; i++)
        open_output(&pack.own[i], -1);
    open_output(&worker.outputs[1], -1);
    open_output(&worker.outputs[0], full_pipe());
}

static void *run(void *data)
{
    *(enum covey_status *)data = pack_run(&pack);
    return NULL;
}

static void acknowledge(uint64_t offset)
{
    Covey__V1__PackLogTaken taken = COVEY__V1__PACK_LOG_TAKEN__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG_TAKEN;
    message.pack_log_taken = &taken;
    taken.offset = offset;
    TEST_REQUIRE(local_send(agent, &message, NULL, 0) == COVEY_OK);
}

static unsigned check_lines(const Covey__V1__PackLog *log, unsigned next)
{
    for (size_t i = 0; i < log->n_lines; i++) {
        const ProtobufCBinaryData *text = &log->lines[i]->text;
        TEST_REQUIRE(text->len % LINE_BYTES == 0);
        for (size_t at = 0; at < text->len; at += LINE_BYTES, next++) {
            char line[LINE_BYTES];
            add_number(line, next);
            TEST_REQUIRE(memcmp(text->data + at, line, LINE_BYTES) == 0);
        }
    }
    return next;
}

/* True at the pack's last record. What was said is acknowledged only when the window is full of it,
 * or at its end: so long nothing else makes room. */
static bool take_record(unsigned *lines, uint64_t *acknowledged)
{
    struct local_record record;
    TEST_REQUIRE(local_receive(agent, &record) == COVEY_OK);
    const local_message *message = record.message;
    bool done = message->body_case == COVEY__V1__LOCAL_MESSAGE__BODY_PACK_DONE;
    if (message->body_case == COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG) {
        const Covey__V1__PackLog *log = message->pack_log;
        uint64_t end = log->offset + local_log_cost(log->lines, log->n_lines);
        *lines = check_lines(log, *lines);
        TEST_TRUE(end - *acknowledged <= LOCAL_LOG_WINDOW_BYTES);
        if (end - *acknowledged > LOCAL_LOG_WINDOW_BYTES / 2)
            acknowledge(*acknowledged = end);
    }
    local_record_free(&record);
    return done;
}

static void stop__more_than_a_window_is_left__all_of_it_is_said(void)
{
    pthread_t thread;
    enum covey_status status = COVEY_EINTERNAL;
    unsigned lines = 0;
    uint64_t acknowledged = 0;
    start();
    TEST_REQUIRE(pthread_create(&thread, NULL, run, &status) == 0);
    acknowledge(0); /* a turn of its loop, in which it reads what is left */
    for (bool done = false; !done;) {
        struct pollfd ready = {.fd = agent, .events = POLLIN};
        TEST_REQUIRE(poll(&ready, 1, WAIT_MS) == 1);
        done = take_record(&lines, &acknowledged);
    }
    TEST_EQUAL(lines, LINES);
    (void)close(agent);
    TEST_EQUAL(pthread_join(thread, NULL), 0);
    TEST_EQUAL(status, COVEY_OK);
    backlog_close(&pack.backlog);
    (void)close(pack.epoll);
}

static const struct test_case cases[] = {
    TEST_CASE(stop__more_than_a_window_is_left__all_of_it_is_said), {0}};

const struct test_suite test_suites[] = {{"output", cases, NULL, NULL}, {0}};
