#include "bench/fleet.h"
#include "bench/sim/random.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { switch_nodes = 16, rack_nodes = 64, zone_nodes = 512 };
enum { churn_workers = 8, churn_gangs = 256 };

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int said(const char *what, enum covey_status status)
{
    fprintf(stderr, "covey-bench: %s: %s\n", what, covey_status_text(status));
    return -1;
}

static int add_node(struct fleet *fleet, uint32_t number)
{
    char name[16], part[3][16];
    (void)snprintf(name, sizeof(name), "n%" PRIu32, number);
    (void)snprintf(part[0], sizeof(part[0]), "z%" PRIu32, number / zone_nodes);
    (void)snprintf(part[1], sizeof(part[1]), "r%" PRIu32, number / rack_nodes);
    (void)snprintf(part[2], sizeof(part[2]), "s%" PRIu32, number / switch_nodes);
    const struct sched_label labels[] = {{"zone", part[0]}, {"rack", part[1]}, {"switch", part[2]}};
    const struct sched_node_facts facts = {
        .name = name, .epoch = 1, .capacity = {{fleet_slots}}, .labels = labels, .label_count = 3};
    uint32_t node;
    enum covey_status status = sched_node_set(fleet->sched, &facts, &node, NULL);
    return status ? said("node", status) : 0;
}

static int use_node(struct fleet *fleet, uint32_t number, uint32_t used)
{
    char flare[SCHED_ID_BYTES];
    (void)snprintf(flare, sizeof(flare), "before-%" PRIu32, number);
    const struct sched_request request = {.flare = flare, .workers = used};
    const struct sched_pack pack = {.node = number, .workers = used};
    fleet->free[number] = fleet_slots - used;
    if (used == 0)
        return 0;
    enum covey_status status = sched_restore(fleet->sched, &request, &pack, 1, NULL, 0, NULL);
    return status ? said("node", status) : 0;
}

int fleet_create(struct fleet *fleet, uint32_t nodes)
{
    static const char *const levels[] = {"zone", "rack", "switch"};
    *fleet = (struct fleet){.nodes = nodes};
    fleet->free = calloc(nodes, sizeof(*fleet->free));
    fleet->chosen = calloc(nodes, sizeof(*fleet->chosen));
    fleet->workers = calloc(nodes, sizeof(*fleet->workers));
    enum covey_status status = sched_create(&fleet->sched);
    if (!status && (!fleet->free || !fleet->chosen || !fleet->workers))
        status = COVEY_ENOMEM;
    if (!status)
        status = sched_set_topology(fleet->sched, levels, 3);
    if (status)
        return said("nodes", status);
    struct sim_random random = sim_random_create(nodes, 0);
    for (uint32_t i = 0; i < nodes; i++) {
        if (add_node(fleet, i))
            return -1;
    }
    for (uint32_t i = 0; i < nodes; i++) {
        if (use_node(fleet, i, (uint32_t)(sim_random_unit(&random) * (fleet_slots + 1))))
            return -1;
    }
    return 0;
}

void fleet_destroy(struct fleet *fleet)
{
    sched_destroy(fleet->sched);
    free(fleet->free);
    free(fleet->chosen);
    free(fleet->workers);
    *fleet = (struct fleet){0};
}

/* First-fit: the first nodes with room, until all workers have a place. */
static bool fit_first(struct fleet *fleet, uint32_t workers)
{
    fleet->chosen_count = 0;
    for (uint32_t node = 0; node < fleet->nodes && workers; node++) {
        uint32_t taken = fleet->free[node] < workers ? fleet->free[node] : workers;
        if (taken == 0)
            continue;
        fleet->free[node] -= taken;
        fleet->chosen[fleet->chosen_count] = node;
        fleet->workers[fleet->chosen_count++] = taken;
        workers -= taken;
    }
    return workers == 0;
}

static void give_back(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->chosen_count; i++)
        fleet->free[fleet->chosen[i]] += fleet->workers[i];
}

