#include "service/node/relay.h"

#include "base/log.h"
#include "base/memory.h"
#include "service/node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {
    struct covey_list node;
    Covey__V1__PackLog *log;
    uint64_t end;
};

struct log {
    struct covey_list node;
    struct node_child *pack; /* NULL: it is gone */
    char flare_id[32];
    uint32_t pack_id;
    struct covey_list parts; /* oldest first, none of them taken */
    struct covey_list *next; /* the first that was not said on this stream */
    uint64_t taken;
    uint64_t end;
};

static struct log *log_of(struct covey_list *node)
{
    return covey_container_of(node, struct log, node);
}

static struct part *part_of(struct covey_list *node)
{
    return covey_container_of(node, struct part, node);
}

void relay_open(struct relay *relay)
{
    covey_list_init(&relay->logs);
}

static void free_part(struct part *part)
{
    covey__v1__pack_log__free_unpacked(part->log, NULL);
    free(part);
}

static void free_log(struct log *log)
{
    struct covey_list *node;
    while ((node = covey_list_pop_front(&log->parts)))
        free_part(part_of(node));
    covey_list_remove(&log->node);
    free(log);
}

void relay_close(struct relay *relay)
{
    while (!covey_list_empty(&relay->logs))
        free_log(log_of(relay->logs.next));
}

static struct log *find_log(struct relay *relay, const struct node_child *pack)
{
    covey_list_for_each (node, &relay->logs) {
        if (log_of(node)->pack == pack)
            return log_of(node);
    }
    return NULL;
}

/* Begins where the pack does: what was taken before, from another agent, is not said again. */
static struct log *make_log(struct relay *relay, struct node_child *pack, uint64_t offset)
{
    struct log *log = covey_calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->pack = pack;
    log->pack_id = pack->pack_id;
    (void)snprintf(log->flare_id, sizeof(log->flare_id), "%s", pack->flare->text->flare_id);
    covey_list_init(&log->parts);
    log->next = &log->parts;
    log->taken = log->end = offset;
    covey_list_push_back(&relay->logs, &log->node);
    return log;
}

/* Whatever comes of it, the offset goes on: what is missing is seen. */
static bool add_part(struct log *log, Covey__V1__PackLog *take_log)
{
    struct part *part = covey_calloc(1, sizeof(*part));
    log->end += local_log_cost(take_log->lines, take_log->n_lines);
    if (!part) {
        covey__v1__pack_log__free_unpacked(take_log, NULL);
        return false;
    }
    part->log = take_log;
    part->end = log->end;
    covey_list_push_back(&log->parts, &part->node);
    if (log->next == &log->parts)
        log->next = &part->node;
    return true;
}

enum covey_status relay_add(struct relay *relay, struct node_child *pack,
                            Covey__V1__PackLog *take_log)
{
    enum covey_status status = COVEY_ENOMEM;
    struct log *log = find_log(relay, pack);
    uint64_t cost = local_log_cost(take_log->lines, take_log->n_lines);
    if (!log)
        log = make_log(relay, pack, take_log->offset);
    if (!log)
        goto refuse;
    if (cost == 0 || take_log->offset != log->end ||
        log->end + cost - log->taken > LOCAL_LOG_WINDOW_BYTES + LOCAL_LOG_MARK_BYTES) {
        status = COVEY_EPROTO;
        goto refuse;
    }
    return add_part(log, take_log) ? COVEY_OK : COVEY_ENOMEM;

refuse:
    covey__v1__pack_log__free_unpacked(take_log, NULL);
    return status;
}

static Covey__V1__PackLog *make_lines(const struct node_child *pack, uint64_t offset,
                                      uint32_t stream, const void *text, size_t length_bytes)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Covey__V1__LogLines lines = COVEY__V1__LOG_LINES__INIT;
    Covey__V1__LogLines *list[] = {&lines};
    Covey__V1__PackLog log = COVEY__V1__PACK_LOG__INIT;
    uint8_t bytes[LOCAL_RECORD_BYTES];
    lines.rank = pack->first_rank;
    lines.stream = stream;
    lines.at = node_timestamp(covey_wall_ns(), &at) ? &at : NULL;
    lines.text = (ProtobufCBinaryData){length_bytes, (uint8_t *)(uintptr_t)text};
    log.offset = offset;
    log.n_lines = 1;
    log.lines = list;
    size_t packed = covey__v1__pack_log__pack(&log, bytes);
    return covey__v1__pack_log__unpack(NULL, packed, bytes);
}

void relay_append(struct relay *relay, struct node_child *pack, uint32_t stream, const void *text,
                  size_t length_bytes)
{
    struct log *log = find_log(relay, pack);
    if (!log)
        log = make_log(relay, pack, 0);
    Covey__V1__PackLog *made = log ? make_lines(pack, log->end, stream, text, length_bytes) : NULL;
    if (!made || !add_part(log, made))
        log_error("output is lost: out of memory flare=%s", pack->flare->text->flare_id);
}

static struct log *next_log(const struct relay *relay, const char *flare_id)
{
    covey_list_for_each (node, &relay->logs) {
        struct log *log = log_of(node);
        if (log->next != &log->parts && (!flare_id || strcmp(log->flare_id, flare_id) == 0))
            return log;
    }
    return NULL;
}

bool relay_next(const struct relay *relay, const char *flare_id, Covey__V1__LogChunk *chunk)
{
    struct log *log = next_log(relay, flare_id);
    if (!log)
        return false;
    const Covey__V1__PackLog *part = part_of(log->next)->log;
    *chunk = (Covey__V1__LogChunk)COVEY__V1__LOG_CHUNK__INIT;
    chunk->flare_id = log->flare_id;
    chunk->pack = log->pack_id;
    chunk->offset = part->offset;
    chunk->lines = part->lines;
    chunk->n_lines = part->n_lines;
    return true;
}

bool relay_has(const struct relay *relay, const char *flare_id)
{
    return next_log(relay, flare_id) != NULL;
}

void relay_said(struct relay *relay, const char *flare_id)
{
    struct log *log = next_log(relay, flare_id);
    if (!log)
        return;
    log->next = log->next->next;
    covey_list_remove(&log->node);
    covey_list_push_back(&relay->logs, &log->node);
}

void relay_rewind(struct relay *relay)
{
    covey_list_for_each (node, &relay->logs)
        log_of(node)->next = log_of(node)->parts.next;
}

struct node_child *relay_taken(struct relay *relay, const Covey__V1__LogTaken *taken)
{
    struct log *log = NULL;
    covey_list_for_each (node, &relay->logs) {
        if (log_of(node)->pack_id == taken->pack &&
            strcmp(log_of(node)->flare_id, taken->flare_id) == 0)
            log = log_of(node);
    }
    if (!log || taken->offset > log->end)
        return NULL;
    while (log->parts.next != log->next && part_of(log->parts.next)->end <= taken->offset)
        free_part(part_of(covey_list_pop_front(&log->parts)));
    if (taken->offset > log->taken)
        log->taken = taken->offset;
    struct node_child *pack = log->pack;
    if (!pack && covey_list_empty(&log->parts))
        free_log(log);
    return pack;
}

void relay_pack_gone(struct relay *relay, const struct node_child *pack)
{
    struct log *log = find_log(relay, pack);
    if (!log)
        return;
    log->pack = NULL;
    if (covey_list_empty(&log->parts))
        free_log(log);
}

void relay_forget(struct relay *relay, const char *flare_id)
{
    covey_list_for_each_safe (node, after, &relay->logs) {
        if (strcmp(log_of(node)->flare_id, flare_id) == 0)
            free_log(log_of(node));
    }
}
