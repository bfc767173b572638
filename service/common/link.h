/*
 * One end of a local connection: a non-blocking socket and a bounded queue of records that it did
 * not take yet. Who owns it polls the socket. One thread.
 */
#ifndef SERVICE_COMMON_LINK_H
#define SERVICE_COMMON_LINK_H

#include "base/list.h"
#include "service/common/local.h"

struct local_link {
    int fd; /* -1: not connected */
    struct covey_list queue;
    size_t queued_bytes;
};

void link_init(struct local_link *link);

/* Takes a connected socket and makes it non-blocking. */
enum covey_status link_open(struct local_link *link, int take_fd) COVEY_MUST_USE;

/* Sends at once or queues (with copies of the descriptors). ELIMIT: the peer takes nothing, or the
 * record is too long; EUNAVAILABLE; ENOMEM. */
enum covey_status link_send(struct local_link *link, const local_message *message, const int *fds,
                            size_t fd_count) COVEY_MUST_USE;

/* Sends what is queued, as far as the socket takes it. */
enum covey_status link_flush(struct local_link *link) COVEY_MUST_USE;

static inline bool link_wants_write(const struct local_link *link)
{
    return !covey_list_empty(&link->queue);
}

/* Closes the socket and drops what is queued. */
void link_close(struct local_link *link);

#endif
