#include "service/common/local.h"

#include "base/error.h"
#include "base/memory.h"

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

/* Length of a UTF-8 character at text, or 0 where there is none. */
static size_t utf8_length(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    size_t length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

static bool text_valid(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        size_t length = utf8_length(at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

static bool message_valid(const ProtobufCMessage *message);

/* The value at a field's place: a string or a message. */
static bool value_valid(const ProtobufCFieldDescriptor *field, void *value)
{
    if (!value)
        return true;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return text_valid(value);
    return field->type != PROTOBUF_C_TYPE_MESSAGE || message_valid(value);
}

/* Whether every string is UTF-8. The types do not nest in themselves: the recursion is shallow. */
static bool message_valid(const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
            void **values = *(void ***)(uintptr_t)(base + field->offset);
            for (size_t k = 0; k < count; k++) {
                if (!value_valid(field, values[k]))
                    return false;
            }
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
            *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id)
            continue;
        if (!value_valid(field, *(void **)(uintptr_t)(base + field->offset)))
            return false;
    }
    return true;
}

enum covey_status local_decode(const void *bytes, size_t length_bytes, local_message **message)
{
    if (length_bytes > LOCAL_RECORD_BYTES)
        return COVEY_ELIMIT;
    *message = covey__v1__local_message__unpack(NULL, length_bytes, bytes);
    if (*message && (*message)->body_case != COVEY__V1__LOCAL_MESSAGE__BODY__NOT_SET &&
        message_valid(&(*message)->base))
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
