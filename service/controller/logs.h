/*
 * Logs of flares. What a pack says is kept in the flare's file up to a limit, and acknowledged when
 * it is there; readers have the file as their source, so a slow one holds nobody up. Beyond the
 * limit it is only passed on to those who follow the log: it waits in memory until all of them have
 * had it, and is acknowledged then, so that workers wait in their writes for who reads them. That
 * has a bound in time: a reader that does not keep up is not waited for, and is told how many lines
 * it was not shown. Without a reader it is acknowledged at once, and gone.
 *
 * A position is an offset in the file and, beyond its end, goes on by what was passed on.
 */
#ifndef SERVICE_CONTROLLER_LOGS_H
#define SERVICE_CONTROLLER_LOGS_H

#include "base/list.h"
#include "covey/v1/covey.pb-c.h"
#include "covey/v1/node.pb-c.h"
#include "service/controller/ulid.h"
#include "service/store/store.h"

struct logs;
struct flare_log;

/* How long a piece that is not kept waits for those who follow. */
#define LOGS_PATIENCE_NS (10 * COVEY_NS_PER_S)

struct logs_options {
    struct store *store;
    uint64_t limit_bytes; /* of one flare's file */
    /* The log of a pack was taken up to here. Called inside of other calls. */
    void (*on_taken)(const char *flare, uint32_t pack, uint64_t offset, void *data);
    void *data;
};

/* NULL: no memory. */
struct logs *logs_create(const struct logs_options *options) COVEY_MUST_USE;
void logs_destroy(struct logs *logs);

/* Whose log a chunk is of. */
struct log_source {
    const char *flare;
    uint32_t attempt;
    uint32_t first_rank; /* of the pack */
    bool ending;         /* the flare is: nobody is waited for */
};

/*
 * Takes the next part of a pack's log: its ranks are of the pack, its lines were checked by
 * local_log_cost. What was taken before is dropped; what is missing before it is marked.
 */
void logs_take(struct logs *logs, const struct log_source *from, const Covey__V1__LogChunk *chunk,
               int64_t now_ns);

/* The flare is ending: what waits for readers is acknowledged. */
void logs_hurry(struct logs *logs, const char *flare);
/* The flare has ended: its log is forgotten, when its readers have left. */
void logs_end(struct logs *logs, const char *flare);

/* Gives up waiting where it is due. */
void logs_tick(struct logs *logs, int64_t now_ns);
int64_t logs_deadline_ns(const struct logs *logs);

/* Embedded in its owner. */
struct log_reader {
    char flare[ULID_BYTES];
    const uint32_t *ranks; /* borrowed, rising; only these, where there are any */
    size_t rank_count;
    uint64_t position; /* of what it reads next */
    /* Used within. */
    struct covey_list link;
    struct flare_log *log; /* NULL: it does not follow */
    uint64_t missed_lines;
    bool is_slow;
};

/* From here on the reader is waited for. ENOMEM; what reading the file gave. */
enum covey_status logs_follow(struct logs *logs, struct log_reader *reader) COVEY_MUST_USE;
/* Harmless on one that does not follow. */
void logs_leave(struct logs *logs, struct log_reader *reader, int64_t now_ns);

/*
 * What comes next, possibly nothing that the reader wants: *response is borrowed until the next
 * call, and holds the position after it, where the reader is then. *more: there was something.
 * EINVAL: the position is none that an answer gave.
 */
enum covey_status logs_read(struct logs *logs, struct log_reader *reader,
                            const Covey__V1__StreamLogsResponse **response, bool *more,
                            struct covey_error *error) COVEY_MUST_USE;

/* What was read has gone out: it needs not be kept for this reader. */
void logs_passed(struct logs *logs, struct log_reader *reader, int64_t now_ns);

#endif
