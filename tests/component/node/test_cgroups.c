/* Packs that are held together by cgroups: agents and packs are killed, and nothing stays. */
#include "tests/component/node/plans.h"
#include "tests/component/node/processes.h"

#include "base/buffer.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const arguments[] = {"--isolation", "cgroup", NULL};

static bool can_be_tried(void)
{
    return access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) == 0 ||
           access("/sys/fs/cgroup/cgroup.procs", W_OK) == 0;
}

static struct fixture *start(void)
{
    if (!can_be_tried()) {
        printf("skipped: no writable cgroup v2 ");
        return NULL;
    }
    struct fixture *fixture = fixture_create();
    fixture_start_node(fixture, 0, arguments, NULL);
    return fixture;
}

/* Workers that end, and leave processes behind that hide from them. */
static void run_descendants(struct fixture *fixture, const struct flare_plan *plan)
{
    TEST_REQUIRE(fixture_run(fixture, plan));
    TEST_TRUE(fixture_wait_all_ended(fixture, plan->id, 2, LONG));
}

static void kill_agent(struct fixture *fixture)
{
    TEST_EQUAL(kill(fixture->nodes[0].pid, SIGKILL), 0);
    int status = fixture_reap(fixture, 0, LONG);
    TEST_TRUE(WIFSIGNALED(status));
}

/* The node's folder of cgroups, as its state folder says. */
static void read_folder(struct fixture *fixture, char folder[512])
{
    char path[256];
    struct covey_buffer text = {0};
    snprintf(path, sizeof(path), "%s/cgroups", fixture->nodes[0].state_dir);
    TEST_REQUIRE(covey_file_read(path, 511, &text, NULL) == COVEY_OK);
    snprintf(folder, 512, "%.*s", (int)text.length_bytes, (char *)text.data);
    covey_buffer_free(&text);
}

static size_t count_groups(const char *folder)
{
    size_t count = 0;
    DIR *names = opendir(folder);
    for (struct dirent *entry = names ? readdir(names) : NULL; entry; entry = readdir(names))
        count += entry->d_type == DT_DIR && *entry->d_name != '.';
    if (names)
        closedir(names);
    return count;
}

static bool is_empty(struct fixture *fixture, void *data)
{
    (void)fixture;
    return processes_marked(data, NULL, 0) == 0;
}

static bool has_only_host(struct fixture *fixture, void *data)
{
    (void)fixture;
    return processes_marked(data, NULL, 0) == 1 && processes_find(data, "covey-host", 0) > 0;
}

static void restart__descendants_of_a_running_pack__go_with_their_flare(void)
{
    char folder[512];
    struct flare_plan plan = plan_of("CGADOPT", "descendants", 2);
    struct fixture *fixture = start();
    if (!fixture)
        return;
    run_descendants(fixture, &plan);
    kill_agent(fixture);
    fixture_start_node(fixture, 0, arguments, NULL);
    TEST_TRUE(processes_marked(plan.id, NULL, 0) > 0);
    end_flare(fixture, &plan);
    read_folder(fixture, folder);
    TEST_TRUE(count_groups(folder) <= 2); /* those of warm packs */
    fixture_destroy(fixture);
    TEST_TRUE(access(folder, F_OK) < 0 && errno == ENOENT);
}

static void restart__pack_was_killed_too__what_it_left_goes(void)
{
    char folder[512];
    struct flare_plan plan = plan_of("CGLEFT", "descendants", 2);
    struct fixture *fixture = start();
    if (!fixture)
        return;
    run_descendants(fixture, &plan);
    pid_t pack = processes_find(plan.id, "covey-pack", 0);
    TEST_REQUIRE(pack > 0);
    kill_agent(fixture);
    TEST_EQUAL(kill(pack, SIGKILL), 0);
    fixture_start_node(fixture, 0, arguments, NULL);
    /* The host is all that is left, and waits for the controller's word. */
    TEST_TRUE(fixture_until(fixture, has_only_host, (void *)(uintptr_t)plan.id, LONG));
    end_flare(fixture, &plan);
    read_folder(fixture, folder);
    TEST_TRUE(count_groups(folder) <= 2);
    fixture_destroy(fixture);
    TEST_TRUE(access(folder, F_OK) < 0 && errno == ENOENT);
}

/* The next agent holds packs together in another way, and still finds what this one has left. */
static void restart__other_isolation__what_was_left_goes(void)
{
    static const char *const others[] = {"--isolation", "environment", NULL};
    char folder[512];
    struct flare_plan plan = plan_of("CGOTHER", "descendants", 2);
    struct fixture *fixture = start();
    if (!fixture)
        return;
    run_descendants(fixture, &plan);
    read_folder(fixture, folder);
    kill_agent(fixture);
    fixture_start_node(fixture, 0, others, NULL);
    TEST_EQUAL(count_groups(folder), 1); /* the flare's, which runs on */
    end_flare(fixture, &plan);
    TEST_EQUAL(count_groups(folder), 0);
    fixture_destroy(fixture);
    TEST_TRUE(access(folder, F_OK) < 0 && errno == ENOENT);
}

static void no_return__pack_ends_with_its_descendants(void)
{
    struct flare_plan plan = plan_of("CGNORETURN", "descendants", 2);
    struct fixture *fixture = start();
    if (!fixture)
        return;
    run_descendants(fixture, &plan);
    kill_agent(fixture);
    TEST_TRUE(fixture_until(fixture, is_empty, (void *)(uintptr_t)plan.id, LONG));
    fixture_start_node(fixture, 0, arguments, NULL);
    fixture_destroy(fixture);
}

static const struct test_case cases[] = {
    TEST_CASE(restart__descendants_of_a_running_pack__go_with_their_flare),
    TEST_CASE(restart__pack_was_killed_too__what_it_left_goes),
    TEST_CASE(restart__other_isolation__what_was_left_goes),
    TEST_CASE(no_return__pack_ends_with_its_descendants),
    {0},
};

const struct test_suite test_suites[] = {{"cgroups", cases, NULL, NULL}, {0}};
