#include "bench/messages/ucx.h"

#include "bench/command.h"
#include "bench/messages/capture.h"
#include "bench/program.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { number_bytes = 24, fields = 8 };
static const int64_t start_ns = 20 * COVEY_NS_PER_S;

int ucx_check(void)
{
    if (bench_command_found("ucx_perftest"))
        return 0;
    fprintf(stderr, "covey-bench: ucx needs ucx_perftest: install ucx-utils\n");
    return -1;
}

/* A port that nobody has; -1, said. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = -1;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        port = ntohs(address.sin_port);
    else
        fprintf(stderr, "covey-bench: no port: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
    return port;
}

/* Whether somebody listens there. To connect would be taken for the other side of the test. */
static bool listens(int port)
{
    char line[256], wanted[number_bytes];
    bool found = false;
    FILE *file = fopen("/proc/net/tcp", "re");
    snprintf(wanted, sizeof(wanted), ":%04X 00000000:0000 0A", (unsigned)port);
    while (file && !found && fgets(line, sizeof(line), file))
        found = strstr(line, wanted) != NULL;
    if (file)
        fclose(file);
    return found;
}

static int await_server(int port)
{
    const struct timespec pause = {.tv_nsec = 2 * COVEY_NS_PER_MS};
    int64_t deadline_ns = covey_now_ns() + start_ns;
    while (!listens(port)) {
        if (covey_now_ns() > deadline_ns || bench_interrupted()) {
            fprintf(stderr, "covey-bench: ucx_perftest does not listen\n");
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* The last line holds numbers: iterations, latency (us) at the percentile, mean and overall,
 * bandwidth twice, messages a second, mean and overall. */
static int read_answer(const char *text, const struct order *order, struct outcome *outcome)
{
    double field[fields] = {0};
    const char *line = text;
    for (const char *next = strchr(line, '\n'); next && next[1]; next = strchr(line, '\n'))
        line = next + 1;
    for (size_t i = 0; i < fields; i++) {
        char *end;
        field[i] = strtod(line, &end);
        line = end + (*end == ',');
    }
    double items = order_items(order, 2);
    double ns = order->operation == OPERATION_LATENCY ? field[1] * 1e3 * items
                                                      : items / field[fields - 1] * 1e9;
    if (field[1] > 0 && field[fields - 1] > 0)
        return bench_series_add(&outcome->call, ns);
    fprintf(stderr, "covey-bench: ucx_perftest answers \"%s\"\n", text);
    return -1;
}

static char *run_test(const struct order *order, int port, char *const *environment)
{
    char port_text[number_bytes], bytes[number_bytes], count[number_bytes], window[number_bytes];
    char warm_ups[number_bytes];
    bool latency = order->operation == OPERATION_LATENCY;
    uint64_t each = order->window * order->rounds;
    snprintf(port_text, sizeof(port_text), "%d", port);
    snprintf(bytes, sizeof(bytes), "%" PRIu64, order->bytes);
    snprintf(count, sizeof(count), "%" PRIu64, order->samples * each);
    snprintf(warm_ups, sizeof(warm_ups), "%" PRIu64, order->warm_ups * each);
    snprintf(window, sizeof(window), "%" PRIu64, order->window);
    bool apart = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    const char *server[] = {"ucx_perftest", "-p", port_text, "-c", "0", NULL};
    const char *test[] = {"ucx_perftest",
                          "127.0.0.1",
                          "-p",
                          port_text,
                          "-f",
                          "-v",
                          "-s",
                          bytes,
                          "-n",
                          count,
                          "-w",
                          warm_ups,
                          "-t",
                          latency ? "tag_lat" : "tag_bw",
                          "-O",
                          window,
                          "-c",
                          apart ? "1" : "0",
                          NULL};
    int process = bench_command_start(server, environment);
    if (process < 0)
        return NULL;
    char *text = await_server(port) ? NULL : capture(test, environment);
    bench_command_stop(process);
    return text;
}

int ucx_run(const struct settings *settings, const struct order *order, struct outcome *outcome)
{
    static char shared[] = "UCX_TLS=posix,sysv,cma,self", tcp[] = "UCX_TLS=tcp,self";
    static char loopback[] = "UCX_NET_DEVICES=lo";
    char *environment[] = {settings->nodes > 1 ? tcp : shared,
                           settings->nodes > 1 ? loopback : NULL, NULL};
    int port = free_port();
    char *text = port < 0 ? NULL : run_test(order, port, environment);
    int failed = text ? read_answer(text, order, outcome) : -1;
    free(text);
    return failed;
}
