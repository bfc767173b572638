/*
 * Two processes over UCX that exchange active messages, connected by socket address with peer error
 * handling: what Covey asks of UCX between nodes, and nothing else.
 *
 *   ucx_pair server PORT                     echoes until its client has closed or is lost
 *   ucx_pair client ADDRESS PORT echo N      N echoes of 8 bytes, then one of 1 MiB
 *   ucx_pair client ADDRESS PORT lose S      echoes until the server is lost, at most S seconds
 *
 * It sleeps on UCX's event descriptor: a loop that polls starves rxe on one processor.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucp/api/ucp.h>

#define SMALL_BYTES 8
#define LARGE_BYTES (1u << 20)
#define MESSAGE_ID  7
#define DEADLINE_MS 60000

struct pair {
    ucp_context_h context;
    ucp_worker_h worker;
    int event_fd;
    ucp_listener_h listener;
    ucp_conn_request_h request; /* the server's: who wants to connect */
    ucp_ep_h endpoint;
    ucs_status_t error;      /* what the endpoint was lost with */
    unsigned char *buffer;   /* what is sent */
    unsigned char *received; /* the last message, or room for it */
    size_t received_bytes;
    bool arrived;
    void *rendezvous; /* a large message, announced but not here yet */
};

struct operation {
    bool done;
    ucs_status_t status;
};

static void fail(const char *what, ucs_status_t status)
{
    fprintf(stderr, "ucx_pair: %s: %s\n", what, ucs_status_string(status));
    exit(1);
}

static void check(const char *what, ucs_status_t status)
{
    if (status != UCS_OK) {
        fail(what, status);
    }
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lets UCX work, then sleeps until it has more to do, at most until the deadline. False once that
 * has passed. */
static bool progress(struct pair *pair, int64_t deadline_ms)
{
    struct pollfd waited = {.fd = pair->event_fd, .events = POLLIN};
    ucs_status_t status;
    int64_t left_ms;

    if (ucp_worker_progress(pair->worker) != 0) {
        return true;
    }
    status = ucp_worker_arm(pair->worker);
    if (status == UCS_ERR_BUSY) {
        return true;
    }
    check("arming the event descriptor", status);
    /* What had arrived in a completion queue before it was armed makes no event: rxe, as the verbs
     * say, tells only of what comes later. Without this look a wake-up is lost now and then, until
     * the keepalive 20 s later. */
    if (ucp_worker_progress(pair->worker) != 0) {
        return true;
    }
    left_ms = deadline_ms - now_ms();
    if (left_ms <= 0) {
        return false;
    }
    if (poll(&waited, 1, (int)left_ms) < 0 && errno != EINTR) {
        perror("ucx_pair: poll");
        exit(1);
    }
    return true;
}

static void on_sent(void *request, ucs_status_t status, void *user_data)
{
    struct operation *operation = user_data;

    operation->status = status;
    operation->done = true;
    ucp_request_free(request);
}

static void on_fetched(void *request, ucs_status_t status, size_t length, void *user_data)
{
    (void)length;
    on_sent(request, status, user_data);
}

static ucs_status_t on_message(void *arg, const void *header, size_t header_length, void *data,
                               size_t length, const ucp_am_recv_param_t *param)
{
    struct pair *pair = arg;

    (void)header;
    (void)header_length;
    if (length > LARGE_BYTES || pair->arrived) {
        fail("a message that was not asked for", UCS_ERR_INVALID_PARAM);
    }
    pair->received_bytes = length;
    pair->arrived = true;
    if ((param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0) {
        pair->rendezvous = data;
        return UCS_INPROGRESS;
    }
    memcpy(pair->received, data, length);
    return UCS_OK;
}

/* The status of an operation that was started with an answer of UCX; its error once the endpoint is
 * lost. */
static ucs_status_t finish(struct pair *pair, struct operation *operation, ucs_status_ptr_t started,
                           int64_t deadline_ms)
{
    if (started == NULL) {
        return UCS_OK;
    }
    if (UCS_PTR_IS_ERR(started)) {
        return UCS_PTR_STATUS(started);
    }
    while (!operation->done && pair->error == UCS_OK) {
        if (!progress(pair, deadline_ms)) {
            return UCS_ERR_TIMED_OUT;
        }
    }
    if (!operation->done) {
        ucp_request_cancel(pair->worker, started);
        while (!operation->done) {
            if (!progress(pair, deadline_ms)) {
                fail("cancelling", UCS_ERR_TIMED_OUT);
            }
        }
    }
    return pair->error != UCS_OK ? pair->error : operation->status;
}

static ucs_status_t send_all(struct pair *pair, const void *buffer, size_t length,
                             int64_t deadline_ms)
{
    struct operation operation = {0};
    ucp_request_param_t param = {.op_attr_mask =
                                     UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA,
                                 .cb.send = on_sent,
                                 .user_data = &operation};

    return finish(pair, &operation,
                  ucp_am_send_nbx(pair->endpoint, MESSAGE_ID, NULL, 0, buffer, length, &param),
                  deadline_ms);
}

static ucs_status_t receive(struct pair *pair, int64_t deadline_ms)
{
    struct operation operation = {0};
    ucp_request_param_t param = {.op_attr_mask =
                                     UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA,
                                 .cb.recv_am = on_fetched,
                                 .user_data = &operation};
    void *rendezvous;

    while (!pair->arrived) {
        if (pair->error != UCS_OK) {
            return pair->error;
        }
        if (!progress(pair, deadline_ms)) {
            return UCS_ERR_TIMED_OUT;
        }
    }
    pair->arrived = false;
    rendezvous = pair->rendezvous;
    if (rendezvous == NULL) {
        return UCS_OK;
    }
    pair->rendezvous = NULL;
    return finish(pair, &operation,
                  ucp_am_recv_data_nbx(pair->worker, rendezvous, pair->received,
                                       pair->received_bytes, &param),
                  deadline_ms);
}

static void on_error(void *user_data, ucp_ep_h endpoint, ucs_status_t status)
{
    struct pair *pair = user_data;

    (void)endpoint;
    pair->error = status;
}

static void on_connection(ucp_conn_request_h request, void *user_data)
{
    struct pair *pair = user_data;

    if (pair->request != NULL) {
        ucp_listener_reject(pair->listener, request);
        return;
    }
    pair->request = request;
}

static void pair_init(struct pair *pair)
{
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES,
                           .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP};
    ucp_worker_params_t worker_params = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                         .thread_mode = UCS_THREAD_MODE_SINGLE};
    ucp_am_handler_param_t handler = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = MESSAGE_ID,
        .flags = UCP_AM_FLAG_WHOLE_MSG,
        .cb = on_message,
        .arg = pair};

    memset(pair, 0, sizeof(*pair));
    check("starting UCX", ucp_init(&params, NULL, &pair->context));
    check("making a worker", ucp_worker_create(pair->context, &worker_params, &pair->worker));
    check("getting the event descriptor", ucp_worker_get_efd(pair->worker, &pair->event_fd));
    check("taking messages", ucp_worker_set_am_recv_handler(pair->worker, &handler));
    pair->buffer = calloc(1, LARGE_BYTES);
    pair->received = calloc(1, LARGE_BYTES);
    if (pair->buffer == NULL || pair->received == NULL) {
        fail("allocating", UCS_ERR_NO_MEMORY);
    }
}

