#include "rpc/percent.h"

#include <stdbool.h>

static const char digits[] = "0123456789ABCDEF";

/* No header's value begins or ends with a space (RFC 9113, 8.2.1): whoever gets one resets. */
static bool is_plain(const char *text, const unsigned char *at)
{
    if (*at == ' ')
        return at != (const unsigned char *)text && at[1] != '\0';
    return *at > 0x20 && *at <= 0x7e && *at != '%';
}

enum covey_status rpc_percent_encode(const char *text, struct covey_buffer *encoded)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        enum covey_status status = covey_buffer_reserve(encoded, 4);
        if (status)
            return status;
        uint8_t *end = encoded->data + encoded->length_bytes;
        if (is_plain(text, at)) {
            *end = *at;
            encoded->length_bytes++;
        } else {
            end[0] = '%';
            end[1] = (uint8_t)digits[*at >> 4];
            end[2] = (uint8_t)digits[*at & 15];
            encoded->length_bytes += 3;
        }
    }
    enum covey_status status = covey_buffer_reserve(encoded, 1);
    if (!status)
        encoded->data[encoded->length_bytes] = '\0';
    return status;
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

void rpc_percent_decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        int high = *from == '%' ? hex(from[1]) : -1;
        int low = high >= 0 ? hex(from[2]) : -1;
        if (low >= 0 && (high || low)) {
            *to++ = (char)(high << 4 | low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}
