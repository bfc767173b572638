#include "tests/unit/scheduler/cluster.h"

#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

enum covey_status cluster_set(struct sched *sched, const char *name, uint64_t epoch,
                              const struct sched_vector *capacity, uint32_t *node,
                              struct covey_error *error)
{
    struct sched_node_facts facts = {.name = name, .epoch = epoch, .capacity = *capacity};
    return sched_node_set(sched, &facts, node, error);
}

uint32_t cluster_node(struct sched *sched, const char *name, uint64_t slots, uint64_t memory_bytes)
{
    uint32_t node = 0;
    struct sched_vector capacity = {{slots, memory_bytes}};
    TEST_REQUIRE(cluster_set(sched, name, 1, &capacity, &node, NULL) == COVEY_OK);
    return node;
}

struct sched *cluster_create(const uint32_t *slots)
{
    struct sched *sched;
    TEST_REQUIRE(sched_create(&sched) == COVEY_OK);
    for (uint32_t i = 0; slots[i]; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        TEST_REQUIRE(cluster_node(sched, name, slots[i], 64 * GIB) == i);
    }
    return sched;
}

struct sched_request cluster_request(const char *flare, uint32_t workers)
{
    return (struct sched_request){.flare = flare, .workers = workers};
}

const char *cluster_text(const struct sched_placement *placement)
{
    static char text[4096];
    if (!placement)
        return "-";
    size_t length = 0;
    uint32_t rank = 0;
    *text = 0;
    for (uint32_t i = 0; i < placement->pack_count && length < sizeof(text); i++) {
        const struct sched_pack *pack = &placement->packs[i];
        TEST_EQUAL(pack->id, i);
        TEST_EQUAL(pack->first_rank, rank);
        rank += pack->workers;
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u:%u", i ? " " : "",
                                   pack->node, pack->workers);
    }
    TEST_EQUAL(rank, placement->workers);
    return text;
}

const char *cluster_plan(struct sched *sched, const struct sched_request *request)
{
    struct sched_plan plan;
    enum covey_status status = sched_plan(sched, request, 0, &plan, NULL);
    if (status)
        return covey_status_name(status);
    const char *text = cluster_text(plan.placement);
    sched_plan_clear(&plan);
    return text;
}

const char *cluster_start(struct sched *sched, const struct sched_request *request)
{
    enum covey_status status = sched_submit(sched, request, NULL);
    if (status)
        return covey_status_name(status);
    const struct sched_placement *placement;
    status = sched_next(sched, 0, &placement);
    return status ? covey_status_name(status) : cluster_text(placement);
}

uint32_t cluster_random(uint64_t *state, uint32_t below)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((mixed ^ (mixed >> 31)) % below);
}
