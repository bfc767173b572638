#include "world.h"

#include "base/clock.h"
#include "base/fault.h"
#include "relay.h"
#include "tests/harness/harness.h"
#include "worker/setup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORKERS       640
#define DEADLINE_NS       (200 * COVEY_NS_PER_S)

#define FIRST_PATIENCE_NS (300 * COVEY_NS_PER_MS)
#define LAST_PATIENCE_NS  (64 * FIRST_PATIENCE_NS)

/* In the shared words, behind those of the tests. */
enum { TOO_SLOW = WORLD_SHARED_WORDS, ALL_WORDS };

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

static _Atomic int failures; /* in a worker process, or of all worker threads */
static struct arena *arenas[WORLD_MAX_NODES];
static _Atomic int64_t *shared;

struct run {
    const struct world *world;
    world_body body;
    void *data;
    struct host_port *ports[WORLD_MAX_NODES];
    struct relay *relay;
    int control[2];
    pid_t pids[MAX_WORKERS];
    pthread_t threads[MAX_WORKERS];
    int results[MAX_WORKERS]; /* of threads */
};

struct start {
    struct run *run;
    int rank;
};

struct world world_default(int workers, int nodes)
{
    return (struct world){.workers = workers, .nodes = nodes, .killed = -1};
}

bool world_check(bool condition, const char *text, const char *file, int line)
{
    if (!condition) {
        fprintf(stderr, "%s:%d: %s\n", file, line, text);
        atomic_fetch_add(&failures, 1);
    }
    return condition;
}

bool world_ok(struct covey_ctx *ctx, enum covey_status status, const char *text, const char *file,
              int line)
{
    if (status != COVEY_OK) {
        fprintf(stderr, "%s:%d: rank %d: %s: %s: %s\n", file, line, covey_rank(ctx), text,
                covey_status_name(status), covey_error_text(ctx));
        atomic_fetch_add(&failures, 1);
    }
    return status == COVEY_OK;
}

void world_too_slow(void)
{
    atomic_store(&shared[TOO_SLOW], 1);
}

struct arena *world_arena(int node)
{
    return arenas[node];
}

_Atomic int64_t *world_shared(void)
{
    return shared;
}

void world_fill(void *bytes, size_t length_bytes, uint64_t seed)
{
    uint8_t *at = bytes;
    for (size_t i = 0; i < length_bytes; i++)
        at[i] = (uint8_t)((i * 131 + seed * 29 + (i >> 8)) & 0xff);
}

bool world_filled(const void *bytes, size_t length_bytes, uint64_t seed)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length_bytes; i++) {
        if (at[i] != (uint8_t)((i * 131 + seed * 29 + (i >> 8)) & 0xff))
            return false;
    }
    return true;
}

static int node_count(const struct world *world)
{
    return world->nodes > 0 ? world->nodes : 1;
}

static void make_arenas(struct run *run)
{
    const struct world *world = run->world;
    int nodes = node_count(world);
    int pack_size = world->pack_size;
    if (pack_size == 0)
        pack_size = (world->workers + 2 * nodes - 1) / (2 * nodes);
    struct arena_pack packs[MAX_WORKERS];
    uint32_t count = 0;
    for (int rank = 0; rank < world->workers; rank += pack_size) {
        int left = world->workers - rank;
        packs[count] =
            (struct arena_pack){.first_rank = (uint32_t)rank,
                                .worker_count = (uint32_t)(left < pack_size ? left : pack_size),
                                .node = count % (uint32_t)nodes};
        count++;
    }
    if ((int)count < nodes)
        nodes = (int)count;
    for (int node = 0; node < nodes; node++) {
        struct arena_config config = {.flare_id = "test-flare",
                                      .worker_count = (uint32_t)world->workers,
                                      .node_count = (uint32_t)nodes,
                                      .node = (uint32_t)node,
                                      .pack_count = count,
                                      .packs = packs,
                                      .size_bytes = world->arena_bytes};
        struct covey_error error;
        TEST_REQUIRE(arena_create(&config, &arenas[node], &error) == COVEY_OK);
        TEST_REQUIRE(host_port_create(arenas[node], &run->ports[node], &error) == COVEY_OK);
    }
}

