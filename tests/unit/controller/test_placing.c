/* What nodes say of themselves, what flares ask for, and what becomes of both over a restart. */
#include "service/controller/flare_states.h"
#include "tests/harness/harness.h"
#include "tests/unit/controller/core.h"

#include <stdio.h>
#include <string.h>

static struct core core;
static struct core_link a;
static struct core_link b;
static char id[ULID_BYTES];

/* A node of four slots and two cpus with a label, a taint, a gpu and three units of "fpga". */
struct rich {
    Covey__V1__Capacity capacity;
    Covey__V1__Capacity__LabelsEntry label, *labels[1];
    Covey__V1__Capacity__TaintsEntry taint, *taints[1];
    Covey__V1__Capacity__ResourcesEntry resource, *resources[1];
    uint32_t cpus[2], numa[2];
};

static Covey__V1__Capacity *rich(struct rich *rich)
{
    covey__v1__capacity__init(&rich->capacity);
    covey__v1__capacity__labels_entry__init(&rich->label);
    covey__v1__capacity__taints_entry__init(&rich->taint);
    covey__v1__capacity__resources_entry__init(&rich->resource);
    rich->label.key = (char *)(uintptr_t) "rack";
    rich->label.value = (char *)(uintptr_t) "r7";
    rich->taint.key = (char *)(uintptr_t) "team";
    rich->taint.value = (char *)(uintptr_t) "b";
    rich->resource.key = (char *)(uintptr_t) "fpga";
    rich->resource.value = 3;
    rich->labels[0] = &rich->label;
    rich->taints[0] = &rich->taint;
    rich->resources[0] = &rich->resource;
    rich->cpus[0] = 4;
    rich->cpus[1] = 6;
    rich->numa[0] = 0;
    rich->numa[1] = 1;
    rich->capacity.slots = 4;
    rich->capacity.gpus = 1;
    rich->capacity.labels = rich->labels;
    rich->capacity.taints = rich->taints;
    rich->capacity.resources = rich->resources;
    rich->capacity.n_labels = rich->capacity.n_taints = rich->capacity.n_resources = 1;
    rich->capacity.cpus = rich->cpus;
    rich->capacity.numa_of_cpu = rich->numa;
    rich->capacity.n_cpus = rich->capacity.n_numa_of_cpu = 2;
    return &rich->capacity;
}

