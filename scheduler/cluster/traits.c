/* What a node is, apart from its numbers: labels, taints, cpus. Checked, copied, interned. */
#include "scheduler/cluster/traits.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static enum covey_status check_tags(const char *kind, const struct sched_label *tags,
                                    uint32_t count, bool pairs, const char *node,
                                    struct covey_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t key = tags[i].key ? strnlen(tags[i].key, SCHED_NAME_BYTES) : 0;
        size_t value = tags[i].value ? strnlen(tags[i].value, SCHED_NAME_BYTES) : SCHED_NAME_BYTES;
        if (key == 0 || key == SCHED_NAME_BYTES || value == SCHED_NAME_BYTES)
            return covey_error_set(error, COVEY_EINVAL,
                                   "node %s: %s %u is not a key of 1 to %d bytes and a value of at"
                                   " most as many",
                                   node, kind, i, SCHED_NAME_BYTES - 1);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(tags[i].key, tags[k].key) == 0 &&
                (!pairs || strcmp(tags[i].value, tags[k].value) == 0))
                return covey_error_set(error, COVEY_EINVAL, "node %s: %s %s is given twice", node,
                                       kind, tags[i].key);
        }
    }
    return COVEY_OK;
}

static enum covey_status check_cpus(const struct sched_node_facts *facts, struct covey_error *error)
{
    uint64_t seen[SCHED_CPU_WORDS] = {0};
    if (facts->cpu_count > SCHED_CPUS_MAX)
        return covey_error_set(error, COVEY_EINVAL, "node %s: %u cpus, at most %d are known",
                               facts->name, facts->cpu_count, SCHED_CPUS_MAX);
    for (uint32_t i = 0; i < facts->cpu_count; i++) {
        uint16_t cpu = facts->cpus[i];
        if (cpu >= SCHED_CPUS_MAX ||
            (facts->numa_of_cpu && facts->numa_of_cpu[i] >= SCHED_NUMA_MAX))
            return covey_error_set(error, COVEY_EINVAL,
                                   "node %s: cpu %u or its NUMA node is out of range", facts->name,
                                   cpu);
        if (sched_cpu_test(seen, cpu))
            return covey_error_set(error, COVEY_EINVAL, "node %s: cpu %u is given twice",
                                   facts->name, cpu);
        sched_cpu_set(seen, cpu);
    }
    uint64_t most = UINT64_C(1000) * facts->cpu_count;
    if (facts->cpu_count && facts->capacity.amount[SCHED_MILLI_CPUS] > most)
        return covey_error_set(
            error, COVEY_EINVAL, "node %s: a capacity of %llu thousandths of a cpu, but %u cpus",
            facts->name, (unsigned long long)facts->capacity.amount[SCHED_MILLI_CPUS],
            facts->cpu_count);
    return COVEY_OK;
}

enum covey_status sched_traits_check(const struct sched_node_facts *facts,
                                     struct covey_error *error)
{
    enum covey_status status =
        check_tags("label", facts->labels, facts->label_count, false, facts->name, error);
    if (!status)
        status = check_tags("taint", facts->taints, facts->taint_count, true, facts->name, error);
    size_t machine = facts->machine ? strnlen(facts->machine, SCHED_NAME_BYTES) : 1;
    if (!status && (machine == 0 || machine == SCHED_NAME_BYTES))
        return covey_error_set(error, COVEY_EINVAL,
                               "node %s: the name of its machine has 1 to %d bytes", facts->name,
                               SCHED_NAME_BYTES - 1);
    return status ? status : check_cpus(facts, error);
}

static int by_numa(const void *left, const void *right)
{
    const struct sched_cpu *a = left;
    const struct sched_cpu *b = right;
    return a->numa != b->numa ? a->numa - b->numa : a->id - b->id;
}

struct sched_traits *sched_traits_create(struct sched_names *names,
                                         const struct sched_node_facts *facts)
{
    size_t tags = (size_t)facts->label_count + facts->taint_count;
    size_t cpus_at = sizeof(struct sched_traits) + tags * sizeof(struct sched_tag);
    struct sched_traits *traits =
        covey_calloc(1, cpus_at + facts->cpu_count * sizeof(struct sched_cpu));
    if (!traits)
        return NULL;
    enum covey_status status = COVEY_OK;
    struct sched_tag *tag = traits->tags;
    for (uint32_t i = 0; i < facts->label_count && !status; i++, traits->label_count++)
        status = sched_tag_take(names, facts->labels[i].key, facts->labels[i].value, tag++);
    for (uint32_t i = 0; i < facts->taint_count && !status; i++, traits->taint_count++)
        status = sched_tag_take(names, facts->taints[i].key, facts->taints[i].value, tag++);
    if (status) {
        sched_traits_destroy(names, traits);
        return NULL;
    }
    traits->cpu_count = facts->cpu_count;
    traits->cpus = (struct sched_cpu *)(void *)((char *)traits + cpus_at);
    for (uint32_t i = 0; i < facts->cpu_count; i++) {
        uint8_t numa = facts->numa_of_cpu ? facts->numa_of_cpu[i] : 0;
        traits->cpus[i] = (struct sched_cpu){facts->cpus[i], numa};
    }
    if (facts->cpu_count)
        qsort(traits->cpus, facts->cpu_count, sizeof(struct sched_cpu), by_numa);
    return traits;
}

void sched_traits_destroy(struct sched_names *names, struct sched_traits *traits)
{
    if (!traits)
        return;
    for (uint32_t i = 0; i < traits->label_count + traits->taint_count; i++)
        sched_tag_drop(names, &traits->tags[i]);
    free(traits);
}

const struct sched_name *sched_label_of(const struct sched_traits *traits,
                                        const struct sched_name *key)
{
    for (uint32_t i = 0; i < traits->label_count; i++) {
        if (traits->tags[i].key == key)
            return traits->tags[i].value;
    }
    return NULL;
}
