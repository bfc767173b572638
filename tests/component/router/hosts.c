#include "hosts.h"

#include "base/log.h"
#include "tests/harness/harness.h"
#include "worker/setup.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct host {
    const struct hosts *hosts;
    struct shared *shared;
    unsigned node;
    struct arena *arena;
    struct host_port *port;
    struct router *router;
    int control[2];
    pid_t pids[WORKERS_MAX]; /* by local */
    int pidfds[WORKERS_MAX];
    unsigned running;
    bool bad;
};

static void run_worker(struct host *host, uint32_t rank)
{
    struct covey_ctx *ctx;
    struct covey_error error = {0};
    int64_t timeout_ns = host->hosts->timeout_ns;
    const struct worker_setup setup = {.magic = WORKER_SETUP_MAGIC,
                                       .version = WORKER_SETUP_VERSION,
                                       .rank = rank,
                                       .timeout_ns = timeout_ns ? timeout_ns : 60 * COVEY_NS_PER_S,
                                       .result_limit_bytes = 1 << 20,
                                       .arena_fd = arena_fd(host->arena),
                                       .host_event_fd = host_port_event_fd(host->port),
                                       .lifeline_fd = -1,
                                       .params_fd = -1,
                                       .control_fd = host->control[1]};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    EXPECT(covey_worker_create(&setup, &ctx, &error) == COVEY_OK);
    EXPECT(covey_worker_enter(ctx, covey_now_ns() + 60 * COVEY_NS_PER_S) == COVEY_OK);
    host->hosts->work(ctx, host->shared);
    covey_worker_leave(ctx);
    test_child_exit(0);
}

static void open_arena(struct host *host)
{
    struct arena_pack packs[WORKERS_MAX];
    struct covey_error error = {0};
    for (uint32_t i = 0; i < host->hosts->workers; i++)
        packs[i] =
            (struct arena_pack){.first_rank = i, .worker_count = 1, .node = i % host->hosts->hosts};
    const struct arena_config config = {.flare_id = "a-test-flare",
                                        .worker_count = host->hosts->workers,
                                        .node_count = host->hosts->hosts,
                                        .node = host->node,
                                        .pack_count = host->hosts->workers,
                                        .packs = packs,
                                        .size_bytes = host->hosts->arena_bytes};
    EXPECT(arena_create(&config, &host->arena, &error) == COVEY_OK);
    EXPECT(host_port_create(host->arena, &host->port, &error) == COVEY_OK);
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, host->control) == 0);
}

/* Before the router is there: no process forked from a host may hold its network. */
static void fork_workers(struct host *host)
{
    for (uint32_t local = 0; local < arena_local_count(host->arena); local++) {
        uint32_t rank = arena_rank_of(host->arena, local);
        host->pids[local] = fork();
        EXPECT(host->pids[local] >= 0);
        if (host->pids[local] == 0)
            run_worker(host, rank);
        atomic_store(&host->shared->worker_pids[rank], host->pids[local]);
        host->pidfds[local] = (int)syscall(SYS_pidfd_open, host->pids[local], 0);
        EXPECT(host->pidfds[local] >= 0);
        host->running++;
    }
}

static void open_router(struct host *host)
{
    static const uint8_t secret[NET_SECRET_BYTES] = "thirty-two bytes that are secret";
    struct router_options options;
    struct covey_error error = {0};
    router_options_init(&options);
    options.arena = host->arena;
    options.port = host->port;
    const char *network = getenv("COVEY_TEST_NETWORK");
    options.backend = network ? network : "ucx";
    options.secret = secret;
    const char *address = getenv("COVEY_TEST_ADDRESS");
    options.bind_address = address ? address : "127.0.0.1";
    EXPECT(router_create(&options, &host->router, &error) == COVEY_OK);
    snprintf(host->shared->addresses[host->node], NET_ADDRESS_BYTES, "%s",
             router_address(host->router));
    atomic_fetch_add(&host->shared->ready, 1);
    while (atomic_load(&host->shared->ready) < host->hosts->hosts)
        usleep(100);
    for (unsigned i = 0; i < host->hosts->hosts; i++)
        if (i != host->node)
            EXPECT(router_set_address(host->router, i, host->shared->addresses[i]) == COVEY_OK);
}

