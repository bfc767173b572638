/*
 * What this machine does at best, without any library: the raw costs that messages are made of.
 *   limit BYTES
 * prints a line for each figure, its name and nanoseconds:
 *   mailbox   8 bytes from one process to another, one way, in a ping-pong: a ring of 64 boxes of
 *             one cache line each way, both sides spinning
 *   boxes     the same one after the other, one way
 *   copy      BYTES out of shared memory into private
 *   fault     the first touch of a page of shared memory
 *   fork      fork, exit and wait of a small process
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { box_count = 64, line_bytes = 64, trips = 4000, stream = 40000, repeats = 5 };
enum { spins = 2000, longest_s = 60, fault_bytes = 16 << 20, forks = 50 };
static const size_t copied_bytes = 32 << 20;

struct box {
    _Alignas(line_bytes) _Atomic uint32_t full;
    uint64_t content;
};

struct ring {
    struct box boxes[box_count];
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void tell(const char *name, double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    printf("%s %.2f\n", name, values[count / 2]);
}

static void await(struct box *box, uint32_t full)
{
    for (int i = 0; atomic_load_explicit(&box->full, memory_order_acquire) != full; i++) {
        __builtin_ia32_pause();
        /* On a single core the other side has to be let in. */
        if (i == spins) {
            sched_yield();
            i = 0;
        }
    }
}

static void put(struct ring *ring, uint32_t i, uint64_t content)
{
    struct box *box = &ring->boxes[i % box_count];
    await(box, 0);
    box->content = content;
    atomic_store_explicit(&box->full, 1, memory_order_release);
}

static uint64_t get(struct ring *ring, uint32_t i)
{
    struct box *box = &ring->boxes[i % box_count];
    await(box, 1);
    uint64_t content = box->content;
    atomic_store_explicit(&box->full, 0, memory_order_release);
    return content;
}

/* Binds a process to one of those it may run on, so that the two do not share one. */
static void bind_to(int place)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return;
    place %= CPU_COUNT(&allowed);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && place-- == 0)
            CPU_SET(cpu, &one);
    }
    (void)sched_setaffinity(0, sizeof(one), &one);
}

static void answer(struct ring *rings)
{
    for (int repeat = 0; repeat < repeats; repeat++) {
        for (uint32_t i = 0; i < trips; i++)
            put(&rings[1], i, get(&rings[0], i));
        uint64_t sum = 0;
        for (uint32_t i = 0; i < stream; i++)
            sum += get(&rings[0], trips + i);
        put(&rings[1], trips, sum);
        /* Leaves both rings at box 0, as they were. */
        for (uint32_t i = trips + stream; i % box_count; i++)
            (void)get(&rings[0], i);
    }
}

static int ask(struct ring *rings)
{
    double way[repeats], each[repeats];
    for (int repeat = 0; repeat < repeats; repeat++) {
        double start = now_ns();
        for (uint32_t i = 0; i < trips; i++) {
            put(&rings[0], i, i);
            if (get(&rings[1], i) != i)
                return -1;
        }
        way[repeat] = (now_ns() - start) / trips / 2;
        start = now_ns();
        for (uint32_t i = 0; i < stream; i++)
            put(&rings[0], trips + i, i);
        if (get(&rings[1], trips) != (uint64_t)stream * (stream - 1) / 2)
            return -1;
        each[repeat] = (now_ns() - start) / stream;
        for (uint32_t i = trips + stream; i % box_count; i++)
            put(&rings[0], i, 0);
    }
    tell("mailbox", way, repeats);
    tell("boxes", each, repeats);
    return 0;
}

static void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int measure_mailbox(void)
{
    struct ring *rings = share(2 * sizeof(*rings));
    pid_t parent = getpid();
    pid_t child = rings ? fork() : -1;
    if (child < 0)
        return -1;
    bind_to(child == 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            answer(rings);
        _exit(0);
    }
    int status, failed = ask(rings);
    if (failed)
        kill(child, SIGKILL);
    if (waitpid(child, &status, 0) < 0)
        failed = -1;
    munmap(rings, 2 * sizeof(*rings));
    return failed;
}

static int measure_copy(size_t bytes)
{
    double times[repeats];
    char *shared = share(bytes), *private = malloc(bytes);
    size_t rounds = copied_bytes / bytes + 1;
    if (!shared || !private) {
        free(private);
        return -1;
    }
    memset(shared, 1, bytes);
    memset(private, 0, bytes);
    for (int repeat = 0; repeat < repeats; repeat++) {
        double start = now_ns();
        for (size_t i = 0; i < rounds; i++) {
            memcpy(private, shared, bytes);
            __asm__ volatile("" : : "r"(private) : "memory");
        }
        times[repeat] = (now_ns() - start) / (double)rounds;
    }
    tell("copy", times, repeats);
    munmap(shared, bytes);
    free(private);
    return 0;
}

static int measure_fault(void)
{
    double times[repeats];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = fault_bytes / page;
    for (int repeat = 0; repeat < repeats; repeat++) {
        volatile char *memory = share(fault_bytes);
        if (!memory)
            return -1;
        double start = now_ns();
        for (size_t i = 0; i < fault_bytes; i += page)
            memory[i] = 1;
        times[repeat] = (now_ns() - start) / (double)pages;
        munmap((void *)memory, fault_bytes);
    }
    tell("fault", times, repeats);
    return 0;
}

static int measure_fork(void)
{
    double times[forks];
    for (int i = 0; i < forks; i++) {
        int status;
        double start = now_ns();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, &status, 0) < 0)
            return -1;
        times[i] = now_ns() - start;
    }
    tell("fork", times, forks);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    size_t bytes = argc == 2 ? strtoull(argv[1], &end, 10) : 0;
    if (!end || *end || bytes == 0) {
        fprintf(stderr, "usage: limit BYTES\n");
        return 2;
    }
    alarm(longest_s);
    if (measure_fork() || measure_fault() || measure_copy(bytes) || measure_mailbox()) {
        fprintf(stderr, "limit: %s\n", strerror(errno));
        return 1;
    }
    return fclose(stdout) ? 1 : 0;
}
