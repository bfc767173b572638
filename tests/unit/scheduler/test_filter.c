/* Labels, taints and named resources: what is refused, and who goes where. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void add(struct sched *sched, const char *name, uint64_t slots,
                const struct sched_label *label, const struct sched_label *taint)
{
    struct sched_node_facts facts = {
        .name = name,
        .epoch = 1,
        .capacity = {{slots, GIB}},
        .labels = label,
        .label_count = label != NULL,
        .taints = taint,
        .taint_count = taint != NULL,
    };
    uint32_t node;
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
}

struct selected_case {
    struct sched_term term;
    const char *expected; /* of 1 worker; spread over 3 slots where more may be used */
};

static void plan__selector__as_its_operator_says(void)
{
    static const struct selected_case rows[] = {
        {{"arch", SCHED_EQUAL, "arm"}, "1:1"},
        {{"arch", SCHED_EQUAL, "riscv"}, "EUNPLACEABLE"},
        {{"arch", SCHED_NOT_EQUAL, "arm"}, "2:1"},
        {{"arch", SCHED_EXISTS, NULL}, "1:1"},
        {{"arch", SCHED_ABSENT, NULL}, "2:1"},
        {{"disk", SCHED_ABSENT, NULL}, "2:1"},
        {{"disk", SCHED_EXISTS, NULL}, "EUNPLACEABLE"},
        {{"disk", SCHED_NOT_EQUAL, "ssd"}, "2:1"},
    };
    struct sched *sched = cluster_create((const uint32_t[]){0});
    add(sched, "amd", 8, &(struct sched_label){"arch", "amd"}, NULL);
    add(sched, "arm", 4, &(struct sched_label){"arch", "arm"}, NULL);
    add(sched, "plain", 2, NULL, NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sched_request request = cluster_request("f", 1);
        request.selector = &rows[i].term;
        request.selector_count = 1;
        TEST_EQUAL_STRING(cluster_plan(sched, &request), rows[i].expected);
    }
    const struct sched_term both[] = {{"arch", SCHED_EXISTS, NULL},
                                      {"arch", SCHED_NOT_EQUAL, "arm"}};
    struct sched_request request = cluster_request("f", 8);
    request.selector = both;
    request.selector_count = 2;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:8");
    request.workers = 9;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    sched_destroy(sched);
}

static void plan__taint__tolerated_by_key_and_value(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    add(sched, "open", 2, NULL, NULL);
    add(sched, "gpu", 4, NULL, &(struct sched_label){"gpu", "a100"});
    struct sched_request request = cluster_request("f", 3);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    struct sched_label toleration = {"gpu", "h100"};
    request.tolerations = &toleration;
    request.toleration_count = 1;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    toleration.value = "a100";
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "1:3");
    toleration.value = NULL;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "1:3");
    toleration = (struct sched_label){"other", NULL};
    request.flare = "g";
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    sched_destroy(sched);
}

static void submit__selector_of_a_label_that_comes_later__waits_for_it(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){4, 0});
    const struct sched_term term = {"arch", SCHED_EQUAL, "arm"};
    struct sched_request request = cluster_request("f", 2);
    request.selector = &term;
    request.selector_count = 1;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_EUNPLACEABLE);
    TEST_EQUAL(sched_resubmit(sched, &request, NULL), COVEY_OK);
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(sched, 0, &placement), COVEY_OK);
    TEST_TRUE(placement == NULL);
    add(sched, "n0", 4, &(struct sched_label){"arch", "arm"}, NULL);
    TEST_EQUAL(sched_next(sched, 0, &placement), COVEY_OK);
    TEST_EQUAL_STRING(cluster_text(placement), "0:2");
    sched_destroy(sched);
}

/* What was found out of one request is not taken for an answer to another. */
static void next__alike_but_for_what_they_tolerate__each_gets_its_own_answer(void)
{
    const struct sched_term term = {"arch", SCHED_EXISTS, NULL};
    const struct sched_label tolerations[] = {{"gpu", "h100"}, {"gpu", "a100"}};
    static const struct {
        uint32_t from, count; /* of the tolerations */
        const char *expected;
    } rows[] = {{0, 0, "-"}, {0, 2, "1:1"}, {0, 1, "-"}, {1, 1, "1:1"}, {0, 0, "-"}, {0, 2, "1:1"}};
    struct sched *sched = cluster_create((const uint32_t[]){0});
    add(sched, "open", 8, NULL, NULL);
    add(sched, "gpu", 8, &(struct sched_label){"arch", "arm"},
        &(struct sched_label){"gpu", "a100"});
    for (size_t i = 0; i < COUNT(rows); i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "f%zu", i);
        struct sched_request request = cluster_request(id, 1);
        request.selector = &term;
        request.selector_count = 1;
        request.tolerations = tolerations + rows[i].from;
        request.toleration_count = rows[i].count;
        TEST_EQUAL(sched_resubmit(sched, &request, NULL), COVEY_OK);
        const struct sched_placement *placement;
        TEST_EQUAL(sched_next(sched, 0, &placement), COVEY_OK);
        TEST_EQUAL_STRING(cluster_text(placement), rows[i].expected);
    }
    sched_destroy(sched);
}