/* Submits and reserves; -1, said, where it has to wait. */
static int start(struct fleet *fleet, const char *flare, uint32_t workers)
{
    const struct sched_request request = {.flare = flare, .workers = workers};
    const struct sched_placement *placement;
    enum covey_status status = sched_submit(fleet->sched, &request, NULL);
    if (!status)
        status = sched_next(fleet->sched, 0, &placement);
    if (status)
        return said("placing", status);
    if (placement)
        return 0;
    fprintf(stderr, "covey-bench: %u workers have no place on %u nodes\n", workers, fleet->nodes);
    return -1;
}

static int release(struct fleet *fleet, const char *flare)
{
    enum covey_status status = sched_release(fleet->sched, flare);
    return status ? said("release", status) : 0;
}

int fleet_place(struct fleet *fleet, uint32_t workers, struct fleet_times *times)
{
    double begin_s = now_s();
    int failed = start(fleet, "gang", workers);
    times->ours_s = now_s() - begin_s;
    if (failed || release(fleet, "gang"))
        return -1;
    begin_s = now_s();
    bool fits = fit_first(fleet, workers);
    times->plain_s = now_s() - begin_s;
    give_back(fleet);
    return fits ? 0 : -1;
}

/* The scheduler's part: flares are numbered, so that each is released churn_gangs after its start.
 */
static int churn_ours(struct fleet *fleet, uint32_t gangs)
{
    char flare[SCHED_ID_BYTES];
    for (uint32_t i = 0; i < gangs + churn_gangs; i++) {
        if (i >= churn_gangs) {
            (void)snprintf(flare, sizeof(flare), "small-%" PRIu32, i - churn_gangs);
            if (release(fleet, flare))
                return -1;
        }
        if (i < gangs) {
            (void)snprintf(flare, sizeof(flare), "small-%" PRIu32, i);
            if (start(fleet, flare, churn_workers))
                return -1;
            enum covey_status status = sched_commit(fleet->sched, flare);
            if (status)
                return said("commit", status);
        }
    }
    return 0;
}

/* What first-fit remembers of a small gang. */
struct small {
    uint32_t count;
    uint32_t nodes[churn_workers], workers[churn_workers];
};

static int churn_plain(struct fleet *fleet, uint32_t gangs)
{
    static struct small running[churn_gangs];
    for (uint32_t i = 0; i < gangs + churn_gangs; i++) {
        struct small *small = &running[i % churn_gangs];
        if (i >= churn_gangs) {
            for (uint32_t k = 0; k < small->count; k++)
                fleet->free[small->nodes[k]] += small->workers[k];
        }
        if (i >= gangs)
            continue;
        if (!fit_first(fleet, churn_workers))
            return -1;
        small->count = fleet->chosen_count;
        for (uint32_t k = 0; k < small->count; k++) {
            small->nodes[k] = fleet->chosen[k];
            small->workers[k] = fleet->workers[k];
        }
    }
    return 0;
}

int fleet_churn(struct fleet *fleet, uint32_t gangs, struct fleet_times *times)
{
    double begin_s = now_s();
    int failed = churn_ours(fleet, gangs);
    times->ours_s = now_s() - begin_s;
    begin_s = now_s();
    failed = failed || churn_plain(fleet, gangs);
    times->plain_s = now_s() - begin_s;
    return failed;
}

int fleet_queue(struct fleet *fleet, uint32_t gangs)
{
    char flare[SCHED_ID_BYTES], tenant[16];
    for (uint32_t i = 0; i < gangs; i++) {
        (void)snprintf(flare, sizeof(flare), "queued-%" PRIu32, i);
        (void)snprintf(tenant, sizeof(tenant), "t%" PRIu32, i % 16);
        const struct sched_request request = {
            .flare = flare, .workers = 1 + i % 64, .tenant = tenant, .submit_ns = i};
        enum covey_status status = sched_resubmit(fleet->sched, &request, NULL);
        if (status)
            return said("queue", status);
    }
    return 0;
}
