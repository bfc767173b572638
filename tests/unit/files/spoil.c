#include "tests/unit/files/spoil.h"

#include "base/io.h"
#include "base/text.h"
#include "tests/harness/harness.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANGES 3 /* of each byte, besides those below */

struct place {
    char folder[32];
    char path[48];
    spoil_reader read;
};

/* Said once of each kind, and not for each of thousands of files. */
static void check(const struct place *place, const char *what, size_t at)
{
    struct covey_error error = {0};
    enum covey_status status = place->read(place->path, &error);
    if (status == COVEY_OK)
        return;
    size_t length = strlen(error.message);
    bool named = strstr(error.message, place->path) != NULL;
    bool whole = covey_text_valid(error.message, length);
    bool tame = true;
    for (size_t i = 0; i < length; i++)
        tame = tame && (unsigned char)error.message[i] >= ' ' && error.message[i] != 0x7f;
    if (!named || !whole || !tame)
        printf("%s %zu: %s\n", what, at, error.message);
    TEST_TRUE(named && whole && tame);
}

static void give(const struct place *place, const char *what, size_t at, const void *bytes,
                 size_t length_bytes)
{
    TEST_REQUIRE(covey_file_write(place->path, bytes, length_bytes, 0600, NULL) == COVEY_OK);
    check(place, what, at);
}

static void give_cuts(const struct place *place, const char *sound, size_t length_bytes)
{
    for (size_t i = 0; i <= length_bytes; i++)
        give(place, "cut after byte", i, sound, i);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

static void give_changes(const struct place *place, const char *sound, size_t length_bytes)
{
    static const unsigned char odd[] = {0,   '\n', '\t', ' ', ':', '#', '-',  '"',  '\\', '{',
                                        '[', '&',  '*',  '!', '%', '@', 0x1b, 0x80, 0xff};
    uint32_t state = 20261127;
    unsigned char *copy = malloc(length_bytes);
    TEST_REQUIRE(copy != NULL);
    for (size_t i = 0; i < length_bytes; i++) {
        memcpy(copy, sound, length_bytes);
        copy[i] = odd[next_random(&state) % sizeof odd];
        give(place, "odd byte at", i, copy, length_bytes);
        for (unsigned k = 0; k < CHANGES; k++) {
            memcpy(copy, sound, length_bytes);
            copy[i] = (unsigned char)next_random(&state);
            give(place, "changed byte at", i, copy, length_bytes);
        }
    }
    free(copy);
}

/* Each run of digits in turn is another number. */
static void give_numbers(const struct place *place, const char *sound, size_t length_bytes)
{
    static const char *const numbers[] = {"0",
                                          "-1",
                                          "4294967296",
                                          "18446744073709551615",
                                          "99999999999999999999999999999999",
                                          "1e400",
                                          "0x10",
                                          "1.5",
                                          ""};
    char *copy = malloc(length_bytes + 64);
    TEST_REQUIRE(copy != NULL);
    for (size_t i = 0; i < length_bytes; i++) {
        size_t digits = strspn(sound + i, "0123456789");
        if (digits == 0 || (i > 0 && strchr("0123456789", sound[i - 1])))
            continue;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            size_t number_bytes = strlen(numbers[k]);
            memcpy(copy, sound, i);
            memcpy(copy + i, numbers[k], number_bytes);
            memcpy(copy + i + number_bytes, sound + i + digits, length_bytes - i - digits);
            give(place, "another number at", i, copy, length_bytes - digits + number_bytes);
        }
    }
    free(copy);
}

static void give_wholes(const struct place *place, const char *sound, size_t length_bytes)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "# only a comment\n",
                                        "\xef\xbb\xbf",
                                        "\xff\xfe\xfd",
                                        "\xc3",
                                        "\r\n\r\n",
                                        "\x1b[31m\x07\n",
                                        "---\n...\n---\n",
                                        "{}",
                                        "[]",
                                        "null",
                                        "\"",
                                        "a: &a [*a, *a]\n",
                                        "&a : *b\n",
                                        "- - - - - - - - -\n",
                                        "\x1f\x8b",
                                        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"};
    char nothing[4096] = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        give(place, "text", i, texts[i], strlen(texts[i]));
    give(place, "NULs", sizeof nothing, nothing, sizeof nothing);
    memset(nothing, 'x', sizeof nothing);
    give(place, "one long word", sizeof nothing, nothing, sizeof nothing);
    memset(nothing, '[', sizeof nothing);
    give(place, "one deep list", sizeof nothing, nothing, sizeof nothing);
    char *twice = malloc(2 * length_bytes + 1);
    TEST_REQUIRE(twice != NULL);
    memcpy(twice, sound, length_bytes);
    memcpy(twice + length_bytes, sound, length_bytes);
    give(place, "twice", 0, twice, 2 * length_bytes);
    free(twice);
}

static void give_no_files(const struct place *place)
{
    TEST_REQUIRE(unlink(place->path) == 0);
    check(place, "no file", 0);
    TEST_REQUIRE(mkdir(place->path, 0700) == 0);
    check(place, "a folder", 0);
    TEST_REQUIRE(rmdir(place->path) == 0);
    TEST_REQUIRE(mkfifo(place->path, 0600) == 0);
    check(place, "a pipe without a writer", 0);
    TEST_REQUIRE(unlink(place->path) == 0);
    TEST_REQUIRE(symlink("file", place->path) == 0);
    check(place, "a link to itself", 0);
    TEST_REQUIRE(unlink(place->path) == 0);
    if (geteuid() == 0)
        return; /* who may read everything */
    TEST_REQUIRE(covey_file_write(place->path, "x", 1, 0, NULL) == COVEY_OK);
    check(place, "not readable", 0);
}

void spoil_all(const char *sound, size_t length_bytes, spoil_reader read)
{
    struct place place = {.read = read};
    struct covey_error error = {0};
    snprintf(place.folder, sizeof place.folder, "/tmp/covey-spoil-XXXXXX");
    TEST_REQUIRE(mkdtemp(place.folder) != NULL);
    snprintf(place.path, sizeof place.path, "%s/file", place.folder);
    TEST_REQUIRE(covey_file_write(place.path, sound, length_bytes, 0600, NULL) == COVEY_OK);
    if (read(place.path, &error) != COVEY_OK)
        printf("the sound one: %s\n", error.message);
    TEST_EQUAL(error.status, COVEY_OK);
    give_wholes(&place, sound, length_bytes);
    give_cuts(&place, sound, length_bytes);
    give_numbers(&place, sound, length_bytes);
    give_changes(&place, sound, length_bytes);
    give_no_files(&place);
    TEST_EQUAL(covey_remove_tree(place.folder), COVEY_OK);
}
