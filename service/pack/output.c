/*
 * What workers write: from their pipes, line by line, into the backlog, and from there to the
 * agent. An output is read while the backlog has room. Where it has none the output waits in a
 * queue, unwatched, and its worker in its write; whoever has waited longest is read first, one
 * piece at a time, so that one that writes much does not keep the others from being heard.
 */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Below this a read is not worth its while. */
#define LEAST_READ_BYTES ((size_t)4 * 1024)

/* What a reading needs at least: the beginning of a line that is held, and the two pieces it
 * makes at most. */
#define LEAST_ROOM_BYTES                                                                           \
    (LINES_HELD_BYTES + LEAST_READ_BYTES + (size_t)2 * LOCAL_LOG_OVERHEAD_BYTES)

void pack_log_say(struct pack *pack)
{
    struct backlog_message said;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG;
    message.pack_log = &said.log;
    while (pack->link.fd >= 0 && backlog_say(&pack->backlog, &said))
        pack_send(pack, &message, NULL, 0);
}

static void keep(const uint8_t *text, size_t length_bytes, void *data)
{
    struct pack_output *output = data;
    struct backlog_text add = {.text = text,
                               .length_bytes = length_bytes,
                               .rank = output->rank,
                               .stream = output->stream,
                               .wall_ns = covey_wall_ns()};
    if (output->spool.is_open)
        add.own_end = output->spool.passed += length_bytes;
    if (covey_fault(COVEY_FAULT_PACK_KEEP) || backlog_add(&output->pack->backlog, &add) != COVEY_OK)
        log_error("output of a worker is lost: out of memory rank=%u", output->rank);
}

static bool is_open(const struct pack_output *output)
{
    return output->source.fd >= 0 || output->spool.is_open;
}

static bool has_room(const struct pack *pack)
{
    return backlog_room(&pack->backlog) >= LEAST_ROOM_BYTES;
}

void pack_output_close(struct pack *pack, struct pack_output *output)
{
    lines_finish(&output->lines, keep, output);
    covey_list_remove(&output->queued);
    pack_drop(pack, &output->source);
}

/* As read(). What a pipe gives goes through the spool, if there is one. */
static ssize_t read_some(struct pack_output *output, void *bytes, size_t most_bytes)
{
    if (!output->spool.is_open)
        return read(output->source.fd, bytes, most_bytes);
    errno = EAGAIN;
    ssize_t moved =
        output->source.fd >= 0 ? spool_take(&output->spool, output->source.fd, most_bytes) : -1;
    int error = errno;
    ssize_t got = spool_read(&output->spool, bytes, most_bytes);
    errno = error;
    if (got > 0)
        return got;
    if (moved < 0 && error != EAGAIN && error != EINTR) {
        log_warn("last words of threads may be lost: no memory holds their output error=\"%s\"",
                 strerror(error));
        spool_close(&output->spool);
        return read(output->source.fd, bytes, most_bytes);
    }
    return moved;
}

/* Reads once; how much. Needs room. */
static size_t read_once(struct pack *pack, struct pack_output *output, size_t limit_bytes)
{
    uint8_t bytes[LOCAL_LOG_TEXT_BYTES];
    size_t room = backlog_room(&pack->backlog) - (size_t)2 * LOCAL_LOG_OVERHEAD_BYTES;
    size_t held = lines_begin(&output->lines, bytes);
    size_t most = (room < sizeof(bytes) ? room : sizeof(bytes)) - held;
    ssize_t got;
    do {
        got = read_some(output, bytes + held, most < limit_bytes ? most : limit_bytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0) {
        pack_output_close(pack, output);
        return 0;
    }
    lines_cut(&output->lines, bytes, held + (size_t)got, keep, output);
    return (size_t)got;
}

static void watch(struct pack *pack, struct pack_output *output)
{
    if (output->source.fd >= 0 && !output->source.watched &&
        pack_watch(pack, &output->source, EPOLLIN) != COVEY_OK)
        log_error("cannot read the output rank=%u", output->rank);
}

/* One turn. A spool with more in it waits for the next, a pipe tells when there is more. */
static void take_turn(struct pack *pack, struct pack_output *output)
{
    (void)read_once(pack, output, SIZE_MAX);
    if (spool_unread(&output->spool) > 0)
        covey_list_push_back(&pack->outputs_waiting, &output->queued);
    else
        watch(pack, output);
}

/* Those that wait have their turns while there is room. */
static void take_turns(struct pack *pack)
{
    struct covey_list *node;
    while (has_room(pack) && (node = covey_list_pop_front(&pack->outputs_waiting)))
        take_turn(pack, covey_container_of(node, struct pack_output, queued));
}

void pack_output_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    struct pack_output *output = covey_container_of(source, struct pack_output, source);
    (void)events;
    if (has_room(pack) && covey_list_empty(&pack->outputs_waiting)) {
        (void)read_once(pack, output, SIZE_MAX);
        if (spool_unread(&output->spool) == 0)
            return;
    }
    pack_unwatch(pack, source);
    if (covey_list_empty(&output->queued))
        covey_list_push_back(&pack->outputs_waiting, &output->queued);
    take_turns(pack);
}

