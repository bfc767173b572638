#include "service/controller/messages.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct store_bytes message_pack(const ProtobufCMessage *message)
{
    size_t length_bytes = protobuf_c_message_get_packed_size(message);
    uint8_t *data = covey_malloc(length_bytes ? length_bytes : 1);
    if (!data)
        return (struct store_bytes){NULL, 0};
    (void)protobuf_c_message_pack(message, data);
    return (struct store_bytes){data, length_bytes};
}

void *message_unpack(const ProtobufCMessageDescriptor *descriptor, struct store_bytes bytes)
{
    return protobuf_c_message_unpack(descriptor, NULL, bytes.length_bytes, bytes.data);
}

void *message_copy(const ProtobufCMessage *message)
{
    struct store_bytes bytes = message_pack(message);
    if (!bytes.data)
        return NULL;
    void *copy = message_unpack(message->descriptor, bytes);
    free((void *)(uintptr_t)bytes.data);
    return copy;
}

void message_free(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

bool message_set_string(char **field, const char *text)
{
    char *copy = covey_strdup(text);
    if (!copy)
        return false;
    if (*field && *field != protobuf_c_empty_string)
        free(*field);
    *field = copy;
    return true;
}

void *message_new(const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = covey_malloc(descriptor->sizeof_message);
    if (message)
        protobuf_c_message_init(descriptor, message);
    return message;
}

Google__Protobuf__Timestamp message_time(int64_t wall_ns)
{
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = wall_ns / COVEY_NS_PER_S;
    time.nanos = (int32_t)(wall_ns % COVEY_NS_PER_S);
    return time;
}

event_message *message_event(const struct store_event *row)
{
    event_message *event = message_unpack(&covey__v1__event__descriptor, row->body);
    if (!event)
        return NULL;
    event->sequence = row->sequence;
    event->state = (Covey__V1__FlareState)row->state;
    if (message_set_time(&event->at, row->at_ns))
        return event;
    message_free(event);
    return NULL;
}

bool message_set_time(Google__Protobuf__Timestamp **field, int64_t wall_ns)
{
    Google__Protobuf__Timestamp *time = *field;
    if (!time)
        time = covey_malloc(sizeof *time);
    if (!time)
        return false;
    *time = message_time(wall_ns);
    *field = time;
    return true;
}

bool message_set_duration(Google__Protobuf__Duration **field, int64_t duration_ns)
{
    Google__Protobuf__Duration *time = *field;
    if (!time)
        time = covey_malloc(sizeof *time);
    if (!time)
        return false;
    *time = message_duration(duration_ns);
    *field = time;
    return true;
}

int64_t message_time_ns(const Google__Protobuf__Timestamp *field)
{
    /* Beyond the range of nanoseconds since 1970 nothing sensible is meant. */
    if (!field || field->seconds < 0 || field->seconds > INT64_MAX / COVEY_NS_PER_S - 1)
        return 0;
    return field->seconds * COVEY_NS_PER_S + field->nanos;
}

Google__Protobuf__Duration message_duration(int64_t duration_ns)
{
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    duration.seconds = duration_ns / COVEY_NS_PER_S;
    duration.nanos = (int32_t)(duration_ns % COVEY_NS_PER_S);
    return duration;
}

bool message_duration_ns(const Google__Protobuf__Duration *field, int64_t fallback_ns,
                         int64_t *duration_ns)
{
    *duration_ns = fallback_ns;
    if (!field)
        return true;
    if (field->seconds < 0 || field->nanos < 0 || field->nanos >= COVEY_NS_PER_S)
        return false;
    if (field->seconds >= INT64_MAX / COVEY_NS_PER_S)
        return false;
    *duration_ns = field->seconds * COVEY_NS_PER_S + field->nanos;
    return *duration_ns > 0;
}

enum covey_status message_status(const char *name)
{
#define MESSAGE_STATUS(id, value, text, grpc)                                                      \
    if (strcmp(name, #id) == 0)                                                                    \
        return COVEY_##id;
    COVEY_STATUS_MAP(MESSAGE_STATUS)
#undef MESSAGE_STATUS
    return COVEY_EINTERNAL;
}
