#include "base/io.h"
#include "base/memory.h"
#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A path in the test's folder, in static storage; four may be in use at a time. */
static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_MAX, "%s/%s", test_folder(), name);
    return path;
}

static void read_full__input_ends_early__is_eproto(void)
{
    int fds[2];
    char bytes[8] = "";
    TEST_REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    TEST_EQUAL(covey_write_full(fds[1], "abcde", 5), COVEY_OK);
    TEST_EQUAL(covey_read_full(fds[0], bytes, 3), COVEY_OK);
    TEST_EQUAL(memcmp(bytes, "abc", 3), 0);
    TEST_EQUAL(covey_read_full(fds[0], bytes, 0), COVEY_OK);
    close(fds[1]);
    TEST_EQUAL(covey_read_full(fds[0], bytes, 3), COVEY_EPROTO);
    close(fds[0]);
    TEST_EQUAL(covey_read_full(fds[0], bytes, 1), COVEY_EIO);
    TEST_EQUAL(errno, EBADF);
}

static void write_full__reader_is_gone_or_slow__says_so(void)
{
    int fds[2];
    (void)signal(SIGPIPE, SIG_IGN);
    TEST_REQUIRE(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    static char much[1 << 20];
    TEST_EQUAL(covey_write_full(fds[1], much, sizeof(much)), COVEY_EAGAIN);
    close(fds[0]);
    TEST_EQUAL(covey_write_full(fds[1], "a", 1), COVEY_EUNAVAILABLE);
    close(fds[1]);
    TEST_EQUAL(covey_write_full(open("/dev/full", O_WRONLY | O_CLOEXEC), "a", 1), COVEY_ENOSPACE);
}

static void file__written_and_read__is_the_same(void)
{
    const char *path = path_of("file");
    static char text[200000];
    memset(text, 'x', sizeof(text));
    struct covey_error error;
    TEST_EQUAL(covey_file_write(path, "old", 3, 0600, &error), COVEY_OK);
    TEST_EQUAL(covey_file_write(path, text, sizeof(text), 0640, &error), COVEY_OK);
    struct stat info;
    TEST_REQUIRE(stat(path, &info) == 0);
    TEST_EQUAL(info.st_mode & 07777, 0640);
    struct covey_buffer contents = {0};
    TEST_REQUIRE(covey_buffer_append(&contents, "<", 1) == COVEY_OK);
    TEST_EQUAL(covey_file_read(path, sizeof(text), &contents, &error), COVEY_OK);
    TEST_EQUAL(contents.length_bytes, sizeof(text) + 1);
    TEST_EQUAL(contents.data[0], '<');
    TEST_EQUAL(memcmp(contents.data + 1, text, sizeof(text)), 0);
    covey_buffer_free(&contents);
}

static void file_read__fails__leaves_the_buffer_and_names_the_path(void)
{
    const char *path = path_of("ten");
    struct covey_error error;
    struct covey_buffer contents = {0};
    TEST_REQUIRE(covey_file_write(path, "0123456789", 10, 0600, &error) == COVEY_OK);
    TEST_REQUIRE(covey_buffer_append(&contents, "<", 1) == COVEY_OK);
    TEST_EQUAL(covey_file_read(path, 9, &contents, &error), COVEY_ELIMIT);
    TEST_TRUE(strstr(error.message, path) != NULL);
    TEST_EQUAL(contents.length_bytes, 1);
    TEST_EQUAL(covey_file_read(path_of("absent"), 9, &contents, &error), COVEY_ENOTFOUND);
    TEST_EQUAL(error.foreign, ENOENT);
    TEST_EQUAL(covey_file_read(test_folder(), 9, &contents, &error), COVEY_EIO);
    TEST_EQUAL(error.foreign, EISDIR);
    covey_memory_fail_after(0);
    enum covey_status status = covey_file_read(path, 10, &contents, &error);
    covey_memory_fail_after(-1);
    TEST_EQUAL(status, COVEY_ENOMEM);
    TEST_EQUAL(error.status, COVEY_ENOMEM);
    TEST_EQUAL(contents.length_bytes, 1);
    TEST_EQUAL(covey_file_read(path, 10, &contents, NULL), COVEY_OK);
    TEST_EQUAL(contents.length_bytes, 11);
    covey_buffer_free(&contents);
}

static void file_write__fails__leaves_the_old_file_and_no_other(void)
{
    struct covey_error error;
    TEST_REQUIRE(covey_make_dirs(path_of("write"), 0700, &error) == COVEY_OK);
    TEST_EQUAL(covey_file_write(path_of("nowhere/file"), "a", 1, 0600, &error), COVEY_ENOTFOUND);
    /* A folder in the way. */
    TEST_REQUIRE(covey_make_dirs(path_of("write/taken/full"), 0700, &error) == COVEY_OK);
    TEST_TRUE(covey_file_write(path_of("write/taken"), "a", 1, 0600, &error) != COVEY_OK);
    TEST_TRUE(strstr(error.message, "write/taken") != NULL);
    TEST_EQUAL(covey_remove_tree(path_of("write/taken")), COVEY_OK);
    TEST_EQUAL(rmdir(path_of("write")), 0);
    char path[PATH_MAX + 1];
    memset(path, 'a', PATH_MAX);
    path[PATH_MAX] = '\0';
    TEST_EQUAL(covey_file_write(path, "a", 1, 0600, &error), COVEY_EINVAL);
}

static void file_check_write__says_before_what_a_write_would(void)
{
    struct covey_error error;
    TEST_REQUIRE(covey_make_dirs(path_of("check/taken"), 0700, &error) == COVEY_OK);
    TEST_EQUAL(covey_file_check_write(path_of("check/new"), &error), COVEY_OK);
    TEST_EQUAL(covey_file_check_write("/dev/null", &error), COVEY_OK);
    TEST_EQUAL(covey_file_check_write(path_of("check/nowhere/file"), &error), COVEY_ENOTFOUND);
    TEST_TRUE(strstr(error.message, "check/nowhere/file") != NULL);
    TEST_TRUE(covey_file_check_write(path_of("check/taken"), &error) != COVEY_OK);
    TEST_TRUE(strstr(error.message, "check/taken") != NULL);
    TEST_EQUAL(rmdir(path_of("check/taken")), 0);
    TEST_EQUAL(rmdir(path_of("check")), 0); /* nothing was left there */
}

/* Somebody else has made it: it is written, not removed. */
static void file_write__no_file__written_and_still_there(void)
{
    struct covey_error error = {0};
    struct stat facts;
    char pipe_path[300], link_path[300], file_path[300], got[8] = "";
    snprintf(pipe_path, sizeof(pipe_path), "%s/write-pipe", test_folder());
    snprintf(link_path, sizeof(link_path), "%s/write-link", test_folder());
    snprintf(file_path, sizeof(file_path), "%s/linked", test_folder());
    TEST_REQUIRE(mkfifo(pipe_path, 0600) == 0);
    int reader = open(pipe_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    TEST_EQUAL(covey_file_write(pipe_path, "text", 4, 0600, &error), COVEY_OK);
    TEST_EQUAL(read(reader, got, sizeof(got)), 4);
    TEST_TRUE(stat(pipe_path, &facts) == 0 && S_ISFIFO(facts.st_mode));
    covey_close(&reader);
    TEST_EQUAL(covey_file_write(file_path, "old", 3, 0600, &error), COVEY_OK);
    TEST_REQUIRE(symlink(file_path, link_path) == 0);
    TEST_EQUAL(covey_file_write(link_path, "newer", 5, 0600, &error), COVEY_OK);
    TEST_TRUE(lstat(link_path, &facts) == 0 && S_ISLNK(facts.st_mode));
    TEST_TRUE(stat(file_path, &facts) == 0 && facts.st_size == 5);
    TEST_REQUIRE(unlink(link_path) == 0 && symlink("/dev/full", link_path) == 0);
    TEST_TRUE(covey_file_write(link_path, "newer", 5, 0600, &error) != COVEY_OK);
    TEST_TRUE(strstr(error.message, "No space left") != NULL);
    TEST_TRUE(lstat(link_path, &facts) == 0 && S_ISLNK(facts.st_mode));
}

static void file_write__file_size_limit__keeps_the_old_contents(void)
{
    const char *path = path_of("limited");
    struct covey_error error;
    TEST_REQUIRE(covey_file_write(path, "old", 3, 0600, &error) == COVEY_OK);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit before;
    TEST_REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    struct rlimit small = {.rlim_cur = 10, .rlim_max = before.rlim_max};
    static char much[100];
    TEST_REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    enum covey_status status = covey_file_write(path, much, sizeof(much), 0600, &error);
    TEST_REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    TEST_EQUAL(status, COVEY_ELIMIT);
    TEST_EQUAL(error.foreign, EFBIG);
    struct covey_buffer contents = {0};
    TEST_REQUIRE(covey_file_read(path, 100, &contents, &error) == COVEY_OK);
    TEST_EQUAL(contents.length_bytes, 3);
    covey_buffer_free(&contents);
}

static void make_dirs__paths_of_all_shapes__are_made(void)
{
    struct covey_error error;
    struct stat info;
    TEST_EQUAL(covey_make_dirs(path_of("a/b/c"), 0700, &error), COVEY_OK);
    TEST_EQUAL(covey_make_dirs(path_of("a/b/c"), 0700, &error), COVEY_OK);
    TEST_EQUAL(covey_make_dirs(path_of("a//d/"), 0700, &error), COVEY_OK);
    TEST_TRUE(stat(path_of("a/d"), &info) == 0 && S_ISDIR(info.st_mode));
    TEST_EQUAL(covey_make_dirs("/", 0700, &error), COVEY_OK);
}

static void make_dirs__impossible__says_what_is_in_the_way(void)
{
    struct covey_error error;
    TEST_EQUAL(covey_make_dirs("", 0700, &error), COVEY_EINVAL);
    TEST_REQUIRE(covey_file_write(path_of("plain"), "", 0, 0600, &error) == COVEY_OK);
    TEST_EQUAL(covey_make_dirs(path_of("plain"), 0700, &error), COVEY_EEXISTS);
    TEST_TRUE(strstr(error.message, "plain is there and is not a folder") != NULL);
    TEST_TRUE(covey_make_dirs(path_of("plain/x"), 0700, &error) != COVEY_OK);
    TEST_TRUE(strstr(error.message, "plain") != NULL);
    char path[PATH_MAX + 1];
    memset(path, 'a', PATH_MAX);
    path[PATH_MAX] = '\0';
    TEST_EQUAL(covey_make_dirs(path, 0700, &error), COVEY_EINVAL);
}

static void remove_tree__links_and_folders__follows_no_link(void)
{
    struct covey_error error;
    TEST_EQUAL(covey_remove_tree(path_of("absent")), COVEY_OK);
    TEST_REQUIRE(covey_make_dirs(path_of("kept"), 0700, &error) == COVEY_OK);
    TEST_REQUIRE(covey_file_write(path_of("kept/file"), "a", 1, 0600, &error) == COVEY_OK);
    TEST_REQUIRE(covey_make_dirs(path_of("tree/x/y"), 0700, &error) == COVEY_OK);
    TEST_REQUIRE(covey_file_write(path_of("tree/x/file"), "a", 1, 0400, &error) == COVEY_OK);
    TEST_REQUIRE(symlink(path_of("kept"), path_of("tree/x/link")) == 0);
    TEST_REQUIRE(symlink("nothing", path_of("tree/dangling")) == 0);
    TEST_REQUIRE(mkfifo(path_of("tree/fifo"), 0600) == 0);
    TEST_EQUAL(covey_remove_tree(path_of("tree")), COVEY_OK);
    TEST_TRUE(access(path_of("tree"), F_OK) < 0 && errno == ENOENT);
    TEST_EQUAL(access(path_of("kept/file"), F_OK), 0);
    TEST_REQUIRE(symlink(path_of("kept"), path_of("link")) == 0);
    TEST_EQUAL(covey_remove_tree(path_of("link")), COVEY_OK);
    TEST_EQUAL(access(path_of("kept/file"), F_OK), 0);
    TEST_EQUAL(covey_remove_tree(path_of("kept/file")), COVEY_OK);
    TEST_EQUAL(covey_remove_tree(path_of("kept/")), COVEY_OK);
    TEST_TRUE(access(path_of("kept"), F_OK) < 0);
    TEST_EQUAL(covey_remove_tree("/proc/self/status"), COVEY_EACCES);
}

/* Folders within each other below the test's folder: first/d/d/d... */
static void make_chain(const char *first, int depth)
{
    int fd = open(test_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *name = first;
    for (int i = 0; i < depth; i++) {
        TEST_REQUIRE(mkdirat(fd, name, 0700) == 0);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        TEST_REQUIRE(next >= 0);
        close(fd);
        fd = next;
        name = "d";
    }
    close(fd);
}

static void remove_tree__deeper_than_the_descriptor_limit__is_removed(void)
{
    make_chain("deep", 3000);
    /* The names that folders are moved up to are taken, whichever of these comes first. */
    make_chain("deep/.removed-0", 100);
    make_chain("deep/.removed-1", 100);
    make_chain("deep/.removed-2", 100);
    struct rlimit before;
    TEST_REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit small = {.rlim_cur = 100, .rlim_max = before.rlim_max};
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    enum covey_status status = covey_remove_tree(path_of("deep"));
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    TEST_EQUAL(status, COVEY_OK);
    TEST_TRUE(access(path_of("deep"), F_OK) < 0 && errno == ENOENT);
}

/* Without descriptors left nothing can be opened: each call says so, and destroys nothing. */
static void every_call__no_descriptor_is_free__is_elimit(void)
{
    struct covey_error error;
    struct covey_buffer contents = {0};
    TEST_REQUIRE(covey_make_dirs(path_of("poor/folder/inner"), 0700, &error) == COVEY_OK);
    int lowest_free = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    close(lowest_free);
    struct rlimit before;
    TEST_REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    enum covey_status removed[3];
    for (rlim_t spare = 0; spare < 3; spare++) {
        struct rlimit small = {.rlim_cur = (rlim_t)lowest_free + spare,
                               .rlim_max = before.rlim_max};
        TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
        removed[spare] = covey_remove_tree(path_of("poor"));
        if (spare == 0) {
            TEST_EQUAL(covey_file_read("/dev/null", 1, &contents, &error), COVEY_ELIMIT);
            TEST_EQUAL(covey_file_write(path_of("poor/file"), "", 0, 0600, &error), COVEY_ELIMIT);
        }
    }
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    for (int spare = 0; spare < 3; spare++)
        TEST_EQUAL(removed[spare], COVEY_ELIMIT);
    TEST_EQUAL(access(path_of("poor/folder"), F_OK), 0);
    TEST_EQUAL(covey_remove_tree(path_of("poor")), COVEY_OK);
}

static void raise_fd_limit__below_the_hard_limit__is_at_it(void)
{
    struct rlimit before, after;
    TEST_REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit small = {.rlim_cur = 64, .rlim_max = before.rlim_max};
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    covey_raise_fd_limit();
    TEST_REQUIRE(getrlimit(RLIMIT_NOFILE, &after) == 0);
    TEST_REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    TEST_EQUAL(after.rlim_cur, before.rlim_max);
    TEST_EQUAL(after.rlim_max, before.rlim_max);
}

/* A user without privileges whose folders forbid reading and writing; 0 when they can be removed.
 */
static int locked_child(const char *tree)
{
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        return 2;
    struct covey_error error;
    char path[PATH_MAX + 16];
    static const struct {
        const char *name;
        mode_t mode;
    } folders[] = {{"unreadable/x", 0}, {"unwritable/x", 0500}, {"unsearchable/x", 0600}};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", tree, folders[i].name);
        if (covey_make_dirs(path, 0700, &error) != COVEY_OK)
            return 3;
        *strrchr(path, '/') = '\0';
        if (chmod(path, folders[i].mode) < 0)
            return 4;
    }
    return covey_remove_tree(tree) == COVEY_OK ? 0 : 1;
}

static void remove_tree__folders_without_permissions__are_opened_up(void)
{
    const char *shared = path_of("shared");
    TEST_REQUIRE(mkdir(shared, 0777) == 0 && chmod(shared, 0777) == 0);
    TEST_REQUIRE(chmod(test_folder(), 0755) == 0);
    const char *tree = path_of("shared/tree");
    pid_t child = fork();
    if (child == 0)
        test_child_exit(locked_child(tree));
    int status;
    TEST_REQUIRE(waitpid(child, &status, 0) == child);
    TEST_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    TEST_TRUE(access(tree, F_OK) < 0 && errno == ENOENT);
}

static void close__descriptor__is_closed_once_and_errno_kept(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int copy = fd;
    errno = EINTR;
    covey_close(&fd);
    TEST_EQUAL(fd, -1);
    TEST_EQUAL(fcntl(copy, F_GETFD), -1);
    errno = EINTR;
    covey_close(&fd);
    TEST_EQUAL(errno, EINTR);
}

static const struct test_case cases[] = {
    TEST_CASE(read_full__input_ends_early__is_eproto),
    TEST_CASE(write_full__reader_is_gone_or_slow__says_so),
    TEST_CASE(file__written_and_read__is_the_same),
    TEST_CASE(file_read__fails__leaves_the_buffer_and_names_the_path),
    TEST_CASE(file_write__fails__leaves_the_old_file_and_no_other),
    TEST_CASE(file_check_write__says_before_what_a_write_would),
    TEST_CASE(file_write__no_file__written_and_still_there),
    TEST_CASE(file_write__file_size_limit__keeps_the_old_contents),
    TEST_CASE(make_dirs__paths_of_all_shapes__are_made),
    TEST_CASE(make_dirs__impossible__says_what_is_in_the_way),
    TEST_CASE(remove_tree__links_and_folders__follows_no_link),
    TEST_CASE(remove_tree__deeper_than_the_descriptor_limit__is_removed),
    TEST_CASE(every_call__no_descriptor_is_free__is_elimit),
    TEST_CASE(raise_fd_limit__below_the_hard_limit__is_at_it),
    TEST_CASE(remove_tree__folders_without_permissions__are_opened_up),
    TEST_CASE(close__descriptor__is_closed_once_and_errno_kept),
    {0},
};

const struct test_suite test_suites[] = {{"io", cases, NULL, NULL}, {0}};
