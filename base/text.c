#include "base/text.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A shorter buffer has no room to say that it was too short. */
#define MARK_FROM_BYTES 16

static const char mark[] = "...";

/* The length of the sequence that a byte starts, 0 where none does, and its second byte's range. */
static size_t sequence(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0;
        if (first == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

/* The length of the character at bytes; 0 where there is none. */
static size_t character(const uint8_t *bytes, size_t left_bytes)
{
    uint8_t low;
    uint8_t high;
    if (bytes[0] < 0x80)
        return bytes[0] ? 1 : 0;
    size_t length = sequence(bytes[0], &low, &high);
    if (length == 0 || length > left_bytes || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

bool covey_text_valid(const void *bytes, size_t length_bytes)
{
    const uint8_t *text = bytes;
    for (size_t at = 0; at < length_bytes;) {
        size_t length = character(text + at, length_bytes - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

/* Where a cut would part a character, the place before it; by the first byte alone, since what
 * follows the cut may be gone already. */
static size_t back_off(const char *text, size_t cut_bytes)
{
    uint8_t low;
    uint8_t high;
    for (size_t back = 1; back < 4 && back <= cut_bytes; back++) {
        uint8_t byte = (uint8_t)text[cut_bytes - back];
        if ((byte & 0xc0) != 0x80)
            return sequence(byte, &low, &high) > back ? cut_bytes - back : cut_bytes;
    }
    return cut_bytes;
}

int covey_text_fit(const char *text, size_t limit_bytes)
{
    if (limit_bytes >= INT_MAX)
        limit_bytes = INT_MAX - 1;
    size_t length_bytes = strnlen(text, limit_bytes + 1);
    return (int)(length_bytes <= limit_bytes ? length_bytes : back_off(text, limit_bytes));
}

size_t covey_text_mend(void *bytes, size_t length_bytes)
{
    uint8_t *text = bytes;
    size_t bad = 0;
    for (size_t at = 0; at < length_bytes;) {
        size_t length = character(text + at, length_bytes - at);
        if (length == 0) {
            text[at] = '?';
            bad++;
            length = 1;
        }
        at += length;
    }
    return bad;
}

void covey_text_tame(char *text)
{
    for (uint8_t *at = (uint8_t *)text; *at; at++) {
        bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
        if (is_c1)
            at[1] = '?';
        if (is_c1 || *at < 0x20 || *at == 0x7f)
            *at = '?';
    }
}

/* The buffer is full, and its last character perhaps in two. */
static size_t cut(char *text, size_t size_bytes)
{
    const char *end = size_bytes < MARK_FROM_BYTES ? "" : mark;
    size_t length_bytes = back_off(text, size_bytes - 1 - strlen(end));
    memcpy(text + length_bytes, end, strlen(end) + 1);
    return length_bytes + strlen(end);
}

size_t covey_text_vprint(char *text, size_t size_bytes, const char *format, va_list arguments)
{
    int wanted = vsnprintf(text, size_bytes, format, arguments);
    size_t length_bytes = wanted > 0 ? (size_t)wanted : 0;
    if (length_bytes >= size_bytes)
        length_bytes = cut(text, size_bytes);
    text[length_bytes] = '\0';
    (void)covey_text_mend(text, length_bytes);
    return length_bytes;
}

size_t covey_text_print(char *text, size_t size_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length_bytes = covey_text_vprint(text, size_bytes, format, arguments);
    va_end(arguments);
    return length_bytes;
}