/* a has nothing but its slots, b is rich. */
static void start(void)
{
    struct rich of_b;
    core_start(&core);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    TEST_REQUIRE(core_attach(&core, &a, "a", 4, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach_as(&core, &b, "b", rich(&of_b), NULL, 0) == COVEY_OK);
}

struct wanted {
    Covey__V1__FlareOptions options;
    Covey__V1__Resources resources;
    Covey__V1__Resources__NamedEntry named, *list[1];
    char *selector[1], *tolerations[1];
};

/* Any of them NULL: not asked for. */
static Covey__V1__FlareOptions *want(struct wanted *wanted, const char *selector,
                                     const char *toleration, const char *resource)
{
    covey__v1__flare_options__init(&wanted->options);
    covey__v1__resources__init(&wanted->resources);
    covey__v1__resources__named_entry__init(&wanted->named);
    wanted->selector[0] = (char *)(uintptr_t)selector;
    wanted->tolerations[0] = (char *)(uintptr_t)toleration;
    wanted->named.key = (char *)(uintptr_t)resource;
    wanted->named.value = 1;
    wanted->list[0] = &wanted->named;
    wanted->options.worker_resources = &wanted->resources;
    wanted->options.selector = wanted->selector;
    wanted->options.n_selector = selector != NULL;
    wanted->options.tolerations = wanted->tolerations;
    wanted->options.n_tolerations = toleration != NULL;
    wanted->resources.named = wanted->list;
    wanted->resources.n_named = resource != NULL;
    return &wanted->options;
}

static void node__says_what_it_has__is_shown_and_kept(void)
{
    start();
    for (int round = 0; round < 2; round++) {
        Covey__V1__NodeInfo *info = controller_node_info(core.controller, "b");
        TEST_REQUIRE(info && info->capacity->n_labels == 1 && info->n_resources_used == 1);
        TEST_EQUAL_STRING(info->capacity->labels[0]->value, "r7");
        TEST_EQUAL_STRING(info->capacity->taints[0]->key, "team");
        TEST_EQUAL(info->capacity->cpus[1], 6);
        TEST_EQUAL(info->capacity->numa_of_cpu[1], 1);
        TEST_EQUAL(info->capacity->resources[0]->value, 3);
        TEST_EQUAL(info->resources_used[0]->value, 0);
        message_free(info);
        core_restart(&core);
    }
    core_stop(&core);
}

static void flare__selects_and_tolerates__goes_where_it_may(void)
{
    struct wanted wanted;
    start();
    /* Two on b: the taint is tolerated, the resource is there. */
    TEST_REQUIRE(core_submit_as(&core, 2, want(&wanted, "rack=r7", "team", "fpga"), id) ==
                 COVEY_OK);
    controller_turn(core.controller);
    flare_message *flare = core_flare(&core, id);
    TEST_EQUAL(flare->n_packs, 1);
    TEST_EQUAL_STRING(flare->packs[0]->node, "b");
    TEST_TRUE(flare->cost && flare->cost->nodes == 1);
    message_free(flare);
    Covey__V1__NodeInfo *info = controller_node_info(core.controller, "b");
    TEST_EQUAL(info->resources_used[0]->value, 2);
    message_free(info);
    /* Not tolerated: only a is left, and that is another rack. */
    TEST_EQUAL(core_submit_as(&core, 1, want(&wanted, "rack=r7", NULL, NULL), id),
               COVEY_EUNPLACEABLE);
    TEST_EQUAL(core_submit_as(&core, 1, want(&wanted, "!rack", NULL, NULL), id), COVEY_OK);
    TEST_EQUAL(core_submit_as(&core, 1, want(&wanted, NULL, NULL, "gpu-hours"), id),
               COVEY_EUNPLACEABLE);
    TEST_TRUE(strstr(core.error.message, "no node has the resource 'gpu-hours'") != NULL);
    core_stop(&core);
}

static void request__malformed__refused_with_one_sentence(void)
{
    static const char *const bad[] = {"", "=", "=x", "!", "!=x", "a b", "a=b c", "!a=b", "a==b"};
    struct wanted wanted;
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        TEST_EQUAL(core_submit_as(&core, 1, want(&wanted, bad[i], NULL, NULL), id), COVEY_EINVAL);
        TEST_TRUE(strstr(core.error.message, "is no selector: write key=value") != NULL);
    }
    TEST_EQUAL(core_submit_as(&core, 1, want(&wanted, NULL, "a b", NULL), id), COVEY_EINVAL);
    TEST_TRUE(strstr(core.error.message, "is no toleration") != NULL);
    Covey__V1__FlareOptions *options = want(&wanted, NULL, NULL, NULL);
    options->max_restarts = 1001;
    TEST_EQUAL(core_submit_as(&core, 1, options, id), COVEY_EINVAL);
    core_stop(&core);
}

/* The cpu of a flare of one bound worker. */
static uint32_t cpu_of(const char *flare_id)
{
    flare_message *flare = core_flare(&core, flare_id);
    TEST_REQUIRE(flare->n_packs == 1 && flare->packs[0]->n_cpus == 1);
    uint32_t cpu = flare->packs[0]->cpus[0];
    message_free(flare);
    return cpu;
}

