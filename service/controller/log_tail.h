/* What of a log is not kept, on its way to those who follow it. */
#ifndef SERVICE_CONTROLLER_LOG_TAIL_H
#define SERVICE_CONTROLLER_LOG_TAIL_H

#include "service/controller/logs_internal.h"

struct tail_piece {
    struct covey_list link;
    int64_t since_ns;
    uint64_t position; /* where it begins */
    bool told;         /* it was acknowledged */
    struct log_record header;
    uint8_t text[];
};

static inline struct tail_piece *tail_piece_of(struct covey_list *link)
{
    return covey_container_of(link, struct tail_piece, link);
}

static inline uint64_t tail_piece_end(const struct tail_piece *piece)
{
    return piece->position + sizeof piece->header + piece->header.text_bytes;
}

/* Passes a piece on, where somebody follows; told: it is acknowledged already. */
void tail_add(struct logs *logs, struct flare_log *log, const struct log_piece *piece, bool told,
              int64_t now_ns);
/* Whether something of a pack's log waits, and was not acknowledged. */
bool tail_holds(const struct flare_log *log, uint32_t pack);
/* Acknowledges everything that waits. */
void tail_tell(struct logs *logs, struct flare_log *log);
/* Drops, and acknowledges, what nobody waits for any more. */
void tail_release(struct logs *logs, struct flare_log *log, int64_t now_ns);
void tail_clear(struct logs *logs, struct flare_log *log);
/* When the oldest piece is not waited for any more. */
int64_t tail_deadline_ns(const struct flare_log *log);

#endif