static int nodes_made(void)
{
    int nodes = 0;
    while (nodes < WORLD_MAX_NODES && arenas[nodes])
        nodes++;
    return nodes;
}

static int run_worker(struct run *run, int rank)
{
    const struct world *world = run->world;
    int node = (int)arena_node_of(arenas[0], (uint32_t)rank);
    struct worker_setup setup = {.magic = WORKER_SETUP_MAGIC,
                                 .version = WORKER_SETUP_VERSION,
                                 .rank = (uint32_t)rank,
                                 .timeout_ns =
                                     world->timeout_ns ? world->timeout_ns : 60 * COVEY_NS_PER_S,
                                 .result_limit_bytes = 1 << 20,
                                 .arena_fd = arena_fd(arenas[node]),
                                 .host_event_fd = host_port_event_fd(run->ports[node]),
                                 .lifeline_fd = -1,
                                 .params_fd = -1,
                                 .control_fd = run->control[1]};
    struct covey_ctx *ctx = NULL;
    struct covey_error error = {0};
    if (covey_worker_create(&setup, &ctx, &error)) {
        fprintf(stderr, "rank %d: %s\n", rank, error.message);
        return 2;
    }
    if (covey_worker_enter(ctx, covey_now_ns() + DEADLINE_NS))
        return 2;
    run->body(ctx, run->data);
    covey_worker_leave(ctx);
    return atomic_load(&failures) && !atomic_load(&shared[TOO_SLOW]) ? 1 : 0;
}

static void run_process(struct run *run, int rank)
{
    const struct world *world = run->world;
    struct covey_error error;
    if (world->fault && world->fault_rank == rank) {
        setenv("COVEY_FAULT", world->fault, 1);
        if (covey_fault_init(&error))
            test_child_exit(3);
    }
    int result = run_worker(run, rank);
#if defined(__SANITIZE_ADDRESS__)
    if (__lsan_do_recoverable_leak_check())
        result = 4;
#endif
    fflush(NULL);
    test_child_exit(result);
}

static void *run_thread(void *data)
{
    struct start start = *(struct start *)data;
    free(data);
    start.run->results[start.rank] = run_worker(start.run, start.rank);
    return NULL;
}

static void start_workers(struct run *run)
{
    fflush(NULL);
    for (int rank = 0; rank < run->world->workers; rank++) {
        if (run->world->as_threads) {
            struct start *start = malloc(sizeof(*start));
            *start = (struct start){run, rank};
            TEST_REQUIRE(pthread_create(&run->threads[rank], NULL, run_thread, start) == 0);
            continue;
        }
        run->pids[rank] = fork();
        TEST_REQUIRE(run->pids[rank] >= 0);
        if (run->pids[rank] == 0)
            run_process(run, rank);
    }
}

/* What a pack does, and what the control plane then tells the other nodes. */
static void ended(struct run *run, int rank, bool well, const char *reason)
{
    struct arena *arena = arenas[arena_node_of(arenas[0], (uint32_t)rank)];
    enum arena_rank_state state = well ? ARENA_DONE : ARENA_DIED;
    arena_mark_ended(arena, (uint32_t)rank, state, reason);
    const uint32_t dead = (uint32_t)rank;
    arena_reap(arena, &dead, 1);
    relay_mark_ended(run->relay, (uint32_t)rank, state, reason);
}

static void reap_one(struct run *run, int rank, int status)
{
    run->pids[rank] = 0;
    if (WIFSIGNALED(status)) {
        char reason[64];
        snprintf(reason, sizeof(reason), "killed by signal %d", WTERMSIG(status));
        if (rank != run->world->killed || WTERMSIG(status) != SIGKILL)
            fprintf(stderr, "rank %d: %s\n", rank, reason);
        TEST_TRUE(rank == run->world->killed && WTERMSIG(status) == SIGKILL);
        ended(run, rank, false, reason);
        return;
    }
    if (WEXITSTATUS(status) != 0 || rank == run->world->killed)
        fprintf(stderr, "rank %d: exit status %d\n", rank, WEXITSTATUS(status));
    TEST_TRUE(WEXITSTATUS(status) == 0);
    TEST_TRUE(rank != run->world->killed);
    ended(run, rank, WEXITSTATUS(status) == 0, "");
}