static void pair_connect(struct pair *pair, ucp_ep_params_t *params)
{
    params->field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
    params->err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params->err_handler.cb = on_error;
    params->err_handler.arg = pair;
    check("connecting", ucp_ep_create(pair->worker, params, &pair->endpoint));
}

static void pair_close(struct pair *pair)
{
    struct operation operation = {0};
    ucp_request_param_t param = {.op_attr_mask =
                                     UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                                     (pair->error != UCS_OK ? UCP_OP_ATTR_FIELD_FLAGS : 0),
                                 .flags = UCP_EP_CLOSE_FLAG_FORCE,
                                 .cb.send = on_sent,
                                 .user_data = &operation};
    ucs_status_ptr_t started = ucp_ep_close_nbx(pair->endpoint, &param);
    int64_t deadline_ms = now_ms() + DEADLINE_MS;

    while (UCS_PTR_IS_PTR(started) && !operation.done) {
        if (!progress(pair, deadline_ms)) {
            fail("closing", UCS_ERR_TIMED_OUT);
        }
    }
    if (pair->listener != NULL) {
        ucp_listener_destroy(pair->listener);
    }
    ucp_worker_destroy(pair->worker);
    ucp_cleanup(pair->context);
    free(pair->buffer);
    free(pair->received);
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
    struct sockaddr_in made = {.sin_family = AF_INET};
    char *end;
    unsigned long number = strtoul(port, &end, 10);

    if (*end != '\0' || number == 0 || number > 65535 ||
        inet_pton(AF_INET, address, &made.sin_addr) != 1) {
        fprintf(stderr, "ucx_pair: %s port %s is no address\n", address, port);
        exit(2);
    }
    made.sin_port = htons((uint16_t)number);
    return made;
}

