/*
 * What workers write: from their pipes, line by line, into the backlog, and from there to the
 * agent. An output is read while the backlog has room. Where it has none the output waits in a
 * queue, unwatched, and its worker in its write; whoever has waited longest is read first, one
 * piece at a time, so that one that writes much does not keep the others from being heard.
 */
#include "base/error.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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
    const struct pack_output *output = data;
    if (backlog_add(&output->pack->backlog, output->rank, output->stream, covey_wall_ns(), text,
                    length_bytes) != COVEY_OK)
        log_error("output of a worker is lost: out of memory rank=%u", output->rank);
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

/* Reads once; how much. Needs room. */
static size_t read_once(struct pack *pack, struct pack_output *output, size_t limit_bytes)
{
    uint8_t bytes[LOCAL_LOG_TEXT_BYTES];
    size_t room = backlog_room(&pack->backlog) - (size_t)2 * LOCAL_LOG_OVERHEAD_BYTES;
    size_t held = lines_begin(&output->lines, bytes);
    size_t most = (room < sizeof(bytes) ? room : sizeof(bytes)) - held;
    ssize_t got;
    do {
        got = read(output->source.fd, bytes + held, most < limit_bytes ? most : limit_bytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0) {
        if (!output->is_memory)
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

/* One turn. Memory with more in it waits for the next, a pipe tells when there is more. */
static void take_turn(struct pack *pack, struct pack_output *output)
{
    size_t got = read_once(pack, output, SIZE_MAX);
    if (!output->is_memory)
        watch(pack, output);
    else if (got > 0)
        covey_list_push_back(&pack->outputs_waiting, &output->queued);
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
    if (!output->is_memory && has_room(pack) && covey_list_empty(&pack->outputs_waiting)) {
        (void)read_once(pack, output, SIZE_MAX);
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
        if (output->source.fd >= 0 && has_room(pack) && covey_list_empty(&pack->outputs_waiting))
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
        if (output->source.fd >= 0) {
            (*cursor)++;
            return output;
        }
    }
    return NULL;
}

/* What memory has got since it was read last, or a pipe holds. */
static size_t count_unread(const struct pack_output *output)
{
    struct stat facts;
    int bytes = 0;
    off_t at = output->is_memory ? lseek(output->source.fd, 0, SEEK_CUR) : 0;
    if (output->is_memory)
        return fstat(output->source.fd, &facts) == 0 && facts.st_size > at
                   ? (size_t)(facts.st_size - at)
                   : 0;
    return ioctl(output->source.fd, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
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
        if (output->source.fd >= 0)
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
        /* The agent reads on in what is memory, from the beginning of the line that is held. */
        if (output->is_memory)
            (void)lseek(output->source.fd, -(off_t)output->lines.held_bytes, SEEK_CUR);
        else
            unread = unread || output->left_bytes > 0 || output->lines.held_bytes > 0;
        output->lines.held_bytes = 0;
        pack_output_close(pack, output);
    }
    if (!unread)
        return;
    log_warn("the log is cut off: it was not taken in time flare=%s", pack->flare->flare_id);
    if (backlog_add(&pack->backlog, pack->workers[0].rank, STDERR_FILENO, covey_wall_ns(), mark,
                    sizeof(mark) - 1) != COVEY_OK)
        log_error("no memory to mark where the log is cut off flare=%s", pack->flare->flare_id);
}
