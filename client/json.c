#include "client/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Range of google.protobuf.Timestamp (years 1 to 9999) and Duration (about 10,000 years). */
#define TIMESTAMP_MIN_S (-62135596800LL)
#define TIMESTAMP_MAX_S 253402300799LL
#define DURATION_MAX_S  315576000000LL
#define NANOS_PER_S     1000000000

static enum covey_status text(struct covey_buffer *out, const char *plain)
{
    return covey_buffer_append(out, plain, strlen(plain));
}

static const char *escape_of(unsigned char byte, char unicode[7])
{
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (byte >= 0x20 && byte != 0x7f)
            return NULL;
        snprintf(unicode, 7, "\\u%04x", byte);
        return unicode;
    }
}

/* U+0080 to U+009F, which some terminals obey: escaped like the other control characters. */
static bool is_c1(const char *value)
{
    return (unsigned char)value[0] == 0xc2 && (unsigned char)value[1] >= 0x80 &&
           (unsigned char)value[1] <= 0x9f;
}

enum covey_status client_json_string(struct covey_buffer *out, const char *value)
{
    enum covey_status status = text(out, "\"");
    char unicode[7];
    while (!status && *value) {
        size_t plain = 0;
        while (value[plain] && !escape_of((unsigned char)value[plain], unicode) &&
               !is_c1(value + plain))
            plain++;
        status = covey_buffer_append(out, value, plain);
        value += plain;
        if (!status && is_c1(value)) {
            status = covey_buffer_printf(out, "\\u%04x", (unsigned char)value[1]);
            value += 2;
        } else if (!status && *value) {
            status = text(out, escape_of((unsigned char)*value++, unicode));
        }
    }
    return status ? status : text(out, "\"");
}

static enum covey_status put_base64(struct covey_buffer *out, const ProtobufCBinaryData *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum covey_status status = covey_buffer_reserve(out, bytes->len / 3 * 4 + 6);
    if (status)
        return status;
    char *at = (char *)out->data + out->length_bytes;
    *at++ = '"';
    for (size_t i = 0; i < bytes->len; i += 3) {
        size_t left = bytes->len - i;
        uint32_t group = (uint32_t)bytes->data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes->data[i + 1] << 8 : 0;
        group |= left > 2 ? bytes->data[i + 2] : 0;
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        *at++ = (char)(left > 1 ? digits[group >> 6 & 63] : '=');
        *at++ = (char)(left > 2 ? digits[group & 63] : '=');
    }
    *at++ = '"';
    out->length_bytes = (size_t)(at - (char *)out->data);
    return COVEY_OK;
}

/* A fraction of a second in 0, 3, 6 or 9 digits. */
static void format_fraction(char fraction[11], uint32_t nanos)
{
    if (nanos == 0)
        fraction[0] = 0;
    else if (nanos % 1000000 == 0)
        snprintf(fraction, 11, ".%03" PRIu32, nanos / 1000000 % 1000);
    else if (nanos % 1000 == 0)
        snprintf(fraction, 11, ".%06" PRIu32, nanos / 1000 % 1000000);
    else
        snprintf(fraction, 11, ".%09" PRIu32, nanos % NANOS_PER_S);
}

static enum covey_status put_timestamp(struct covey_buffer *out, int64_t seconds, int32_t nanos)
{
    char fraction[11];
    struct tm calendar;
    time_t when = (time_t)seconds;
    if (seconds < TIMESTAMP_MIN_S || seconds > TIMESTAMP_MAX_S || nanos < 0 ||
        nanos >= NANOS_PER_S || !gmtime_r(&when, &calendar))
        return COVEY_EINVAL;
    format_fraction(fraction, (uint32_t)nanos);
    return covey_buffer_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d%sZ\"", calendar.tm_year + 1900,
                               calendar.tm_mon + 1, calendar.tm_mday, calendar.tm_hour,
                               calendar.tm_min, calendar.tm_sec, fraction);
}

static enum covey_status put_duration(struct covey_buffer *out, int64_t seconds, int32_t nanos)
{
    char fraction[11];
    bool mixed = (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0);
    if (seconds < -DURATION_MAX_S || seconds > DURATION_MAX_S || nanos <= -NANOS_PER_S ||
        nanos >= NANOS_PER_S || mixed)
        return COVEY_EINVAL;
    format_fraction(fraction, (uint32_t)(nanos < 0 ? -nanos : nanos));
    return covey_buffer_printf(out, "\"%s%" PRId64 "%ss\"", seconds < 0 || nanos < 0 ? "-" : "",
                               seconds < 0 ? -seconds : seconds, fraction);
}

