/* teragen: writes sort-benchmark records. The same seed and size give the same bytes, by however
 * many threads. */
#include "parallel.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { batch_records = 10000 };

struct generation {
    int fd;
    int64_t records;
    uint64_t seed;
};

static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

/* Key, 00 11, the record's number in 32 hexadecimal digits, 88 99 AA BB, 12 digits four times each,
 * CC DD EE FF. */
static void make_record(uint8_t *record, uint64_t seed, uint64_t number)
{
    static const char digits[] = "0123456789ABCDEF";
    uint64_t high = scramble(seed ^ scramble(number)), low = scramble(high);
    memcpy(record, &high, 8);
    memcpy(record + 8, &low, 2);
    record[10] = 0x00;
    record[11] = 0x11;
    for (int i = 0; i < 32; i++)
        record[12 + i] = (uint8_t)(i < 16 ? '0' : digits[(number >> (4 * (31 - i))) & 15]);
    memcpy(record + 44, (const uint8_t[]){0x88, 0x99, 0xaa, 0xbb}, 4);
    for (size_t i = 0; i < 12; i++)
        memset(record + 48 + 4 * i, digits[(low >> (16 + 4 * i)) & 15], 4);
    memcpy(record + 96, (const uint8_t[]){0xcc, 0xdd, 0xee, 0xff}, 4);
}

static int write_batch(int64_t batch, void *data)
{
    struct generation *generation = data;
    int64_t first = batch * batch_records;
    int64_t count =
        generation->records - first < batch_records ? generation->records - first : batch_records;
    size_t length = (size_t)count * record_bytes;
    uint8_t *bytes = malloc(length);
    if (!bytes)
        return 1;
    for (int64_t i = 0; i < count; i++)
        make_record(bytes + i * record_bytes, generation->seed, (uint64_t)(first + i));
    int failed = 0;
    for (size_t done = 0; done < length && !failed;) {
        ssize_t put = pwrite(generation->fd, bytes + done, length - done,
                             (off_t)first * record_bytes + (off_t)done);
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            failed = errno ? errno : EIO;
    }
    free(bytes);
    if (failed)
        fprintf(stderr, "teragen: cannot write: %s\n", strerror(failed));
    return failed;
}

static int64_t parse_number(const char *text, const char *what)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < 0) {
        fprintf(stderr, "teragen: %s must be a whole number from 0, not \"%s\"\n", what, text);
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: teragen RECORDS FILE [SEED]\n"
                        "Writes RECORDS records of 100 bytes with random 10-byte keys.\n");
        return 2;
    }
    struct generation generation = {.records = parse_number(argv[1], "RECORDS")};
    generation.seed = argc == 4 ? (uint64_t)parse_number(argv[3], "SEED") : 1;
    generation.fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (generation.fd < 0) {
        fprintf(stderr, "teragen: cannot create %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    int64_t batches = (generation.records + batch_records - 1) / batch_records;
    int failures = parallel_for(batches, write_batch, &generation);
    if (close(generation.fd) < 0 || failures) {
        fprintf(stderr, "teragen: %s is not complete, and was removed\n", argv[2]);
        unlink(argv[2]);
        return 1;
    }
    printf("%" PRId64 " records in %s\n", generation.records, argv[2]);
    return 0;
}
