#include "rpc/utf8.h"

/* The length of the sequence a byte starts, 0 where none does, and the range of its second byte. */
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

bool rpc_utf8_valid(const uint8_t *bytes, size_t length_bytes)
{
    size_t at = 0;
    while (at < length_bytes) {
        uint8_t first = bytes[at];
        if (first < 0x80) {
            if (first == 0)
                return false;
            at++;
            continue;
        }
        uint8_t low;
        uint8_t high;
        size_t length = sequence(first, &low, &high);
        if (length == 0 || length > length_bytes - at)
            return false;
        if (bytes[at + 1] < low || bytes[at + 1] > high)
            return false;
        for (size_t i = 2; i < length; i++) {
            if ((bytes[at + i] & 0xc0) != 0x80)
                return false;
        }
        at += length;
    }
    return true;
}
