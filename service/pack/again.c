/*
 * A pack that begins again: it executes itself with all that it was given, as the same process.
 * Only so can it take variables that are read when a program starts (the loader's, the
 * allocator's), and get rid of threads that the code has made while it was loaded.
 *
 * What the new beginning needs lies on descriptors whose numbers both know. What the old one has
 * put on standard output and error stays there, for the new one to read.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/surroundings.h"
#include "service/common/memfd.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    AGAIN_AGENT = LOCAL_WORDS_FD + 1,
    AGAIN_LOG,
    AGAIN_PREPARE,
    AGAIN_FIRST, /* what came with the record, in its order */
    AGAIN_END = AGAIN_FIRST + PACK_FDS
};

static const char *const names[] = {[PACK_LIFE_AGAIN] = "again", [PACK_LIFE_UNLOADED] = "unloaded"};

bool pack_life_parse(const char *name, enum pack_life *life)
{
    for (size_t i = PACK_LIFE_AGAIN; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *life = (enum pack_life)i;
            return true;
        }
    }
    return false;
}

int pack_again_log_fd(void)
{
    return AGAIN_LOG;
}

enum pack_fd pack_fd_of_record(size_t index)
{
    static const enum pack_fd order[PACK_FDS] = {
        PACK_FD_FLARE, PACK_FD_ARENA,    PACK_FD_EVENT, PACK_FD_PARAMETERS,
        PACK_FD_CODE,  PACK_FD_LIFELINE, PACK_FD_STDIN};
    return order[index];
}

static enum covey_status pack_message(const local_message *message, int *fd)
{
    size_t length_bytes = covey__v1__local_message__get_packed_size(message);
    uint8_t *bytes = covey_malloc(length_bytes);
    if (!bytes)
        return COVEY_ENOMEM;
    covey__v1__local_message__pack(message, bytes);
    const struct iovec part = {bytes, length_bytes};
    enum covey_status status = memfd_create_sealed("covey-prepare", &part, 1, fd);
    free(bytes);
    return status;
}

/* Every number below AGAIN_END may be the code's by now; all of ours lie above. */
static bool place_descriptors(const struct pack *pack, int prepare)
{
    bool placed = dup2(pack->listener.fd, LOCAL_LISTEN_FD) >= 0 &&
                  dup2(pack->words_fd, LOCAL_WORDS_FD) >= 0 &&
                  dup2(pack->link.fd, AGAIN_AGENT) >= 0 && dup2(pack->log_fd, AGAIN_LOG) >= 0 &&
                  dup2(prepare, AGAIN_PREPARE) >= 0;
    for (int i = 0; placed && i < PACK_FDS; i++)
        placed = dup2(pack->fds[pack_fd_of_record((size_t)i)], AGAIN_FIRST + i) >= 0;
    covey_close_range(AGAIN_END, ~0U);
    return placed;
}

enum covey_status pack_begin_again(struct pack *pack, const local_message *prepare,
                                   enum pack_life life, struct covey_error *error)
{
    char nowhere[] = "";
    char *arguments[] = {(char *)(uintptr_t)pack->program,
                         (char *)(uintptr_t)pack->runtime_folder,
                         pack->socket_name,
                         pack->cgroup ? (char *)(uintptr_t)pack->cgroup : nowhere,
                         (char *)(uintptr_t)names[life],
                         NULL};
    int low = -1;
    enum covey_status status = link_flush(&pack->link);
    if (!status && link_wants_write(&pack->link))
        status = COVEY_EAGAIN;
    if (!status)
        status = pack_message(prepare, &low);
    int fd = low >= 0 ? fcntl(low, F_DUPFD_CLOEXEC, AGAIN_END) : -1;
    covey_close(&low);
    if (status || fd < 0)
        return covey_error_set(error, status ? status : COVEY_EIO, "the pack cannot begin again");
    if (place_descriptors(pack, fd))
        (void)execv("/proc/self/exe", arguments);
    covey_log_set_fd(AGAIN_LOG);
    log_error("the pack cannot begin again error=\"%s\"", strerror(errno));
    _exit(1);
}

static enum covey_status read_message(int fd, local_message **message)
{
    void *bytes;
    size_t length_bytes;
    enum covey_status status = memfd_map(fd, LOCAL_RECORD_BYTES, &bytes, &length_bytes);
    if (status)
        return status;
    uint8_t *copy = covey_memdup(bytes, length_bytes);
    memfd_unmap(bytes, length_bytes);
    if (!copy)
        return COVEY_ENOMEM;
    status = local_decode(copy, length_bytes, message);
    free(copy);
    return status;
}

enum covey_status pack_again_read(struct local_record *record, int *agent_fd)
{
    int prepare = AGAIN_PREPARE;
    *record = (struct local_record){.fd_count = PACK_FDS};
    *agent_fd = AGAIN_AGENT;
    for (int i = 0; i < PACK_FDS; i++)
        record->fds[i] = AGAIN_FIRST + i;
    enum covey_status status = read_message(prepare, &record->message);
    covey_close(&prepare);
    return status;
}
