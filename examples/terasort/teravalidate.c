/* teravalidate: proves that the parts of a sorted output are in order and hold exactly the input's
 * records. */
#include "parallel.h"
#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { batch_records = 100000, path_bytes = 4096 };

struct file {
    const uint8_t *bytes;
    int64_t records;
};

struct part {
    char path[path_bytes];
    struct file file;
    uint64_t checksum;
    bool sorted;
};

struct sum {
    const struct file *file;
    _Atomic uint64_t checksum;
};

static bool map_file(const char *path, struct file *file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nor waits for a pipe's writer */
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        fprintf(stderr, "teravalidate: cannot read %s: %s\n", path,
                fd < 0 ? strerror(errno) : "it is no file");
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool whole = info.st_size % record_bytes == 0;
    if (!whole)
        fprintf(stderr, "teravalidate: %s ends in the middle of a record: %lld bytes\n", path,
                (long long)info.st_size);
    file->records = info.st_size / record_bytes;
    if (whole && file->records > 0) {
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        whole = bytes != MAP_FAILED;
        if (whole)
            file->bytes = bytes;
        else
            fprintf(stderr, "teravalidate: cannot map %s: %s\n", path, strerror(errno));
    }
    close(fd);
    return whole;
}

static int sum_batch(int64_t batch, void *data)
{
    struct sum *sum = data;
    int64_t first = batch * batch_records;
    int64_t end =
        first + batch_records < sum->file->records ? first + batch_records : sum->file->records;
    uint64_t checksum = 0;
    for (int64_t i = first; i < end; i++)
        checksum += record_checksum(sum->file->bytes + i * record_bytes);
    sum->checksum += checksum;
    return 0;
}

static uint64_t input_checksum(const struct file *input)
{
    struct sum sum = {.file = input};
    parallel_for((input->records + batch_records - 1) / batch_records, sum_batch, &sum);
    return sum.checksum;
}

static int check_part(int64_t index, void *data)
{
    struct part *part = (struct part *)data + index;
    if (!map_file(part->path, &part->file))
        return 1;
    part->sorted = true;
    for (int64_t i = 0; i < part->file.records; i++) {
        const uint8_t *record = part->file.bytes + i * record_bytes;
        part->checksum += record_checksum(record);
        if (i > 0 && record_compare(record - record_bytes, record) > 0 && part->sorted) {
            fprintf(stderr, "teravalidate: %s is not sorted at record %" PRId64 "\n", part->path,
                    i);
            part->sorted = false;
        }
    }
    return part->sorted ? 0 : 1;
}

/* The number of a part by its name: part-00003, or part-r-00003 as others write them; -1 where it
 * is the name of something else, as part-00003.crc is. */
static long part_number(const char *name)
{
    static const char *const prefixes[] = {"part-r-", "part-m-", "part-"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0) {
            const char *digits = name + length;
            size_t count = strspn(digits, "0123456789");
            return count > 0 && count < 10 && !digits[count] ? strtol(digits, NULL, 10) : -1;
        }
    }
    return -1;
}

static int is_part(const struct dirent *entry)
{
    return part_number(entry->d_name) >= 0;
}

static int by_number(const struct dirent **left, const struct dirent **right)
{
    long a = part_number((*left)->d_name), b = part_number((*right)->d_name);
    return a < b ? -1 : a > b;
}

/* Every number once, from 0. */
static bool name_parts(const char *folder, struct dirent *const *entries, int count,
                       struct part *parts)
{
    for (int i = 0; i < count; i++) {
        if (part_number(entries[i]->d_name) != i) {
            bool twice = i > 0 && part_number(entries[i]->d_name) == i - 1;
            fprintf(stderr, "teravalidate: %s in %s, before %s\n",
                    twice ? "two parts have one number" : "a part is missing", folder,
                    entries[i]->d_name);
            return false;
        }
        int length = snprintf(parts[i].path, path_bytes, "%s/%s", folder, entries[i]->d_name);
        if (length < 0 || length >= path_bytes) {
            fprintf(stderr, "teravalidate: the name of %s is too long\n", folder);
            return false;
        }
    }
    return true;
}

static int list_parts(const char *folder, struct part **parts)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_part, by_number);
    if (count < 0) {
        fprintf(stderr, "teravalidate: cannot open the folder %s: %s\n", folder, strerror(errno));
        return -1;
    }
    *parts = calloc((size_t)count + 1, sizeof(**parts));
    bool named = *parts && name_parts(folder, entries, count, *parts);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (count == 0)
        fprintf(stderr, "teravalidate: there is no part-00000 in %s\n", folder);
    return named ? count : -1;
}

static bool check_borders(const struct part *parts, int count)
{
    const struct part *before = NULL;
    for (int i = 0; i < count; i++) {
        if (parts[i].file.records == 0)
            continue;
        if (before && record_compare(before->file.bytes + (before->file.records - 1) * record_bytes,
                                     parts[i].file.bytes) > 0) {
            fprintf(stderr, "teravalidate: %s starts before the end of %s\n", parts[i].path,
                    before->path);
            return false;
        }
        before = &parts[i];
    }
    return true;
}

/* Which part holds a record that the input does not: the one whose number field or key was altered
 * cannot be told from the sums alone, so each record is looked up by its number in the input. */
static void name_altered_part(const struct file *input, const struct part *parts, int count)
{
    for (int i = 0; i < count; i++) {
        for (int64_t j = 0; j < parts[i].file.records; j++) {
            const uint8_t *record = parts[i].file.bytes + j * record_bytes;
            char digits[17] = {0};
            memcpy(digits, record + 28, 16);
            char *end;
            uint64_t number = strtoull(digits, &end, 16);
            if (*end || number >= (uint64_t)input->records ||
                memcmp(input->bytes + number * record_bytes, record, record_bytes) != 0) {
                fprintf(
                    stderr,
                    "teravalidate: %s has a record that the input does not have, at record %" PRId64
                    "\n",
                    parts[i].path, j);
                return;
            }
        }
    }
    fprintf(stderr, "teravalidate: a record is there twice, and another is missing\n");
}

static int compare_with_input(const char *path, const struct part *parts, int count)
{
    struct file input = {0};
    if (!map_file(path, &input))
        return 1;
    int64_t records = 0;
    uint64_t checksum = 0;
    for (int i = 0; i < count; i++) {
        records += parts[i].file.records;
        checksum += parts[i].checksum;
    }
    if (records != input.records) {
        fprintf(stderr, "teravalidate: the output has %" PRId64 " records, the input %" PRId64 "\n",
                records, input.records);
        return 1;
    }
    uint64_t expected = input_checksum(&input);
    if (checksum != expected) {
        fprintf(stderr,
                "teravalidate: checksum %016" PRIx64 ", but the input's is %016" PRIx64 "\n",
                checksum, expected);
        name_altered_part(&input, parts, count);
        return 1;
    }
    printf("VALID records=%" PRId64 " checksum=%016" PRIx64 "\n", records, checksum);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(
            stderr,
            "usage: teravalidate INPUT OUTPUT_FOLDER\n"
            "Checks that part-00000, part-00001, ... are in order and hold the input's records.\n");
        return 2;
    }
    struct part *parts = NULL;
    int count = list_parts(argv[2], &parts);
    int failed = count <= 0 || parallel_for(count, check_part, parts) ||
                 !check_borders(parts, count) || compare_with_input(argv[1], parts, count);
    free(parts);
    return failed ? 1 : 0;
}
