#include "service/common/local.h"

#include "base/error.h"
#include "base/memory.h"
#include "proto/strings.h"

#include <stdlib.h>
#include <string.h>

enum covey_status local_send(int socket, const local_message *message, const int *fds,
                             size_t fd_count)
{
    uint8_t bytes[LOCAL_RECORD_BYTES];
    size_t length_bytes = covey__v1__local_message__get_packed_size(message);
    if (length_bytes > sizeof(bytes))
        return COVEY_ELIMIT;
    covey__v1__local_message__pack(message, bytes);
    return covey_send_fds(socket, bytes, length_bytes, fds, fd_count);
}

enum covey_status local_decode(void *bytes, size_t length_bytes, local_message **message)
{
    if (length_bytes > LOCAL_RECORD_BYTES)
        return COVEY_ELIMIT;
    (void)proto_strings_mend(&covey__v1__local_message__descriptor, bytes, length_bytes);
    *message = covey__v1__local_message__unpack(NULL, length_bytes, bytes);
    if (*message && (*message)->body_case != COVEY__V1__LOCAL_MESSAGE__BODY__NOT_SET)
        return COVEY_OK;
    if (*message)
        covey__v1__local_message__free_unpacked(*message, NULL);
    *message = NULL;
    return COVEY_EPROTO;
}

enum covey_status local_receive(int socket, struct local_record *record)
{
    uint8_t bytes[LOCAL_RECORD_BYTES];
    size_t length_bytes;
    *record = (struct local_record){0};
    enum covey_status status = covey_receive_fds(socket, bytes, sizeof(bytes), &length_bytes,
                                                 record->fds, &record->fd_count);
    if (status)
        return status;
    if (length_bytes == 0)
        return COVEY_EUNAVAILABLE;
    status = local_decode(bytes, length_bytes, &record->message);
    if (status)
        local_record_free(record);
    return status;
}

uint64_t local_log_cost(Covey__V1__LogLines *const *lines, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (lines[i]->text.len == 0 || lines[i]->text.len > LOCAL_LOG_TEXT_BYTES ||
            lines[i]->stream < 1 || lines[i]->stream > 2)
            return 0;
        bytes += lines[i]->text.len + LOCAL_LOG_OVERHEAD_BYTES;
    }
    return bytes;
}

int local_take_fd(struct local_record *record, size_t index)
{
    if (index >= record->fd_count)
        return -1;
    int fd = record->fds[index];
    record->fds[index] = -1;
    return fd;
}

void local_record_free(struct local_record *record)
{
    for (size_t i = 0; i < record->fd_count; i++)
        covey_close(&record->fds[i]);
    record->fd_count = 0;
    if (record->message)
        covey__v1__local_message__free_unpacked(record->message, NULL);
    record->message = NULL;
}