static void reap(struct host *host, uint32_t local)
{
    uint32_t rank = arena_rank_of(host->arena, local);
    int status;
    EXPECT(waitpid(host->pids[local], &status, 0) == host->pids[local]);
    close(host->pidfds[local]);
    host->pidfds[local] = -1;
    host->running--;
    char reason[64] = "";
    bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status))
        snprintf(reason, sizeof reason, "killed by signal %d", WTERMSIG(status));
    host->bad |= (int)rank == host->hosts->killed_worker ? !WIFSIGNALED(status) : !well;
    arena_mark_ended(host->arena, rank, well ? ARENA_DONE : ARENA_DIED, reason);
    arena_reap(host->arena, &rank, 1);
    atomic_fetch_add(&host->shared->ended_workers, 1);
}

/* All workers of the flare are gone, those of a killed host not counted. */
static bool flare_is_over(const struct host *host)
{
    unsigned expected = host->hosts->workers;
    for (unsigned rank = 0; rank < host->hosts->workers; rank++)
        expected -= (int)(rank % host->hosts->hosts) == host->hosts->killed_host;
    return atomic_load(&host->shared->ended_workers) >= expected;
}

static void drive(struct host *host)
{
    const uint32_t locals = arena_local_count(host->arena);
    while (!flare_is_over(host)) {
        struct pollfd fds[WORKERS_MAX + 2];
        int64_t now_ns = covey_now_ns();
        for (uint32_t i = 0; i < locals; i++)
            fds[i] = (struct pollfd){.fd = host->pidfds[i], .events = POLLIN};
        fds[locals] = (struct pollfd){.fd = router_port_fd(host->router), .events = POLLIN};
        fds[locals + 1] = (struct pollfd){.fd = router_net_fd(host->router), .events = POLLIN};
        bool did = router_progress(host->router, now_ns);
        int64_t next_ns = router_next_timeout_ns(host->router);
        int64_t wait_ns = next_ns == COVEY_NEVER_NS ? COVEY_NS_PER_S : next_ns - now_ns;
        bool sleep = !did && router_prepare_sleep(host->router);
        /* The end of the other hosts' workers makes no event here. */
        int64_t limit_ns = host->running ? COVEY_NS_PER_S : 5 * COVEY_NS_PER_MS;
        wait_ns = !sleep || wait_ns < 0 ? 0 : wait_ns > limit_ns ? limit_ns : wait_ns;
        poll(fds, locals + 2, (int)((wait_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS));
        for (uint32_t i = 0; i < locals; i++)
            if (fds[i].revents)
                reap(host, i);
    }
}

static void run_host(const struct hosts *hosts, struct shared *shared, unsigned node)
{
    struct host host = {.hosts = hosts, .shared = shared, .node = node};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    covey_log_init("host");
    alarm(100);
    open_arena(&host);
    fork_workers(&host);
    open_router(&host);
    arena_open_gate(host.arena);
    drive(&host);
    for (unsigned i = 0; i < hosts->hosts; i++)
        shared->traffic[node][i] = router_traffic(host.router, i);
    shared->counters[node] = router_counters(host.router);
    router_destroy(host.router);
    struct arena_usage usage;
    arena_count_usage(host.arena, &usage);
    if (usage.blocks_held > 0 && hosts->killed_worker < 0 && hosts->killed_host < 0) {
        fprintf(stderr, "host %u: %llu blocks are still held\n", node,
                (unsigned long long)usage.blocks_held);
        host.bad = true;
    }
    host_port_destroy(host.port);
    arena_destroy(host.arena);
    close(host.control[0]);
    close(host.control[1]);
    exit(host.bad ? 1 : 0);
}

bool hosts_run(const struct hosts *hosts, struct shared *seen)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    bool good = true;
    fflush(NULL);
    for (unsigned i = 0; i < hosts->hosts; i++) {
        pid_t pid = fork();
        if (pid == 0)
            run_host(hosts, shared, i);
        atomic_store(&shared->host_pids[i], pid);
    }
    for (unsigned i = 0; i < hosts->hosts; i++) {
        int status = 0;
        waitpid(shared->host_pids[i], &status, 0);
        bool as_expected = (int)i == hosts->killed_host
                               ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                               : WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!as_expected)
            fprintf(stderr, "host %u ended with wait status %#x\n", i, (unsigned)status);
        good = good && as_expected;
    }
    if (seen)
        memcpy(seen, shared, sizeof *seen);
    munmap(shared, sizeof *shared);
    return good;
}

void hosts_wait_mark(struct shared *shared, unsigned mark, uint32_t value)
{
    int64_t deadline_ns = covey_now_ns() + 180 * COVEY_NS_PER_S;
    while (atomic_load(&shared->marks[mark]) < value) {
        EXPECT(covey_now_ns() < deadline_ns);
        usleep(200);
    }
}
