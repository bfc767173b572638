/* The first message on a stream: who this node is, and what runs on it. */
#include "base/log.h"
#include "base/memory.h"
#include "service/node/node.h"

#include <stdlib.h>

/* What the message is made of, freed at once. */
struct scratch {
    struct scratch *next;
    max_align_t bytes[];
};

static void *scratch_get(struct scratch **scratch, size_t count, size_t size_bytes)
{
    struct scratch *piece = covey_calloc(1, sizeof(*piece) + count * size_bytes);
    if (!piece)
        return NULL;
    piece->next = *scratch;
    *scratch = piece;
    return piece->bytes;
}

static void scratch_free(struct scratch *scratch)
{
    while (scratch) {
        struct scratch *next = scratch->next;
        free(scratch);
        scratch = next;
    }
}

static bool fill_workers(struct scratch **scratch, const struct node_flare *flare,
                         Covey__V1__RunningFlare *running)
{
    size_t count = flare->worker_count;
    Covey__V1__Worker *workers = scratch_get(scratch, count, sizeof(*workers));
    Google__Protobuf__Timestamp *times = scratch_get(scratch, 2 * count, sizeof(*times));
    running->workers = scratch_get(scratch, count, sizeof(Covey__V1__Worker *));
    if (!workers || !times || !running->workers)
        return false;
    for (size_t i = 0; i < count; i++) {
        flare_fill_worker(flare, &flare->workers[i], &workers[i], &times[2 * i], &times[2 * i + 1]);
        running->workers[i] = &workers[i];
    }
    running->n_workers = count;
    return true;
}

static bool fill_packs(struct scratch **scratch, const struct node_flare *flare,
                       Covey__V1__RunningFlare *running)
{
    Covey__V1__Pack *packs = scratch_get(scratch, flare->text->n_packs, sizeof(*packs));
    running->packs = scratch_get(scratch, flare->text->n_packs, sizeof(Covey__V1__Pack *));
    if (!packs || !running->packs)
        return false;
    for (size_t i = 0; i < flare->text->n_packs; i++) {
        const Covey__V1__LocalPack *from = flare->text->packs[i];
        if (from->node_index != flare->text->node_index)
            continue;
        Covey__V1__Pack *pack = &packs[running->n_packs];
        covey__v1__pack__init(pack);
        pack->id = from->id;
        pack->node = flare->text->nodes[from->node_index];
        pack->first_rank = from->first_rank;
        pack->workers = from->workers;
        running->packs[running->n_packs++] = pack;
    }
    return true;
}

static bool fill_flares(struct scratch **scratch, const struct node *agent,
                        Covey__V1__Register *registration)
{
    size_t cursor = 0;
    void *value;
    size_t count = agent->flares.count;
    Covey__V1__RunningFlare *flares = scratch_get(scratch, count, sizeof(*flares));
    registration->flares = scratch_get(scratch, count, sizeof(Covey__V1__RunningFlare *));
    if (!flares || !registration->flares)
        return false;
    while (covey_map_next(&agent->flares, &cursor, NULL, &value)) {
        struct node_flare *flare = value;
        Covey__V1__RunningFlare *running = &flares[registration->n_flares];
        if (!flare->prepared || flare->state == FLARE_WITHDRAWN)
            continue;
        covey__v1__running_flare__init(running);
        running->flare_id = flare->text->flare_id;
        running->host_address = flare->host_address;
        running->started = flare->started;
        if (!fill_workers(scratch, flare, running) || !fill_packs(scratch, flare, running))
            return false;
        registration->flares[registration->n_flares++] = running;
    }
    return true;
}

