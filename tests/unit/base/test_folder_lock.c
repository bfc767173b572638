#include "base/folder_lock.h"

#include "base/error.h"
#include "base/io.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *new_folder(void)
{
    static char folder[64];
    (void)snprintf(folder, sizeof(folder), "/tmp/covey-lock-XXXXXX");
    TEST_REQUIRE(mkdtemp(folder) != NULL);
    return folder;
}

/* A process that holds the lock until it is killed, or goes by itself after a moment. */
static pid_t start_holder(const char *folder, long moment_ns)
{
    int ends[2];
    char byte = 'x';
    TEST_REQUIRE(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd;
        if (covey_folder_lock(folder, &fd, NULL) || write(ends[1], &byte, 1) != 1)
            _exit(1);
        if (moment_ns == 0)
            (void)pause();
        (void)nanosleep(&(struct timespec){.tv_nsec = moment_ns}, NULL);
        _exit(0);
    }
    TEST_REQUIRE(pid > 0 && read(ends[0], &byte, 1) == 1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return pid;
}

static void folder_lock__holder_is_about_to_go__taken_after_it(void)
{
    const char *folder = new_folder();
    struct covey_error error = {0};
    int fd = -1;
    pid_t holder = start_holder(folder, 100000000L);
    TEST_EQUAL(covey_folder_lock(folder, &fd, &error), COVEY_OK);
    TEST_EQUAL(waitpid(holder, NULL, 0), holder);
    covey_close(&fd);
    TEST_EQUAL(covey_remove_tree(folder), COVEY_OK);
}

static void folder_lock__holder_stays__refused(void)
{
    const char *folder = new_folder();
    struct covey_error error = {0};
    int fd = 7;
    pid_t holder = start_holder(folder, 0);
    TEST_EQUAL(covey_folder_lock(folder, &fd, &error), COVEY_EEXISTS);
    TEST_EQUAL(fd, -1);
    (void)kill(holder, SIGKILL);
    TEST_EQUAL(waitpid(holder, NULL, 0), holder);
    TEST_EQUAL(covey_folder_lock(folder, &fd, &error), COVEY_OK);
    covey_close(&fd);
    TEST_EQUAL(covey_remove_tree(folder), COVEY_OK);
}

static void folder_lock__no_folder__told_at_once(void)
{
    struct covey_error error = {0};
    int fd = 7;
    TEST_EQUAL(covey_folder_lock("/nonexistent/folder", &fd, &error), COVEY_ENOTFOUND);
    TEST_EQUAL(fd, -1);
    TEST_TRUE(strstr(error.message, "/nonexistent/folder/lock") != NULL);
}

static void folder_owner__signed_by_one_that_runs__is_that_one(void)
{
    const char *folder = new_folder();
    char path[96];
    char text[64];
    struct covey_process_id owner;
    struct covey_error error;
    int fd;
    (void)snprintf(path, sizeof(path), "%s/lock", folder);
    TEST_TRUE(!covey_folder_owner(folder, &owner));
    FILE *file = fopen(path, "we");
    TEST_REQUIRE(file && fputs("a longer text than the one that replaces it", file) >= 0);
    TEST_EQUAL(fclose(file), 0);
    TEST_TRUE(!covey_folder_owner(folder, &owner));
    TEST_EQUAL(covey_folder_lock(folder, &fd, &error), COVEY_OK);
    TEST_TRUE(covey_folder_owner(folder, &owner));
    TEST_EQUAL(owner.pid, getpid());
    TEST_EQUAL(owner.start_time, covey_process_start_time(getpid()));
    /* Another process has the pid by now. */
    int length = snprintf(text, sizeof(text), "%ld 1\n", (long)getpid());
    TEST_REQUIRE(ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length);
    TEST_TRUE(!covey_folder_owner(folder, &owner));
    covey_close(&fd);
    TEST_EQUAL(covey_remove_tree(folder), COVEY_OK);
}

static const struct test_case cases[] = {
    TEST_CASE(folder_owner__signed_by_one_that_runs__is_that_one),
    TEST_CASE(folder_lock__holder_is_about_to_go__taken_after_it),
    TEST_CASE(folder_lock__holder_stays__refused),
    TEST_CASE(folder_lock__no_folder__told_at_once),
    {0},
};

const struct test_suite test_suites[] = {{"folder_lock", cases, NULL, NULL}, {0}};
