/* A kernel's files of control groups, made below a folder of the test. */
#include "service/node/confinement.h"
#include "service/node/oom.h"
#include "tests/harness/harness.h"

#include "base/clock.h"
#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char root[64];

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    TEST_REQUIRE(covey_make_dirs(full, 0700, NULL) == COVEY_OK);
    *slash = '/';
    TEST_REQUIRE(covey_file_write(full, text, strlen(text), 0600, NULL) == COVEY_OK);
}

static void begin(const char *groups, const char *mounts)
{
    snprintf(root, sizeof root, "/tmp/covey-groups-XXXXXX");
    TEST_REQUIRE(mkdtemp(root) != NULL);
    put("/proc/self/cgroup", groups);
    put("/proc/self/mountinfo", mounts);
}

static void end(void)
{
    TEST_EQUAL(covey_remove_tree(root), COVEY_OK);
}

static bool is_file(const char *file, const char *path)
{
    size_t length = strlen(root);
    return strncmp(file, root, length) == 0 && strcmp(file + length, path) == 0;
}

#define UNIFIED "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void confinement_read__unified__least_of_the_path(void)
{
    struct confinement found;
    begin("0::/user.slice/job\n", "22 1 0:5 / /proc rw - proc proc rw\n" UNIFIED);
    put("/sys/fs/cgroup/user.slice/job/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/job/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/user.slice/job/memory.events", "low 0\noom 3\noom_kill 2\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "536870912\n");
    put("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("/sys/fs/cgroup/user.slice/job/pids.max", "max\n");
    put("/sys/fs/cgroup/user.slice/pids.max", "64\n");
    confinement_read(root, &found);
    TEST_EQUAL(found.pids.amount, 64);
    TEST_TRUE(is_file(found.pids.file, "/sys/fs/cgroup/user.slice/pids.max"));
    TEST_EQUAL(found.memory.amount, 536870912);
    TEST_TRUE(is_file(found.memory.file, "/sys/fs/cgroup/user.slice/memory.max"));
    TEST_EQUAL(found.cpus.amount, 1500);
    TEST_TRUE(is_file(found.cpus.file, "/sys/fs/cgroup/user.slice/job/cpu.max"));
    TEST_TRUE(found.memory.group != 0 && found.memory.group != found.cpus.group);
    uint64_t kills = 0;
    TEST_TRUE(confinement_kills(&found, &kills) && kills == 2);
    end();
}

static void confinement_read__top_of_a_container__its_own_limit(void)
{
    struct confinement found;
    begin("0::/\n", UNIFIED);
    put("/sys/fs/cgroup/memory.max", "1048576\n");
    put("/sys/fs/cgroup/cpu.max", "1 100000\n");
    confinement_read(root, &found);
    TEST_EQUAL(found.memory.amount, 1048576);
    TEST_EQUAL(found.cpus.amount, 1); /* never none */
    char text[8];
    TEST_EQUAL(confinement_name_pids(&found, text, sizeof text), 0);
    TEST_TRUE(is_file(found.memory.file, "/sys/fs/cgroup/memory.max"));
    end();
}

/* Docker with older hierarchies and no namespace of them: the path is the machine's, the mount is
 * of the container's own group. */
static void confinement_read__older_hierarchies__path_within_the_mount(void)
{
    struct confinement found;
    begin("5:cpu,cpuacct:/docker/abc/in\n4:memory:/docker/abc\n1:cpuset:/\n",
          "31 20 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
          "32 20 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
          "33 20 0:29 / /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
    put("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\noom_kill 7\n");
    put("/sys/fs/cgroup/cpu,cpuacct/in/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/in/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "20000\n");
    confinement_read(root, &found);
    TEST_EQUAL(found.memory.amount, 67108864);
    TEST_EQUAL(found.cpus.amount, 2500);
    uint64_t kills = 0;
    TEST_TRUE(confinement_kills(&found, &kills) && kills == 7);
    end();
}

static void confinement_read__no_limit__none(void)
{
    static const char *const spoilt[] = {"", "9223372036854771712\n", "max\n", "x", "-1\n"};
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        struct confinement found;
        uint64_t kills;
        begin("4:memory:/a\n3:cpu:/a\n",
              "31 20 0:27 / /m rw - cgroup cgroup rw,memory\n32 20 0:28 / /c rw - cgroup c rw,cpu");
        put("/m/a/memory.limit_in_bytes", spoilt[i]);
        put("/c/a/cpu.cfs_quota_us", "100000\n");
        put("/c/a/cpu.cfs_period_us", "0\n");
        confinement_read(root, &found);
        TEST_TRUE(found.memory.amount == UINT64_MAX && !*found.memory.file);
        TEST_TRUE(found.cpus.amount == UINT64_MAX && !*found.cpus.file);
        TEST_TRUE(!confinement_kills(&found, &kills));
        end();
    }
}

/* Whatever /proc says, and where it is not there. */
static void confinement_read__spoilt_proc__no_limit(void)
{
    static const char *const groups[] = {"", "\n", ":", "::", "0::", "0::/../../x\n", "a:b", "0:/"};
    static const char *const mounts[] = {"",
                                         "\n",
                                         " - ",
                                         "1 2 3 4 5",
                                         "1 2 3 / /m rw -",
                                         "1 2 3 / /m - cgroup2",
                                         UNIFIED,
                                         "-\n",
                                         " - cgroup2 x y\n",
                                         "1 2 3 / /m - cgroup x memory,",
                                         "1 2 3 / /m - cgroup x ,,,"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (size_t k = 0; k < sizeof mounts / sizeof *mounts; k++) {
            struct confinement found;
            begin(groups[i], mounts[k]);
            confinement_read(root, &found);
            TEST_TRUE(found.memory.amount == UINT64_MAX && found.cpus.amount == UINT64_MAX);
            end();
        }
    struct confinement found;
    confinement_read("/nowhere", &found);
    TEST_TRUE(found.memory.amount == UINT64_MAX && !*found.kills_file);
}

static void confinement_machine_kills__vmstat__its_number(void)
{
    uint64_t kills = 0;
    begin("", "");
    TEST_TRUE(!confinement_machine_kills(root, &kills));
    put("/proc/vmstat", "nr_free_pages 1\nxoom_kill 5\noom_kill 12\nlast 1\n");
    TEST_TRUE(confinement_machine_kills(root, &kills) && kills == 12);
    end();
}

/* Reads the files made before, and opens the watch on them. */
static void watch(struct confinement *confinement, struct oom *oom)
{
    confinement_read(root, confinement);
    oom_open(oom, root, confinement);
}

static void oom_blames__group_counts__once_for_each_kill(void)
{
    struct confinement confinement;
    struct oom oom;
    char text[256];
    begin("0::/a\n", UNIFIED);
    put("/sys/fs/cgroup/a/memory.max", "67108864\n");
    put("/sys/fs/cgroup/a/memory.events", "oom_kill 4\n");
    put("/proc/vmstat", "oom_kill 9\n");
    watch(&confinement, &oom);
    put("/proc/vmstat", "oom_kill 12\n"); /* of others */
    TEST_TRUE(!oom_blames(&oom, text, sizeof text));
    put("/sys/fs/cgroup/a/memory.events", "oom_kill 6\n");
    TEST_TRUE(oom_blames(&oom, text, sizeof text));
    TEST_TRUE(strstr(text, "a/memory.max allows 64 MiB") && !strstr(text, "probably"));
    TEST_TRUE(oom_blames(&oom, text, sizeof text));
    TEST_TRUE(!oom_blames(&oom, text, sizeof text));
    end();
}

static void oom_blames__machine_counts__probably(void)
{
    struct confinement confinement;
    struct oom oom;
    char text[256];
    begin("", "");
    put("/proc/vmstat", "oom_kill 9\n");
    watch(&confinement, &oom);
    TEST_TRUE(!oom_blames(&oom, text, sizeof text));
    put("/proc/vmstat", "oom_kill 10\n");
    TEST_TRUE(oom_blames(&oom, text, sizeof text) && strstr(text, "probably"));
    TEST_TRUE(!oom_blames(&oom, text, sizeof text));
    end();
}

static void oom_blames__long_past__nothing(void)
{
    struct confinement confinement;
    struct oom oom;
    char text[256];
    begin("", "");
    put("/proc/vmstat", "oom_kill 9\n");
    watch(&confinement, &oom);
    put("/proc/vmstat", "oom_kill 10\n");
    oom_look(&oom, 10 * COVEY_NS_PER_S);
    oom_look(&oom, 11 * COVEY_NS_PER_S); /* too soon */
    oom_look(&oom, 12 * COVEY_NS_PER_S);
    TEST_TRUE(!oom_blames(&oom, text, sizeof text));
    put("/proc/vmstat", "oom_kill 11\n");
    oom_look(&oom, 14 * COVEY_NS_PER_S); /* between the kill and its news */
    TEST_TRUE(oom_blames(&oom, text, sizeof text));
    end();
}

static const struct test_case cases[] = {
    TEST_CASE(confinement_read__unified__least_of_the_path),
    TEST_CASE(confinement_read__top_of_a_container__its_own_limit),
    TEST_CASE(confinement_read__older_hierarchies__path_within_the_mount),
    TEST_CASE(confinement_read__no_limit__none),
    TEST_CASE(confinement_read__spoilt_proc__no_limit),
    TEST_CASE(confinement_machine_kills__vmstat__its_number),
    TEST_CASE(oom_blames__group_counts__once_for_each_kill),
    TEST_CASE(oom_blames__machine_counts__probably),
    TEST_CASE(oom_blames__long_past__nothing),
    {0},
};

const struct test_suite test_suites[] = {{"confinement", cases, NULL, NULL}, {0}};
