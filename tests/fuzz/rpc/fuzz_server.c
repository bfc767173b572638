/*
 * Any bytes as what a client sends. The first byte chooses where they start: at the very beginning,
 * after the preface, or as the body of a request; then they come in one piece or in many. Every
 * call must end, and the server must be empty after each.
 */
#include "tests/component/rpc/echo_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes);

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            "\0\0\0\4\0\0\0\0";
static uv_loop_t loop;
static struct rpc_server *server;
static struct echo echo;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void remove_socket(void)
{
    unlink(address.sun_path);
}

static void start(void)
{
    struct rpc_server_options options = {.reflection = true};
    struct covey_error error = {0};
    char target[128];
    rpc_limits_init(&options.limits);
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/covey-fuzz-%d.sock", getpid());
    snprintf(target, sizeof target, "unix:%s", address.sun_path);
    if (uv_loop_init(&loop) || rpc_server_create(&loop, &options, &server, &error) ||
        rpc_server_add(server, &echo_service, &echo) ||
        rpc_server_listen(server, target, NULL, NULL, 0, &error)) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    (void)atexit(remove_socket);
}

static void run(int rounds)
{
    for (int i = 0; i < rounds; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void send_all(int peer, const void *bytes, size_t length_bytes)
{
    /* The server may have broken it off: then there is nobody to send to. */
    (void)!send(peer, bytes, length_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A frame of stream 1 with a payload of at most 16 KiB. */
static void send_frame(int peer, uint8_t kind, uint8_t flags, const void *payload,
                       size_t payload_bytes)
{
    uint8_t frame[9] = {0, (uint8_t)(payload_bytes >> 8), (uint8_t)payload_bytes, kind, flags};
    frame[8] = 1;
    send_all(peer, frame, sizeof frame);
    send_all(peer, payload, payload_bytes);
}

/* The block of a proper request for one of four methods. */
static void send_request(int peer, unsigned method, bool gzip)
{
    static const char *const paths[] = {
        "/covey.test.Echo/Unary",
        "/covey.test.Echo/Chat",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    };
    char block[256];
    int length = snprintf(block, sizeof block, "\x83\x86\x41\x01x%c%c:path%c%s", 0x40, 5,
                          (int)strlen(paths[method]), paths[method]);
    length += snprintf(block + length, sizeof block - (size_t)length,
                       "%c%ccontent-type%c%s%c%cgrpc-encoding%c%s", 0x40, 12, 16,
                       "application/grpc", 0x40, 13, gzip ? 4 : 8, gzip ? "gzip" : "identity");
    send_frame(peer, 1, 4, block, (size_t)length);
}

static void send_body(int peer, const uint8_t *bytes, size_t length_bytes)
{
    unsigned choice = bytes[0];
    send_all(peer, hello, sizeof hello);
    send_request(peer, choice & 3, choice & 4);
    run(2);
    bytes++;
    length_bytes--;
    if (length_bytes > 16000)
        length_bytes = 16000;
    if (choice & 8) {
        /* framed properly, so that the decoder sees it */
        uint8_t header[5] = {choice & 4 ? 1 : 0, 0, 0, (uint8_t)(length_bytes >> 8),
                             (uint8_t)length_bytes};
        send_frame(peer, 0, 0, header, sizeof header);
    }
    send_frame(peer, 0, 1, bytes, length_bytes);
}

static void play(const uint8_t *bytes, size_t length_bytes)
{
    int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer < 0 || connect(peer, (struct sockaddr *)&address, sizeof address))
        abort();
    switch (bytes[0] & 3) {
    case 0:
        send_all(peer, bytes + 1, length_bytes - 1);
        break;
    case 1:
        send_all(peer, hello, sizeof hello);
        send_all(peer, bytes + 1, length_bytes - 1);
        break;
    case 2:
        send_body(peer, bytes + 1, length_bytes - 1);
        break;
    default:
        send_all(peer, hello, sizeof hello);
        send_request(peer, 1, false);
        for (size_t at = 1; at < length_bytes; at += 7) {
            send_all(peer, bytes + at, length_bytes - at < 7 ? length_bytes - at : 7);
            run(1);
        }
        break;
    }
    run(4);
    close(peer);
    run(8);
    if (echo.held)
        abort(); /* its client is gone, and it was not told */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
    static const uint8_t proper[] = "\x02\x09\x0a\x02hi";
    if (!server) {
        start();
        play(proper, sizeof proper - 1);
        if (echo.calls_ended != 1)
            abort(); /* what should reach the service does not */
    }
    if (length_bytes >= 2)
        play(bytes, length_bytes);
    return 0;
}