static int serve(const char *port)
{
    struct pair pair;
    struct sockaddr_in address = address_of("0.0.0.0", port);
    ucp_listener_params_t listen = {.field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR |
                                                  UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
                                    .sockaddr = {(struct sockaddr *)&address, sizeof(address)},
                                    .conn_handler = {on_connection, &pair}};
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST};
    int64_t deadline_ms = now_ms() + DEADLINE_MS;
    uint64_t echoes = 0;

    pair_init(&pair);
    check("listening", ucp_listener_create(pair.worker, &listen, &pair.listener));
    while (pair.request == NULL) {
        if (!progress(&pair, deadline_ms)) {
            fail("waiting for a client", UCS_ERR_TIMED_OUT);
        }
    }
    params.conn_request = pair.request;
    pair_connect(&pair, &params);
    while (receive(&pair, now_ms() + DEADLINE_MS) == UCS_OK &&
           send_all(&pair, pair.received, pair.received_bytes, now_ms() + DEADLINE_MS) == UCS_OK) {
        echoes++;
    }
    printf("served %" PRIu64 " echoes, ended by: %s\n", echoes, ucs_status_string(pair.error));
    pair_close(&pair);
    /* The client says goodbye by closing, which is told as a reset; all else is a failure. */
    return echoes > 0 && pair.error == UCS_ERR_CONNECTION_RESET ? 0 : 1;
}

static ucs_status_t echo(struct pair *pair, size_t length, unsigned char mark)
{
    int64_t deadline_ms = now_ms() + DEADLINE_MS;
    ucs_status_t status;

    memset(pair->buffer, mark, length);
    memset(pair->received, 0, length);
    status = send_all(pair, pair->buffer, length, deadline_ms);
    if (status == UCS_OK) {
        status = receive(pair, deadline_ms);
    }
    if (status != UCS_OK) {
        return status;
    }
    if (pair->received_bytes != length || memcmp(pair->buffer, pair->received, length) != 0) {
        fail("the echo is not what was sent", UCS_ERR_INVALID_PARAM);
    }
    return UCS_OK;
}

static void echo_many(struct pair *pair, uint64_t count)
{
    int64_t started_ms = now_ms();

    for (uint64_t i = 0; i < count; i++) {
        check("echo", echo(pair, SMALL_BYTES, (unsigned char)(i % 255 + 1)));
    }
    printf("%" PRIu64 " echoes of %d bytes: %.3f ms each\n", count, SMALL_BYTES,
           (double)(now_ms() - started_ms) / (double)count);
    check("echo", echo(pair, LARGE_BYTES, 0x5a));
}

static int echo_until_lost(struct pair *pair, uint64_t seconds)
{
    int64_t last_ms;
    ucs_status_t status;

    /* An endpoint exists before it is connected; an echo shows that it is. */
    check("echo", echo(pair, SMALL_BYTES, 1));
    last_ms = now_ms();
    printf("connected\n");
    fflush(stdout);
    while ((status = echo(pair, SMALL_BYTES, 1)) == UCS_OK) {
        last_ms = now_ms();
    }
    last_ms = now_ms() - last_ms;
    printf("lost after %" PRId64 " ms: %s\n", last_ms, ucs_status_string(status));
    return pair->error != UCS_OK && last_ms <= (int64_t)seconds * 1000 ? 0 : 1;
}

static int be_client(char **arguments)
{
    struct pair pair;
    struct sockaddr_in address = address_of(arguments[0], arguments[1]);
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
                              .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
                              .sockaddr = {(struct sockaddr *)&address, sizeof(address)}};
    uint64_t number = strtoull(arguments[3], NULL, 10);
    int status = 0;

    pair_init(&pair);
    pair_connect(&pair, &params);
    if (strcmp(arguments[2], "lose") == 0) {
        status = echo_until_lost(&pair, number);
    } else {
        echo_many(&pair, number);
        ucp_ep_print_info(pair.endpoint, stdout);
    }
    pair_close(&pair);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "server") == 0) {
        return serve(argv[2]);
    }
    if (argc == 6 && strcmp(argv[1], "client") == 0 && strtoull(argv[5], NULL, 10) > 0 &&
        (strcmp(argv[4], "echo") == 0 || strcmp(argv[4], "lose") == 0)) {
        return be_client(argv + 2);
    }
    fprintf(stderr, "usage: ucx_pair server PORT\n"
                    "       ucx_pair client ADDRESS PORT echo|lose NUMBER\n");
    return 2;
}