static Covey__V1__Capacity__LabelsEntry **
fill_pairs(struct scratch **scratch, const struct node_pair *pairs, size_t count, bool taints)
{
    Covey__V1__Capacity__LabelsEntry *entries = scratch_get(scratch, count, sizeof(*entries));
    Covey__V1__Capacity__LabelsEntry **list =
        scratch_get(scratch, count, sizeof(Covey__V1__Capacity__LabelsEntry *));
    for (size_t i = 0; entries && list && i < count; i++) {
        protobuf_c_message_init(taints ? &covey__v1__capacity__taints_entry__descriptor
                                       : &covey__v1__capacity__labels_entry__descriptor,
                                &entries[i]);
        entries[i].key = (char *)(uintptr_t)pairs[i].key;
        entries[i].value = (char *)(uintptr_t)pairs[i].value;
        list[i] = &entries[i];
    }
    return entries ? list : NULL;
}

_Static_assert(sizeof(Covey__V1__Capacity__LabelsEntry) == sizeof(Covey__V1__Capacity__TaintsEntry),
               "fill_pairs makes both kinds of entries");

static bool fill_capacity(struct scratch **scratch, struct node *agent,
                          Covey__V1__Capacity *capacity)
{
    const struct node_options *options = &agent->options;
    size_t count = options->resource_count;
    Covey__V1__Capacity__ResourcesEntry *entries = scratch_get(scratch, count, sizeof(*entries));
    capacity->slots = options->slots ? options->slots : agent->capacity.slots;
    capacity->memory_bytes =
        options->memory_bytes ? options->memory_bytes : agent->capacity.memory_bytes;
    capacity->machine = agent->machine;
    capacity->machine_memory_bytes = agent->capacity.memory_bytes;
    capacity->cores = agent->capacity.cores;
    capacity->processing_units = agent->capacity.processing_units;
    capacity->numa_nodes = agent->capacity.numa_nodes;
    capacity->milli_cpus = agent->capacity.milli_cpus;
    capacity->less = agent->capacity.less;
    capacity->gpus = options->gpus;
    capacity->cpus = agent->capacity.cpus;
    capacity->n_cpus = agent->capacity.cpu_count;
    capacity->numa_of_cpu = agent->capacity.numa_of_cpu;
    capacity->n_numa_of_cpu = agent->capacity.cpu_count;
    capacity->labels = fill_pairs(scratch, options->labels, options->label_count, false);
    capacity->n_labels = options->label_count;
    capacity->taints = (Covey__V1__Capacity__TaintsEntry **)fill_pairs(scratch, options->taints,
                                                                       options->taint_count, true);
    capacity->n_taints = options->taint_count;
    capacity->resources =
        scratch_get(scratch, count, sizeof(Covey__V1__Capacity__ResourcesEntry *));
    if (!entries || !capacity->resources || !capacity->labels || !capacity->taints)
        return false;
    for (size_t i = 0; i < count; i++) {
        covey__v1__capacity__resources_entry__init(&entries[i]);
        entries[i].key = (char *)(uintptr_t)options->resources[i].name;
        entries[i].value = options->resources[i].amount;
        capacity->resources[i] = &entries[i];
    }
    capacity->n_resources = count;
    return true;
}

bool register_send(struct node *agent)
{
    static char version[] = COVEY_VERSION;
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__Register registration = COVEY__V1__REGISTER__INIT;
    Covey__V1__Capacity capacity = COVEY__V1__CAPACITY__INIT;
    struct scratch *scratch = NULL;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_REGISTER;
    request.register_ = &registration;
    registration.name = agent->options.name;
    registration.data_address = agent->options.data_address;
    registration.version = version;
    registration.identity = agent->identity;
    registration.last_report = outbox_last(&agent->outbox);
    registration.capacity = &capacity;
    enum covey_status status = COVEY_ENOMEM;
    if (fill_capacity(&scratch, agent, &capacity) && fill_flares(&scratch, agent, &registration))
        status = rpc_call_send(agent->attach.call, &request.base);
    scratch_free(scratch);
    if (status)
        log_error("cannot register status=%s", covey_status_name(status));
    return status == COVEY_OK;
}