static void cpus__whole_ones__are_given_out_and_kept_over_a_restart(void)
{
    struct wanted wanted;
    struct rich of_b;
    flare_message *ended;
    char second[ULID_BYTES];
    char third[ULID_BYTES];
    start();
    Covey__V1__FlareOptions *options = want(&wanted, "rack", "team", NULL);
    options->worker_resources->milli_cpus = 1000;
    TEST_REQUIRE(core_submit_as(&core, 1, options, id) == COVEY_OK);
    TEST_REQUIRE(core_submit_as(&core, 1, options, second) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_prepared(&core, &b, id, 0, 1), COVEY_OK);
    TEST_EQUAL(core_prepared(&core, &b, second, 0, 1), COVEY_OK);
    uint32_t first_cpu = cpu_of(id);
    TEST_EQUAL(first_cpu + cpu_of(second), 10);
    /* Of what the first had nothing is left; what the second has is known again. */
    TEST_EQUAL(controller_cancel(core.controller, &core.caller, id, "", &ended, NULL), COVEY_OK);
    message_free(ended);
    TEST_EQUAL(core_gone(&core, &b, id), COVEY_OK);
    core_restart(&core);
    char *running[] = {second};
    TEST_REQUIRE(core_attach_as(&core, &b, "b", rich(&of_b), running, 1) == COVEY_OK);
    TEST_REQUIRE(core_submit_as(&core, 1, options, third) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(cpu_of(third), first_cpu);
    core_stop(&core);
}

static void check_machine(const char *node, uint32_t nodes, uint32_t milli_cpus_used)
{
    Covey__V1__NodeInfo *info = controller_node_info(core.controller, node);
    TEST_REQUIRE(info != NULL);
    TEST_EQUAL(info->machine_nodes, nodes);
    TEST_EQUAL(info->machine_milli_cpus, 2000);
    TEST_EQUAL(info->machine_milli_cpus_used, milli_cpus_used);
    TEST_EQUAL(info->machine_memory_bytes, 1 << 20);
    TEST_EQUAL_STRING(info->capacity->machine, "m");
    message_free(info);
}

/* As a rich node on a machine that others are on. */
static Covey__V1__Capacity *on_machine(struct rich *facts)
{
    Covey__V1__Capacity *capacity = rich(facts);
    capacity->machine = (char *)(uintptr_t) "m";
    capacity->machine_memory_bytes = 1 << 20;
    return capacity;
}

static void machine__two_nodes_of_it__one_account_also_after_a_restart(void)
{
    struct wanted wanted;
    struct rich of_b;
    struct rich of_c;
    struct core_link c = {0};
    char second[ULID_BYTES];
    core_start(&core);
    memset(&b, 0, sizeof b);
    TEST_REQUIRE(core_attach_as(&core, &b, "b", on_machine(&of_b), NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_attach_as(&core, &c, "c", on_machine(&of_c), NULL, 0) == COVEY_OK);
    check_machine("b", 2, 0);
    Covey__V1__FlareOptions *options = want(&wanted, NULL, "team", NULL);
    options->worker_resources->milli_cpus = 1000;
    TEST_REQUIRE(core_submit_as(&core, 2, options, id) == COVEY_OK);
    TEST_REQUIRE(core_submit_as(&core, 1, options, second) == COVEY_OK);
    controller_turn(core.controller);
    TEST_EQUAL(core_state(&core, id), FLARE_PREPARING);
    TEST_EQUAL(core_state(&core, second), FLARE_QUEUED);
    check_machine("c", 2, 2000);
    TEST_EQUAL(core_submit_as(&core, 3, options, second), COVEY_EUNPLACEABLE);
    core_restart(&core);
    check_machine("b", 2, 2000); /* until b and c say what has become of it */
    of_b.capacity.machine = (char[300]){0};
    memset(of_b.capacity.machine, 'm', 299);
    memset(&b, 0, sizeof b);
    TEST_EQUAL(core_attach_as(&core, &b, "b", &of_b.capacity, NULL, 0), COVEY_EINVAL);
    core_stop(&core);
}

/* The node that had the resource is forgotten while a flare waits for it. */
static void resource__nobody_has_it_any_more__flare_stays_accepted(void)
{
    struct wanted wanted;
    start();
    TEST_REQUIRE(core_submit_as(&core, 1, want(&wanted, NULL, "team", "fpga"), id) == COVEY_OK);
    controller_detach(core.controller, b.node, "test");
    core_restart(&core);
    core_pass(&core, 11 * COVEY_NS_PER_S);
    core_pass(&core, 2 * core.options.limits.keep_nodes_ns);
    controller_turn(core.controller); /* one a turn */
    TEST_TRUE(controller_node_info(core.controller, "b") == NULL);
    core_restart(&core);
    TEST_EQUAL(core_state(&core, id), FLARE_QUEUED);
    core_stop(&core);
}

static void attach__facts_out_of_range__refused(void)
{
    struct rich of_c;
    struct core_link c = {0};
    start();
    Covey__V1__Capacity *capacity = rich(&of_c);
    of_c.cpus[1] = 1024;
    TEST_EQUAL(core_attach_as(&core, &c, "c", capacity, NULL, 0), COVEY_EINVAL);
    of_c.cpus[1] = of_c.cpus[0];
    TEST_EQUAL(core_attach_as(&core, &c, "c", capacity, NULL, 0), COVEY_EINVAL);
    of_c.cpus[1] = 6;
    of_c.numa[1] = 32;
    TEST_EQUAL(core_attach_as(&core, &c, "c", capacity, NULL, 0), COVEY_EINVAL);
    of_c.numa[1] = 0;
    of_c.label.key = (char *)(uintptr_t) "";
    TEST_EQUAL(core_attach_as(&core, &c, "c", capacity, NULL, 0), COVEY_EINVAL);
    of_c.label.key = (char *)(uintptr_t) "rack";
    TEST_EQUAL(core_attach_as(&core, &c, "c", capacity, NULL, 0), COVEY_OK);
    core_stop(&core);
}

/* Names of resources are few: the fifth is refused, and its node with it. */
static void attach__too_many_resources_in_all__refused(void)
{
    static const char *const names[] = {"r1", "r2", "r3", "r4"};
    start();
    for (int i = 0; i < 4; i++) {
        struct rich more;
        struct core_link link = {0};
        Covey__V1__Capacity *capacity = rich(&more);
        char name[8];
        (void)snprintf(name, sizeof name, "n%d", i);
        more.resource.key = (char *)(uintptr_t)names[i];
        enum covey_status status = core_attach_as(&core, &link, name, capacity, NULL, 0);
        TEST_EQUAL(status, i < 3 ? COVEY_OK : COVEY_EINVAL);
    }
    TEST_TRUE(strstr(core.error.message, "name at most 4") != NULL);
    TEST_TRUE(controller_node_info(core.controller, "n3") == NULL);
    core_stop(&core);
}

static void check_reason(const char *flare, Covey__V1__ReasonKind kind, const char *text)
{
    Covey__V1__ExplainFlareResponse *why;
    TEST_REQUIRE(core_explain(&core, &core.caller, flare, &why) == COVEY_OK);
    TEST_REQUIRE(why->n_reasons > 0);
    TEST_EQUAL(why->reasons[0]->kind, kind);
    if (!strstr(why->reasons[0]->message, text))
        TEST_EQUAL_STRING(why->reasons[0]->message, text);
    message_free(why);
}

static void explain__every_state__says_where_it_is(void)
{
    Covey__V1__ExplainFlareResponse *why;
    Covey__V1__FlareOptions options = COVEY__V1__FLARE_OPTIONS__INIT;
    char waiting[ULID_BYTES];
    core_start(&core);
    memset(&a, 0, sizeof a);
    TEST_REQUIRE(core_attach(&core, &a, "a", 4, NULL, 0) == COVEY_OK);
    TEST_REQUIRE(core_submit_as(&core, 4, &options, id) == COVEY_OK);
    TEST_REQUIRE(core_submit_as(&core, 2, &options, waiting) == COVEY_OK);
    controller_turn(core.controller);
    check_reason(id, COVEY__V1__REASON_KIND__REASON_KIND_PREPARING, "a: 4 workers are made ready");
    TEST_EQUAL(core_prepared(&core, &a, id, 0, 4), COVEY_OK);
    check_reason(id, COVEY__V1__REASON_KIND__REASON_KIND_RUNNING,
                 "it runs on a: 4 workers in 1 pack");
    check_reason(waiting, COVEY__V1__REASON_KIND__REASON_KIND_CAPACITY, "2 workers");
    const struct controller_drain how = {"new disk", COVEY_NEVER_NS};
    TEST_EQUAL(controller_drain_node(core.controller, "a", &how, NULL), COVEY_OK);
    TEST_EQUAL(core_explain(&core, &core.caller, waiting, &why), COVEY_OK);
    TEST_EQUAL(why->nodes->draining, 1);
    bool found = false;
    for (size_t i = 1; i < why->n_reasons; i++)
        found = found || why->reasons[i]->kind == COVEY__V1__REASON_KIND__REASON_KIND_DRAINING;
    TEST_TRUE(found);
    message_free(why);
    flare_message *flare;
    TEST_EQUAL(controller_cancel(core.controller, &core.caller, id, "enough", &flare, NULL),
               COVEY_OK);
    message_free(flare);
    check_reason(id, COVEY__V1__REASON_KIND__REASON_KIND_ENDING, "enough");
    controller_write(core.controller);
    TEST_EQUAL(core_gone(&core, &a, id), COVEY_OK);
    controller_turn(core.controller);
    check_reason(id, COVEY__V1__REASON_KIND__REASON_KIND_ENDED,
                 "it was stopped: cancelled by uid:1: enough");
    const struct controller_identity other = {.tenant = "uid:2"};
    TEST_EQUAL(core_explain(&core, &other, id, &why), COVEY_ENOTFOUND);
    TEST_TRUE(why == NULL);
    core_stop(&core);
}

static const struct test_case placing[] = {
    TEST_CASE(explain__every_state__says_where_it_is),
    TEST_CASE(node__says_what_it_has__is_shown_and_kept),
    TEST_CASE(flare__selects_and_tolerates__goes_where_it_may),
    TEST_CASE(request__malformed__refused_with_one_sentence),
    TEST_CASE(cpus__whole_ones__are_given_out_and_kept_over_a_restart),
    TEST_CASE(machine__two_nodes_of_it__one_account_also_after_a_restart),
    TEST_CASE(resource__nobody_has_it_any_more__flare_stays_accepted),
    TEST_CASE(attach__facts_out_of_range__refused),
    TEST_CASE(attach__too_many_resources_in_all__refused),
    {0}};

const struct test_suite test_suites[] = {{"placing", placing, NULL, NULL}, {0}};