void pack_log_taken(struct pack *pack, uint64_t offset)
{
    backlog_take(&pack->backlog, offset);
    take_turns(pack);
}

enum covey_status pack_output_open(struct pack *pack, struct pack_output *output, int take_fd)
{
    output->source.fd = take_fd;
    return pack_watch(pack, &output->source, EPOLLIN);
}

void pack_output_catch_up(struct pack *pack, struct pack_worker *worker)
{
    for (int k = 0; k < 2; k++) {
        struct pack_output *output = worker->pid != 0 ? &worker->outputs[k] : &pack->own[k];
        if (is_open(output) && has_room(pack) && covey_list_empty(&pack->outputs_waiting))
            (void)read_once(pack, output, SIZE_MAX);
    }
}

/* The outputs that are open, one after the other: NULL after the last. */
static struct pack_output *next_open(struct pack *pack, uint32_t *cursor)
{
    const uint32_t of_workers = 2 * pack->here.workers;
    for (; *cursor < of_workers + 2; (*cursor)++) {
        struct pack_output *output = *cursor < of_workers
                                         ? &pack->workers[*cursor / 2].outputs[*cursor % 2]
                                         : &pack->own[*cursor - of_workers];
        if (is_open(output)) {
            (*cursor)++;
            return output;
        }
    }
    return NULL;
}

/* What the spool has got since it was read last, and the pipe holds. */
static size_t count_unread(const struct pack_output *output)
{
    int bytes = 0;
    if (output->source.fd < 0 || ioctl(output->source.fd, FIONREAD, &bytes) < 0 || bytes < 0)
        bytes = 0;
    return spool_unread(&output->spool) + (size_t)bytes;
}

void pack_outputs_settle(struct pack *pack)
{
    struct pack_output *output;
    for (uint32_t cursor = 0; (output = next_open(pack, &cursor));) {
        pack_unwatch(pack, &output->source);
        covey_list_remove(&output->queued);
        output->left_bytes = count_unread(output);
    }
}

bool pack_outputs_drain(struct pack *pack)
{
    struct pack_output *output;
    for (uint32_t cursor = 0; (output = next_open(pack, &cursor));) {
        while (output->left_bytes > 0 && has_room(pack)) {
            size_t got = read_once(pack, output, output->left_bytes);
            output->left_bytes = got > 0 ? output->left_bytes - got : 0;
        }
        if (!has_room(pack))
            return false;
        pack_output_close(pack, output);
    }
    return true;
}

void pack_outputs_cut(struct pack *pack)
{
    static const char mark[] = "covey: the log is cut off here: it was not taken in time\n";
    struct pack_output *output;
    bool unread = false;
    for (uint32_t cursor = 0; (output = next_open(pack, &cursor));) {
        /* In a spool the agent reads on from the beginning of the line that is held. */
        if (!output->spool.is_open)
            unread = unread || output->left_bytes > 0 || output->lines.held_bytes > 0;
        output->lines.held_bytes = 0;
        pack_output_close(pack, output);
    }
    if (!unread)
        return;
    log_warn("the log is cut off: it was not taken in time flare=%s", pack->flare->flare_id);
    const struct backlog_text add = {.text = mark,
                                     .length_bytes = sizeof(mark) - 1,
                                     .rank = pack->workers[0].rank,
                                     .stream = STDERR_FILENO,
                                     .wall_ns = covey_wall_ns()};
    if (backlog_add(&pack->backlog, &add) != COVEY_OK)
        log_error("no memory to mark where the log is cut off flare=%s", pack->flare->flare_id);
}
