#include "base/error.h"

#include "base/surroundings.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    enum covey_status status;
    const char *name;
    const char *text;
    int grpc;
} table[] = {
#define ROW(name, value, text, grpc) {COVEY_##name, #name, text, grpc},
    COVEY_STATUS_MAP(ROW)
#undef ROW
};

enum { table_rows = sizeof(table) / sizeof(table[0]) };

const char *covey_status_name(enum covey_status status)
{
    for (int i = 0; i < table_rows; i++) {
        if (table[i].status == status)
            return table[i].name;
    }
    return "UNKNOWN";
}

const char *covey_status_text(enum covey_status status)
{
    for (int i = 0; i < table_rows; i++) {
        if (table[i].status == status)
            return table[i].text;
    }
    return "unknown status";
}

int covey_status_grpc(enum covey_status status)
{
    for (int i = 0; i < table_rows; i++) {
        if (table[i].status == status)
            return table[i].grpc;
    }
    return 2;
}

enum covey_status covey_status_from_errno(int error_number)
{
    switch (error_number) {
    case 0:
        return COVEY_OK;
    case ENOENT:
        return COVEY_ENOTFOUND;
    case EEXIST:
        return COVEY_EEXISTS;
    case EACCES:
    case EPERM:
        return COVEY_EACCES;
    case ENOMEM:
        return COVEY_ENOMEM;
    case ENOSPC:
    case EDQUOT:
        return COVEY_ENOSPACE;
    case EINVAL:
        return COVEY_EINVAL;
    case EAGAIN:
        return COVEY_EAGAIN;
    case ECANCELED:
        return COVEY_ECANCELLED;
    case ETIMEDOUT:
        return COVEY_ETIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOTCONN:
    case EPIPE:
        return COVEY_EUNAVAILABLE;
    case EFBIG:
    case EMFILE:
    case EMSGSIZE:
    case ENFILE:
        return COVEY_ELIMIT;
    default:
        return COVEY_EIO;
    }
}

enum covey_status covey_error_set(struct covey_error *error, enum covey_status status,
                                  const char *format, ...)
{
    if (!error)
        return status;
    /* Formatted apart: an argument may be the message that is replaced. */
    char message[COVEY_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)covey_text_vprint(message, sizeof(message), format, arguments);
    va_end(arguments);
    covey_text_tame(message);
    error->status = status;
    error->foreign = 0;
    memcpy(error->message, message, strlen(message) + 1);
    return status;
}

enum covey_status covey_error_set_errno(struct covey_error *error, int error_number,
                                        const char *format, ...)
{
    enum covey_status status = covey_status_from_errno(error_number);
    if (!error)
        return status;
    char text[128];
    char message[COVEY_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t length = covey_text_vprint(message, sizeof(message), format, arguments);
    va_end(arguments);
    length += covey_text_print(message + length, sizeof(message) - length, ": %s",
                               strerror_r(error_number, text, sizeof(text)));
    /* EAGAIN is mostly a peer that is not ready. */
    if (error_number != EAGAIN && covey_limit_text(error_number, text, sizeof(text)) > 0)
        (void)covey_text_print(message + length, sizeof(message) - length, ": %s", text);
    covey_text_tame(message);
    error->status = status;
    error->foreign = error_number;
    memcpy(error->message, message, strlen(message) + 1);
    return status;
}

void covey_error_add_limit(struct covey_error *error)
{
    char limit[128];
    if (error && error->foreign == EAGAIN && covey_limit_text(EAGAIN, limit, sizeof(limit)) > 0)
        (void)covey_error_set(error, error->status, "%s: %s", error->message, limit);
}
