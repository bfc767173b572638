/*
 * Protobuf-c messages that are owned and changed: every string, byte run and sub-message is from
 * malloc, so that message_free frees them. Functions return false when memory runs out, with the
 * message as it was.
 */
#ifndef SERVICE_CONTROLLER_MESSAGES_H
#define SERVICE_CONTROLLER_MESSAGES_H

#include "covey/status.h"
#include "covey/v1/types.pb-c.h"
#include "service/store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* Shorter names for the generated types. */
typedef Covey__V1__Flare flare_message;
typedef Covey__V1__FlareOptions options_message;
typedef Covey__V1__Definition definition_message;
typedef Covey__V1__Worker worker_message;
typedef Covey__V1__Pack pack_message;
typedef Covey__V1__Event event_message;
typedef Covey__V1__Failure failure_message;

/* Packs a message; data is the caller's to free, NULL when memory runs out. */
struct store_bytes message_pack(const ProtobufCMessage *message);

/* An owned message from packed bytes of our own; NULL when memory runs out or they are malformed.
 */
void *message_unpack(const ProtobufCMessageDescriptor *descriptor, struct store_bytes bytes);

/* An owned copy. */
void *message_copy(const ProtobufCMessage *message);

/* Frees an owned message; NULL is accepted. */
void message_free(void *message);

bool message_set_string(char **field, const char *text);

/* A new, owned, empty message. */
void *message_new(const ProtobufCMessageDescriptor *descriptor);

/* An event as users see it, owned: its body with what only its row has. NULL: damaged, or no
 * memory. */
event_message *message_event(const struct store_event *row);

/* Set an owned field, making it where it is NULL. */
bool message_set_time(Google__Protobuf__Timestamp **field, int64_t wall_ns);
bool message_set_duration(Google__Protobuf__Duration **field, int64_t duration_ns);
/* Nanoseconds since 1970; 0 where the field is not set. */
int64_t message_time_ns(const Google__Protobuf__Timestamp *field);

Google__Protobuf__Timestamp message_time(int64_t wall_ns);
Google__Protobuf__Duration message_duration(int64_t duration_ns);
/* False where the duration is not a valid, positive one; *duration_ns is fallback where not set. */
bool message_duration_ns(const Google__Protobuf__Duration *field, int64_t fallback_ns,
                         int64_t *duration_ns);

/* The status of its name ("EPEER"); COVEY_EINTERNAL for a name that is none. */
enum covey_status message_status(const char *name);

#endif
