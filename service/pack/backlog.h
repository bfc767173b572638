/*
 * The log of a pack, as far as the controller has not taken it: pieces of what workers wrote, each
 * at its offset. They are kept until they are taken, and said again to an agent that comes back, so
 * that the death of an agent or a controller loses nothing and doubles nothing. The window bounds
 * it: whoever adds asks for room first, and stops reading where there is none. One thread; no I/O.
 */
#ifndef SERVICE_PACK_BACKLOG_H
#define SERVICE_PACK_BACKLOG_H

#include "base/list.h"
#include "service/common/local.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backlog {
    struct covey_list pieces; /* oldest first */
    struct covey_list *next;  /* the first that was not said to this agent */
    uint64_t taken;           /* offset of the oldest piece */
    uint64_t end;             /* offset behind the newest */
};

/* One message, as long as it may be. */
#define BACKLOG_MESSAGE_PIECES 64

/* What the next message says; borrowed from the backlog until it changes. */
struct backlog_message {
    Covey__V1__PackLog log;
    Covey__V1__LogLines *list[BACKLOG_MESSAGE_PIECES];
    Covey__V1__LogLines lines[BACKLOG_MESSAGE_PIECES];
    Google__Protobuf__Timestamp times[BACKLOG_MESSAGE_PIECES];
};

void backlog_open(struct backlog *backlog);
void backlog_close(struct backlog *backlog);

/* How many bytes may be added yet, each piece counted as local_log_cost does. */
size_t backlog_room(const struct backlog *backlog);

/* What is added: lines of one stream. */
struct backlog_text {
    const void *text; /* 1 to LOCAL_LOG_TEXT_BYTES */
    size_t length_bytes;
    uint32_t rank;
    uint32_t stream;
    int64_t wall_ns;
    uint64_t own_end; /* where it ends in what the pack's own process wrote; 0: a worker's */
};

/* Adds a copy. ENOMEM. */
enum covey_status backlog_add(struct backlog *backlog,
                              const struct backlog_text *add) COVEY_MUST_USE;

/* Fills the next message with what has not been said, and counts it as said; false where there is
 * nothing. */
bool backlog_say(struct backlog *backlog, struct backlog_message *message);

/* A new agent: everything is to be said again. */
void backlog_rewind(struct backlog *backlog);

/* Forgets what lies before the offset; one that was never said changes nothing. */
void backlog_take(struct backlog *backlog, uint64_t offset);

#endif
