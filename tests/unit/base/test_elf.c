/* What covey_elf_find reads of this program, and of what is made of it. */
#include "base/elf.h"
#include "base/io.h"
#include "tests/harness/harness.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char *own;
static size_t own_bytes;

static int setup(void)
{
    struct stat facts;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) != 0)
        return 1;
    own_bytes = (size_t)facts.st_size;
    own = malloc(own_bytes);
    bool read_all = own && covey_read_full(fd, own, own_bytes) == COVEY_OK;
    covey_close(&fd);
    return read_all ? 0 : 1;
}

static int teardown(void)
{
    free(own);
    return 0;
}

static bool is_libc(const char *text, void *data)
{
    ++*(int *)data;
    return strncmp(text, "libc.so", 7) == 0;
}

static bool never(const char *text, void *data)
{
    (void)text;
    ++*(int *)data;
    return false;
}

static bool find(const void *bytes, size_t length_bytes, int64_t tag,
                 bool (*accept)(const char *text, void *data), int *seen)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    TEST_REQUIRE(fd >= 0 && covey_write_full(fd, bytes, length_bytes) == COVEY_OK);
    *seen = 0;
    bool found = covey_elf_find(fd, tag, accept, seen);
    covey_close(&fd);
    return found;
}

static void elf_find__own_program__names_its_libraries(void)
{
    int all, until;
    TEST_TRUE(!find(own, own_bytes, DT_NEEDED, never, &all));
    TEST_TRUE(all >= 1);
    TEST_TRUE(find(own, own_bytes, DT_NEEDED, is_libc, &until));
    TEST_TRUE(until >= 1 && until <= all);
    TEST_TRUE(!find(own, own_bytes, DT_SONAME, is_libc, &all));
    TEST_EQUAL(all, 0);
}

static void elf_find__what_is_no_elf_file__is_nothing(void)
{
    int seen;
    TEST_TRUE(!find("#!/bin/sh\n", 10, DT_NEEDED, never, &seen));
    TEST_TRUE(!find("", 0, DT_NEEDED, never, &seen));
    TEST_TRUE(!covey_elf_find(-1, DT_NEEDED, never, &seen));
    TEST_EQUAL(seen, 0);
}

static void elf_find__cut_anywhere__is_answered(void)
{
    int seen;
    for (size_t length = 0; length < own_bytes; length += 1 + length / 8)
        (void)find(own, length, DT_NEEDED, never, &seen);
    TEST_TRUE(find(own, own_bytes, DT_NEEDED, is_libc, &seen));
}

/* Tables that lead anywhere: to nothing, outside, to themselves. */
static void elf_find__random_numbers_in_its_tables__is_answered(void)
{
    unsigned seed = 1;
    int seen;
    Elf64_Ehdr header;
    memcpy(&header, own, sizeof(header));
    unsigned char *image = malloc(own_bytes);
    TEST_REQUIRE(image != NULL);
    for (int round = 0; round < 200; round++) {
        memcpy(image, own, own_bytes);
        size_t span = (size_t)header.e_phnum * sizeof(Elf64_Phdr);
        for (int change = 0; change < 4; change++)
            image[header.e_phoff + (size_t)rand_r(&seed) % span] = (unsigned char)rand_r(&seed);
        (void)find(image, own_bytes, DT_NEEDED, never, &seen);
    }
    free(image);
}

static const struct test_case cases[] = {
    TEST_CASE(elf_find__own_program__names_its_libraries),
    TEST_CASE(elf_find__what_is_no_elf_file__is_nothing),
    TEST_CASE(elf_find__cut_anywhere__is_answered),
    TEST_CASE(elf_find__random_numbers_in_its_tables__is_answered),
    {0},
};

const struct test_suite test_suites[] = {{"elf", cases, setup, teardown}, {0}};
