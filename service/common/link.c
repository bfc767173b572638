#include "service/common/link.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_LIMIT_BYTES ((size_t)8 << 20)

struct queued {
    struct covey_list node;
    size_t length_bytes;
    size_t fd_count;
    int fds[COVEY_IO_MAX_FDS];
    uint8_t bytes[];
};

void link_init(struct local_link *link)
{
    link->fd = -1;
    covey_list_init(&link->queue);
    link->queued_bytes = 0;
}

enum covey_status link_open(struct local_link *link, int take_fd)
{
    int flags = fcntl(take_fd, F_GETFL);
    link->fd = take_fd;
    if (flags < 0 || fcntl(take_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        enum covey_status status = covey_status_from_errno(errno);
        link_close(link);
        return status;
    }
    return COVEY_OK;
}

static void queued_free(struct queued *queued)
{
    for (size_t i = 0; i < queued->fd_count; i++)
        covey_close(&queued->fds[i]);
    free(queued);
}

static enum covey_status enqueue(struct local_link *link, const local_message *message,
                                 const int *fds, size_t fd_count)
{
    size_t length_bytes = covey__v1__local_message__get_packed_size(message);
    if (length_bytes > LOCAL_RECORD_BYTES || fd_count > COVEY_IO_MAX_FDS ||
        link->queued_bytes + length_bytes > QUEUE_LIMIT_BYTES)
        return COVEY_ELIMIT;
    struct queued *queued = covey_malloc(sizeof(*queued) + length_bytes);
    if (!queued)
        return COVEY_ENOMEM;
    queued->length_bytes = length_bytes;
    queued->fd_count = 0;
    for (size_t i = 0; i < fd_count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            enum covey_status status = covey_status_from_errno(errno);
            queued_free(queued);
            return status;
        }
        queued->fds[queued->fd_count++] = copy;
    }
    covey__v1__local_message__pack(message, queued->bytes);
    covey_list_push_back(&link->queue, &queued->node);
    link->queued_bytes += length_bytes;
    return COVEY_OK;
}

enum covey_status link_send(struct local_link *link, const local_message *message, const int *fds,
                            size_t fd_count)
{
    if (link->fd < 0)
        return COVEY_EUNAVAILABLE;
    if (covey_list_empty(&link->queue)) {
        enum covey_status status = local_send(link->fd, message, fds, fd_count);
        if (status != COVEY_EAGAIN)
            return status;
    }
    return enqueue(link, message, fds, fd_count);
}

enum covey_status link_flush(struct local_link *link)
{
    struct covey_list *node;
    while ((node = covey_list_pop_front(&link->queue))) {
        struct queued *queued = covey_container_of(node, struct queued, node);
        enum covey_status status = covey_send_fds(link->fd, queued->bytes, queued->length_bytes,
                                                  queued->fds, queued->fd_count);
        if (status) {
            covey_list_push_front(&link->queue, node);
            return status == COVEY_EAGAIN ? COVEY_OK : status;
        }
        link->queued_bytes -= queued->length_bytes;
        queued_free(queued);
    }
    return COVEY_OK;
}

void link_close(struct local_link *link)
{
    covey_close(&link->fd);
    struct covey_list *node;
    while ((node = covey_list_pop_front(&link->queue)))
        queued_free(covey_container_of(node, struct queued, node));
    link->queued_bytes = 0;
}
