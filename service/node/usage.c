/* What workers use, read from /proc when somebody asks. */
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 2 /* LocalFlare.worker_kind */

/* Numbers among words that are parted by spaces, after the first ones. */
static bool take_numbers(const char *text, size_t skipped, uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < skipped + count; i++) {
        char *end;
        text += strspn(text, " ");
        if (i >= skipped) {
            numbers[i - skipped] = strtoull(text, &end, 10);
            if (end == text)
                return false;
        }
        text += strcspn(text, " ");
    }
    return true;
}

/* Cpu time of the process and of the children that it has waited for; proc(5), from field 3 on: the
 * name before it may hold anything. */
static bool read_cpu(uint32_t pid, uint64_t *cpu_ns)
{
    char text[1024];
    uint64_t ticks[4];
    const char *rest = proc_read(pid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!rest || !take_numbers(rest + 1, 11, ticks, 4))
        return false;
    uint64_t per_tick_ns = (uint64_t)(1000000000 / sysconf(_SC_CLK_TCK));
    *cpu_ns = (ticks[0] + ticks[1] + ticks[2] + ticks[3]) * per_tick_ns;
    return true;
}

/* Resident memory, without what is shared with files: an arena counts as what it is, one. */
static bool read_memory(uint32_t pid, uint64_t *memory_bytes)
{
    char text[256];
    uint64_t pages_of[2]; /* resident, shared */
    if (!proc_read(pid, "statm", text, sizeof text) || !take_numbers(text, 1, pages_of, 2))
        return false;
    uint64_t pages = pages_of[0] > pages_of[1] ? pages_of[0] - pages_of[1] : 0;
    *memory_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static void measure(const struct node_flare *flare, Covey__V1__WorkerUsage *usages,
                    Covey__V1__WorkerUsage **list, size_t *count)
{
    for (uint32_t i = 0; i < flare->worker_count; i++) {
        const struct node_worker *worker = &flare->workers[i];
        Covey__V1__WorkerUsage *usage = &usages[*count];
        covey__v1__worker_usage__init(usage);
        usage->rank = worker->rank;
        if (worker->pid && !worker->ended && read_cpu(worker->pid, &usage->cpu_ns) &&
            read_memory(worker->pid, &usage->memory_bytes))
            list[(*count)++] = usage;
    }
}

void usage_tell(struct node *agent, const char *flare_id)
{
    const struct node_flare *flare = covey_map_get(&agent->flares, flare_id);
    /* Threads of one process have nothing of their own that /proc would tell apart. */
    if (!flare || !flare->text || flare->text->worker_kind == THREADS || !agent->attach.call)
        return;
    Covey__V1__WorkerUsage *usages = covey_calloc(flare->worker_count + 1, sizeof *usages);
    Covey__V1__WorkerUsage **list =
        covey_calloc(flare->worker_count + 1, sizeof(Covey__V1__WorkerUsage *));
    Covey__V1__Measured measured = COVEY__V1__MEASURED__INIT;
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    if (usages && list)
        measure(flare, usages, list, &measured.n_workers);
    measured.flare_id = (char *)(uintptr_t)flare_id;
    measured.workers = list;
    request.epoch = agent->attach.epoch;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_MEASURED;
    request.measured = &measured;
    if (measured.n_workers && rpc_call_send(agent->attach.call, &request.base) != COVEY_OK)
        log_debug("what workers use cannot be told flare=%s", flare_id);
    free(usages);
    free(list);
}