/* What workers tell their pack: of many more than its socket holds they would wait to be heard. */
static void drain_control(const struct run *run)
{
    char record[256];
    while (recv(run->control[0], record, sizeof(record), MSG_DONTWAIT) > 0) {
    }
}

static void reap_all(struct run *run)
{
    int64_t deadline = covey_now_ns() + DEADLINE_NS;
    for (int left = run->world->workers; left > 0;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        for (int rank = 0; pid > 0 && rank < run->world->workers; rank++) {
            if (run->pids[rank] == pid) {
                reap_one(run, rank, status);
                left--;
            }
        }
        if (pid > 0)
            continue;
        if (covey_now_ns() > deadline) {
            CU_FAIL("workers hang");
            for (int rank = 0; rank < run->world->workers; rank++) {
                if (run->pids[rank] > 0)
                    kill(run->pids[rank], SIGKILL);
            }
            deadline = COVEY_NEVER_NS;
        }
        drain_control(run);
        /* Packs have pidfds in a loop; here SIGCHLD ends the wait. */
        poll(NULL, 0, 5);
    }
}

static void join_all(struct run *run)
{
    for (int rank = 0; rank < run->world->workers; rank++) {
        while (pthread_tryjoin_np(run->threads[rank], NULL) == EBUSY) {
            drain_control(run);
            poll(NULL, 0, 1);
        }
        TEST_EQUAL(run->results[rank], 0);
        ended(run, rank, run->results[rank] == 0, "");
    }
}

static void check_empty(const struct world *world)
{
    for (int node = 0; node < nodes_made(); node++) {
        struct arena_usage usage;
        arena_count_usage(arenas[node], &usage);
        if (!world->busy_memory && (usage.blocks_held || usage.slabs_orphaned))
            fprintf(stderr, "node %d: %llu blocks held, %u slabs orphaned\n", node,
                    (unsigned long long)usage.blocks_held, usage.slabs_orphaned);
        TEST_TRUE(world->busy_memory || (usage.blocks_held == 0 && usage.slabs_orphaned == 0));
    }
}

static void run_world(const struct world *world, world_body body, void *data)
{
    struct run run = {.world = world, .body = body, .data = data};
    if (!shared)
        shared = mmap(NULL, ALL_WORDS * sizeof(int64_t), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TEST_REQUIRE(shared != MAP_FAILED);
    memset(shared, 0, ALL_WORDS * sizeof(int64_t));
    atomic_store(&failures, 0);
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, run.control) == 0);
    make_arenas(&run);
    start_workers(&run);
    run.relay = relay_start(run.ports, arenas, nodes_made());
    for (int node = 0; node < nodes_made(); node++)
        arena_open_gate(arenas[node]);
    if (world->as_threads)
        join_all(&run);
    else
        reap_all(&run);
    drain_control(&run);
    relay_stop(run.relay);
    check_empty(world);
    for (int node = WORLD_MAX_NODES - 1; node >= 0; node--) {
        host_port_destroy(run.ports[node]);
        arena_destroy(arenas[node]);
        arenas[node] = NULL;
    }
    close(run.control[0]);
    close(run.control[1]);
}

void world_run(const struct world *world, world_body body, void *data)
{
    TEST_REQUIRE(world->workers <= MAX_WORKERS && node_count(world) <= WORLD_MAX_NODES);
#if defined(__SANITIZE_THREAD__)
    struct world threads = *world;
    threads.as_threads = true;
    if (world->killed < 0 && !world->fault && !world->untraced)
        run_world(&threads, body, data);
    else
        fprintf(stderr, "skipped under ThreadSanitizer: it needs processes, or too many threads\n");
#else
    run_world(world, body, data);
#endif
}

static bool was_too_slow(void)
{
    return shared && atomic_load(&shared[TOO_SLOW]);
}

void world_run_patiently(const struct world *world, world_body body)
{
    int64_t patience_ns = FIRST_PATIENCE_NS;
    world_run(world, body, &patience_ns);
    while (was_too_slow() && patience_ns < LAST_PATIENCE_NS) {
        patience_ns *= 4;
        world_run(world, body, &patience_ns);
    }
    TEST_TRUE(!was_too_slow());
}
