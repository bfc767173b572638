/*
 * terasort INPUT OUTPUT_FOLDER: sorts a file of 100-byte records into one part per worker.
 *
 * Each worker reads its range of the input and samples its keys; worker 0 picks splitters from all
 * samples; each record goes to the worker of its bucket by one all-to-all; each worker sorts what
 * it got and writes part-<rank>. OUTPUT_FOLDER is made, or is there and empty.
 */
#include "output.h"
#include "record.h"
#include "sort.h"

#include <covey/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { samples_per_worker = 1000 };

enum phase { PREPARE, READ, SAMPLE, PARTITION, EXCHANGE, SORT, WRITE, PHASES };
static const char *const phase_names[] = {"prepare",  "read", "sample", "partition",
                                          "exchange", "sort", "write"};

struct sorter {
    struct covey_ctx *ctx;
    struct covey_comm *world;
    int rank, size;
    const char *input, *folder;
    size_t count;       /* records of this worker's range, later of its bucket */
    uint8_t *records;   /* owned */
    uint8_t *splitters; /* size - 1 keys; owned */
    double seconds[PHASES];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int fail(const struct sorter *sorter, const char *what, const char *why)
{
    covey_logf(sorter->ctx, "terasort: %s: %s", what, why);
    return 1;
}

static int read_range(struct sorter *sorter)
{
    int fd =
        open(sorter->input, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nor waits for a pipe's writer */
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0)
        return fail(sorter, sorter->input, strerror(errno));
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return fail(sorter, sorter->input, "is no file: each worker reads its part of one");
    }
    if (info.st_size % record_bytes) {
        close(fd);
        return fail(sorter, sorter->input, "truncated: its length is not a multiple of 100 bytes");
    }
    size_t total = (size_t)info.st_size / record_bytes;
    size_t first = total * (size_t)sorter->rank / (size_t)sorter->size;
    size_t end = total * ((size_t)sorter->rank + 1) / (size_t)sorter->size;
    sorter->count = end - first;
    size_t length = sorter->count * record_bytes, done = 0;
    sorter->records = malloc(length + 1);
    while (sorter->records && done < length) {
        ssize_t got =
            pread(fd, sorter->records + done, length - done, (off_t)(first * record_bytes + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    close(fd);
    return done == length && sorter->records
               ? 0
               : fail(sorter, sorter->input, "cannot be read to its end");
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, key_bytes);
}

/* Worker 0 sorts everybody's samples and picks every samples_per_worker-th of them. */
static int choose_splitters(struct sorter *sorter)
{
    size_t size = (size_t)sorter->size;
    uint8_t *mine = calloc(samples_per_worker, key_bytes);
    uint8_t *all = calloc(size * samples_per_worker, key_bytes);
    sorter->splitters = calloc(size, key_bytes);
    if (!mine || !all || !sorter->splitters) {
        free(mine);
        free(all);
        return fail(sorter, "samples", "out of memory");
    }
    size_t taken = sorter->count < samples_per_worker ? sorter->count : samples_per_worker;
    for (size_t i = 0; i < taken; i++)
        memcpy(mine + i * key_bytes, sorter->records + i * sorter->count / taken * record_bytes,
               key_bytes);
    size_t length = taken * key_bytes;
    size_t *lengths = calloc(2 * size, sizeof(*lengths)),
           *offsets = lengths ? lengths + size : NULL;
    enum covey_status status = lengths ? COVEY_OK : COVEY_ENOMEM;
    if (!status)
        status = covey_allgather(sorter->world, &length, sizeof(length), lengths);
    size_t total = 0;
    for (size_t i = 0; i < size && !status; i++) {
        offsets[i] = total;
        total += lengths[i];
    }
    if (!status)
        status = covey_gatherv(sorter->world, mine, length, all, lengths, offsets, 0);
    if (!status && sorter->rank == 0) {
        qsort(all, total / key_bytes, key_bytes, compare_keys);
        for (size_t i = 1; i < size && total; i++)
            memcpy(sorter->splitters + (i - 1) * key_bytes,
                   all + i * (total / key_bytes) / size * key_bytes, key_bytes);
    }
    if (!status)
        status = covey_bcast(sorter->world, sorter->splitters, size * key_bytes, 0);
    free(mine);
    free(all);
    free(lengths);
    return status ? fail(sorter, "splitters", covey_error_text(sorter->ctx)) : 0;
}

/* The bucket of a key: how many splitters are not above it. */
static size_t bucket_of(const struct sorter *sorter, const uint8_t *key)
{
    size_t low = 0, high = (size_t)sorter->size - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(sorter->splitters + middle * key_bytes, key, key_bytes) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Orders the records by bucket, keeping their order in each; lengths and offsets are in bytes, by
 * bucket. */
static int partition(struct sorter *sorter, size_t *lengths, size_t *offsets)
{
    size_t size = (size_t)sorter->size;
    uint32_t *buckets = malloc((sorter->count + 1) * sizeof(*buckets));
    size_t *next = calloc(size, sizeof(*next));
    uint8_t *ordered = malloc(sorter->count * record_bytes + 1);
    if (!buckets || !next || !ordered) {
        free(buckets);
        free(next);
        free(ordered);
        return fail(sorter, "partition", "out of memory");
    }
    for (size_t i = 0; i < sorter->count; i++) {
        buckets[i] = (uint32_t)bucket_of(sorter, sorter->records + i * record_bytes);
        lengths[buckets[i]] += record_bytes;
    }
    size_t total = 0;
    for (size_t i = 0; i < size; i++) {
        offsets[i] = next[i] = total;
        total += lengths[i];
    }
    for (size_t i = 0; i < sorter->count; i++) {
        memcpy(ordered + next[buckets[i]], sorter->records + i * record_bytes, record_bytes);
        next[buckets[i]] += record_bytes;
    }
    free(buckets);
    free(next);
    free(sorter->records);
    sorter->records = ordered;
    return 0;
}

static int exchange(struct sorter *sorter, const size_t *lengths, const size_t *offsets,
                    size_t *incoming)
{
    size_t size = (size_t)sorter->size, *starts = incoming + size, total = 0;
    if (covey_alltoall(sorter->world, lengths, sizeof(*lengths), incoming))
        return fail(sorter, "exchange of lengths", covey_error_text(sorter->ctx));
    for (size_t i = 0; i < size; i++) {
        starts[i] = total;
        total += incoming[i];
    }
    uint8_t *received = malloc(total + 1);
    if (!received)
        return fail(sorter, "exchange", "out of memory");
    enum covey_status status = covey_alltoallv(sorter->world, sorter->records, lengths, offsets,
                                               received, incoming, starts);
    free(sorter->records);
    sorter->records = received;
    sorter->count = total / record_bytes;
    return status ? fail(sorter, "exchange of records", covey_error_text(sorter->ctx)) : 0;
}

static int distribute(struct sorter *sorter)
{
    size_t size = (size_t)sorter->size;
    size_t *lengths = calloc(4 * size, sizeof(*lengths));
    if (!lengths)
        return fail(sorter, "exchange", "out of memory");
    double start = now();
    int failed = partition(sorter, lengths, lengths + size);
    sorter->seconds[PARTITION] = now() - start;
    start = now();
    failed = failed || exchange(sorter, lengths, lengths + size, lengths + 2 * size);
    sorter->seconds[EXCHANGE] = now() - start;
    free(lengths);
    return failed;
}

static int sort_bucket(struct sorter *sorter)
{
    uint8_t *sorted = malloc(sorter->count * record_bytes + 1);
    if (!sorted || sort_records(sorter->records, sorted, sorter->count) < 0) {
        free(sorted);
        return fail(sorter, "sort", "out of memory");
    }
    free(sorter->records);
    sorter->records = sorted;
    return 0;
}

/* Worker 0 looks at the folder, before anybody has worked in vain. */
static int prepare_output(struct sorter *sorter)
{
    const char *why = sorter->rank == 0 ? output_prepare(sorter->folder) : NULL;
    int failed = why != NULL;
    if (why)
        covey_logf(sorter->ctx, "terasort: %s", why);
    if (covey_bcast(sorter->world, &failed, sizeof(failed), 0))
        return fail(sorter, "output", covey_error_text(sorter->ctx));
    return failed;
}

/* The parts get their names when all of them are written. */
static int write_part(struct sorter *sorter)
{
    const char *why =
        output_write(sorter->folder, sorter->rank, sorter->records, sorter->count * record_bytes);
    if (why)
        covey_logf(sorter->ctx, "terasort: %s", why);
    int failed = why != NULL, any = 1;
    if (covey_allreduce(sorter->world, &failed, &any, 1, COVEY_INT32, COVEY_MAX))
        failed = fail(sorter, "output", covey_error_text(sorter->ctx));
    why = any ? NULL : output_finish(sorter->folder, sorter->rank);
    if (why)
        failed = fail(sorter, "output", why);
    if (failed || any)
        output_discard(sorter->folder, sorter->rank);
    return failed || any;
}

static int (*const steps[])(struct sorter *) = {prepare_output, read_range,  choose_splitters,
                                                distribute,     sort_bucket, write_part};
static const enum phase step_phases[] = {PREPARE, READ, SAMPLE, EXCHANGE, SORT, WRITE};

/* The slowest worker of each phase, said by worker 0. */
static int report(struct sorter *sorter)
{
    double slowest[PHASES];
    if (covey_reduce(sorter->world, sorter->seconds, slowest, PHASES, COVEY_DOUBLE, COVEY_MAX, 0))
        return fail(sorter, "report", covey_error_text(sorter->ctx));
    for (int phase = 0; phase < PHASES && sorter->rank == 0; phase++)
        covey_logf(sorter->ctx, "%-9s %8.1f ms", phase_names[phase], slowest[phase] * 1e3);
    return 0;
}

static int sort(struct sorter *sorter)
{
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        double start = now();
        if (steps[step](sorter))
            return 1;
        if (step_phases[step] != EXCHANGE)
            sorter->seconds[step_phases[step]] = now() - start;
    }
    return report(sorter);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: covey run -n WORKERS terasort INPUT OUTPUT_FOLDER\n");
        return 2;
    }
    struct sorter sorter = {.input = argv[1], .folder = argv[2]};
    enum covey_status status = covey_attach(&sorter.ctx);
    if (status) {
        fprintf(stderr, "terasort: %s: start it by covey run\n", covey_status_text(status));
        return 2;
    }
    sorter.world = covey_world(sorter.ctx);
    sorter.rank = covey_rank(sorter.ctx);
    sorter.size = covey_size(sorter.ctx);
    int failed = sort(&sorter);
    free(sorter.records);
    free(sorter.splitters);
    covey_detach(sorter.ctx);
    return failed;
}