static const void *member(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

/* google.protobuf.Timestamp and Duration have the same two fields. */
static enum covey_status put_time(struct covey_buffer *out, const ProtobufCMessage *message,
                                  bool is_timestamp)
{
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    int64_t seconds;
    int32_t nanos;
    memcpy(&seconds, member(message, fields[0].offset), sizeof seconds);
    memcpy(&nanos, member(message, fields[1].offset), sizeof nanos);
    return is_timestamp ? put_timestamp(out, seconds, nanos) : put_duration(out, seconds, nanos);
}

/* Skips what repeats the enum's name: FlareState's FLARE_STATE_. */
static const char *without_prefix(const char *enum_name, const char *value)
{
    const char *at = value;
    for (const char *c = enum_name; *c; c++) {
        bool starts_word =
            c != enum_name && isupper((unsigned char)*c) && !isupper((unsigned char)c[-1]);
        if (starts_word && *at++ != '_')
            return value;
        if (*at++ != toupper((unsigned char)*c))
            return value;
    }
    return *at == '_' && at[1] && !isdigit((unsigned char)at[1]) ? at + 1 : value;
}

const char *client_json_enum_name(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
    return found ? without_prefix(descriptor->short_name, found->name) : NULL;
}

static enum covey_status put_enum(struct covey_buffer *out,
                                  const ProtobufCEnumDescriptor *descriptor, int value)
{
    const char *name = client_json_enum_name(descriptor, value);
    return name ? client_json_string(out, name) : covey_buffer_printf(out, "%d", value);
}

/* With as few digits as give the same number back. */
static enum covey_status put_real(struct covey_buffer *out, double value, bool is_float)
{
    char digits[32];
    if (isnan(value))
        return text(out, "\"NaN\"");
    if (isinf(value))
        return text(out, value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    for (int precision = is_float ? 6 : 15; precision <= (is_float ? 9 : 17); precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        double back = is_float ? (double)strtof(digits, NULL) : strtod(digits, NULL);
        if (back >= value && back <= value)
            break;
    }
    return text(out, digits);
}

static size_t element_bytes(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* A scalar that fits a number; *quoted is for the key of a map, and for 64-bit integers. */
static enum covey_status put_number(struct covey_buffer *out, ProtobufCType type, const void *value,
                                    bool as_key)
{
    const char *quote = as_key ? "\"" : "";
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return covey_buffer_printf(out, "\"%" PRId64 "\"", *(const int64_t *)value);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return covey_buffer_printf(out, "\"%" PRIu64 "\"", *(const uint64_t *)value);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return covey_buffer_printf(out, "%s%" PRIu32 "%s", quote, *(const uint32_t *)value, quote);
    case PROTOBUF_C_TYPE_BOOL:
        return covey_buffer_printf(out, "%s%s%s", quote,
                                   *(const protobuf_c_boolean *)value ? "true" : "false", quote);
    case PROTOBUF_C_TYPE_FLOAT:
        return put_real(out, (double)*(const float *)value, true);
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_real(out, *(const double *)value, false);
    default:
        return covey_buffer_printf(out, "%s%" PRId32 "%s", quote, *(const int32_t *)value, quote);
    }
}

/* One value of a field: an element, where the field is repeated. */
static enum covey_status put_value(struct covey_buffer *out, const ProtobufCFieldDescriptor *field,
                                   const void *value, bool as_key)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *string = *(const char *const *)value;
        return client_json_string(out, string ? string : "");
    }
    case PROTOBUF_C_TYPE_BYTES:
        return put_base64(out, value);
    case PROTOBUF_C_TYPE_ENUM:
        return put_enum(out, field->descriptor, *(const int *)value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return client_json_message(out, *(const ProtobufCMessage *const *)value);
    default:
        return put_number(out, field->type, value, as_key);
    }
}

/* protobuf-c keeps a map as repeated entries of a message FieldNameEntry { key; value; }. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    const char *at = entry->short_name;
    bool upper = true;
    if (entry->n_fields != 2 || strcmp(entry->fields[0].name, "key") != 0 ||
        strcmp(entry->fields[1].name, "value") != 0)
        return false;
    for (const char *c = field->name; *c; c++) {
        if (*c == '_') {
            upper = true;
            continue;
        }
        if (*at++ != (upper ? toupper((unsigned char)*c) : *c))
            return false;
        upper = false;
    }
    return strcmp(at, "Entry") == 0;
}

static enum covey_status put_map_entry(struct covey_buffer *out, const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
    enum covey_status status = put_value(out, &fields[0], member(entry, fields[0].offset), true);
    if (!status)
        status = text(out, ":");
    return status ? status : put_value(out, &fields[1], member(entry, fields[1].offset), false);
}

static enum covey_status put_repeated(struct covey_buffer *out, const ProtobufCMessage *message,
                                      const ProtobufCFieldDescriptor *field)
{
    bool map = is_map(field);
    size_t count = *(const size_t *)member(message, field->quantifier_offset);
    const char *elements = *(const char *const *)member(message, field->offset);
    enum covey_status status = text(out, map ? "{" : "[");
    for (size_t i = 0; !status && i < count; i++) {
        const void *element = elements + i * element_bytes(field->type);
        if (i > 0)
            status = text(out, ",");
        if (!status && map)
            status = put_map_entry(out, *(const ProtobufCMessage *const *)element);
        else if (!status)
            status = put_value(out, field, element, false);
    }
    return status ? status : text(out, map ? "}" : "]");
}

/* Whether a field is written: all are but messages that are not set, and the unchosen of a oneof.
 */
static bool is_written(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
        *(const uint32_t *)member(message, field->quantifier_offset) != field->id)
        return false;
    return field->type != PROTOBUF_C_TYPE_MESSAGE ||
           *(const void *const *)member(message, field->offset) != NULL;
}

static enum covey_status put_fields(struct covey_buffer *out, const ProtobufCMessage *message)
{
    const char *separator = "{";
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_written(message, field))
            continue;
        enum covey_status status = covey_buffer_printf(out, "%s\"%s\":", separator, field->name);
        if (!status && field->label == PROTOBUF_C_LABEL_REPEATED)
            status = put_repeated(out, message, field);
        else if (!status)
            status = put_value(out, field, member(message, field->offset), false);
        if (status)
            return status;
        separator = ",";
    }
    return text(out, *separator == '{' ? "{}" : "}");
}

enum covey_status client_json_message(struct covey_buffer *out, const ProtobufCMessage *message)
{
    const char *name = message->descriptor->name;
    if (strcmp(name, "google.protobuf.Timestamp") == 0)
        return put_time(out, message, true);
    if (strcmp(name, "google.protobuf.Duration") == 0)
        return put_time(out, message, false);
    return put_fields(out, message);
}
