/* What covey_code_inspect makes of files; the sentences for people are in the table of client.cli.
 */
#include "covey/client.h"
#include "tests/harness/harness.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char *own;
static size_t own_bytes;

/* This program's own file is an image to change. */
static int setup(void)
{
    struct stat facts;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) != 0)
        return 1;
    own_bytes = (size_t)facts.st_size;
    own = malloc(own_bytes);
    bool read_all = own && read(fd, own, own_bytes) == (ssize_t)own_bytes;
    close(fd);
    return read_all ? 0 : 1;
}

static int teardown(void)
{
    free(own);
    return 0;
}

static enum covey_status inspect(const void *bytes, size_t length, mode_t mode,
                                 enum covey_code_kind *kind)
{
    char path[256];
    struct covey_error error = {0};
    snprintf(path, sizeof path, "%s/image", test_folder());
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    TEST_REQUIRE(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    close(fd);
    enum covey_status status = covey_code_inspect(path, kind, &error);
    TEST_TRUE(status == COVEY_OK || *error.message);
    TEST_TRUE((status == COVEY_OK) == (*kind != COVEY_CODE_UNSPECIFIED));
    return status;
}

static void code_inspect__script__is_executable(void)
{
    enum covey_code_kind kind;
    TEST_EQUAL(inspect("#!/bin/sh\n", 10, 0755, &kind), COVEY_OK);
    TEST_EQUAL(kind, COVEY_CODE_EXECUTABLE);
    TEST_EQUAL(inspect("#!/bin/sh\n", 10, 0644, &kind), COVEY_EINVAL);
    TEST_EQUAL(inspect("#", 1, 0755, &kind), COVEY_EINVAL);
}

static void code_inspect__program__is_executable(void)
{
    enum covey_code_kind kind;
    TEST_EQUAL(inspect(own, own_bytes, 0755, &kind), COVEY_OK);
    TEST_EQUAL(kind, COVEY_CODE_EXECUTABLE);
    TEST_EQUAL(inspect(own, own_bytes, 0644, &kind), COVEY_EINVAL);
}

static void code_inspect__cut_anywhere_in_its_headers__is_answered(void)
{
    enum covey_code_kind kind;
    for (size_t length = 0; length < 1200; length += 7)
        (void)!inspect(own, length, 0755, &kind);
    TEST_EQUAL(inspect(own, 63, 0755, &kind), COVEY_EINVAL);
}

/* Every number of the header and of the tables may be anything. */
static void code_inspect__random_numbers_in_its_tables__is_answered(void)
{
    enum covey_code_kind kind;
    unsigned seed = 1;
    Elf64_Ehdr header;
    memcpy(&header, own, sizeof header);
    unsigned char *image = malloc(own_bytes);
    TEST_REQUIRE(image != NULL);
    for (int round = 0; round < 300; round++) {
        static const size_t spans[] = {sizeof(Elf64_Ehdr), 13 * sizeof(Elf64_Phdr),
                                       20 * sizeof(Elf64_Shdr)};
        const size_t starts[] = {16, header.e_phoff, header.e_shoff};
        memcpy(image, own, own_bytes);
        for (int change = 0; change < 3; change++) {
            int table = round % 3;
            size_t at = starts[table] + (size_t)rand_r(&seed) % spans[table];
            if (at < own_bytes)
                image[at] = (unsigned char)(rand_r(&seed) % 4 ? 0xff : rand_r(&seed));
        }
        (void)!inspect(image, own_bytes, 0755, &kind);
    }
    free(image);
    TEST_EQUAL(inspect(own, own_bytes, 0755, &kind), COVEY_OK);
}

static const struct test_case cases[] = {
    TEST_CASE(code_inspect__program__is_executable),
    TEST_CASE(code_inspect__script__is_executable),
    TEST_CASE(code_inspect__cut_anywhere_in_its_headers__is_answered),
    TEST_CASE(code_inspect__random_numbers_in_its_tables__is_answered),
    {0},
};

const struct test_suite test_suites[] = {{"inspect", cases, setup, teardown}, {0}};