static void submit__bad_selector__refused(void)
{
    static const struct sched_term terms[] = {
        {NULL, SCHED_EXISTS, NULL},
        {"", SCHED_EXISTS, NULL},
        {"arch", (enum sched_operator)4, "x"},
        {"arch", SCHED_EQUAL, NULL},
        {"arch", SCHED_NOT_EQUAL, NULL},
    };
    struct sched *sched = cluster_create((const uint32_t[]){4, 0});
    struct sched_request request = cluster_request("f", 1);
    request.selector_count = 1;
    struct covey_error error;
    for (size_t i = 0; i < COUNT(terms); i++) {
        request.selector = &terms[i];
        TEST_EQUAL(sched_submit(sched, &request, &error), COVEY_EINVAL);
        TEST_EQUAL(sched_resubmit(sched, &request, &error), COVEY_EINVAL);
    }
    request.selector_count = 0;
    const struct sched_label toleration = {"", "x"};
    request.tolerations = &toleration;
    request.toleration_count = 1;
    TEST_EQUAL(sched_submit(sched, &request, &error), COVEY_EINVAL);
    TEST_EQUAL_STRING(error.message,
                      "a toleration's key has 1 to 255 bytes, that of number 0 has not");
    TEST_EQUAL(sched_queue_length(sched), 0);
    sched_destroy(sched);
}

static enum covey_status set(struct sched *sched, const struct sched_node_facts *facts)
{
    uint32_t node = 77;
    struct covey_error error = {0};
    enum covey_status status = sched_node_set(sched, facts, &node, &error);
    TEST_EQUAL(node, status ? 77 : 0);
    TEST_TRUE(status == COVEY_OK || strstr(error.message, "node n0: ") != NULL);
    return status;
}

static void node_set__facts_that_contradict__refused(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){4, 0});
    const struct sched_label twice[] = {{"arch", "arm"}, {"arch", "amd"}};
    struct sched_node_facts facts = {.name = "n0", .epoch = 2, .labels = twice, .label_count = 2};
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    facts.taints = twice; /* a key may carry several taints, */
    facts.taint_count = 2;
    facts.label_count = 0;
    TEST_EQUAL(set(sched, &facts), COVEY_OK);
    const struct sched_label same[] = {{"arch", "arm"}, {"arch", "arm"}};
    facts.taints = same; /* but none of them twice */
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    facts.taint_count = 0;
    const struct sched_label bad[] = {{NULL, "x"}, {"", "x"}, {"key", NULL}};
    facts.label_count = 1;
    for (size_t i = 0; i < COUNT(bad); i++) {
        facts.labels = &bad[i];
        TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    }
    facts.label_count = 0;
    uint16_t cpus[] = {0, 1, 0};
    uint8_t numa[] = {0, SCHED_NUMA_MAX, 0};
    facts.cpus = cpus;
    facts.cpu_count = 3;
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    cpus[2] = SCHED_CPUS_MAX;
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    cpus[2] = 2;
    facts.numa_of_cpu = numa;
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    numa[1] = SCHED_NUMA_MAX - 1;
    facts.capacity.amount[SCHED_MILLI_CPUS] = 3001;
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    facts.capacity.amount[SCHED_MILLI_CPUS] = 3000;
    TEST_EQUAL(set(sched, &facts), COVEY_OK);
    facts.cpu_count = SCHED_CPUS_MAX + 1;
    TEST_EQUAL(set(sched, &facts), COVEY_EINVAL);
    sched_destroy(sched);
}

static void resource__named__places_and_runs_out(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){4, 0});
    enum sched_dimension fpga = SCHED_SLOTS;
    enum sched_dimension other = SCHED_SLOTS;
    TEST_EQUAL_STRING(sched_dimension_name(sched, SCHED_NAMED), "");
    TEST_EQUAL(sched_resource(sched, "", &fpga), COVEY_EINVAL);
    TEST_EQUAL(sched_resource(sched, "fpga", &fpga), COVEY_OK);
    TEST_EQUAL(fpga, SCHED_NAMED);
    TEST_EQUAL_STRING(sched_dimension_name(sched, fpga), "fpga");
    TEST_EQUAL_STRING(sched_dimension_name(sched, SCHED_MILLI_CPUS), "cpus");
    for (int i = 1; i < SCHED_DIMENSIONS - SCHED_NAMED; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "r%d", i);
        TEST_EQUAL(sched_resource(sched, name, &other), COVEY_OK);
        TEST_EQUAL(other, SCHED_NAMED + i);
    }
    TEST_EQUAL(sched_resource(sched, "fpga", &other), COVEY_OK);
    TEST_EQUAL(other, fpga);
    TEST_EQUAL(sched_resource(sched, "more", &other), COVEY_ELIMIT);
    struct sched_node_facts facts = {.name = "boards", .epoch = 1, .capacity = {{8, GIB}}};
    facts.capacity.amount[fpga] = 3;
    uint32_t node;
    TEST_EQUAL(sched_node_set(sched, &facts, &node, NULL), COVEY_OK);
    struct sched_request request = cluster_request("f", 3);
    request.worker.amount[fpga] = 1;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "1:3");
    request.flare = "g";
    request.workers = 1;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "-");
    request.workers = 4;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(plan__selector__as_its_operator_says),
    TEST_CASE(plan__taint__tolerated_by_key_and_value),
    TEST_CASE(submit__selector_of_a_label_that_comes_later__waits_for_it),
    TEST_CASE(next__alike_but_for_what_they_tolerate__each_gets_its_own_answer),
    TEST_CASE(submit__bad_selector__refused),
    TEST_CASE(node_set__facts_that_contradict__refused),
    TEST_CASE(resource__named__places_and_runs_out),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_filter", cases, NULL, NULL}, {0}};
